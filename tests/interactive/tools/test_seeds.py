"""Grow from seeds on scans of a few flat regions, whose borders are where they are."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from scipy import ndimage

from napari_radcnn.errors import CancelledError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import GrowFromSeeds, Paint, flooding
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume
from tool_states import GRIDS, SHAPE, state_of

grid_names = pytest.mark.parametrize("name", GRIDS)


def _regions():
    """Two bricks that touch each other, in a darker surrounding: 1, 2, and 3 for what belongs to none."""
    truth = np.full(SHAPE, 3)
    truth[2:7, 5:18, 6:14] = 1
    truth[2:7, 5:18, 14:21] = 2
    return truth


def _scan(grid, noise=0.0, kind=np.float32):
    values = np.choose(_regions() - 1, (180.0, 120.0, 20.0))
    values = values + np.random.default_rng(1).normal(0, noise, SHAPE) if noise else values
    return Volume(values.astype(kind), grid)


def _seeds():
    seeds = np.zeros(SHAPE, np.uint16)
    seeds[4, 8:12, 9] = 1
    seeds[4, 8:12, 17] = 2
    seeds[4, 2, 4:20] = 3
    return seeds


def _differ_at_edges_only(labels, truth, most):
    """Where two regions meet at an edge or a corner the slope does not tell whose a voxel is; nowhere else."""
    wrong = labels != truth
    size = 3  # of the neighborhood that such a voxel shares with another region
    surface = ndimage.maximum_filter(truth, size) != ndimage.minimum_filter(truth, size)
    assert not (wrong & ~surface).any()
    assert np.count_nonzero(wrong) <= most * np.count_nonzero(surface)


def _grown(tool, scan, seeds, value=1, locked=()):
    state = state_of(seeds, scan.geometry, value, array=scan.array)
    state = type(state)(state.volume, state.labels, value, state.objects, None, locked)
    update = tool.apply(state, Monitor(1))
    labels = seeds.copy()
    if update is not None:
        labels[update.box] = update.labels
    return labels


@grid_names
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_seeds_grow_to_the_borders_of_their_regions(name, kind):
    labels = _grown(GrowFromSeeds(3), _scan(GRIDS[name], kind=kind), _seeds())
    truth = _regions()
    _differ_at_edges_only(labels, np.where(truth == 3, 0, truth), 0.15)


def test_noise_moves_few_voxels():
    labels = _grown(GrowFromSeeds(3), _scan(GRIDS["oblique"], noise=8), _seeds())
    truth = np.where(_regions() == 3, 0, _regions())
    for value in (1, 2):
        shared = np.count_nonzero((labels == value) & (truth == value))
        assert 2 * shared / (np.count_nonzero(labels == value) + np.count_nonzero(truth == value)) > 0.8
        assert not ((labels == value) & (truth != value)).any()


@pytest.mark.parametrize("is_coarse", [False, True])
def test_a_large_crop_is_flooded_coarsely_and_then_at_its_surfaces(monkeypatch, is_coarse):
    monkeypatch.setattr(flooding, "_COARSE_VOXELS", np.prod(SHAPE) // 3)
    monkeypatch.setattr(flooding, "_SLAB_VOXELS", 5 * SHAPE[1] * SHAPE[2])
    said = []
    grid = GRIDS["oblique"]
    state = state_of(_seeds(), grid, array=_scan(grid).array)
    update = GrowFromSeeds(3, is_coarse=is_coarse).apply(state, Monitor(1, lambda *told: said.append(told)))
    labels = _seeds()
    labels[update.box] = update.labels
    truth = np.where(_regions() == 3, 0, _regions())
    if is_coarse:
        assert np.count_nonzero(labels != truth) < 0.3 * np.count_nonzero(truth)
    else:
        _differ_at_edges_only(labels, truth, 0.15)
    assert is_coarse or len({done for done, _, _ in said}) > 3
    assert all(done <= total for done, total, _ in said)


def test_surfaces_that_lie_apart_are_found_by_themselves_as_they_are_together(monkeypatch):
    grid = Geometry.from_parts((11, 60, 70), (2.5, 0.8, 0.7), (-3.0, 40.5, 7.0))
    values = np.random.default_rng(2).normal(20, 6, grid.shape)
    values[2:7, 5:18, 6:20] += 150
    values[3:9, 37:52, 43:64] += 90
    seeds = np.zeros(grid.shape, np.uint16)
    seeds[4, 8:12, 9], seeds[5, 40:48, 50], seeds[5, 26:30, 10:60] = 1, 2, 3
    monkeypatch.setattr(flooding, "_COARSE_VOXELS", np.prod(grid.shape) // 8)
    scan, found = Volume(values, grid), []
    for most in (40, 0):
        monkeypatch.setattr(flooding, "_MOST_PARTS", most)
        found.append(_grown(GrowFromSeeds(3, 30.0), scan, seeds))
    np.testing.assert_array_equal(found[0], found[1])
    assert [np.count_nonzero(found[0] == value) for value in (1, 2)] == pytest.approx([910, 1890], rel=0.15)


def test_without_a_background_the_faces_of_the_crop_belong_to_none():
    seeds = _seeds()
    seeds[seeds == 3] = 0
    labels = _grown(GrowFromSeeds(), _scan(GRIDS["axial"]), seeds)
    _differ_at_edges_only(labels, np.where(_regions() == 3, 0, _regions()), 0.15)


def test_an_object_that_the_scan_cuts_off_reaches_its_end():
    truth = np.full(SHAPE, 3)
    truth[:5, 6:16, 6:12], truth[:5, 6:16, 12:20] = 1, 2
    values = np.choose(truth - 1, (180.0, 120.0, 20.0))
    seeds = np.zeros(SHAPE, np.uint16)
    seeds[2, 8:12, 8], seeds[2, 8:12, 16] = 1, 2
    labels = _grown(GrowFromSeeds(), Volume(values, GRIDS["sheared"]), seeds)
    _differ_at_edges_only(labels, np.where(truth == 3, 0, truth), 0.15)
    assert (labels[0, 8:14, 8:10] == 1).all()


def test_locked_objects_are_walls():
    seeds = _seeds()
    seeds[2:7, 5:18, 12] = 4  # through the first brick
    scan = _scan(GRIDS["axial"])
    labels = _grown(GrowFromSeeds(3), scan, seeds, locked=(4,))
    np.testing.assert_array_equal(labels == 4, seeds == 4)
    truth = np.where(_regions() == 3, 0, _regions())
    _differ_at_edges_only(labels[..., :12], truth[..., :12], 0.15)
    assert not (labels[..., 13:] == 1).any()


@pytest.mark.parametrize(
    "array",
    [np.zeros(SHAPE, np.int16), np.full(SHAPE, np.nan, np.float32), np.linspace(0, 1, np.prod(SHAPE)).reshape(SHAPE)],
    ids=["constant", "nan", "ramp"],
)
def test_a_scan_without_edges_still_gets_an_answer(array):
    labels = _grown(GrowFromSeeds(3), Volume(array, GRIDS["axial"]), _seeds())
    assert set(np.unique(labels)) <= {0, 1, 2}
    assert (labels[_seeds() == 1] == 1).all()
    assert (labels[_seeds() == 2] == 2).all()


def test_two_slices_and_values_that_are_not_finite():
    grid = GRIDS["axial"].cropped((slice(4, 6), slice(0, 23), slice(0, 26)))
    values = _scan(GRIDS["axial"]).array[4:6].copy()
    values[0, 10, 10], values[1, 20, 20] = np.nan, np.inf
    labels = _grown(GrowFromSeeds(), Volume(values, grid), np.where(_seeds() == 3, 0, _seeds())[4:6])
    truth = np.where(_regions() == 3, 0, _regions())[4:6]
    assert np.count_nonzero(labels != truth) < 0.05 * np.count_nonzero(truth)


def _session(scan):
    session = PromptSession(scan, autosave=False)
    for name, index, erase in (
        ("left", (4, 10, 9), False),
        ("right", (4, 10, 17), False),
        ("other", (4, 2, 10), False),
    ):
        session.add_object(name)
        session.apply(Paint([tuple(scan.geometry.to_world(index))], 0.9, erase=erase))
    return session


def test_it_is_one_step_for_all_objects_and_undo_gives_the_seeds_back():
    with _session(_scan(GRIDS["oblique"])) as session:
        seeds, steps = session.labels.copy(), len(session.history)
        change = session.apply(GrowFromSeeds(3), 1)
        truth = np.where(_regions() == 3, 0, _regions())
        grown = session.labels.copy()
        _differ_at_edges_only(grown, truth, 0.15)
        assert session.history[-1] == change.title == "Grow from seeds"
        assert len(session.history) == steps + 1
        for item in session.objects:  # volumes are kept, not counted
            counted = np.count_nonzero(session.labels == item.value) * session.geometry.voxel_volume / 1000
            assert session.volume_ml(item.value) == pytest.approx(counted)
        assert session.volume_ml(3) == 0
        session.undo()
        np.testing.assert_array_equal(session.labels, seeds)
        session.redo()
        np.testing.assert_array_equal(session.labels, grown)


def test_a_locked_object_of_a_session_stays_to_the_voxel():
    with _session(_scan(GRIDS["oblique"])) as session:
        seeds = session.labels.copy()
        session.lock(2)
        session.apply(GrowFromSeeds(3), 1)
        np.testing.assert_array_equal(session.labels == 2, seeds == 2)
        assert (session.labels == 1).sum() > (seeds == 1).sum()


def test_where_seeds_are_missing_it_says_which():
    scan = _scan(GRIDS["axial"])
    seeds = _seeds()
    for keep, background, words in (
        ((), 0, "No object has a seed"),
        ((3,), 3, "No object has a seed"),
        ((1,), 0, "Only one object has seeds"),
        ((1, 2), 3, "The background has no seed"),
    ):
        with pytest.raises(OptionError, match=words):
            _grown(GrowFromSeeds(background), scan, np.where(np.isin(seeds, keep), seeds, 0).astype(np.uint16), 3)
    with pytest.raises(OptionError, match="background is a locked object"):
        _grown(GrowFromSeeds(3), scan, seeds, locked=(3,))


def test_it_can_be_stopped():
    cancel = Event()
    cancel.set()
    with pytest.raises(CancelledError):
        GrowFromSeeds(3).apply(state_of(_seeds(), GRIDS["axial"]), Monitor(1, None, cancel))
