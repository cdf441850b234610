"""The model with a network made by hand: names, sides, volumes, the scan's own grid."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from all_brain import take_all_for_brain
from costly import few_of
from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom_results.codes import label_codes
from napari_radcnn.models.brain_structures import spec as model
from napari_radcnn.models.brain_structures.network import CLASSES, WIDTHS, build_network
from napari_radcnn.models.brain_structures.structures import LABELS, STRUCTURES, VALUES
from napari_radcnn.operations.segmenting import volumes
from napari_radcnn.spec.model import WeightsFile
from napari_radcnn.training.run import write_weights
from napari_radcnn.volume import Volume

#: Scaled gray values from which the network made by hand says white matter, thalamus, caudate.
STEPS = {"white matter": -0.25, "thalamus": 0.25, "caudate": 0.75}


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """Weights that name a structure by gray value alone."""
    folder = tmp_path_factory.mktemp("weights")
    network = build_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for number in range(len(CLASSES)):
            network.other_answer.bias[8 * number : 8 * number + 8] = -1000
        network.other_answer.bias[:8] = 0
        slope, offset = 0.0, 0.0
        for name, step in STEPS.items():
            slope, offset = slope + 40, offset - 40 * step
            for n in range(8):  # each of the eight voxels of a block answers for itself
                network.other_answer.weight[8 * CLASSES.index(name) + n, WIDTHS[0] + n] = slope
                network.other_answer.bias[8 * CLASSES.index(name) + n] = offset
    (folder / "structuresbyhand").mkdir()
    (folder / "structuresbyhand" / "__init__.py").touch()
    return folder, write_weights(network, folder / "structuresbyhand" / "net.safetensors", {})


@pytest.fixture
def spec(by_hand, monkeypatch):
    folder, path = by_hand
    monkeypatch.syspath_prepend(str(folder))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(
        model.SPEC, weights=(WeightsFile("structuresbyhand", "structuresbyhand/net.safetensors", digest),), domain=None
    )


@pytest.fixture(autouse=True)
def _all_is_brain(monkeypatch):
    take_all_for_brain(monkeypatch)


def brain(orientation="LPS"):
    """A brain-like ellipsoid with a larger thalamus on the left and a caudate each side, axes (k, j, i) to S, P, L."""
    shape = (66, 84, 70)
    k, j, i = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")

    def ball(middle, radii):
        return sum(((x - m) / r) ** 2 for x, m, r in zip((k, j, i), middle, radii, strict=True)) < 1

    labels = np.zeros(shape, np.uint8)
    labels[ball((33, 42, 35), (29, 37, 31))] = 1
    values = np.where(labels, 100.0, 0.0)
    for middle, radii, value in (
        ((30, 46, 46), (6, 9, 6), 160),  # to the left: more i
        ((30, 46, 24), (6, 8, 6), 160),
        ((38, 30, 44), (6, 8, 4), 240),
        ((38, 30, 26), (6, 8, 4), 240),
    ):
        values[ball(middle, radii)] = value
    affine = np.array([[1.0, 0, 0, 5], [0, 1.0, 0, -9], [0, 0, 1.0, 30], [0, 0, 0, 1]])
    volume = Volume(values.astype(np.float32), Geometry(shape, affine[:, [2, 1, 0, 3]]))
    assert volume.geometry.orientation == "SPL"
    return volume.reoriented(orientation), volume.geometry.axis_map(orientation)


@pytest.mark.parametrize("orientation", few_of(["SPL", "RIA"], "RIA"))
def test_each_structure_is_named_with_its_side_on_the_scans_own_grid(spec, orientation):
    scan, turn = brain(orientation)
    found = radcnn.segment(scan, spec, {"brain": "stripped"}, anyway=True)
    assert found.array.shape == scan.shape
    labels = turn.invert(found.array)
    names = {label.name: value for value, label in LABELS.items()}
    left, right = (labels == names[f"{side} thalamus"] for side in ("left", "right"))
    assert np.argwhere(left).mean(0) == pytest.approx((30, 46, 46), abs=0.5)
    assert np.argwhere(right).mean(0) == pytest.approx((30, 46, 24), abs=0.5)
    assert np.argwhere(labels == names["right caudate"]).mean(0) == pytest.approx((38, 30, 26), abs=0.5)
    sizes = np.count_nonzero(left), np.count_nonzero(right)
    wanted = 200 * (sizes[0] - sizes[1]) / sum(sizes)
    assert found.provenance["asymmetry_percent"]["thalamus"] == pytest.approx(wanted, abs=0.06)
    assert wanted > 5
    shown = dict(volumes(found))["right thalamus"]
    difference = f"{wanted:+.1f}".replace("-", "−")
    assert shown == f"{found.volume_ml(names['right thalamus']):.1f} ml, L − R {difference} %"
    assert any("thalami" in told for told in found.warnings)  # far smaller than anybody's


def test_names_are_unique_and_every_class_is_shown_once():
    assert len({label.name for label in LABELS.values()}) == len(LABELS) == 31
    assert sorted(CLASSES.index(one.name) for one in STRUCTURES) == list(range(1, len(CLASSES)))
    assert {value for pair in VALUES.values() for value in pair} == set(LABELS)


def test_one_slice_and_a_constant_scan_are_refused(spec):
    scan, _ = brain()
    with pytest.raises(GeometryError, match="3-D series"):
        radcnn.segment(Volume(np.ones((1, 84, 70), np.float32), Geometry.from_parts((1, 84, 70), (1, 1, 1))), spec)
    with pytest.raises(ModelError, match="same value everywhere"):
        radcnn.segment(scan.with_array(np.full(scan.shape, 7, np.int16)), spec)


def test_a_scan_in_which_nothing_is_named_is_refused(spec):
    scan, _ = brain()
    values = np.where(np.asarray(scan.array) > 0, np.float32(500), np.float32(0))  # constant within the brain
    with pytest.raises(ModelError, match="No structure of a brain"):
        radcnn.segment(scan.with_array(values), spec, {"brain": "stripped"}, anyway=True)


def test_structures_have_codes_but_for_one_that_no_code_is_known_of():
    plain = label_codes("something else")[1]
    assert [label.name for label in LABELS.values() if label_codes(label.name)[1] == plain] == [
        "left ventral diencephalon",
        "right ventral diencephalon",
    ]
    assert label_codes("left caudate")[1].value == "11000004"
