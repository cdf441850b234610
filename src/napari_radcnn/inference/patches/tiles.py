"""Blocks with a halo, for operations that look no further than that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Shape
from napari_radcnn.progress import Monitor


def halo_boxes(shape: Shape, core: Shape, halo: Shape) -> Iterator[tuple[Box, Box, Box]]:
    """Yield for every block what to read, what of it to keep, and where that belongs.

    Parameters
    ----------
    shape : tuple of int
        Of the volume.
    core : tuple of int
        Largest block that is kept.
    halo : tuple of int
        How far around a block the operation looks; cut at the border of the volume.
    """
    edges: list[list[tuple[int, int]]] = []
    for size, block in zip(shape, core, strict=True):
        count = -(-size // block)
        ends = np.linspace(0, size, count + 1).round().astype(int).tolist()
        edges.append(list(pairwise(ends)))
    for ends_of_block in product(*edges):
        read, keep, place = [], [], []
        for n, (first, last) in enumerate(ends_of_block):
            size, margin = shape[n], halo[n]
            low, high = max(0, first - margin), min(size, last + margin)
            read.append(slice(low, high))
            keep.append(slice(first - low, last - low))
            place.append(slice(first, last))
        yield (read[0], read[1], read[2]), (keep[0], keep[1], keep[2]), (place[0], place[1], place[2])


def map_blocks(
    function: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    array: npt.NDArray[Any],
    *,
    core: Shape,
    halo: Shape,
    threads: int = 1,
    monitor: Monitor | None = None,
) -> npt.NDArray[np.float32]:
    """Run a local operation block by block; the result is that of the whole where it looks no further than `halo`.

    Parameters
    ----------
    function : callable
        Takes and returns a float32 block of the same shape.
    array : (k, j, i) array
        The volume.
    core, halo : tuple of int
        See `halo_boxes`.
    threads : int
        How many blocks are worked on at once; pays where `function` releases the interpreter lock.
    monitor : Monitor, optional
        Gets one step a block; after a cancel no new block is begun.
    """
    result = np.empty(array.shape, np.float32)
    boxes = halo_boxes((array.shape[0], array.shape[1], array.shape[2]), core, halo)
    count = int(np.prod([-(-size // block) for size, block in zip(array.shape, core, strict=True)]))

    def work(read: Box, keep: Box, place: Box) -> None:
        result[place] = function(np.ascontiguousarray(array[read], np.float32))[keep]

    with ThreadPoolExecutor(threads, thread_name_prefix="radcnn-block") as pool:
        # At most one block a thread is under way, so that a cancel need not wait for a queue.
        running: list[Future[None]] = [pool.submit(work, *box) for box in islice(boxes, threads)]
        done = 0
        while running:
            if monitor is not None:
                monitor.check()
            running.pop(0).result()
            done += 1
            if monitor is not None:
                monitor.step(f"block {done} of {count}")
            running += [pool.submit(work, *box) for box in islice(boxes, 1)]
    return result
