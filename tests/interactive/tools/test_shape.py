from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from napari_radcnn.errors import CancelledError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import FillHoles, Smooth, distance as tools_distance
from napari_radcnn.progress import Monitor
from tool_states import GRIDS, SHAPE, applied, ball_labels, one_voxel, positions, state_of

GRID = GRIDS["axial"]
AXES = ("k", "j", "i")


def _fine(name):
    """The grid of that name with smaller voxels, so that a ball of some mm is well sampled."""
    affine = GRIDS[name].affine.copy()
    affine[:3, :3] *= (0.4, 1.0, 1.1)
    return Geometry((34, 42, 44), affine)


# -- holes ----------------------------------------------------------------------------------------------------------


def _shell():
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:7, 5:15, 6:18] = 1
    labels[3:6, 7:12, 8:15] = 0
    return labels


def test_a_closed_shell_is_filled_and_an_open_one_is_not():
    filled = np.zeros(SHAPE, bool)
    filled[2:7, 5:15, 6:18] = True
    np.testing.assert_array_equal(applied(FillHoles(), state_of(_shell(), GRID)), filled)
    opened = _shell()
    opened[4, 9, 15:18] = 0  # a tunnel of one voxel
    assert FillHoles().apply(state_of(opened, GRID), Monitor(1)) is None


