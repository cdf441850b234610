from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_radcnn.errors import CancelledError
from napari_radcnn.inference.patches.tiles import halo_boxes, map_blocks
from napari_radcnn.progress import Monitor

SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 11), st.integers(1, 9))


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


def test_cancel_takes_effect_within_one_block():
    cancel = threading.Event()
    calls = []

    def work(block):
        calls.append(block.shape)
        if len(calls) == 3:
            cancel.set()
        return block

    with pytest.raises(CancelledError, match="cancelled"):
        map_blocks(work, np.zeros((8, 8, 40)), core=(8, 8, 4), halo=(0, 0, 0), monitor=Monitor(10, cancel=cancel))
    assert len(calls) == 3


def test_progress_counts_every_block():
    told = []
    monitor = Monitor(10, lambda *step: told.append(step))
    map_blocks(lambda block: block, np.zeros((8, 8, 40)), core=(8, 8, 4), halo=(1, 1, 1), threads=2, monitor=monitor)
    assert [done for done, _, _ in told] == list(range(1, 11))


def test_an_error_in_a_block_reaches_the_caller():
    def fail(block):
        raise ZeroDivisionError("in a block")

    with pytest.raises(ZeroDivisionError, match="in a block"):
        map_blocks(fail, np.zeros((4, 4, 4)), core=(2, 2, 2), halo=(0, 0, 0), threads=2)
