"""State dicts of torchvision's networks: the same names and shapes, and the answers that torchvision itself gave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

import napari_radcnn as radcnn
from answering import describe_answer, scan
from model_factory import write_safetensors
from named_weights import given, listed, weights_for
from napari_radcnn.networks.architectures import answers_once, known_name
from napari_radcnn.networks.torchvision_networks import DENSENETS, RESNETS, build

#: What torchvision said, see ``make.py`` beside it.
MADE = json.loads((Path(__file__).parents[1] / "data" / "torchvision" / "answers.json").read_text())["networks"]


@pytest.mark.parametrize("name", MADE)
def test_names_shapes_and_answers_are_those_of_torchvision(name):
    network = build(name, num_classes=4).eval()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert hashlib.sha256(listed(shapes).encode()).hexdigest() == MADE[name]["weights"]
    network.load_state_dict(weights_for(shapes))
    with torch.inference_mode():
        answer = network(given())[0].tolist()
    assert answer == pytest.approx(MADE[name]["answer"], rel=1e-4, abs=1e-4)


def test_names_of_the_list():
    assert known_name("torchvision.models.resnet18") == "torchvision.resnet18"
    assert known_name("torchvision.models.densenet.densenet121") == "torchvision.densenet121"
    assert known_name("torchvision.models.vgg16") is None
    assert all(
        known_name(f"torchvision.{name}") and answers_once(f"torchvision.{name}") for name in RESNETS | DENSENETS
    )


def test_a_state_dict_is_opened_and_run(tmp_path):
    network = build("resnet18", num_classes=3, in_channels=3).eval()
    network.load_state_dict(weights_for({key: tuple(v.shape) for key, v in network.state_dict().items()}))
    path = write_safetensors(tmp_path / "net.safetensors", network.state_dict())
    architecture = {"name": "torchvision.resnet18", "arguments": {"num_classes": 3}}
    keys = {"spatial_dims": 2, "patch": [64, 48], "repeat_channels": 3, "fit": "exact"}
    describe_answer(tmp_path / "net.json", architecture=architecture, **keys)
    picture = scan(shape=(1, 64, 48))
    found = radcnn.classify(picture, radcnn.open_model(path), device="cpu")
    with torch.inference_mode():
        expected = torch.softmax(network(torch.from_numpy(picture.array).repeat(3, 1, 1)[None]), 1)[0]
    assert list(found.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