def test_a_tunnel_over_an_edge_of_voxels_is_closed():
    """The background is connected over faces, as the object is over corners."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:6, 4:7, 4:7] = 1
    labels[4, 5, 5] = 0
    labels[3, 4, 5] = 0  # touches the hole along an edge only
    assert applied(FillHoles(), state_of(labels, GRID))[4, 5, 5]
    assert not applied(FillHoles(), state_of(labels, GRID))[3, 4, 5]


@pytest.mark.parametrize("axis", AXES)
def test_slice_by_slice_a_tube_is_filled_across_its_axis_only(axis):
    tube = np.zeros((3, 3, 3), bool)
    tube[:, 1, 1] = True
    number = AXES.index(axis)
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:6, 7:10, 9:12] = ~np.moveaxis(tube, 0, number)
    full = np.zeros(SHAPE, bool)
    full[3:6, 7:10, 9:12] = True
    np.testing.assert_array_equal(applied(FillHoles(axis), state_of(labels, GRID)), full)
    for other in {"none", *AXES} - {axis}:
        assert FillHoles(other).apply(state_of(labels, GRID), Monitor(1)) is None


def test_a_bay_at_the_border_of_the_scan_is_no_hole():
    labels = np.zeros(SHAPE, np.uint16)
    labels[:3, 4:9, 4:9] = 1
    labels[:2, 5:8, 5:8] = 0
    assert FillHoles().apply(state_of(labels, GRID), Monitor(1)) is None
    assert np.count_nonzero(applied(FillHoles("k"), state_of(labels, GRID))) == 3 * 25


def test_the_update_holds_the_holes_only():
    update = FillHoles().apply(state_of(_shell(), GRID), Monitor(1))
    assert update.box == (slice(3, 6), slice(7, 12), slice(8, 15))


def _noise(seed):
    return ndimage.binary_dilation(np.random.default_rng(seed).random(SHAPE) < 0.16)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["none", *AXES]))
def test_filled_is_filled_and_nothing_else_is_added(seed, axis):
    mask = _noise(seed)
    filled = applied(FillHoles(axis), state_of(mask, GRID))
    if axis == "none":
        expected = ndimage.binary_fill_holes(mask)
    else:
        number = AXES.index(axis)
        slices = [ndimage.binary_fill_holes(flat) for flat in np.moveaxis(mask, number, 0)]
        expected = np.moveaxis(np.array(slices), 0, number)
    np.testing.assert_array_equal(filled, expected)
    assert FillHoles(axis).apply(state_of(filled, GRID), Monitor(1)) is None  # idempotent


# -- smooth ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("distance", [0.7, 2.0])
def test_a_smoothed_ball_keeps_its_volume_and_its_place(name, distance):
    grid = _fine(name)
    ball = ball_labels(grid, (16.3, 20.6, 21.8), 9.0)
    smooth = applied(Smooth(distance), state_of(ball, grid))
    assert np.count_nonzero(smooth) == pytest.approx(np.count_nonzero(ball), rel=0.02)
    center = positions(grid)[smooth].mean(axis=0)
    assert np.linalg.norm(center - positions(grid)[ball == 1].mean(axis=0)) < 0.1
    assert np.count_nonzero(smooth != (ball == 1)) < 0.1 * np.count_nonzero(ball)


@pytest.mark.parametrize("name", GRIDS)
def test_a_rough_ball_becomes_round_in_the_patient(name):
    """What is nearer to the ball after smoothing has been smoothed alike in every direction, sheared or not."""
    grid = _fine(name)
    true = ball_labels(grid, (16.3, 20.6, 21.8), 10.0) == 1
    rough = true ^ (np.random.default_rng(4).random(grid.shape) < 0.15) & (
        ball_labels(grid, (16.3, 20.6, 21.8), 12.0) == 1
    )
    smooth = applied(Smooth(1.5), state_of(rough, grid))
    far = np.linalg.norm(positions(grid) - grid.to_world((16.3, 20.6, 21.8)), axis=-1)
    volume = np.count_nonzero(smooth) * grid.voxel_volume
    assert np.count_nonzero(smooth) == pytest.approx(np.count_nonzero(rough), rel=0.02)
    radius = (volume * 3 / (4 * np.pi)) ** (1 / 3)
    assert far[smooth].max() < radius + 1.0
    assert far[~smooth].min() > radius - 1.0


def _by_hand(mask, grid, sigma):
    """A Gaussian that is round in the patient, every pair of voxels weighed; the border is repeated outwards."""
    wide = [14] * 3
    values = np.pad(mask.astype(float), [(n, n) for n in wide], mode="edge")
    index = np.indices([2 * n + 1 for n in wide]).reshape(3, -1) - np.reshape(wide, (3, 1))
    lengths = np.linalg.norm(grid.affine[:3, :3] @ index, axis=0)
    weights = np.exp(-(lengths**2) / (2 * sigma**2))
    weights /= weights.sum()
    result = np.zeros(mask.shape)
    for offset, weight in zip((index.T + wide).tolist(), weights, strict=True):
        if weight > 1e-7:
            result += weight * values[tuple(slice(o, o + n) for o, n in zip(offset, mask.shape, strict=True))]
    return result


@pytest.mark.parametrize("name", ["axial", "oblique", "sheared"])
def test_the_highest_voxels_of_the_gaussian_are_taken(name):
    grid = GRIDS[name]
    mask = np.zeros(SHAPE, bool)
    mask[2:7, 3:14, 6:15] = True
    mask[4, 14:18, 8:11] = True
    smooth = applied(Smooth(1.1), state_of(mask, grid))
    weights = _by_hand(mask, grid, 1.1)
    assert np.count_nonzero(smooth) == pytest.approx(np.count_nonzero(mask), rel=0.02)
    assert weights[smooth].min() > weights[~smooth].max() - 2e-3  # the Gaussian is cut off at four deviations


@pytest.mark.parametrize("name", ["axial", "sheared"])
def test_slabs_change_nothing(name, monkeypatch):
    grid = _fine(name)
    labels = ball_labels(grid, (16.3, 20.6, 21.8), 6.0) | (np.random.default_rng(4).random(grid.shape) < 0.02)
    whole = applied(Smooth(0.8), state_of(labels, grid))
    monkeypatch.setattr(tools_distance, "_SLAB_VOXELS", 1)
    assert np.count_nonzero(applied(Smooth(0.8), state_of(labels, grid)) != whole) <= 2  # rounding of Fourier sums


def test_what_is_symmetric_stays_symmetric():
    mask = np.zeros((11, 21, 21), bool)
    mask[3:8, 6:15, 6:15] = True
    mask[5, 10, 4:17] = mask[5, 4:17, 10] = True
    grid = Geometry(mask.shape, GRID.affine)
    smooth = applied(Smooth(1.0), state_of(mask, grid))
    for axis in range(3):
        np.testing.assert_array_equal(smooth, np.flip(smooth, axis))


def test_the_cut_face_at_the_border_of_the_scan_stays():
    labels = np.zeros(SHAPE, np.uint16)
    labels[:, :, 9:] = 1
    np.testing.assert_array_equal(applied(Smooth(2.0), state_of(labels, GRID)), labels == 1)
    assert applied(Smooth(2.0), state_of(np.ones(SHAPE), GRID)).all()


def test_a_single_voxel_survives_a_small_and_a_large_distance():
    for distance in (0.05, 3.0):
        np.testing.assert_array_equal(applied(Smooth(distance), state_of(one_voxel(), GRID)), one_voxel() == 1)


@pytest.mark.parametrize("distance", [0, -1.0, float("nan"), float("inf"), "1", None, True])
def test_a_distance_that_makes_no_sense_is_refused(distance):
    with pytest.raises(OptionError, match="distance"):
        Smooth(distance)


@pytest.mark.parametrize("axis", ["x", "", 0, None])
def test_an_unknown_axis_is_refused(axis):
    with pytest.raises(OptionError, match="axis"):
        FillHoles(axis)


@pytest.mark.parametrize("tool", [Smooth(1.0), FillHoles(), FillHoles("j")])
def test_an_empty_object_stays_empty_and_a_set_event_stops(tool):
    assert tool.apply(state_of(np.zeros(SHAPE), GRID), Monitor(1)) is None
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        tool.apply(state_of(one_voxel(), GRID), Monitor(1, None, stop))
