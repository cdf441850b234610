from __future__ import annotations

from dataclasses import FrozenInstanceError
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_radcnn.errors import CancelledError, GeometryError, OptionError, SessionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import Clear, Grow, Shrink, ToolState, distance as tools_distance
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume
from tool_states import GRIDS, SHAPE, Numbered, applied, near_by_trying_all, one_voxel, positions, state_of

DISTANCES = (0.5, 0.75, 2.5, 3.1, 5.0)
grid_names = pytest.mark.parametrize("name", GRIDS)


@grid_names
@pytest.mark.parametrize("distance", DISTANCES)
def test_one_voxel_grows_to_the_lattice_points_of_a_ball(name, distance):
    grid = GRIDS[name]
    far = np.linalg.norm(positions(grid) - grid.to_world((4, 11, 12)), axis=-1)
    np.testing.assert_array_equal(applied(Grow(distance), state_of(one_voxel(), grid)), far <= distance + 1e-6)


def test_the_count_of_a_ball_in_closed_form():
    """Spacing 2.5, 0.8, 0.7 and a radius of 2.5 mm: 37 points in the middle slice, one above and one below.

    Four of them lie at 2.4 and 0.7 mm, and so at 2.5 mm exactly.
    """
    in_plane = sum((8 * j) ** 2 + (7 * i) ** 2 <= 25**2 for j in range(-4, 5) for i in range(-4, 5))
    assert np.count_nonzero(applied(Grow(2.5), state_of(one_voxel(), GRIDS["axial"]))) == in_plane + 2 == 39


def test_a_distance_that_reaches_a_voxel_exactly_takes_it_and_a_smaller_one_does_not():
    grid = GRIDS["oblique"]
    assert applied(Grow(2.5), state_of(one_voxel(), grid))[3, 11, 12]
    assert not applied(Grow(2.499), state_of(one_voxel(), grid))[3, 11, 12]


def _blobs(seed, shape=SHAPE):
    rng = np.random.default_rng(seed)
    return np.kron(rng.random((3, 6, 7)) < 0.3, np.ones((3, 4, 4)))[: shape[0], : shape[1], : shape[2]] > 0


@grid_names
@pytest.mark.parametrize("distance", [0.9, 2.6])
def test_grow_and_shrink_are_the_distances_of_all_pairs(name, distance):
    grid, mask = GRIDS[name], _blobs(3)
    state = state_of(mask, grid)
    np.testing.assert_array_equal(applied(Grow(distance), state), near_by_trying_all(mask, grid, distance))
    np.testing.assert_array_equal(applied(Shrink(distance), state), mask & ~near_by_trying_all(~mask, grid, distance))


@pytest.mark.parametrize("name", ["axial", "sheared"])
def test_slabs_change_nothing(name, monkeypatch):
    grid, mask = GRIDS[name], _blobs(5)
    whole = [applied(tool, state_of(mask, grid)) for tool in (Grow(3.0), Shrink(1.0))]
    monkeypatch.setattr(tools_distance, "_SLAB_VOXELS", 1)
    for tool, expected in zip((Grow(3.0), Shrink(1.0)), whole, strict=True):
        np.testing.assert_array_equal(applied(tool, state_of(mask, grid)), expected)


masks = st.integers(0, 10_000).map(_blobs)
distances = st.sampled_from([0.75, 1.3, 2.5, 4.0])
some_grids = st.sampled_from(["axial", "oblique", "sheared"])


@settings(max_examples=15, deadline=None)
@given(masks, masks, distances, some_grids)
def test_laws_of_growing_and_shrinking(first, second, distance, name):
    grid = GRIDS[name]

    def grown(mask):
        return applied(Grow(distance), state_of(mask, grid))

    def shrunk(mask):
        return applied(Shrink(distance), state_of(mask, grid))

    both = first & second
    assert (first <= grown(first)).all()  # extensive
    assert (shrunk(first) <= first).all()  # anti-extensive
    assert (grown(both) <= grown(first)).all()  # monotone
    assert (shrunk(both) <= shrunk(first)).all()
    np.testing.assert_array_equal(grown(first | second), grown(first) | grown(second))
    np.testing.assert_array_equal(shrunk(both), shrunk(first) & shrunk(second))
    closed, opened = shrunk(grown(first)), grown(shrunk(first))
    assert (first <= closed).all()  # also at the border of the scan
    assert (opened <= first).all()
    np.testing.assert_array_equal(shrunk(grown(closed)), closed)


