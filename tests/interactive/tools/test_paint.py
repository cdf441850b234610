from __future__ import annotations

import json
import math
from itertools import pairwise
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_radcnn.errors import CancelledError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import Paint, tool_from_dict
from napari_radcnn.phantom import world_field
from napari_radcnn.progress import Monitor
from tool_states import GRIDS, SHAPE, applied, one_voxel, positions, state_of

grid_names = pytest.mark.parametrize("name", GRIDS)
EMPTY = np.zeros(SHAPE, np.uint16)
MIDDLE = (4, 11, 12)


def _distance_to_line(where, line):
    """The distance of positions to a line of straight pieces, each piece by itself."""
    nearest = np.full(where.shape[:-1], np.inf)
    for start, stop in pairwise(line):
        way = stop - start
        part = np.clip(((where - start) @ way) / (way @ way), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(where - start - part[..., None] * way, axis=-1))
    return nearest


@grid_names
def test_a_ball_covers_the_voxels_within_its_radius(name):
    grid = GRIDS[name]
    center = grid.to_world(np.add(MIDDLE, (0.2, -0.3, 0.4)))
    far = np.linalg.norm(positions(grid) - center, axis=-1)
    painted = applied(Paint((center,), 4.0, is_flat=False), state_of(EMPTY, grid))
    np.testing.assert_array_equal(painted, far <= 4.0)


@grid_names
def test_a_flat_brush_covers_the_disk_in_one_slice(name):
    grid = GRIDS[name]
    center = grid.to_world(np.add(MIDDLE, (0, -0.3, 0.4)))
    far = np.linalg.norm(positions(grid) - center, axis=-1)
    far[np.arange(SHAPE[0]) != 4] = np.inf
    np.testing.assert_array_equal(applied(Paint((center,), 3.0), state_of(EMPTY, grid)), far <= 3.0)


@grid_names
@pytest.mark.parametrize("is_flat", [True, False])
def test_a_stroke_covers_what_is_near_its_line(name, is_flat):
    grid = GRIDS[name]
    line = grid.to_world([(4, 3, 4), (4, 17.5, 9), (4, 17.5, 9), (4, 6, 21.2)])
    near = _distance_to_line(positions(grid), line[[0, 1, 3]]) <= 2.2
    if is_flat:
        near[np.arange(SHAPE[0]) != 4] = False
    np.testing.assert_array_equal(applied(Paint(line, 2.2, is_flat=is_flat), state_of(EMPTY, grid)), near)


