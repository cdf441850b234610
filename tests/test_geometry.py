from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, strategies as st

from grids import ALL, ORIENTATIONS, ORIGIN, SHAPE, SPACING, axial, left_handed, oblique, sagittal, sheared
from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import rotation, world_field


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize(
    ("grid", "expected"), [(axial, "SPL"), (sagittal, "LIP"), (left_handed, "IPL"), (oblique, "SPL")]
)
def test_orientation_is_where_the_axes_run_to(grid, expected):
    assert grid().orientation == expected


def test_orientation_is_a_permutation_even_at_45_degrees():
    grid = Geometry.from_parts(SHAPE, SPACING, ORIGIN, rotation(45, 0, 0) @ np.eye(3)[:, ::-1])
    pairs = [next(pair for pair in ("LR", "PA", "SI") if letter in pair) for letter in grid.orientation]
    assert sorted(pairs) == ["LR", "PA", "SI"]


def test_world_of_a_voxel_by_hand():
    # Slice 2, row 1, column 3: 2 * 2.5 up, 1 * 0.8 back, 3 * 0.7 left of the origin.
    assert axial().to_world((2, 1, 3)) == pytest.approx((-31.0 + 2.1, 17.5 + 0.8, 40.25 + 5.0))


@pytest.mark.parametrize("name", [name for name in ALL if name != "sheared"])
def test_world_agrees_with_simpleitk(name):
    grid = ALL[name]()
    image = sitk.Image(*grid.shape[::-1], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction[:, ::-1].ravel().tolist())
    for index in ((0, 0, 0), (2, 3, 4), (1, 0, 3)):
        assert grid.to_world(index) == pytest.approx(image.TransformIndexToPhysicalPoint(index[::-1]), abs=1e-9)


@given(
    index=st.tuples(*[st.floats(-500, 500) for _ in range(3)]),
    turn=st.tuples(*[st.floats(-180, 180) for _ in range(3)]),
    spacing=st.tuples(*[st.floats(0.1, 10) for _ in range(3)]),
)
def test_index_to_world_and_back(index, turn, spacing):
    grid = Geometry.from_parts(SHAPE, spacing, ORIGIN, rotation(*turn))
    assert grid.to_index(grid.to_world(index)) == pytest.approx(index, abs=1e-6)
    assert grid.spacing == pytest.approx(spacing)
    assert grid.voxel_volume == pytest.approx(np.prod(spacing))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reorienting_moves_no_voxel_in_the_patient(name, orientation):
    volume = world_field(ALL[name]())
    turned = volume.reoriented(orientation)
    assert turned.geometry.orientation == orientation
    # The field knows where each voxel lies, so a permutation or flip that the affine does not follow shows.
    assert np.abs(turned.array - world_field(turned.geometry).array).max() < 1e-3
    assert np.shares_memory(turned.array, volume.array)
    back = volume.geometry.axis_map(orientation).invert(turned.array)
    assert np.array_equal(back, volume.array)


def test_reorienting_keeps_a_color_axis_last():
    array = np.arange(np.prod(SHAPE) * 3).reshape(*SHAPE, 3)
    axis_map = axial().axis_map("RAS")
    assert axis_map.apply(array).shape == (5, 4, 3, 3)
    assert np.array_equal(axis_map.invert(axis_map.apply(array)), array)


@pytest.mark.parametrize("orientation", ["SP", "SPP", "SPX", "spl", "SAP", ""])
def test_no_orientation(orientation):
    with pytest.raises(GeometryError, match="is not an orientation"):
        axial().axis_map(orientation)


def test_shear_and_alignment_are_told_apart():
    assert {name for name, grid in ALL.items() if grid().is_sheared} == {"sheared"}
    assert {name for name, grid in ALL.items() if grid().is_axis_aligned} == {"axial", "sagittal", "left_handed"}


def test_rounding_of_cosines_is_not_obliqueness():
    assert Geometry.from_parts(SHAPE, SPACING, ORIGIN, rotation(0.05, 0, 0) @ np.eye(3)[:, ::-1]).is_axis_aligned
    assert not Geometry.from_parts(SHAPE, SPACING, ORIGIN, rotation(0.1, 0, 0) @ np.eye(3)[:, ::-1]).is_axis_aligned


@pytest.mark.parametrize("name", ALL)
def test_a_crop_stays_in_place(name):
    volume = world_field(ALL[name]())
    box = (slice(1, 3), slice(0, 2), slice(2, 5))
    grid = volume.geometry.cropped(box)
    assert grid.shape == (2, 2, 3)
    assert np.abs(world_field(grid).array - volume.array[box]).max() < 1e-3


@pytest.mark.parametrize("name", ALL)
def test_another_shape_covers_the_same_field_of_view(name):
    grid = ALL[name]()
    other = grid.with_shape((7, 2, 9))
    edges = [np.array([[-0.5] * 3, [n - 0.5 for n in g.shape]]) for g in (grid, other)]
    assert grid.to_world(edges[0]) == pytest.approx(other.to_world(edges[1]))
    assert other.spacing == pytest.approx((2.5 * 3 / 7, 0.8 * 4 / 2, 0.7 * 5 / 9))


def test_spacing_is_met_as_nearly_as_whole_voxels_allow():
    assert axial().with_spacing((1.25, 1.6, 0.7)).shape == (6, 2, 5)


@pytest.mark.parametrize("name", ALL)
def test_the_axis_aligned_grid_contains_the_scan(name):
    grid = ALL[name]()
    upright = grid.axis_aligned()
    assert upright.orientation == "SPL"
    assert upright.is_axis_aligned
    assert (upright.corners.min(0) <= grid.corners.min(0) + 1e-6).all()
    assert (upright.corners.max(0) >= grid.corners.max(0) - 1e-6).all()


def test_the_axis_aligned_grid_of_an_aligned_scan_has_its_voxels():
    grid = sagittal()
    assert grid.axis_aligned().is_close(grid.reoriented(grid.axis_map("SPL")))


def test_closeness_looks_at_corners_and_shape():
    grid = axial()
    moved = Geometry.from_parts(SHAPE, SPACING, (-31.0, 17.5, 40.27))
    assert grid.is_close(axial())
    assert not grid.is_close(moved)
    assert grid.is_close(moved, tolerance=0.05)
    assert not grid.is_close(Geometry.from_parts((4, 4, 5), SPACING, ORIGIN))
    assert not grid.is_close(oblique())
    assert not grid.is_close(sheared())


@pytest.mark.parametrize(
    ("shape", "affine", "match"),
    [
        ((0, 4, 5), np.eye(4), "at least one voxel"),
        ((4, 5), np.eye(4), "three axes"),
        (SHAPE, np.eye(3), "4x4"),
        (SHAPE, np.diag([1, 1, np.nan, 1]), "finite"),
        (SHAPE, np.diag([1, 0, 1, 1]), "singular"),
        (SHAPE, np.array([[1, 2, 0, 0], [2, 4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
        (SHAPE, np.eye(4)[::-1], "last row"),
    ],
)
def test_no_geometry(shape, affine, match):
    with pytest.raises(GeometryError, match=match):
        Geometry(shape, affine)


def test_a_geometry_cannot_be_changed_behind_its_back():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    grid = Geometry(SHAPE, affine)
    affine[0, 0] = 9.0
    assert grid.affine[0, 0] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 9.0
