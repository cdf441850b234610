"""Tissue of the brain: with a network made by hand, whose answer is known, and with the one that ships."""

import numpy as np
import pytest
from scipy import ndimage

import napari_radcnn as radcnn
from costly import few_rows
from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.request import Outcome
from napari_radcnn.metrics import dice
from napari_radcnn.models.brain_extraction import own, run as brain_extraction
from napari_radcnn.models.brain_extraction.found import Found
from napari_radcnn.models.brain_extraction.run import run as extract
from napari_radcnn.models.brain_structures import answer
from napari_radcnn.models.brain_tissue import spec as model
from napari_radcnn.phantom import head, rotation
from napari_radcnn.spec.weights import find_weights
from napari_radcnn.volume import Volume, VolumeMetadata
from shells import shells

#: Dice coefficients of white matter, and of gray and white matter together, in a phantom of smooth shells, which no
#: brain is: deep within a ball of white matter the network sees gray nuclei.
PHANTOM, PHANTOM_TISSUE = 0.45, 0.75


@pytest.mark.parametrize(
    "orientation", [pytest.param("SPL", marks=pytest.mark.slow), pytest.param("RAS", marks=pytest.mark.slow), "AIR"]
)
def test_each_voxel_gets_its_tissue_whatever_the_orientation(spec, orientation):
    scan, labels = shells()
    turned = scan.geometry.axis_map(orientation)
    found = radcnn.segment(scan.reoriented(orientation), spec)
    assert (found.array == turned.apply(labels)).all()
    assert found.geometry.is_close(scan.geometry.reoriented(turned))
    assert found.provenance["facts"]["brain"] == "as shown"
    assert any("implausible for a whole brain" in told for told in found.warnings)  # smaller than anybody's


def test_thick_oblique_slices_come_back_on_their_own_grid(spec):
    scan, labels = shells((30, 84, 70), (2.6, 1.0, 0.6), rotation(9, -14, 20) @ np.eye(3)[:, ::-1])
    found = radcnn.segment(scan, spec)
    assert found.array.shape == labels.shape
    assert found.geometry.is_close(scan.geometry)
    assert dice(labels == 3, found.array == 3) > 0.95
    inner = ndimage.binary_erosion(labels == 3, iterations=2)
    assert (found.array[inner] == 3).mean() > 0.999
    assert not found.array[labels == 0].any()


def test_a_brain_larger_than_a_patch_has_no_seams(spec, monkeypatch):
    scan, labels = shells()
    monkeypatch.setattr(answer, "PATCH", (32, 64, 32))
    found = radcnn.segment(scan, spec, {"mirrored": False})
    assert found.provenance["facts"]["patches"] > 4
    assert (found.array == labels).all()


def test_gray_values_are_reversed_where_fluid_is_bright(spec):
    scan, labels = shells(levels=(0.95, 0.45, 0.1))
    found = radcnn.segment(scan, spec)
    assert found.provenance["facts"]["gray_values_reversed"]
    assert (found.array == labels).mean() > 0.999


@pytest.mark.parametrize(
    ("scale", "offset", "background"),
    few_rows(
        [(0.003, 5, 0), (0.01, -1.8, 0), (0.01, -1.8, -3), (0.003, 1, -1000), (1, 0, 4000)],
        (0.01, -1.8, -3),
        (1, 0, 4000),
    ),
    ids=["any unit", "standardized", "and a low background", "far below", "bright"],
)
def test_gray_values_may_be_in_any_unit_on_any_background(spec, scale, offset, background):
    scan, labels = shells()
    shifted = np.where(labels > 0, scan.array * scale + offset, background).astype(np.float32)
    found = radcnn.segment(scan.with_array(shifted), spec, {"brain": "auto"}, anyway=True)
    assert found.provenance["facts"]["brain"] == "as shown"
    assert (found.array == labels).mean() > 0.9999


