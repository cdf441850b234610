from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_radcnn as radcnn
from grids import ALL, left_handed, oblique
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.guard import label_places, verify_written
from napari_radcnn.phantom import world_field


def _labels(grid):
    array = np.zeros(grid.shape, np.uint8)
    array[0, 1:3, 1:3] = 1
    array[2, 0, 4] = 5
    return radcnn.LabelMap(array, grid, {1: radcnn.Label("a"), 5: radcnn.Label("b")})


def _verify(obj, *found, target):
    verify_written(obj, target, target, lambda path: list(found))


@pytest.mark.parametrize("name", ALL)
def test_what_is_right_passes_whatever_its_axis_order(name, tmp_path):
    labels = _labels(ALL[name]())
    _verify(labels, radcnn.Volume(labels.array, labels.geometry), target=tmp_path)
    field = world_field(ALL[name]())
    _verify(field, field, target=tmp_path)


def _flipped(volume, axis):
    return replace(volume, array=np.flip(volume.array, axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_mask_is_found_by_its_centroid(axis, tmp_path):
    labels = _labels(oblique())
    wrong = _flipped(radcnn.Volume(labels.array, labels.geometry), axis)
    with pytest.raises(WriteError, match=r"centroid of label \d is \d+\.\d+ mm off"):
        _verify(labels, wrong, target=tmp_path)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_image_is_found_by_its_values(axis, tmp_path):
    field = world_field(oblique())
    with pytest.raises(WriteError, match="values"):
        _verify(field, _flipped(field, axis), target=tmp_path)


def test_a_grid_that_moved_or_turned_is_found(tmp_path):
    field = world_field(left_handed())
    affine = field.geometry.affine.copy()
    affine[0, 3] += 0.02
    with pytest.raises(WriteError, match=r"up to 0\.02 mm"):
        _verify(field, replace(field, geometry=Geometry(field.geometry.shape, affine)), target=tmp_path)
    mirrored = affine * np.array([-1, 1, 1, 1])[:, None]
    with pytest.raises(WriteError, match="orientation IPR instead of IPL"):
        _verify(field, replace(field, geometry=Geometry(field.geometry.shape, mirrored)), target=tmp_path)


def test_lost_voxels_and_labels_are_found(tmp_path):
    labels = _labels(oblique())
    fewer = labels.array.copy()
    fewer[0, 1, 1] = 0
    with pytest.raises(WriteError, match="label 1 has 3 voxels instead of 4"):
        _verify(labels, radcnn.Volume(fewer, labels.geometry), target=tmp_path)
    fewer[2, 0, 4] = 0
    with pytest.raises(WriteError, match=r"labels \[1\] instead of \[1, 5\]"):
        _verify(labels, radcnn.Volume(fewer, labels.geometry), target=tmp_path)


def test_a_file_that_cannot_be_read_back_is_found(tmp_path):
    field = world_field(oblique())

    def fail(path):
        raise ReadError("x.nii: 12 bytes are missing")

    with pytest.raises(WriteError, match="12 bytes are missing"):
        verify_written(field, tmp_path, tmp_path, fail)
    with pytest.raises(WriteError, match="2 images"):
        _verify(field, field, field, target=tmp_path)


def test_no_number_equals_no_number(tmp_path):
    field = world_field(oblique())
    values = field.array.copy()
    values[0, 0, 0] = np.nan
    field = field.with_array(values)
    _verify(field, field.with_array(values.astype(np.float64)), target=tmp_path)
    other = values.copy()
    other[0, 0, 0] = 0
    with pytest.raises(WriteError, match="values"):
        _verify(field, field.with_array(other), target=tmp_path)


def test_labels_are_counted_and_placed_in_the_patient():
    labels = _labels(oblique())
    places = label_places(labels.array, labels.geometry)
    assert places[1][0] == 4
    assert places[1][1] == pytest.approx(labels.geometry.to_world((0, 1.5, 1.5)))
    assert places[5][1] == pytest.approx(labels.geometry.to_world((2, 0, 4)))
    assert (
        label_places(np.zeros((2, 3, 4), np.uint8), labels.geometry.cropped((slice(0, 2), slice(0, 3), slice(0, 4))))
        == {}
    )


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("name", [name for name in ALL if name != "sheared"])
def test_every_format_is_read_back(name, suffix, tmp_path, monkeypatch):
    """A writer that mirrors leaves no file, and an older file as it was."""
    field = world_field(ALL[name]())
    target = tmp_path / f"scan{suffix}"
    radcnn.write(field, target)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    from napari_radcnn.io import guard

    original = guard._same_values
    monkeypatch.setattr(guard, "_same_values", lambda wanted, found: original(wanted, np.flip(found, 2)))
    with pytest.raises(WriteError, match="removed"):
        radcnn.write(field, target, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
