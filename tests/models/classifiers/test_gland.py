"""The mask of a gland becomes the same cube in any orientation, and maps of it come back to their place."""

import numpy as np
import pytest

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models.classifiers.gland import gland_mask, gland_plan_warnings, prepare_gland
from napari_radcnn.models.classifiers.input import CELL, CUBE, DEEP, gland_channels
from napari_radcnn.volume import Volume, VolumeMetadata


def gland(shape=(70, 80, 90), spacing=(1.0, 1.0, 1.0), origin=(11.0, -40.0, 200.0)):
    """A slab with a ball at one end: 6 mm thick, the ball 8 mm in radius, far from the middle of the grid."""
    grid = Geometry.from_parts(shape, spacing, origin)
    x, y, z = np.moveaxis(grid.to_world(np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3)), -1, 0)
    x, y, z = (axis.reshape(shape) - start for axis, start in zip((x, y, z), origin, strict=True))
    slab = (abs(x - 40) < 15) & (abs(y - 30) < 3) & (abs(z - 30) < 10)
    ball = (x - 50) ** 2 + (y - 30) ** 2 + (z - 40) ** 2 < 8**2
    return Volume((slab | ball).astype(np.uint8), grid, VolumeMetadata("gland", "SEG", is_label=True))


def test_the_cube_of_the_data_is_taken_as_it_is():
    cube = np.zeros((CUBE,) * 3, np.uint8)
    cube[20:46, 28:37, 30:35] = 1
    cube[31:34, 30:37, 28:38] = 1
    assert np.floor(np.argwhere(cube).mean(0)).tolist() == [32, 32, 32]
    found, _, told = prepare_gland(Volume(cube, Geometry.from_parts(cube.shape, (1, 1, 1))), 0)
    assert np.array_equal(found, gland_channels(cube > 0))
    assert told == (
        "The mask has 1.3 ml; the model was trained with glands of 1.7 to 10.4 ml. "
        "Check that it is the mask of one gland.",
    )


def test_depth_is_the_distance_to_the_surface_and_fullness_a_share():
    z, y, x = np.indices((CUBE,) * 3) - 31.5
    ball = z**2 + y**2 + x**2 < 12**2
    full, deep = gland_channels(ball)
    assert full.sum() * CELL**3 == pytest.approx(ball.sum())
    assert full.max() == 1.0
    assert deep.max() * DEEP == pytest.approx(12, abs=1.0)
    assert not gland_channels(np.zeros_like(ball)).any()


@pytest.mark.parametrize("orientation", ["SPL", "LIA", "PRS"])
def test_orientation_does_not_matter(orientation):
    usual = gland()
    turned = usual.geometry.axis_map(orientation)
    stored = Volume(turned.apply(usual.array), usual.geometry.reoriented(turned), usual.metadata)
    expected, _, told = prepare_gland(usual, 0)
    found, _, _ = prepare_gland(stored, 0)
    assert told == ()
    # the middle voxel is rounded down along the stored axes, so a flip may move the cube by a voxel
    assert found.sum((1, 2, 3)) == pytest.approx(expected.sum((1, 2, 3)), rel=0.03)


def test_spacing_does_not_matter_much():
    fine = gland((100, 160, 180), (0.7, 0.5, 0.5))
    thick = gland((35, 80, 90), (2.0, 1.0, 1.0))
    expected = prepare_gland(gland(), 0)[0]
    for volume in (fine, thick):
        found = prepare_gland(volume, 0)[0]
        assert found[0].sum() == pytest.approx(expected[0].sum(), rel=0.1)
        assert found[1].max() == pytest.approx(expected[1].max(), abs=0.15)


@pytest.mark.parametrize("orientation", ["SPL", "LIA"])
def test_a_map_comes_back_to_its_place(orientation):
    usual = gland(spacing=(1.0, 1.0, 1.0))
    turned = usual.geometry.axis_map(orientation)
    stored = Volume(turned.apply(usual.array), usual.geometry.reoriented(turned), usual.metadata)
    channels, back, _ = prepare_gland(stored, 0)
    spread = back(channels[1])
    assert spread.shape == stored.shape
    deepest = np.unravel_index(spread.argmax(), spread.shape)
    # the deepest place is the middle of the ball
    assert stored.geometry.to_world(deepest) == pytest.approx((11 + 50, -40 + 30, 200 + 40), abs=3.5)
    assert (spread[stored.array > 0] > 0).all()
    ones = back(np.ones(channels.shape[1:]))
    assert set(np.unique(ones)) == {0.0, 1.0}
    assert ones.sum() == pytest.approx(CUBE**3, rel=0.25)  # the grid ends before the cube does


def test_one_label_of_several_is_chosen():
    volume = gland()
    array = volume.array.copy()
    array[:5, :5] = 7
    several = Volume(array, volume.geometry, volume.metadata)
    with pytest.raises(ModelError, match="labels 1, 7: set the option"):
        gland_mask(several, 0)
    assert np.array_equal(gland_mask(several, 1), volume.array == 1)
    assert np.array_equal(gland_mask(volume, 0), volume.array == 1)
    with pytest.raises(ModelError, match="no label 8; its labels are: 1, 7"):
        gland_mask(several, 8)


def test_a_scan_is_no_mask():
    rng = np.random.default_rng(0)
    grid = Geometry.from_parts((20, 20, 20), (1, 1, 1))
    scans = (
        rng.normal(0, 40, grid.shape),
        rng.integers(-1000, 1000, grid.shape),
        rng.integers(0, 4, grid.shape),
        np.where(rng.random(grid.shape) < 0.1, np.nan, 0.0),
    )
    for array in scans:
        with pytest.raises(ModelError, match="is a scan, not a mask"):
            gland_mask(Volume(array, grid), 0)
    with pytest.raises(ModelError, match="is empty"):
        gland_mask(Volume(np.zeros(grid.shape, np.uint8), grid), 0)


def test_a_picture_is_refused_and_thick_slices_are_told():
    flat = Volume(np.ones((1, 40, 40), np.uint8), Geometry.from_parts((1, 40, 40), (1, 1, 1)))
    with pytest.raises(GeometryError, match="in 3-D"):
        gland_plan_warnings(flat)
    thick = gland((14, 80, 90), (5.0, 1.0, 1.0))
    assert "5.0 mm: to resolve" in gland_plan_warnings(thick)[0]


def test_what_reaches_beyond_the_cube_is_told():
    grid = Geometry.from_parts((100, 100, 100), (1, 1, 1))
    array = np.zeros(grid.shape, np.uint8)
    array[5:95, 45:55, 48:52] = 1
    told = prepare_gland(Volume(array, grid), 0)[2]
    assert told == ("Only 71% of the mask lies in the 64 mm around its center; the model ignores the rest.",)