def test_a_whole_head_goes_through_brain_extraction(spec, monkeypatch):
    scan, labels = shells()
    values = scan.array.copy()
    values[labels == 0] = np.random.default_rng(2).uniform(1, 300, np.count_nonzero(labels == 0))
    asked = []

    def extracted(request, monitor):
        asked.append(request.spec.name)
        monitor.step("segmenting the brain")
        return Outcome("cpu", "float32", array=(labels > 0).astype(np.uint8), warnings=("look at it",))

    monkeypatch.setattr(brain_extraction, "run", extracted)
    monkeypatch.setattr("napari_radcnn.spec.model.find_spec", lambda name: object())
    found = radcnn.segment(scan.with_array(values), spec)
    assert asked == ["brain-extraction"]
    assert (found.array == labels).all()
    assert found.provenance["facts"]["brain"] == "brain-extraction"
    assert any("check its border" in told for told in found.warnings)
    assert "look at it" in found.warnings


def test_a_whole_head_without_deepbet_goes_through_our_own_network(spec, monkeypatch):
    monkeypatch.setattr("napari_radcnn.spec.model.find_spec", lambda name: None if name == "deepbet" else object())
    scan, labels = shells()
    values = scan.array.copy()
    values[labels == 0] = np.random.default_rng(2).uniform(1, 300, np.count_nonzero(labels == 0))
    monkeypatch.setattr(brain_extraction, "run", extract)
    monkeypatch.setattr(own, "find", lambda request, monitor: Found((labels > 0).astype(np.float32), "cpu", "float32"))
    assert radcnn.plan(head(), spec, {"brain": "whole-head"}).memory_bytes > 0
    assert (radcnn.segment(scan.with_array(values), spec).array == labels).all()


def test_one_slice_is_refused_and_so_are_too_few(spec):
    for shape in ((1, 84, 70), (60, 7, 70)):
        scan = Volume(np.ones(shape, np.float32), Geometry.from_parts(shape, (1, 1, 1)))
        with pytest.raises(GeometryError, match="slices"):
            radcnn.plan(scan, spec)
        with pytest.raises(GeometryError, match="3-D"):
            radcnn.segment(scan, spec)


def test_a_constant_scan_is_refused(spec):
    scan, _ = shells()
    with pytest.raises(ModelError, match="same value everywhere"):
        radcnn.segment(scan.with_array(np.full(scan.shape, 7, np.int16)), spec)


def test_gaps_are_shown_as_nothing_and_told(spec):
    scan, labels = shells()
    values = scan.array.copy()
    values[labels == 0] = np.nan
    found = radcnn.segment(scan.with_array(values), spec)
    assert any("NaN" in told for told in found.warnings)
    assert (found.array == labels).all()


def test_what_speaks_against_a_scan_is_said_before_the_run(spec):
    scan, _ = shells((12, 84, 70), (6.0, 1.0, 1.0))
    planned = radcnn.plan(scan, spec)
    assert any("6.0 mm: the model was trained" in told for told in planned.warnings)
    assert any("covers 72 x 84 x 70 mm" in told for told in planned.warnings)
    ct = Volume(scan.array, scan.geometry, VolumeMetadata(modality="CT"))
    assert any("was made for MR" in told for told in radcnn.plan(ct, spec).warnings)


def test_labels_of_the_wrong_scan_are_not_returned_as_a_brain(spec):
    scan, _ = shells(levels=(0.1, 0.11, 0.12))
    values = np.where(scan.array > 0, np.float32(500), np.float32(0))
    with pytest.raises(ModelError, match="No brain tissue"):
        radcnn.segment(scan.with_array(values), spec, anyway=True)


@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.9), pytest.param((0.95, 0.4, 0.15), marks=pytest.mark.slow)])
def test_the_network_that_ships_tells_gray_from_white_matter_in_a_phantom(levels):
    assert model.SPEC.weights
    scan, labels = shells((120, 150, 128), levels=levels)
    found = radcnn.segment(scan, "brain-tissue").array
    assert dice(labels == 3, found == 3) > PHANTOM
    assert dice(labels > 1, found > 1) > PHANTOM_TISSUE
    assert not found[labels == 0].any()
    (file,) = model.SPEC.weights
    assert find_weights(model.SPEC, file).stat().st_size < 4e6
