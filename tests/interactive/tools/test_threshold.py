"""Thresholds and margins against what comparing every voxel gives, on awkward grids."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from napari_radcnn.errors import CancelledError, OptionError, SessionError
from napari_radcnn.interactive.tools import Grow, Margin, Threshold
from napari_radcnn.interactive.tools.threshold import OPERATIONS
from napari_radcnn.phantom import world_field
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession
from tool_states import GRIDS, SHAPE, applied, ball_labels, near_by_trying_all, one_voxel, state_of

grid_names = pytest.mark.parametrize("name", GRIDS)


def _field(grid):
    return world_field(grid).array


def _labels(grid):
    """Object 1 in the middle, object 2 to one side of it."""
    labels = ball_labels(grid, (4, 11, 12), 5.0)
    labels[:, :6] = np.where(labels[:, :6] == 0, 2, labels[:, :6])
    return labels


@grid_names
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("within", [0, 2])
def test_a_threshold_is_what_comparing_every_voxel_gives(name, operation, within):
    grid = GRIDS[name]
    values, labels = _field(grid), _labels(grid)
    low, high = (float(n) for n in np.percentile(values, (30, 62)))
    in_range = (values >= low) & (values <= high)
    own = labels == 1
    offered = in_range if not within else in_range & ((labels == 2) | own)
    wanted = {"replace": offered, "add": own | offered, "keep": own & offered, "remove": own & ~in_range}[operation]
    tool = Threshold(low, high, operation, within)
    np.testing.assert_array_equal(applied(tool, state_of(labels, grid, array=values)), wanted)


@grid_names
@pytest.mark.parametrize(("axis", "number"), [("k", 0), ("j", 1), ("i", 2)])
def test_one_slice_changes_and_no_other(name, axis, number):
    grid = GRIDS[name]
    values, labels = _field(grid), _labels(grid)
    low = float(np.median(values))
    at = (4, 7, 20)
    tool = Threshold(low, None, "replace", axis=axis, position=tuple(grid.to_world(at)))
    wanted = labels == 1
    on_slice = np.zeros(SHAPE, bool)
    on_slice[tuple(at[number] if n == number else slice(None) for n in range(3))] = True
    wanted[on_slice] = (values >= low)[on_slice]
    np.testing.assert_array_equal(applied(tool, state_of(labels, grid, array=values)), wanted)


def test_both_ends_count_and_nan_is_in_no_range():
    grid = GRIDS["axial"]
    values = np.full(SHAPE, np.nan, np.float32)
    values[2, 3, 4:8] = (9.5, 10, 20, 20.5)
    mask = applied(Threshold(10, 20), state_of(np.zeros(SHAPE), grid, array=values))
    assert np.argwhere(mask).tolist() == [[2, 3, 5], [2, 3, 6]]
    assert Threshold(10, 20).apply(state_of(mask, grid, array=values), Monitor(1)) is None  # nothing left to change


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_a_range_beyond_what_the_voxels_can_hold_is_no_error(kind):
    grid = GRIDS["axial"]
    values = np.ones(SHAPE, kind)
    assert applied(Threshold(-1e9, 1e9), state_of(np.zeros(SHAPE), grid, array=values)).all()
    assert not applied(Threshold(300, 1e9), state_of(np.zeros(SHAPE), grid, array=values)).any()


def test_a_threshold_is_one_step_and_undo_gives_every_voxel_back():
    scan = world_field(GRIDS["oblique"])
    low, high = (float(n) for n in np.percentile(scan.array, (20, 80)))
    with PromptSession(scan, autosave=False) as session:
        session.apply(Threshold(low, None))
        session.add_object("other")
        session.apply(Threshold(low, high, "add", within=1))
        before = session.labels.copy()
        session.lock(1)
        assert session.apply(Threshold(None, None or high, "replace")).box is not None
        assert (session.labels[before == 1] == 1).all()  # a locked object keeps its voxels
        assert len(session.history) == 5
        session.undo()
        np.testing.assert_array_equal(session.labels, before)
        session.redo()
        session.undo()
        np.testing.assert_array_equal(session.labels, before)
        with pytest.raises(SessionError, match="There is no object 7"):
            session.apply(Threshold(low, within=7))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs 'low' or 'high'"),
        ({"low": 3, "high": 2}, "3 to 2 is empty"),
        ({"low": float("nan")}, "must be finite"),
        ({"low": "3"}, "must be a number"),
        ({"low": 3, "operation": "xor"}, "'operation' must be one of replace, add, keep, remove"),
        ({"low": 3, "within": -1}, "'within' must be the value of an object"),
        ({"low": 3, "axis": "z"}, "'axis' must be one of"),
        ({"low": 3, "axis": "k"}, "needs 'position_mm'"),
        ({"low": 3, "position": (1, 2)}, r"must be \[x, y, z\]"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(settings, words):
    with pytest.raises(OptionError, match=words):
        Threshold(**settings)


def test_a_slice_outside_the_scan_is_refused():
    with pytest.raises(OptionError, match="across 'k' lies outside the scan"):
        Threshold(0, axis="k", position=(0, 0, 1e4)).apply(state_of(one_voxel(), GRIDS["axial"]), Monitor(1))


def test_a_threshold_can_be_stopped():
    cancel = Event()
    cancel.set()
    with pytest.raises(CancelledError):
        Threshold(0).apply(state_of(one_voxel(), GRIDS["axial"]), Monitor(1, None, cancel))


@grid_names
def test_a_margin_without_range_is_a_grown_object(name):
    grid = GRIDS[name]
    state = state_of(_labels(grid), grid)
    np.testing.assert_array_equal(applied(Margin(2.6), state), applied(Grow(2.6), state))


@grid_names
def test_a_margin_goes_round_a_wall_and_not_through_it(name):
    """What may be added is followed by trying all neighbors again and again."""
    grid = GRIDS[name]
    values = np.zeros(SHAPE, np.int16)
    values[:, :, 13] = 100  # beside the object
    values[:, 9:13, 13] = 0  # with a door
    values[:, :, 15:] = np.arange(SHAPE[2] - 15) % 2 * 50
    mask = one_voxel(index=(4, 11, 11)) == 1
    candidates = near_by_trying_all(mask, grid, 4.0) & (values <= 50) & (values >= 0)
    wanted = mask.copy()
    while True:
        more = wanted.copy()
        for axis in range(3):
            for shift in (1, -1):
                rolled = np.roll(wanted, shift, axis)
                np.moveaxis(rolled, axis, 0)[0 if shift > 0 else -1] = False
                more |= rolled & candidates
        if (more == wanted).all():
            break
        wanted = more
    found = applied(Margin(4.0, 0, 50), state_of(mask, grid, array=values))
    np.testing.assert_array_equal(found, wanted)
    assert found[:, :, 14].any()
    assert not found[values == 100].any()


def test_a_margin_needs_an_object_and_a_distance():
    assert Margin(3.0).apply(state_of(np.zeros(SHAPE), GRIDS["axial"]), Monitor(1)) is None
    for distance in (0, -1, 1e9, float("inf"), "2", None):
        with pytest.raises(OptionError, match="distance of a margin"):
            Margin(distance)
    with pytest.raises(OptionError, match="is empty"):
        Margin(2, 5, 4)
