from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from skimage.measure import label as connected

from napari_radcnn.errors import CancelledError, OptionError
from napari_radcnn.interactive.tools import KeepIsland, KeepLargest, RemoveIsland
from napari_radcnn.progress import Monitor
from tool_states import GRIDS, SHAPE, applied, one_voxel, state_of

GRID = GRIDS["oblique"]


def _three():
    """A large, a small and a single-voxel island, and another object that must not join them."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[1:4, 2:8, 3:9] = 1
    labels[4, 8, 9] = 1  # over a corner: still the first island
    labels[6:8, 15:18, 20:24] = 1
    labels[8, 0, 0] = 1
    labels[4:6, 9:15, 10:20] = 2
    return labels


def _first(labels):
    island = labels == 1
    island[5:] = False
    return island


def test_the_largest_island_is_kept():
    labels = _three()
    np.testing.assert_array_equal(applied(KeepLargest(), state_of(labels, GRID)), _first(labels))
    update = KeepLargest().apply(state_of(labels, GRID), Monitor(1))
    assert not update.mask.any()
    assert update.box[0] == slice(6, 9)  # what goes, nothing else


def test_of_two_equal_islands_the_first_is_kept():
    labels = np.zeros(SHAPE, np.uint16)
    labels[5, 4:6, 4:6] = labels[2, 9:11, 20:22] = 1
    assert np.unique(np.argwhere(applied(KeepLargest(), state_of(labels, GRID)))[:, 0]).tolist() == [2]


def test_the_clicked_island_is_kept_or_removed():
    labels, position = _three(), GRID.to_world((7.3, 16.4, 21.6))
    small = np.zeros(SHAPE, bool)
    small[6:8, 15:18, 20:24] = True
    np.testing.assert_array_equal(applied(KeepIsland(position), state_of(labels, GRID)), small)
    np.testing.assert_array_equal(applied(RemoveIsland(position), state_of(labels, GRID)), (labels == 1) & ~small)
    update = RemoveIsland(position).apply(state_of(labels, GRID), Monitor(1))
    assert update.box == (slice(6, 8), slice(15, 18), slice(20, 24))


def test_the_only_island_is_kept_as_it_is_and_removed_whole():
    state, position = state_of(one_voxel(), GRID), GRID.to_world((4, 11, 12))
    assert KeepLargest().apply(state, Monitor(1)) is None
    assert KeepIsland(position).apply(state, Monitor(1)) is None
    assert not applied(RemoveIsland(position), state).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.2))
def test_islands_partition_the_object(seed, density):
    mask = np.random.default_rng(seed).random(SHAPE) < density
    numbers = connected(mask, connectivity=3)  # another library
    state = state_of(mask, GRID)
    together = np.zeros(SHAPE, int)
    for number in range(1, numbers.max() + 1):
        inside = np.argwhere(numbers == number)
        position = GRID.to_world(inside[len(inside) // 2])
        island = applied(KeepIsland(position), state)
        np.testing.assert_array_equal(island, numbers == number)
        np.testing.assert_array_equal(applied(RemoveIsland(position), state), mask & ~island)
        together += island
    np.testing.assert_array_equal(together, mask)
    largest = applied(KeepLargest(), state)
    sizes = np.bincount(numbers.ravel())[1:]
    assert np.count_nonzero(largest) == max(sizes, default=0)


@pytest.mark.parametrize("kind", [KeepIsland, RemoveIsland])
@pytest.mark.parametrize(
    ("index", "text"),
    [((40, 11, 12), "outside"), ((4, -0.6, 12), "outside"), ((4, 11, 13), "no voxel"), ((5, 10, 12), "no voxel")],
)
def test_a_click_beside_the_object_is_refused(kind, index, text):
    labels = one_voxel()
    labels[5, 10, 12] = 2
    with pytest.raises(OptionError, match=text):
        kind(GRID.to_world(index)).apply(state_of(labels, GRID), Monitor(1))


@pytest.mark.parametrize("kind", [KeepIsland, RemoveIsland])
def test_a_click_for_an_empty_object_is_refused(kind):
    with pytest.raises(OptionError, match="no voxel"):
        kind(GRID.to_world((4, 11, 12))).apply(state_of(np.zeros(SHAPE), GRID), Monitor(1))


def test_an_empty_object_has_no_largest_island():
    assert KeepLargest().apply(state_of(np.zeros(SHAPE), GRID), Monitor(1)) is None


@pytest.mark.parametrize("position", [(1, 2), (1, 2, float("nan")), "abc", None, (1, 2, "3"), 5])
def test_a_position_that_is_none_is_refused(position):
    with pytest.raises(OptionError):
        KeepIsland(position)


@pytest.mark.parametrize("tool", [KeepLargest(), KeepIsland(GRID.to_world((4, 11, 12)))])
def test_looking_for_islands_can_be_stopped(tool):
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        tool.apply(state_of(one_voxel(), GRID), Monitor(1, None, stop))
