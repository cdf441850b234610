"""Patches: where they lie, how what comes out of them is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise, product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.inference.monitor import Monitor

Shape = tuple[int, int, int]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Tiling:
    """Overlapping patches of one size that cover a volume.

    Attributes
    ----------
    shape : tuple of int
        Of the volume.
    patch : tuple of int
        Of every patch; may be larger than the volume, which is then padded.
    overlap : float
        Fraction of a patch that neighbors share, 0 <= overlap < 1.
    """

    shape: Shape
    patch: Shape
    overlap: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.overlap < 1.0:
            raise ValueError(f"overlap must lie in 0..1 (1 excluded), got {self.overlap}")
        if min(self.patch) < 1:
            raise ValueError(f"a patch needs at least one voxel along each axis, got {self.patch}")

    @property
    def padded_shape(self) -> Shape:
        """Shape that holds at least one patch."""
        k, j, i = (max(n, p) for n, p in zip(self.shape, self.patch, strict=True))
        return k, j, i

    def starts(self) -> list[Shape]:
        """Return the first index of every patch in the padded volume; evenly spread, first and last flush."""
        axes = []
        for size, patch in zip(self.padded_shape, self.patch, strict=True):
            step = max(1, int(patch * (1 - self.overlap)))
            count = -(-(size - patch) // step) + 1
            axes.append(np.linspace(0, size - patch, count).round().astype(int).tolist())
        return [(k, j, i) for k, j, i in product(*axes)]

    def __len__(self) -> int:
        return len(self.starts())


def blending_weights(patch: Shape, kind: Literal["constant", "gaussian"]) -> npt.NDArray[np.float32]:
    """Return how much each voxel of a patch counts where patches overlap; positive everywhere.

    ``"gaussian"`` has a standard deviation of an eighth of the patch (Isensee et al. 2021, nnU-Net), and is kept
    above a millionth of its peak so that voxels which only a patch's corner covers stay well defined.
    """
    if kind == "constant":
        return np.ones(patch, np.float32)
    axes = []
    for size in patch:
        distance = (np.arange(size) - (size - 1) / 2) / max(size / 8, 1e-6)
        axes.append(np.exp(-0.5 * distance**2))
    weights = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    return np.maximum(weights / weights.max(), 1e-6).astype(np.float32)


def sliding_window(
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    array: npt.NDArray[Any],
    tiling: Tiling,
    *,
    blending: Literal["constant", "gaussian"] = "gaussian",
    monitor: Monitor | None = None,
) -> npt.NDArray[np.float32]:
    """Run a predictor over overlapping patches and blend what it returns.

    Parameters
    ----------
    predict : callable
        Takes a float32 ``(k, j, i)`` patch and returns ``(channels, k, j, i)`` of the same extent.
    array : (k, j, i) array
        Padded by repeating its border where it is smaller than a patch.
    tiling : Tiling
        Where the patches lie.
    blending : str
        See `blending_weights`.
    monitor : Monitor, optional
        Gets one step a patch, and may cancel between two.

    Returns
    -------
    (channels, k, j, i) array of float32
        The weighted mean of all patches that cover a voxel.
    """
    missing = [(0, padded - size) for padded, size in zip(tiling.padded_shape, array.shape, strict=True)]
    source = np.pad(array, missing, mode="edge") if any(after for _, after in missing) else array
    weights = blending_weights(tiling.patch, blending)
    starts = tiling.starts()
    total: npt.NDArray[np.float32] | None = None
    weight_sum = np.zeros(tiling.padded_shape, np.float32)
    for number, start in enumerate(starts, 1):
        if monitor is not None:
            monitor.check()
        box = tuple(slice(first, first + size) for first, size in zip(start, tiling.patch, strict=True))
        predicted = predict(np.ascontiguousarray(source[box], np.float32))
        if total is None:
            total = np.zeros((predicted.shape[0], *tiling.padded_shape), np.float32)
        total[(slice(None), *box)] += predicted * weights
        weight_sum[box] += weights
        if monitor is not None:
            monitor.step(f"patch {number} of {len(starts)}")
    if total is None:
        raise ValueError("a tiling has at least one patch")
    total /= weight_sum
    return total[(slice(None), *(slice(0, size) for size in array.shape))]


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
