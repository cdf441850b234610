"""The smart brush: the range of values that it keeps to, and that it does not reach over an edge."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.errors import OptionError
from napari_radcnn.interactive.tools import Paint, similar_range
from napari_radcnn.volume import Volume
from tool_states import GRIDS, SHAPE, applied, positions, state_of

grid_names = pytest.mark.parametrize("name", GRIDS)
AT = (4, 11, 12)


def _two_kinds(grid, noise=0.0):
    """A bright ball of 3 mm in something dark, a second one beside it."""
    where = positions(grid)
    bright = np.linalg.norm(where - grid.to_world(AT), axis=-1) <= 3.0
    other = np.linalg.norm(where - (grid.to_world(AT) + np.array([0.0, 7.0, 0.0])), axis=-1) <= 2.6
    values = np.where(bright | other, 160.0, 40.0)
    values += np.random.default_rng(4).normal(0, noise, SHAPE) if noise else 0
    return values.astype(np.float32), bright, other


@grid_names
@pytest.mark.parametrize("noise", [0, 12])
def test_the_range_ends_halfway_between_two_kinds(name, noise):
    grid = GRIDS[name]
    values, _, _ = _two_kinds(grid, noise)
    scan = Volume(values, grid)
    position = tuple(grid.to_world(AT))
    low, high = similar_range(scan, position, 5.0, is_flat=False)
    assert low == pytest.approx(100, abs=1e-3 if not noise else 6)
    assert high >= 160
    beside = grid.to_world(AT) - np.array([0.0, 4.5, 0.0])
    low, high = similar_range(scan, tuple(beside), 5.0, is_flat=False)
    assert high == pytest.approx(100, abs=1e-3 if not noise else 6)
    assert low <= 40


@grid_names
def test_a_smart_stroke_takes_what_is_clicked_and_not_its_like_beside_it(name):
    grid = GRIDS[name]
    values, bright, other = _two_kinds(grid)
    low, high = similar_range(Volume(values, grid), tuple(grid.to_world(AT)), 9.0, is_flat=False)
    stroke = Paint([tuple(grid.to_world(AT))], 9.0, low=low, high=high, is_flat=False, is_connected=True)
    state = state_of(np.zeros(SHAPE), grid, array=values)
    np.testing.assert_array_equal(applied(stroke, state), bright)
    assert stroke.title == "Smart brush"
    plain = Paint([tuple(grid.to_world(AT))], 9.0, low=low, high=high, is_flat=False)
    np.testing.assert_array_equal(applied(plain, state), (bright | other) & _covered(grid))


def _covered(grid):
    return np.linalg.norm(positions(grid) - grid.to_world(AT), axis=-1) <= 9.0 * (1 + 1e-5)


def test_a_stroke_that_begins_out_of_its_range_paints_nothing():
    grid = GRIDS["axial"]
    values, _, _ = _two_kinds(grid)
    stroke = Paint([tuple(grid.to_world(AT))], 5.0, low=0, high=100, is_flat=False, is_connected=True)
    assert not applied(stroke, state_of(np.zeros(SHAPE), grid, array=values)).any()


def test_a_tolerance_is_about_the_median_of_what_is_there():
    grid = GRIDS["axial"]
    values = np.full(SHAPE, 70.0)
    values[AT] = 900.0  # one voxel of noise
    scan = Volume(values, grid)
    assert similar_range(scan, tuple(grid.to_world(AT)), 3.0, tolerance=15) == (55, 85)
    assert similar_range(scan, tuple(grid.to_world(AT)), 0.0, tolerance=0) == (70, 70)


@pytest.mark.parametrize("make", [lambda shape: np.full(shape, 7, np.int16), lambda shape: np.ones(shape, np.float64)])
def test_a_constant_scan_gives_its_value(make):
    grid = GRIDS["sheared"]
    values = make(SHAPE)
    assert similar_range(Volume(values, grid), tuple(grid.to_world(AT)), 4.0) == (values[AT], values[AT])


def test_gaussian_noise_is_one_kind():
    grid = GRIDS["axial"]
    values = np.random.default_rng(2).normal(100, 10, SHAPE)
    low, high = similar_range(Volume(values, grid), tuple(grid.to_world(AT)), 6.0, is_flat=False)
    assert 50 < low < 85
    assert 115 < high < 150


def test_what_makes_no_sense_is_refused():
    grid = GRIDS["axial"]
    scan = Volume(np.full(SHAPE, np.nan, np.float32), grid)
    with pytest.raises(OptionError, match="no finite value"):
        similar_range(scan, tuple(grid.to_world(AT)), 3.0)
    with pytest.raises(OptionError, match="outside the scan"):
        similar_range(scan, (1e5, 0, 0), 3.0)
    good = Volume(np.zeros(SHAPE, np.int16), grid)
    for tolerance in (-1, float("nan"), "3"):
        with pytest.raises(OptionError, match="tolerance of a smart brush"):
            similar_range(good, tuple(grid.to_world(AT)), 3.0, tolerance=tolerance)
    with pytest.raises(OptionError, match="is_connected"):
        Paint([(0, 0, 0)], 2.0, is_connected="yes")
