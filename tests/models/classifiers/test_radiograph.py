"""A radiograph becomes the small picture that MedMNIST's networks see, however it is stored."""

from dataclasses import replace

import numpy as np
import pytest

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models.classifiers.radiograph import area_weights, prepare_radiograph, radiograph_warnings
from napari_radcnn.suitability import what_is
from napari_radcnn.volume import Volume, VolumeMetadata

#: k to the front, j down, i to the left: a frontal picture as it is looked at.
_FRONTAL = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)


def chest(rows=84, columns=140):
    """A ramp with a bright square high on the patient's left, which no mirror or turn keeps."""
    y, x = np.mgrid[:rows, :columns]
    picture = 0.5 * y + 0.2 * x
    picture[10:20, columns - 50 : columns - 38] += 300
    return picture.astype(np.float32)


def radiograph(picture, spacing=(1, 2.5, 2.5), **about):
    grid = Geometry.from_parts((1, *picture.shape), spacing, (5, -7, 9), _FRONTAL)
    return Volume(picture[None], grid, VolumeMetadata(modality="DX", **about))


def test_the_geometry_of_these_tests_is_a_frontal_one():
    assert radiograph(chest()).geometry.orientation == "AIL"


def test_the_middle_square_is_shrunk_to_means():
    picture = chest()
    found, _ = prepare_radiograph(radiograph(picture))
    square = picture[:, 28:112].astype(float)
    means = square.reshape(28, 3, 28, 3).mean((1, 3))
    assert found.shape == (1, 28, 28)
    assert found[0] == pytest.approx((means - means.mean()) / means.std(), abs=1e-4)


@pytest.mark.parametrize("many", [28, 30, 61, 400])
def test_means_keep_the_mean_and_straight_lines(many):
    shrink = area_weights(many, 28)
    assert shrink.sum(1) == pytest.approx(np.ones(28))
    assert shrink.sum(0) == pytest.approx(np.full(many, 28 / many))
    centers = shrink @ (np.arange(many) + 0.5)
    assert centers == pytest.approx((np.arange(28) + 0.5) * many / 28, abs=0.51)


@pytest.mark.parametrize("orientation", ["AIL", "PSR", "ALI", "ILP", "LIP", "RPS"])
def test_any_way_of_storing_it_gives_the_same_picture(orientation):
    upright = radiograph(chest())
    turned = upright.geometry.axis_map(orientation)
    stored = Volume(turned.apply(upright.array), upright.geometry.reoriented(turned), upright.metadata)
    assert prepare_radiograph(stored)[0] == pytest.approx(prepare_radiograph(upright)[0], abs=1e-5)


def test_dark_bone_is_made_bright():
    picture = chest()
    inverted = radiograph(500 - picture, is_inverted=True)
    assert prepare_radiograph(inverted)[0] == pytest.approx(prepare_radiograph(radiograph(picture))[0], abs=1e-4)
    silent = prepare_radiograph(radiograph(500 - picture))[0]
    assert silent == pytest.approx(-prepare_radiograph(radiograph(picture))[0], abs=1e-4)


def test_the_window_cuts_what_a_display_would_cut():
    picture = chest()
    windowed = radiograph(picture, window_center=30.0, window_width=40.0)
    expected = prepare_radiograph(radiograph(np.clip(picture, 10, 50)))[0]
    assert prepare_radiograph(windowed)[0] == pytest.approx(expected, abs=1e-5)
    useless = radiograph(picture, window_center=-5000.0, window_width=10.0)
    assert prepare_radiograph(useless)[0] == pytest.approx(prepare_radiograph(radiograph(picture))[0], abs=1e-5)


@pytest.mark.parametrize("orientation", ["AIL", "PSR", "LIP"])
def test_a_map_comes_back_to_where_it_belongs(orientation):
    upright = radiograph(chest())
    turned = upright.geometry.axis_map(orientation)
    stored = Volume(turned.apply(upright.array), upright.geometry.reoriented(turned), upright.metadata)
    _, back = prepare_radiograph(stored)
    found = np.zeros((28, 28))
    found[4, 20] = 1.0  # the square: rows 10..19 of 84, columns 90..101 of 140, 62..73 of the middle 84
    spread = back(found)
    assert spread.shape == stored.shape
    weights = spread / spread.sum()
    place = [float((weights * axis).sum()) for axis in np.indices(spread.shape)]
    expected = upright.geometry.to_world((0, 3 * 4.5 - 0.5, 28 + 3 * 20.5 - 0.5))
    assert stored.geometry.to_world(place) == pytest.approx(expected, abs=0.5)
    outside = turned.invert(back(np.ones((28, 28))))[0]
    assert outside[:, :28].max() == 0
    assert outside[:, 28:112] == pytest.approx(np.ones((84, 84)))


def test_what_is_no_single_picture_is_refused():
    grid = Geometry.from_parts((4, 60, 60), (1, 1, 1))
    with pytest.raises(GeometryError, match="one radiograph, but the volume has 4 x 60 x 60"):
        prepare_radiograph(Volume(np.ones((4, 60, 60)), grid))
    with pytest.raises(GeometryError, match="27 x 60 pixels"):
        radiograph_warnings(radiograph(np.ones((27, 60))))


def test_nothing_and_nan_are_refused():
    with pytest.raises(ModelError, match="constant"):
        prepare_radiograph(radiograph(np.full((50, 50), 7.0)))
    broken = chest()
    broken[3, 60] = np.nan
    with pytest.raises(ModelError, match="non-finite"):
        prepare_radiograph(radiograph(broken))


def test_what_speaks_against_a_picture_is_told():
    usual = radiograph_warnings(radiograph(chest()))
    assert len(usual) == 1
    assert "28 x 28" in usual[0]
    small = radiograph_warnings(radiograph(chest(), spacing=(1, 0.1, 0.1)))
    assert any("8 mm" in text for text in small)
    long = radiograph_warnings(radiograph(chest(40, 140), spacing=(1, 5, 5)))
    assert any("twice as long" in text for text in long)
    frontal = radiograph(chest())
    turned = frontal.geometry.affine.copy()
    turned[[0, 1]] = turned[[1, 0]]
    lateral = replace(frontal, geometry=Geometry(frontal.geometry.shape, turned))
    assert what_is(lateral.with_metadata(modality="DX")).view.value != "frontal"
