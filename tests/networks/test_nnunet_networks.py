"""Our U-Nets against nnU-Net's own classes: same names, same logits (files made by benchmarks/nnunet_oracle)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_radcnn.errors import ModelError
from napari_radcnn.networks.nnunet_networks import build

FOLDER = Path(__file__).parent.parent / "data" / "nnunet" / "networks"
CASES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def _stored(case: str) -> tuple[dict, dict[str, np.ndarray]]:
    with np.load(FOLDER / f"{case}.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    return json.loads(str(arrays.pop("description"))), arrays


def test_every_kind_of_network_is_compared():
    assert {json.loads(str(np.load(FOLDER / f"{case}.npz")["description"]))["name"] for case in CASES} == {
        "PlainConvUNet",
        "ResidualEncoderUNet",
        "ResidualUNet",
    }


@pytest.mark.parametrize("case", CASES)
def test_the_same_names_and_the_same_logits(case):
    description, arrays = _stored(case)
    network = build(description["name"], description["arguments"])
    names = description["names"]
    assert list(network.state_dict()) == list(names)
    weights = {name: torch.from_numpy(arrays[f"weights/{first}"]) for name, first in names.items()}
    network.load_state_dict(weights, strict=True)
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(arrays["input"].astype(np.float32))).numpy()
    assert np.ptp(arrays["output"]) > 1
    np.testing.assert_allclose(logits, arrays["output"], atol=2e-5 * np.ptp(arrays["output"]))


@pytest.mark.parametrize("case", CASES)
def test_another_number_of_channels_is_another_network(case):
    description, arrays = _stored(case)
    network = build(description["name"], description["arguments"] | {"input_channels": 7})
    weights = {name: torch.from_numpy(arrays[f"weights/{first}"]) for name, first in description["names"].items()}
    with pytest.raises(RuntimeError, match="size mismatch"):
        network.load_state_dict(weights, strict=True)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("Primus", {}, "'Primus' is not supported; supported: PlainConvUNet"),
        (
            "PlainConvUNet",
            {"conv_op": "os.system"},
            "use 'os.system' as conv_op; supported in torch.nn: Conv2d, Conv3d",
        ),
        ("PlainConvUNet", {"nonlin": "evil.LeakyReLU"}, "use 'evil.LeakyReLU' as nonlin"),
        ("PlainConvUNet", {"nonlin": "torch.nn.utils.LeakyReLU"}, "use 'torch.nn.utils.LeakyReLU'"),
        ("PlainConvUNet", {"conv_op": None}, "conv_op is missing"),
        ("PlainConvUNet", {"surprise": 1}, "argument 'surprise'"),
        ("PlainConvUNet", {"strides": [[1, 1, 1], [2, 2, 2]]}, "'strides' has 2 entries, expected 3"),
        ("PlainConvUNet", {"kernel_sizes": [[3, 3]] * 3}, r"\[3, 3\] is not a size along 3 axes"),
        ("PlainConvUNet", {"norm_op_kwargs": {"epsilon": 1}}, "cannot be built"),
        ("ResidualEncoderUNet", {}, "argument 'n_conv_per_stage'"),
    ],
)
def test_what_is_not_on_the_list_is_refused(name, changes, message):
    arguments = _stored("plain-3d")[0]["arguments"] | changes
    with pytest.raises(ModelError, match=message):
        build(name, arguments)


def test_what_is_missing_is_named():
    arguments = dict(_stored("plain-3d")[0]["arguments"])
    del arguments["n_conv_per_stage"]
    with pytest.raises(ModelError, match="has no 'n_conv_per_stage'"):
        build("PlainConvUNet", arguments)


def test_bottlenecks_are_refused_by_name():
    arguments = _stored("residual-3d")[0]["arguments"] | {"block": "a.b.BottleneckD"}
    with pytest.raises(ModelError, match="block 'BottleneckD' is not supported"):
        build("ResidualEncoderUNet", arguments)