def test_a_long_straight_stroke_is_cut_without_a_trace():
    grid = Geometry.from_parts((5, 9, 200), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
    line = grid.to_world([(1, 1, 2), (3, 7, 195)])
    near = _distance_to_line(positions(grid), line) <= 1.5
    tool = Paint(line, 1.5, is_flat=False)
    painted = applied(tool, state_of(np.zeros(grid.shape), grid))
    assert (near <= painted).all()
    extra = _distance_to_line(positions(grid), line)[painted & ~near]
    assert extra.size == 0 or extra.max() <= np.linalg.norm(grid.spacing) / 2  # voxels right under the line


@grid_names
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_normal_across_an_axis_paints_one_slice_of_it(name, axis):
    grid = GRIDS[name]
    columns = grid.affine[:3, :3]
    normal = np.cross(columns[:, (axis + 1) % 3], columns[:, (axis + 2) % 3]) * 7.0
    painted = applied(Paint((grid.to_world(MIDDLE),), 3.0, normal=normal), state_of(EMPTY, grid))
    assert np.unique(np.argwhere(painted)[:, axis]).tolist() == [MIDDLE[axis]]
    far = np.linalg.norm(positions(grid) - grid.to_world(MIDDLE), axis=-1)
    index = [slice(None)] * 3
    index[axis] = MIDDLE[axis]
    np.testing.assert_array_equal(painted[tuple(index)], (far <= 3.0)[tuple(index)])


@pytest.mark.parametrize("name", ["oblique", "sheared"])
def test_an_oblique_plane_has_no_holes_and_is_no_thicker_than_a_voxel(name):
    """Every voxel that the disk runs through is painted, and none that it does not meet."""
    grid = GRIDS[name]
    normal, center = np.array([0.3, -0.5, 0.8]), grid.to_world(MIDDLE)
    normal /= np.linalg.norm(normal)
    painted = applied(Paint((center,), 5.0, normal=normal), state_of(EMPTY, grid))
    one = np.cross(normal, (1, 0, 0)) / np.linalg.norm(np.cross(normal, (1, 0, 0)))
    two = np.cross(normal, one)
    offset = np.mgrid[-4.3:4.3:0.1, -4.3:4.3:0.1].reshape(2, -1)
    offset = offset[:, np.linalg.norm(offset, axis=0) <= 4.3]  # half a voxel's diagonal may lie outside the disk
    index = np.rint(grid.to_index(center + offset.T @ np.array([one, two]))).astype(int)
    index = index[((index >= 0) & (index < SHAPE)).all(axis=1)]
    assert painted[tuple(index.T)].all()
    depth = (positions(grid)[painted] - center) @ normal
    assert np.abs(depth).max() <= np.abs(normal @ grid.affine[:3, :3]).sum() / 2 + 1e-9


def test_a_flat_stroke_across_slices_is_a_disk_in_each():
    """As when the wheel is turned while the button is down."""
    grid = GRIDS["axial"]
    line = grid.to_world([(2, 11, 6), (6, 11, 20)])
    painted = applied(Paint(line, 1.5), state_of(EMPTY, grid))
    disks = np.zeros(SHAPE, bool)
    for part in np.linspace(0, 1, 400):
        index = (2 + 4 * part, 11, 6 + 14 * part)
        disks |= applied(Paint((grid.to_world(index),), 1.5), state_of(EMPTY, grid))
    assert (disks <= painted).all()
    assert np.count_nonzero(painted & ~disks) <= 4  # what 400 disks leave out
    assert painted.any(axis=(1, 2)).tolist() == [False, False, True, True, True, True, True, False, False]


@grid_names
@pytest.mark.parametrize("turned", [1, -1])
@pytest.mark.parametrize(("offset", "slice_"), [(0.5, 5), (-0.5, 4), (0.49, 4), (0.51, 5)])
def test_a_plane_between_two_slices_paints_one(name, turned, offset, slice_):
    grid = GRIDS[name]
    normal = np.cross(grid.affine[:3, 1], grid.affine[:3, 2]) * turned
    tool = Paint((grid.to_world(np.add(MIDDLE, (offset, 0, 0))),), 3.0, normal=normal)
    painted = applied(tool, state_of(EMPTY, grid))
    assert np.unique(np.argwhere(painted)[:, 0]).tolist() == [slice_]
    assert np.count_nonzero(painted) > 20


@grid_names
@pytest.mark.parametrize("is_flat", [True, False])
def test_a_radius_of_zero_draws_one_voxel_wide_without_gaps(name, is_flat):
    grid = GRIDS[name]
    painted = applied(Paint((grid.to_world((3.2, 5.1, 6.4)),), 0.0, is_flat=is_flat), state_of(EMPTY, grid))
    assert np.argwhere(painted).tolist() == [[3, 5, 6]]
    line = applied(Paint(grid.to_world([(4, 2, 3), (4, 20, 23)]), 0.0, is_flat=is_flat), state_of(EMPTY, grid))
    found = np.argwhere(line)
    assert found[0].tolist() == [4, 2, 3]
    assert found[-1].tolist() == [4, 20, 23]
    assert np.unique(found[:, 2]).tolist() == list(range(3, 24))  # one a column: no gap
    assert len(found) <= 2 * 21


def test_the_eraser_removes_this_object_only_and_touches_no_other_voxel():
    labels, grid = one_voxel(), GRIDS["oblique"]
    labels[3:6, 9:14, 9:16] = 1
    labels[4, 11, 13] = 2
    state, center = state_of(labels, grid), grid.to_world(MIDDLE)
    erased = applied(Paint((center,), 1.5, erase=True), state)
    brush = applied(Paint((center,), 1.5), state_of(EMPTY, grid))
    np.testing.assert_array_equal(erased, (labels == 1) & ~brush)
    update = Paint((center,), 1.5, erase=True).apply(state, Monitor(1))
    assert update.box[0] == slice(4, 5)
    np.testing.assert_array_equal(state.labels, labels)


def test_erasing_where_nothing_is_changes_nothing():
    grid = GRIDS["axial"]
    assert Paint((grid.to_world(MIDDLE),), 3.0, erase=True).apply(state_of(EMPTY, grid), Monitor(1)) is None


def test_painting_what_is_painted_changes_nothing():
    grid = GRIDS["sheared"]
    tool = Paint((grid.to_world(MIDDLE),), 3.0)
    assert tool.apply(state_of(applied(tool, state_of(EMPTY, grid)), grid), Monitor(1)) is None


@pytest.mark.parametrize(("low", "high"), [(50.0, None), (None, 60.0), (45.0, 70.0), (1e6, None)])
@pytest.mark.parametrize("erase", [True, False])
def test_a_range_of_values_keeps_to_its_voxels(low, high, erase):
    grid = GRIDS["oblique"]
    array = np.round(world_field(grid).array / 10).astype(np.int16)
    labels = np.ones(SHAPE) if erase else EMPTY
    state = state_of(labels, grid, array=array)
    brush = applied(Paint((grid.to_world(MIDDLE),), 5.0, is_flat=False), state_of(EMPTY, grid))
    inside = (array >= (-np.inf if low is None else low)) & (array <= (np.inf if high is None else high))
    painted = applied(Paint((grid.to_world(MIDDLE),), 5.0, erase, low, high, is_flat=False), state)
    np.testing.assert_array_equal(painted != labels, brush & inside)


def test_the_ends_of_the_range_belong_to_it_and_what_is_no_number_does_not():
    grid = GRIDS["axial"]
    array = np.full(SHAPE, 7.0, np.float32)
    array[4, 11, 11], array[4, 11, 13] = np.nan, 7.5
    tool = Paint((grid.to_world(MIDDLE),), 0.75, low=7, high=7)
    assert np.argwhere(applied(tool, state_of(EMPTY, grid, array=array))).tolist() == [[4, 11, 12]]


def test_a_color_image_has_no_range():
    grid = GRIDS["axial"]
    state = state_of(EMPTY, grid, array=np.zeros((*SHAPE, 3), np.uint8))
    with pytest.raises(OptionError, match="color"):
        Paint((grid.to_world(MIDDLE),), 1.0, low=1).apply(state, Monitor(1))
    assert Paint((grid.to_world(MIDDLE),), 1.0).apply(state, Monitor(1)) is not None


@grid_names
def test_a_stroke_over_the_border_is_clipped(name):
    grid = GRIDS[name]
    line = grid.to_world([(4, 11, 12), (4, 11, 60)])
    painted = applied(Paint(line, 2.0), state_of(EMPTY, grid))
    assert painted[4, 11, 12:].all()
    assert painted[4, 11, SHAPE[2] - 1]


@pytest.mark.parametrize("is_flat", [True, False])
def test_a_stroke_outside_changes_nothing(is_flat):
    grid = GRIDS["sheared"]
    line = grid.to_world([(40, 11, 12), (40, 90, 60)])
    assert Paint(line, 2.0, is_flat=is_flat).apply(state_of(EMPTY, grid), Monitor(1)) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-3, n + 3) for n in SHAPE]), min_size=1, max_size=4),
    st.floats(0, 5),
    st.booleans(),
    st.sampled_from(sorted(GRIDS)),
)
def test_what_a_stroke_covers_grows_with_its_radius(index, radius, is_flat, name):
    grid = GRIDS[name]
    small, large = (
        applied(Paint(grid.to_world(index), r, is_flat=is_flat), state_of(EMPTY, grid)) for r in (radius, radius + 1)
    )
    assert (small <= large).all()
    for voxel in np.rint(index).astype(int):
        if ((voxel >= 0) & (voxel < SHAPE)).all() and (np.abs(index - np.floor(index) - 0.5) > 1e-6).all():
            assert small[tuple(voxel)]