def test_the_border_of_the_scan_is_no_border_of_the_object():
    labels = np.zeros(SHAPE, np.uint16)
    labels[:, :, 5:] = 1  # cut off by the scan everywhere but at one side
    shrunk = applied(Shrink(1.5), state_of(labels, GRIDS["axial"]))
    np.testing.assert_array_equal(shrunk, np.broadcast_to(np.arange(SHAPE[2]) >= 7, SHAPE))
    assert applied(Shrink(1.5), state_of(np.ones(SHAPE), GRIDS["axial"])).all()


def test_other_objects_are_background():
    labels = one_voxel()
    labels[4, 11, 13:] = 2
    grown = applied(Grow(0.7), state_of(labels, GRIDS["axial"]))
    assert np.argwhere(grown).tolist() == [[4, 11, 11], [4, 11, 12], [4, 11, 13]]
    labels[labels == 0] = 2
    assert not applied(Shrink(0.7), state_of(labels, GRIDS["axial"])).any()


@pytest.mark.parametrize("tool", [Grow(2.0), Shrink(0.5), Clear()])
def test_the_known_box_may_be_larger_and_changes_nothing(tool):
    labels, grid = one_voxel(), GRIDS["oblique"]
    labels[3:6, 9:14, 11:14] = 1
    expected = applied(tool, state_of(labels, grid))
    box = (slice(1, 7), slice(9, 20), slice(0, 26))
    np.testing.assert_array_equal(applied(tool, state_of(labels, grid, object_box=box)), expected)


def test_only_the_known_box_is_looked_at():
    """What lies outside it is not found: no pass over the whole scan."""
    labels = one_voxel()
    labels[0, 0, 0] = 1
    box = (slice(3, 6), slice(10, 13), slice(11, 14))
    update = Clear().apply(state_of(labels, GRIDS["axial"], object_box=box), Monitor(1))
    assert update.box == (slice(4, 5), slice(11, 12), slice(12, 13))


@pytest.mark.parametrize("tool", [Grow(2.0), Shrink(2.0), Clear()])
def test_an_empty_object_stays_empty(tool):
    assert tool.apply(state_of(np.zeros(SHAPE), GRIDS["axial"]), Monitor(1)) is None


def test_clear_removes_this_object_only():
    labels = one_voxel()
    labels[0, 0, 0] = 2
    assert not applied(Clear(), state_of(labels, GRIDS["axial"])).any()
    assert np.count_nonzero(applied(Clear(), state_of(labels, GRIDS["axial"], value=2))) == 0


@pytest.mark.parametrize("kind", [Grow, Shrink])
@pytest.mark.parametrize("distance", [0, -1.0, float("nan"), float("inf"), "2", None, True, 1e6])
def test_a_distance_that_makes_no_sense_is_refused(kind, distance):
    with pytest.raises(OptionError, match="distance"):
        kind(distance)


def test_a_tool_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Grow(2.0).distance = 3.0


def test_an_object_that_is_not_there_is_refused():
    volume = Volume(np.zeros(SHAPE, np.int16), GRIDS["axial"])
    with pytest.raises(SessionError, match="no object 3; objects: 1, 2"):
        ToolState(volume, np.zeros(SHAPE, np.uint16), 3, (Numbered(1), Numbered(2)))
    with pytest.raises(SessionError, match="objects: none"):
        ToolState(volume, np.zeros(SHAPE, np.uint16), 1, ())


def test_labels_on_another_grid_are_refused():
    volume = Volume(np.zeros(SHAPE, np.int16), GRIDS["axial"])
    with pytest.raises(GeometryError, match="label map"):
        ToolState(volume, np.zeros(SHAPE[::-1], np.uint16), 1, (Numbered(1),))


def test_growing_tells_how_far_it_is_and_can_be_stopped(monkeypatch):
    monkeypatch.setattr(tools_distance, "_SLAB_VOXELS", 1)
    state, said, stop = state_of(one_voxel(), GRIDS["axial"]), [], Event()
    Grow(2.5).apply(state, Monitor(1, lambda done, total, text: said.append((done, total, text))))
    assert said == [(0, 3, "growing"), (1, 3, "growing"), (2, 3, "growing"), (3, 3, "growing")]

    def after_one(done, total, text):
        if done == 1:
            stop.set()

    with pytest.raises(CancelledError):
        Grow(2.5).apply(state, Monitor(1, after_one, stop))


def test_a_box_reaches_further_on_a_sheared_grid_than_the_spacing_says():
    """Gantry tilt: half the neighbors along the slanted axis are nearer than the spacing along the others says."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0.9], [1, 0, 0]], float)
    grid = Geometry((5, 9, 9), affine)
    labels = one_voxel(grid.shape, (2, 4, 4))
    far = np.linalg.norm(positions(grid) - grid.to_world((2, 4, 4)), axis=-1)
    np.testing.assert_array_equal(applied(Grow(1.9), state_of(labels, grid)), far <= 1.9)
