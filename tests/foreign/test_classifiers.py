"""Classifiers of MONAI from their weights alone: the answers of MONAI's own network, and its file that opens."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from answering import describe_answer, scan
from model_factory import write_safetensors
from napari_radcnn.errors import ModelError
from napari_radcnn.networks.architectures import answers_once, known_name, names

SMALL = {
    "DenseNet": {"out_channels": 3, "init_features": 4, "growth_rate": 2, "block_config": [1, 2], "in_channels": 1},
    "ResNet": {
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [2, 4, 4, 8],
        "n_input_channels": 1,
        "num_classes": 3,
    },
    "SEResNet50": {"layers": [1, 1, 1, 1], "in_channels": 1, "num_classes": 3},
    "EfficientNetBN": {"model_name": "efficientnet-b0", "in_channels": 1, "num_classes": 3},
}


def _network(name, dims):
    from monai.networks import nets

    torch.manual_seed(3)
    more = {"pretrained": False} if name == "EfficientNetBN" else {}
    return getattr(nets, name)(**SMALL[name], spatial_dims=dims, **more).eval()


@pytest.mark.parametrize(
    ("name", "dims"), [("DenseNet", 3), ("DenseNet", 2), ("ResNet", 3), ("SEResNet50", 2), ("EfficientNetBN", 2)]
)
def test_a_network_of_the_list_answers_as_monai_has_it(tmp_path, name, dims):
    network = _network(name, dims)
    patch = (32, 40, 32)[3 - dims :]
    given = scan(shape=(32, 40, 32) if dims == 3 else (1, 40, 32))
    path = write_safetensors(tmp_path / "net.safetensors", network.state_dict())
    architecture = {"name": name, "arguments": {**SMALL[name], "spatial_dims": dims}}
    describe_answer(tmp_path / "net.json", architecture=architecture, spatial_dims=dims, patch=patch, fit="exact")
    found = radcnn.classify(given, radcnn.open_model(path), device="cpu")
    with torch.inference_mode():
        shown = torch.from_numpy(given.array)[None, None] if dims == 3 else torch.from_numpy(given.array)[None]
        expected = torch.softmax(network(shown), 1)[0].numpy()
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classes": ["a", "b"]}, "'DenseNet' returns 3 numbers, but net.json expects 2 for the 2 classes"),
        ({"spatial_dims": 2, "patch": [40, 32]}, r"does not take an input of 1 x 1 x 40 x 32"),
        ({"repeat_channels": 3}, r"does not take an input of 1 x 3 x 32"),
        ({"architecture": {"name": "UNet", "arguments": {}}}, "missing"),
        ({"task": "segmentation", "fit": ..., "classes": ["a", "b", "c"]}, "returns one output for its whole input"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_when_the_model_is_opened(tmp_path, changes, told):
    path = write_safetensors(tmp_path / "net.safetensors", _network("DenseNet", 3).state_dict())
    architecture = {"name": "DenseNet", "arguments": {**SMALL["DenseNet"], "spatial_dims": 3}}
    describe_answer(tmp_path / "net.json", **({"architecture": architecture, "patch": [32, 40, 32]} | changes))
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(path)


def test_a_network_that_answers_for_every_voxel_is_no_classifier(tmp_path):
    from model_factory import UNET, unet

    path = write_safetensors(tmp_path / "net.safetensors", unet().state_dict())
    describe_answer(tmp_path / "net.json", architecture={"name": "UNet", "arguments": UNET}, patch=[16, 16, 16])
    with pytest.raises(
        ModelError,
        match=r"'UNet' returns an output for every voxel; one with a single output per "
        r"scan .* DenseNet121",
    ):
        radcnn.open_model(path)


def test_names_of_the_list_with_and_without_their_package():
    assert known_name("monai.networks.nets.DenseNet121") == "DenseNet121"
    assert known_name("monai.networks.nets.densenet.DenseNet121") == "DenseNet121"
    assert known_name("seresnet50") == "SEResNet50"
    assert known_name("torchvision.models.DenseNet121") is None
    assert known_name("monai.networks.nets.a.b.DenseNet121") is None
    assert all(known_name(name) == name for name in names())
    assert answers_once("ViT")
    assert not answers_once("UNet")


def test_nothing_is_loaded_from_the_network(tmp_path, monkeypatch):
    """EfficientNetBN of MONAI loads weights by default."""
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("a download"))
    monkeypatch.setattr("torch.utils.model_zoo.load_url", lambda *_, **__: pytest.fail("a download"))
    path = write_safetensors(tmp_path / "net.safetensors", _network("EfficientNetBN", 2).state_dict())
    arguments = {**SMALL["EfficientNetBN"], "spatial_dims": 2}
    keys = {"spatial_dims": 2, "patch": [40, 32]}
    describe_answer(tmp_path / "net.json", architecture={"name": "EfficientNetBN", "arguments": arguments}, **keys)
    assert radcnn.open_model(path).classes == ("low", "middle", "high")
    architecture = {"name": "EfficientNetBN", "arguments": {**arguments, "pretrained": True}}
    describe_answer(tmp_path / "net.json", architecture=architecture, **keys)
    with pytest.raises(ModelError, match="would access files"):
        radcnn.open_model(path)


def test_an_installed_pack_is_listed_with_its_classes(tmp_path, monkeypatch):
    from napari_radcnn.foreign.pack import pack
    from napari_radcnn.models.registry import get_model, install_pack

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = write_safetensors(tmp_path / "net.safetensors", _network("DenseNet", 3).state_dict())
    architecture = {"name": "DenseNet", "arguments": {**SMALL["DenseNet"], "spatial_dims": 3}}
    describe_answer(tmp_path / "net.json", architecture=architecture, patch=[32, 40, 32], kind="ordinal")
    made = pack(path, tmp_path / "a.radcnn-model.zip", licence="CC0", card="A card.")
    spec = get_model(install_pack(made))
    assert (spec.task, spec.classes) == ("classification", ("low", "middle", "high"))
    assert json.loads(json.dumps(spec.to_dict()))["classes"] == ["low", "middle", "high"]
    found = radcnn.classify(scan(), spec, device="cpu")
    assert found.kind == "ordinal"
    expected = radcnn.classify(scan(), radcnn.open_model(path), device="cpu")
    assert found.probabilities == expected.probabilities
