"""Level tracing and scissors against closed forms, in slices of any direction."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.errors import OptionError
from napari_radcnn.interactive.tools import Scissors, TraceLevel
from napari_radcnn.progress import Monitor
from tool_states import GRIDS, SHAPE, applied, ball_labels, one_voxel, positions, state_of

grid_names = pytest.mark.parametrize("name", GRIDS)
AXES = [("k", 0), ("j", 1), ("i", 2)]


def _cone(grid, center=(4.2, 11.3, 12.4)):
    """The distance from a point, mm."""
    return np.linalg.norm(positions(grid) - grid.to_world(center), axis=-1)


@grid_names
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("axis", "number"), AXES)
def test_the_contour_of_a_cone_is_a_circle(name, sign, axis, number):
    grid = GRIDS[name]
    values = sign * _cone(grid)
    at = [4, 11, 12]
    rest = [n for n in range(3) if n != number]
    at[rest[0]] += 1
    at[rest[1]] -= 2
    wanted = np.zeros(SHAPE, bool)
    on_slice = tuple(at[number] if n == number else slice(None) for n in range(3))
    wanted[on_slice] = (sign * values <= sign * values[tuple(at)])[on_slice]
    tool = TraceLevel(tuple(grid.to_world(at)), axis)
    np.testing.assert_array_equal(applied(tool, state_of(np.zeros(SHAPE), grid, array=values)), wanted)
    erased = applied(
        TraceLevel(tuple(grid.to_world(at)), axis, erase=True), state_of(np.ones(SHAPE), grid, array=values)
    )
    np.testing.assert_array_equal(erased, ~wanted)


def test_holes_are_enclosed_and_other_parts_are_not():
    values = np.zeros(SHAPE, np.int16)
    values[3, 5:12, 6:15] = 100
    values[3, 7:9, 8:11] = -50
    values[3, 15:18, 6:9] = 100
    grid = GRIDS["oblique"]
    wanted = np.zeros(SHAPE, bool)
    wanted[3, 5:12, 6:15] = True
    tool = TraceLevel(tuple(grid.to_world((3, 5, 6))))
    np.testing.assert_array_equal(applied(tool, state_of(np.zeros(SHAPE), grid, array=values)), wanted)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        ((4, 11, 12), 0, "No contour of the value 0 passes there"),
        ((4, 11, 12), np.nan, "no finite value"),
        ((4, 40, 12), 0, "outside the scan"),
    ],
)
def test_where_there_is_no_contour_it_says_so(at, value, words):
    grid = GRIDS["axial"]
    state = state_of(np.zeros(SHAPE), grid, array=np.full(SHAPE, value, np.float32))
    with pytest.raises(OptionError, match=words):
        TraceLevel(tuple(grid.to_world(at))).apply(state, Monitor(1))


@pytest.mark.parametrize("far", [1e4, 1e15, 1e300])
def test_a_position_far_away_is_outside(far):
    with pytest.raises(OptionError, match="outside the scan"):
        TraceLevel((far, 0, 0)).apply(state_of(np.zeros(SHAPE), GRIDS["oblique"]), Monitor(1))


def _frame(grid, normal):
    """Two unit vectors across a normal."""
    normal = np.array(normal) / np.linalg.norm(normal)
    first = np.cross(normal, (0.3, -0.5, 0.8))
    first /= np.linalg.norm(first)
    return first, np.cross(normal, first), normal


#: Corners of an L, mm from its inner corner, and whether (x, y) lies inside.
_L = ((-3.1, -2.2), (2.7, -2.2), (2.7, 0.3), (0.4, 0.3), (0.4, 3.4), (-3.1, 3.4))


def _in_l(x, y):
    return (x > -3.1) & (x < 2.7) & (y > -2.2) & (y < 3.4) & ~((x > 0.4) & (y > 0.3))


def _cut(grid, normal, **settings):
    first, second, normal = _frame(grid, normal)
    middle = grid.to_world((4, 11, 12))
    points = [middle + x * first + y * second for x, y in _L]
    away = positions(grid) - middle
    half = 0.5 * np.abs(normal @ grid.affine[:3, :3]).sum()
    depth = away @ normal
    tool = Scissors([tuple(point) for point in points], normal=tuple(normal), **settings)
    return tool, _in_l(away @ first, away @ second), np.abs(depth) < half


@grid_names
@pytest.mark.parametrize("direction", ["slices", "slanted"])
@pytest.mark.parametrize("is_through", [True, False])
def test_scissors_cut_an_l_out_of_everything(name, direction, is_through):
    grid = GRIDS[name]
    columns = grid.affine[:3, :3]
    normal = np.cross(columns[:, 1], columns[:, 2]) if direction == "slices" else (0.4, -0.7, 0.6)
    labels = ball_labels(grid, (4, 11, 12), 6.0)
    own = labels == 1
    for operation in ("erase_inside", "erase_outside", "fill_inside"):
        tool, inside, on_plane = _cut(grid, normal, operation=operation, is_through=is_through)
        plane = np.ones(SHAPE, bool) if is_through else on_plane
        wanted = {
            "erase_inside": own & ~(inside & plane),
            "erase_outside": own & ~(plane & ~inside),
            "fill_inside": own | (inside & plane),
        }[operation]
        np.testing.assert_array_equal(applied(tool, state_of(labels, grid)), wanted)


def test_without_a_normal_the_slices_are_cut():
    grid = GRIDS["sheared"]
    columns = grid.affine[:3, :3]
    tool, _, _ = _cut(grid, np.cross(columns[:, 1], columns[:, 2]))
    state = state_of(ball_labels(grid, (4, 11, 12), 6.0), grid)
    np.testing.assert_array_equal(applied(tool, state), applied(Scissors(tool.points), state))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"points": [(0, 0, 0), (1, 0, 0)]}, "at least three different points"),
        ({"points": [(0, 0, 0)] * 5}, "at least three different points"),
        ({"points": "abc"}, "must be a list"),
        ({"points": [(0, 0, 0), (1, 0, 0), (0, 1, float("inf"))]}, "must be finite"),
        ({"operation": "cut"}, "'operation' must be one of"),
        ({"is_through": 1}, "must be true or false"),
        ({"normal": (0, 0, 0)}, "must not be"),
    ],
)
def test_a_cut_that_makes_no_sense_is_refused(settings, words):
    with pytest.raises(OptionError, match=words):
        Scissors(**{"points": [(0, 0, 0), (5, 0, 0), (0, 5, 0)], **settings})


def test_a_cut_far_away_is_refused_and_one_beside_the_object_changes_nothing():
    grid = GRIDS["axial"]
    far = Scissors([(1e6, 0, 0), (1e6, 5, 0), (1e6, 0, 5)])
    with pytest.raises(OptionError, match="10 m away"):
        far.apply(state_of(one_voxel(), grid), Monitor(1))
    beside = Scissors([tuple(grid.to_world(at)) for at in ((4, 1, 1), (4, 1, 4), (4, 4, 1))])
    assert beside.apply(state_of(one_voxel(), grid), Monitor(1)) is None
    assert beside.apply(state_of(np.zeros(SHAPE), grid), Monitor(1)) is None
