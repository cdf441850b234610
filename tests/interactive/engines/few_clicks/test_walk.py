"""The walk that decides where an object ends, against the equations it solves."""

import numpy as np
import pytest

from napari_radcnn.interactive.engines.few_clicks.walk import Ties, walk

SPACING = (2.5, 0.8, 1.1)


def _noise(shape: tuple[int, int, int], seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 30, shape).astype(np.float32)


def _solved(belief: np.ndarray, values: np.ndarray, scale: float, trust: float, marked: np.ndarray, marks: np.ndarray):
    """Return the same by a dense matrix, written from the definition: one row for each voxel."""
    shape = belief.shape
    count = belief.size
    matrix, right = np.zeros((count, count)), np.zeros(count)
    number = np.arange(count).reshape(shape)
    for at in np.ndindex(*shape):
        n = number[at]
        if marked[at]:
            matrix[n, n], right[n] = 1, marks[at]
            continue
        matrix[n, n] += trust
        right[n] += trust * belief[at]
        for axis in range(3):
            for step in (-1, 1):
                to = list(at)
                to[axis] += step
                if 0 <= to[axis] < shape[axis]:
                    difference = (float(values[tuple(to)]) - float(values[at])) / scale
                    tie = (np.exp(-(difference**2)) + 1e-3) * (min(SPACING) / SPACING[axis]) ** 2
                    matrix[n, n] += tie
                    matrix[n, number[tuple(to)]] -= tie
    return np.linalg.solve(matrix, right).reshape(shape)


def test_it_solves_its_equations() -> None:
    shape = (4, 6, 5)
    rng = np.random.default_rng(1)
    values, belief = _noise(shape), rng.random(shape, np.float32)
    marked = rng.random(shape) < 0.1
    marks = marked & (rng.random(shape) < 0.5)
    found = walk(belief, Ties.of(values, SPACING, 25.0), 0.3, marked, marks)
    np.testing.assert_allclose(found, _solved(belief, values, 25.0, 0.3, marked, marks), atol=0.01)


def test_without_ties_every_voxel_keeps_its_belief() -> None:
    shape = (5, 4, 6)
    values = np.indices(shape).sum(0).astype(np.float32) % 2 * 1e6  # no two neighbors alike
    belief = np.random.default_rng(2).random(shape, np.float32)
    nothing = np.zeros(shape, bool)
    found = walk(belief, Ties.of(values, SPACING, 1.0), 10.0, nothing, nothing)
    np.testing.assert_allclose(found, belief, atol=1e-3)


def test_a_mark_spreads_within_its_own_value_and_stops_at_an_edge() -> None:
    values = np.zeros((6, 9, 12), np.float32)
    values[:, :, 7:] = 300
    marked, marks = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    marked[3, 4, 2] = marks[3, 4, 2] = True
    belief = np.full(values.shape, 0.2, np.float32)
    found = walk(belief, Ties.of(values, SPACING, 40.0), 0.001, marked, marks)
    assert found[:, :, :7].min() > 0.5
    assert found[:, :, 7:].max() < 0.4


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_marks_stay_and_all_lies_between_0_and_1(value: float) -> None:
    shape = (4, 7, 5)
    marked = np.random.default_rng(5).random(shape) < 0.3
    marks = marked & (_noise(shape, 6) > 0)
    found = walk(np.full(shape, value, np.float32), Ties.of(_noise(shape), SPACING, 20.0), 0.5, marked, marks)
    assert (found[marked] == marks[marked]).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_when_all_is_marked_nothing_is_left_to_do() -> None:
    shape = (3, 4, 5)
    marks = _noise(shape) > 0
    found = walk(np.full(shape, 0.5, np.float32), Ties.of(_noise(shape), SPACING, 20.0), 0.5, marks | True, marks)
    np.testing.assert_array_equal(found, marks)


def test_a_plane_of_one_voxel_is_walked_as_well() -> None:
    values = _noise((1, 8, 9))
    nothing = np.zeros(values.shape, bool)
    found = walk(np.full(values.shape, 0.7, np.float32), Ties.of(values, SPACING, 20.0), 0.5, nothing, nothing)
    np.testing.assert_allclose(found, 0.7, atol=1e-3)
