"""Networks from the list: built from literals, anything else refused."""

from __future__ import annotations

import pytest

from napari_radcnn.errors import ModelError
from napari_radcnn.networks.architectures import build, known_name, names
from napari_radcnn.spec.patches import Architecture

SMALL = {
    "UNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]},
    "BasicUNet": {"features": [4, 4, 8, 8, 8, 4]},
    "SegResNet": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
    "SegResNetDS": {"init_filters": 8, "blocks_down": [1, 1]},
    "AttentionUnet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]},
    "VNet": {},
    "HighResNet": {},
    "DynUNet": {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 8],
    },
}


@pytest.mark.parametrize("name", SMALL)
def test_networks_are_built_and_known_without_numbers(name):
    architecture = Architecture(name, SMALL[name])
    real, meta = build(architecture, "a.json"), build(architecture, "a.json", meta=True)
    shapes = [{key: tuple(value.shape) for key, value in net.state_dict().items()} for net in (real, meta)]
    assert shapes[0] == shapes[1] != {}


def test_only_names_on_the_list_are_known():
    assert known_name("UNet") == known_name("monai.networks.nets.UNet") == "UNet"
    assert known_name("monai.networks.nets.unet.UNet") == "UNet"
    for name in ("os.system", "UNet2", "evil.UNet", "monai.bundle.UNet", "monai.networks.nets.os.UNet", ""):
        assert known_name(name) is None
    assert "SwinUNETR" in names()


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("UNet", {**SMALL["UNet"], "typo": 1}, "typo"),
        ("UNet", {}, "spatial_dims"),
        *[("UNet", {**SMALL["UNet"], "spatial_dims": n}, "it must be 2 or 3") for n in (0, 4, 2.0, True)],
        ("UNet", {**SMALL["UNet"], "channels": [4]}, "cannot be built"),
        ("UNet", {**SMALL["UNet"], "in_channels": 10**9}, "out of range"),
        ("UNet", {**SMALL["UNet"], "act": "$exec('1')"}, "is an expression"),
        ("UNet", {**SMALL["UNet"], "act": ["prelu", {"_target_": "os.system"}]}, "os.system"),
        ("UNet", {**SMALL["UNet"], "act": object()}, "a literal is expected"),
        ("FlexibleUNet", {"in_channels": 1, "out_channels": 2, "backbone": "x", "pretrained": True}, "access files"),
        ("subprocess.Popen", {"args": "true"}, "not on the list"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(name, arguments, told):
    with pytest.raises(ModelError) as caught:
        build(Architecture(name, arguments), "net.json")
    assert str(caught.value).startswith("net.json: ")
    assert told in str(caught.value)