def test_a_stroke_can_be_stopped():
    stop = Event()
    stop.set()
    grid = GRIDS["axial"]
    with pytest.raises(CancelledError):
        Paint((grid.to_world(MIDDLE),), 1.0).apply(state_of(EMPTY, grid), Monitor(1, None, stop))


@pytest.mark.parametrize(
    "values",
    [
        {"points": ()},
        {"points": ((1.0, 2.0),)},
        {"points": ((1.0, 2.0, math.nan),)},
        {"points": (1.0, 2.0, 3.0)},
        {"points": "abc"},
        {"points": None},
        {"radius": -0.1},
        {"radius": math.inf},
        {"radius": 1e15},
        {"radius": "1"},
        {"radius": True},
        {"low": math.nan},
        {"low": 3, "high": 2},
        {"erase": 1},
        {"is_flat": "yes"},
        {"normal": (0, 0, 0)},
        {"normal": (0, 1)},
    ],
)
def test_a_stroke_that_makes_no_sense_is_refused(values):
    with pytest.raises(OptionError):
        Paint(**{"points": ((1.0, 2.0, 3.0),), "radius": 1.0} | values)


@pytest.mark.parametrize("points", [[(1e15, 0, 0)], [(0, 0, 0), (0, 1e15, 0)], [(0, -2e4, 0), (0, 0, 0)]])
@pytest.mark.parametrize("is_flat", [True, False])
def test_a_stroke_far_away_from_the_scan_is_refused(points, is_flat):
    with pytest.raises(OptionError, match="more than 10 m away from the scan"):
        applied(Paint(points, 2.0, is_flat=is_flat), state_of(EMPTY, GRIDS["oblique"]))


