"""The model with a network made by hand."""

from dataclasses import replace

import pytest
import torch

from all_brain import take_all_for_brain
from napari_radcnn.models.brain_structures.network import CLASSES, TISSUES, WIDTHS, build_network
from napari_radcnn.models.brain_tissue import spec as model
from napari_radcnn.spec.model import WeightsFile
from napari_radcnn.training.run import write_weights

#: Scaled gray values from which the network made by hand says fluid, gray, white.
LIMITS = (-0.25, 0.4, 0.7)
#: What it names among the structures, as often as fluid, gray and white matter.
STRUCTURES = ("other", "lateral ventricle", "cortex", "white matter")


@pytest.fixture(autouse=True)
def _all_is_brain(monkeypatch):
    take_all_for_brain(monkeypatch)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """The model with weights that name tissue by gray value alone."""
    folder = tmp_path_factory.mktemp("weights")
    network = build_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        offset = 0.0
        network.other_answer.bias.fill_(-1000)
        for number in range(TISSUES):
            offset -= 40 * LIMITS[number - 1] if number else 0
            structure = CLASSES.index(STRUCTURES[number])
            for n in range(8):  # each of the eight voxels of a block answers for itself
                network.answer.weight[8 * number + n, WIDTHS[0] + n] = 40 * number
                network.answer.bias[8 * number + n] = offset
                network.other_answer.weight[8 * structure + n, WIDTHS[0] + n] = 40 * number
                network.other_answer.bias[8 * structure + n] = offset
    (folder / "tissuebyhand").mkdir()
    path = write_weights(network, folder / "tissuebyhand" / "net.safetensors", {})
    return folder, path


@pytest.fixture
def spec(by_hand, monkeypatch):
    import hashlib

    folder, path = by_hand
    monkeypatch.syspath_prepend(str(folder))
    (folder / "tissuebyhand" / "__init__.py").touch()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(model.SPEC, weights=(WeightsFile("tissuebyhand", "tissuebyhand/net.safetensors", digest),))
