from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grids import SHAPE, axial
from napari_radcnn.errors import GeometryError
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata


def _volume(values, **metadata):
    return Volume(np.asarray(values), axial(), VolumeMetadata(**metadata))


def test_array_and_geometry_must_fit():
    with pytest.raises(GeometryError, match=r"\(5, 4, 3\).*\(3, 4, 5\)"):
        _volume(np.zeros(SHAPE[::-1]))
    with pytest.raises(GeometryError, match="shape"):
        _volume(np.zeros((*SHAPE, 2)))


def test_color_has_a_fourth_axis():
    assert _volume(np.zeros((*SHAPE, 3), np.uint8)).is_color
    assert not _volume(np.zeros(SHAPE)).is_color


def test_contrast_limits_come_from_the_window_of_the_scan():
    volume = _volume(np.zeros(SHAPE), window_center=40.0, window_width=400.0)
    assert volume.contrast_limits() == (-160.0, 240.0)


def test_contrast_limits_leave_out_padding_and_what_is_no_number():
    values = np.linspace(0, 100, np.prod(SHAPE)).reshape(SHAPE)
    values[0, 0, :] = -2000
    values[1, 1, 1] = np.nan
    low, high = _volume(values, padding_value=-2000.0).contrast_limits()
    assert 0 < low < 15
    assert 90 < high <= 100


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_contrast_limits_of_a_flat_image_are_a_range(value):
    low, high = _volume(np.full(SHAPE, value, float)).contrast_limits()
    assert high > low


def test_contrast_limits_of_padding_only():
    low, high = _volume(np.full(SHAPE, -2000), padding_value=-2000.0).contrast_limits()
    assert low <= -2000 < high


def test_label_volumes_are_in_milliliters():
    array = np.zeros(SHAPE, np.uint8)
    array[1, 1:3, 1:4] = 2
    labels = LabelMap(array, axial(), {1: Label("a"), 2: Label("b")})
    assert labels.volume_ml(2) == pytest.approx(6 * 2.5 * 0.8 * 0.7 / 1000)
    assert labels.volume_ml(1) == 0


@pytest.mark.parametrize("array", [np.zeros(SHAPE[::-1], np.uint8), np.zeros(SHAPE, np.int16), np.zeros(SHAPE)])
def test_no_label_map(array):
    with pytest.raises(GeometryError):
        LabelMap(array, axial(), {})


def test_other_voxels_on_the_same_or_another_grid_and_other_metadata():
    volume = Volume(np.zeros(SHAPE), axial(), VolumeMetadata("a", units="HU"), ("careful",), 2.5)
    other = volume.with_array(np.ones(SHAPE), name="b")
    assert (other.name, other.metadata.units, other.warnings, other.suvbw_factor) == ("b", "HU", ("careful",), 2.5)
    assert other.array.all()
    assert other.geometry is volume.geometry
    part = volume.with_array(np.ones((2, 4, 5)), volume.geometry.cropped((slice(1, 3), slice(None), slice(None))))
    assert (part.shape, part.name) == ((2, 4, 5), "a")
    with pytest.raises(GeometryError, match="shape"):
        volume.with_array(np.ones((2, 4, 5)))
    named = volume.with_metadata(modality="CT")
    assert (named.modality, named.name) == ("CT", "a")
    assert named.array is volume.array
    with pytest.raises(TypeError, match="modalty"):
        volume.with_metadata(modalty="CT")


def test_a_volume_is_made_by_position_by_name_and_by_replace():
    values = np.zeros(SHAPE)
    by_name = Volume(array=values, geometry=axial())
    assert by_name.array is values
    assert replace(by_name, warnings=("careful",)).array is values
    assert replace(by_name, array=values + 1).array.all()
    with pytest.raises(TypeError, match="array and a geometry"):
        Volume(values)