def test_a_stroke_from_far_outside_is_clipped():
    grid = GRIDS["oblique"]
    start, stop = grid.to_world(MIDDLE), grid.to_world(np.add(MIDDLE, (0, 0, 3000)))
    near = _distance_to_line(positions(grid), np.array([start, stop])) <= 2.2
    np.testing.assert_array_equal(applied(Paint((start, stop), 2.2, is_flat=False), state_of(EMPTY, grid)), near)


def test_a_stroke_survives_json():
    full = Paint([(1, 2, 3), np.array([4.0, 5.0, 6.5])], 2, True, -5, 70, False, (0, 0.5, 1))
    plain = json.loads(json.dumps(full.to_dict()))
    assert plain == {
        "name": "paint",
        "points_mm": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]],
        "radius_mm": 2.0,
        "erase": True,
        "low": -5.0,
        "high": 70.0,
        "is_flat": False,
        "normal": [0.0, 0.5, 1.0],
    }
    assert tool_from_dict(plain) == full
    short = Paint(((1, 2, 3),), 1.5)
    assert tool_from_dict(short.to_dict()) == short
    assert (short.title, full.title) == ("Brush", "Eraser")


@pytest.mark.parametrize("missing", ["points_mm", "radius_mm"])
def test_a_stroke_without_line_or_radius_is_refused(missing):
    plain = Paint(((1, 2, 3),), 1.5).to_dict()
    del plain[missing]
    with pytest.raises(OptionError, match=missing):
        tool_from_dict(plain)
