"""Tissue of the brain: with a network made by hand, whose answer is known, and with the one that ships."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

import napari_radcnn as radcnn
from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.pipelines import brain_extraction, brain_tissue
from napari_radcnn.inference.pipelines.base import Outcome
from napari_radcnn.metrics import dice
from napari_radcnn.models import brain_tissue as model
from napari_radcnn.models.brain_tissue_net import CLASSES, WIDTHS, build_network
from napari_radcnn.models.spec import WeightsFile
from napari_radcnn.models.weights import find_weights
from napari_radcnn.phantom import head, rotation
from napari_radcnn.training.run import write_weights
from napari_radcnn.volume import Volume, VolumeMetadata

#: Scaled gray values from which the network made by hand says fluid, gray, white.
LIMITS = (-0.25, 0.4, 0.7)
#: Dice coefficient of white matter in a phantom of smooth shells, which no brain is.
PHANTOM = 0.6


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """The model with weights that name tissue by gray value alone."""
    folder = tmp_path_factory.mktemp("weights")
    network = build_network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        offset = 0.0
        for number in range(CLASSES):
            offset -= 40 * LIMITS[number - 1] if number else 0
            for n in range(8):  # each of the eight voxels of a block answers for itself
                network.answer.weight[8 * number + n, WIDTHS[0] + n] = 40 * number
                network.answer.bias[8 * number + n] = offset
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


def _brain(shape=(60, 84, 70), spacing=(1.0, 1.0, 1.0), direction=None, levels=(0.1, 0.5, 0.9)):
    """Return a lopsided brain of three shells in mm, with a ventricle on one side, and its labels."""
    geometry = Geometry.from_parts(shape, spacing, (11.0, -23.0, 6.0), direction)
    middle = geometry.to_world([(n - 1) / 2 for n in shape])
    position = geometry.to_world(np.stack(np.indices(shape), -1)) - middle
    size = min(n * s for n, s in zip(shape, spacing, strict=True)) / 2 - 3

    def within(center, radii):
        return (((position - np.array(center) * size) / (np.array(radii) * size)) ** 2).sum(-1) <= 1

    labels = np.zeros(shape, np.uint8)
    labels[within((0, 0, 0), (0.9, 1.0, 0.95))] = 1
    labels[within((0.02, 0.03, 0.05), (0.83, 0.92, 0.85))] = 2
    labels[within((0.02, 0.08, 0.05), (0.62, 0.72, 0.66))] = 3
    labels[within((0.25, 0.1, 0.1), (0.1, 0.3, 0.14))] = 1
    values = np.array([0, *(100 + 1000 * level for level in levels)], np.float32)[labels]
    noise = np.random.default_rng(0).normal(0, 4, shape)
    values = np.where(labels > 0, values + noise, 0).astype(np.float32)
    return Volume(values, geometry, VolumeMetadata(name="brain", modality="MR")), labels


@pytest.mark.parametrize("orientation", ["SPL", "RAS", "AIR"])
def test_each_voxel_gets_its_tissue_whatever_the_orientation(spec, orientation):
    scan, labels = _brain()
    turned = scan.geometry.axis_map(orientation)
    found = radcnn.segment(scan.reoriented(orientation), spec)
    assert (found.array == turned.apply(labels)).all()
    assert found.geometry.is_close(scan.geometry.reoriented(turned))
    assert found.provenance["facts"]["brain"] == "as shown"


def test_thick_oblique_slices_come_back_on_their_own_grid(spec):
    scan, labels = _brain((30, 84, 70), (2.6, 1.0, 0.6), rotation(9, -14, 20) @ np.eye(3)[:, ::-1])
    found = radcnn.segment(scan, spec)
    assert found.array.shape == labels.shape
    assert found.geometry.is_close(scan.geometry)
    assert dice(labels == 3, found.array == 3) > 0.95
    inner = ndimage.binary_erosion(labels == 3, iterations=2)
    assert (found.array[inner] == 3).mean() > 0.999
    assert not found.array[labels == 0].any()


def test_a_brain_larger_than_a_patch_has_no_seams(spec, monkeypatch):
    scan, labels = _brain()
    monkeypatch.setattr(brain_tissue, "_PATCH", (32, 64, 32))
    found = radcnn.segment(scan, spec, {"mirrored": False})
    assert found.provenance["facts"]["patches"] > 4
    assert (found.array == labels).all()


def test_gray_values_are_reversed_where_fluid_is_bright(spec):
    scan, labels = _brain(levels=(0.95, 0.45, 0.1))
    found = radcnn.segment(scan, spec)
    assert found.provenance["facts"]["gray_values_reversed"]
    assert (found.array == labels).mean() > 0.999


def test_gray_values_may_be_in_any_unit(spec):
    scan, labels = _brain()
    shifted = np.where(labels > 0, scan.array * 0.003 + 5, 0).astype(np.float32)
    found = radcnn.segment(scan.with_array(shifted), spec)
    assert (found.array == labels).all()


def test_a_whole_head_goes_through_brain_extraction(spec, monkeypatch):
    scan, labels = _brain()
    values = scan.array.copy()
    values[labels == 0] = np.random.default_rng(2).uniform(1, 300, np.count_nonzero(labels == 0))
    asked = []

    def extracted(request, monitor):
        asked.append(request.spec.name)
        monitor.step("outlining the brain")
        return Outcome("cpu", "float32", array=(labels > 0).astype(np.uint8), warnings=("look at it",))

    monkeypatch.setattr(brain_extraction, "run", extracted)
    monkeypatch.setattr("napari_radcnn.models.spec.find_spec", lambda name: object())
    found = radcnn.segment(scan.with_array(values), spec)
    assert asked == ["brain-extraction"]
    assert (found.array == labels).all()
    assert found.provenance["facts"]["brain"] == "brain-extraction"
    assert any("T1-weighted" in told for told in found.warnings)
    assert "look at it" in found.warnings


def test_a_whole_head_without_deepbet_says_what_to_do(spec, monkeypatch):
    monkeypatch.setattr("napari_radcnn.models.spec.find_spec", lambda name: None if name == "deepbet" else object())
    with pytest.raises(ModelError, match=r"whole head.*deepbet.*pip install 'napari-radcnn\[models\]'.*stripped"):
        radcnn.segment(head(), spec)
    with pytest.raises(ModelError, match="deepbet"):
        radcnn.plan(head(), spec, {"brain": "whole-head"})
    brain, labels = _brain()
    assert (radcnn.segment(brain, spec).array == labels).all()


def test_one_slice_is_refused_and_so_are_too_few(spec):
    for shape in ((1, 84, 70), (60, 7, 70)):
        scan = Volume(np.ones(shape, np.float32), Geometry.from_parts(shape, (1, 1, 1)))
        with pytest.raises(GeometryError, match="slices"):
            radcnn.plan(scan, spec)
        with pytest.raises(GeometryError, match="3-D"):
            radcnn.segment(scan, spec)


def test_a_constant_scan_is_refused(spec):
    scan, _ = _brain()
    with pytest.raises(ModelError, match="same value everywhere"):
        radcnn.segment(scan.with_array(np.full(scan.shape, 7, np.int16)), spec)


def test_gaps_are_shown_as_nothing_and_told(spec):
    scan, labels = _brain()
    values = scan.array.copy()
    values[labels == 0] = np.nan
    found = radcnn.segment(scan.with_array(values), spec)
    assert any("NaN" in told for told in found.warnings)
    assert (found.array == labels).all()


def test_what_speaks_against_a_scan_is_said_before_the_run(spec):
    scan, _ = _brain((12, 84, 70), (6.0, 1.0, 1.0))
    planned = radcnn.plan(scan, spec)
    assert any("6.0 mm apart" in told for told in planned.warnings)
    assert any("whole brain is expected" in told for told in planned.warnings)
    ct = Volume(scan.array, scan.geometry, VolumeMetadata(modality="CT"))
    assert any("was made for MR" in told for told in radcnn.plan(ct, spec).warnings)


def test_a_tissue_volume_that_no_brain_has_is_told(spec):
    scan, _ = _brain()
    assert any("not what a whole brain holds" in told for told in radcnn.segment(scan, spec).warnings)


def test_labels_of_the_wrong_scan_are_not_returned_as_a_brain(spec):
    scan, _ = _brain(levels=(0.1, 0.11, 0.12))
    values = np.where(scan.array > 0, np.float32(500), np.float32(0))
    with pytest.raises(ModelError, match="No brain tissue"):
        radcnn.segment(scan.with_array(values), spec)


@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.9), (0.95, 0.4, 0.15)])
def test_the_network_that_ships_tells_gray_from_white_matter_in_a_phantom(levels):
    assert model.SPEC.weights
    scan, labels = _brain((120, 150, 128), levels=levels)
    found = radcnn.segment(scan, "brain-tissue").array
    assert dice(labels == 3, found == 3) > PHANTOM
    assert not found[labels == 0].any()
    (file,) = model.SPEC.weights
    assert find_weights(model.SPEC, file).stat().st_size < 4e6
