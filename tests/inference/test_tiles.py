from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_radcnn.errors import CancelledError
from napari_radcnn.inference.monitor import Monitor
from napari_radcnn.inference.tiles import Tiling, blending_weights, halo_boxes, map_blocks, sliding_window

SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 11), st.integers(1, 9))


def _affine_predictor(patch):
    """A closed form: channels 2x + 1 and x, which blending must return to the last digit it can."""
    return np.stack([2 * patch + 1, patch])


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, patch=SHAPES, overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
@pytest.mark.parametrize("blending", ["constant", "gaussian"])
def test_a_pointwise_predictor_is_reproduced(blending, shape, patch, overlap):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = sliding_window(_affine_predictor, array, Tiling(shape, patch, overlap), blending=blending)
    assert found.shape == (2, *shape)
    assert found[0] == pytest.approx(2 * array + 1, abs=1e-4)
    assert found[1] == pytest.approx(array, abs=1e-4)


@given(shape=SHAPES, patch=SHAPES, overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
def test_patches_cover_every_voxel_and_stay_inside(shape, patch, overlap):
    tiling = Tiling(shape, patch, overlap)
    covered = np.zeros(tiling.padded_shape, int)
    for start in tiling.starts():
        assert all(s >= 0 and s + p <= n for s, p, n in zip(start, patch, tiling.padded_shape, strict=True))
        covered[tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True))] += 1
    assert covered.min() >= 1
    assert len(set(tiling.starts())) == len(tiling)


def test_neighbors_share_at_least_the_overlap():
    starts = sorted({start[2] for start in Tiling((4, 4, 100), (4, 4, 32), 0.5).starts()})
    assert starts[0] == 0
    assert starts[-1] == 68
    assert max(np.diff(starts)) <= 16


def test_the_middle_of_a_patch_counts_more_than_its_border():
    # A predictor that is wrong at the border of its patch does less harm with Gaussian weights.
    def wrong_at_border(patch):
        wrong = np.zeros_like(patch)
        wrong[:, :, [0, -1]] = 1
        return wrong[None]

    array = np.zeros((4, 4, 40), np.float32)
    tiling = Tiling(array.shape, (4, 4, 16), 0.5)
    errors = {
        kind: np.abs(sliding_window(wrong_at_border, array, tiling, blending=kind)[0, :, :, 8:-8]).max()
        for kind in ("constant", "gaussian")
    }
    assert errors["gaussian"] < 0.1 < errors["constant"]


def test_gaussian_weights_are_positive_and_peak_in_the_middle():
    weights = blending_weights((5, 9, 33), "gaussian")
    assert weights.min() >= 0.99e-6
    assert np.unravel_index(weights.argmax(), weights.shape) == (2, 4, 16)
    assert weights.max() == 1


@pytest.mark.parametrize(("patch", "overlap"), [((0, 4, 4), 0.5), ((4, 4, 4), 1.0), ((4, 4, 4), -0.1)])
def test_no_tiling(patch, overlap):
    with pytest.raises(ValueError, match=r"patch|overlap"):
        Tiling((8, 8, 8), patch, overlap)


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, core=SHAPES, halo=st.tuples(*[st.integers(0, 3)] * 3))
def test_blocks_are_read_with_their_halo_and_kept_without(shape, core, halo):
    array = np.arange(np.prod(shape)).reshape(shape)
    rebuilt = np.full(shape, -1)
    for read, keep, place in halo_boxes(shape, core, halo):
        assert (rebuilt[place] == -1).all()
        rebuilt[place] = array[read][keep]
        for axis in range(3):
            assert read[axis].start == max(0, place[axis].start - halo[axis])
            assert read[axis].stop == min(shape[axis], place[axis].stop + halo[axis])
    assert np.array_equal(rebuilt, array)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_local_operation_by_blocks_is_that_of_the_whole(threads):
    from scipy import ndimage

    array = np.random.default_rng(1).normal(size=(17, 23, 19)).astype(np.float32)
    whole = ndimage.uniform_filter(array, (3, 5, 3), mode="nearest")

    def blur(block):
        return ndimage.uniform_filter(block, (3, 5, 3), mode="nearest")

    found = map_blocks(blur, array, core=(6, 7, 8), halo=(1, 2, 1), threads=threads)
    assert found == pytest.approx(whole, abs=1e-5)
    too_small = map_blocks(blur, array, core=(6, 7, 8), halo=(0, 0, 0), threads=threads)
    assert np.abs(too_small - whole).max() > 1e-2


@pytest.mark.parametrize("runner", ["sliding_window", "map_blocks"])
def test_cancel_takes_effect_within_one_patch(runner):
    cancel = threading.Event()
    calls = []

    def predict(patch):
        calls.append(patch.shape)
        if len(calls) == 3:
            cancel.set()
        return patch[None] if runner == "sliding_window" else patch

    array = np.zeros((8, 8, 40), np.float32)
    monitor = Monitor(10, cancel=cancel)

    def run():
        if runner == "sliding_window":
            sliding_window(predict, array, Tiling(array.shape, (8, 8, 8), 0.5), monitor=monitor)
        else:
            map_blocks(predict, array, core=(8, 8, 4), halo=(0, 0, 0), monitor=monitor)

    with pytest.raises(CancelledError, match="cancelled"):
        run()
    assert len(calls) == 3


@pytest.mark.parametrize("runner", ["sliding_window", "map_blocks"])
def test_progress_counts_every_patch(runner):
    told = []
    array = np.zeros((8, 8, 40), np.float32)
    if runner == "sliding_window":
        tiling = Tiling(array.shape, (8, 8, 8), 0.5)
        monitor = Monitor(len(tiling), lambda *step: told.append(step))
        sliding_window(lambda patch: patch[None], array, tiling, monitor=monitor)
    else:
        monitor = Monitor(10, lambda *step: told.append(step))
        map_blocks(lambda patch: patch, array, core=(8, 8, 4), halo=(1, 1, 1), threads=2, monitor=monitor)
    assert [done for done, _, _ in told] == list(range(1, monitor.total + 1))


def test_an_error_in_a_block_reaches_the_caller():
    def fail(block):
        raise ZeroDivisionError("in a block")

    with pytest.raises(ZeroDivisionError, match="in a block"):
        map_blocks(fail, np.zeros((4, 4, 4)), core=(2, 2, 2), halo=(0, 0, 0), threads=2)
