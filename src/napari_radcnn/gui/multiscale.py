"""What napari slices where the voxels stay in their store: array-likes for every resolution, and a cache of blocks.

napari takes a list of array-likes, finest first, and knows nothing of where each lies: it stretches every one over the
extent of the first, voxel edge to voxel edge, by the ratio of their shapes. Resolutions of real stores are rarely that
exact (257 voxels halve to 129), so each is given the length that comes nearest to its true spacing, and for every
voxel that napari draws the one is taken whose true place is nearest: at most half a voxel of that resolution away.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import product
from threading import Event, RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ResourceError
from napari_radcnn.geometry import AxisMap, Geometry
from napari_radcnn.io import Progress
from napari_radcnn.volume import Volume
from napari_radcnn.voxels import Box, Level, TurnedSource, VoxelSource, box_ends

#: The part of the computer's memory that the blocks of one layer may take.
_CACHED_PART = 1 / 16
#: The part of the free memory that one picture may take: a 3-D view of a store without coarse resolutions.
_SHOWN_PART = 0.5
#: How far from its place napari may draw a voxel, in voxels of its resolution; a border voxel may stand in for one
#: beyond it.
_MOST_SHIFT = 1.5
Index = npt.NDArray[np.intp]


def shown_levels(source: VoxelSource, geometry: Geometry, axis_map: AxisMap) -> list[ShownArray]:
    """Return what napari is given for an aligned volume: its full resolution and those coarser ones that it can place.

    Parameters
    ----------
    source : VoxelSource
        In the scan's own order.
    geometry : Geometry
        The scan's own grid.
    axis_map : AxisMap
        From the scan's order to the layer's, (S, P, L).
    """
    import psutil

    cache = BlockCache(int(psutil.virtual_memory().total * _CACHED_PART))
    upright = geometry.reoriented(axis_map)
    shown = [ShownArray(TurnedSource(CachedSource(source, cache), axis_map))]
    for level in source.levels:
        found = level_index(upright, level.geometry.reoriented(axis_map))
        if found is None or tuple(len(index) for index in found) == shown[-1].shape[:3]:
            continue
        shown.append(ShownArray(TurnedSource(CachedSource(level.source, cache), axis_map), found))
    return shown


def level_index(full: Geometry, level: Geometry) -> tuple[Index, Index, Index] | None:
    """Return along every axis which voxel of a coarser resolution is drawn; None where napari cannot place it.

    Parameters
    ----------
    full, level : Geometry
        The two grids, in the same orientation.
    """
    to_full = np.linalg.solve(full.affine, level.affine)
    steps, offset = np.diag(to_full)[:3], to_full[:3, 3]
    turned = np.abs(to_full[:3, :3] - np.diag(steps)) @ np.array(level.shape)
    if steps.min() <= 0 or turned.max() > 0.5:
        return None
    found = []
    for n_full, n, step, start in zip(full.shape, level.shape, steps, offset, strict=True):
        n_drawn = max(1, round(n_full / step))
        ratio = n_full / n_drawn
        drawn = np.arange(n_drawn) * ratio + (ratio - 1) / 2
        index = np.clip(np.rint((drawn - start) / step), 0, n - 1).astype(np.intp)
        if np.abs(start + step * index - drawn).max() > _MOST_SHIFT * step:
            return None
        found.append(index)
    return found[0], found[1], found[2]


def finest_that_fits(volume: Volume, progress: Progress | None = None, cancel: Event | None = None) -> Volume:
    """Return the volume loaded, or where it is too large, its finest resolution that is not, and a warning with it.

    Raises
    ------
    ResourceError
        If none fits.
    ReadError
        If it is damaged.
    CancelledError
        If `cancel` was set.
    """
    if volume.source is None or volume.is_loaded:
        return volume
    found = volume
    for level in (None, *volume.source.levels):
        if level is not None:
            shape = " x ".join(str(n) for n in level.geometry.shape)
            told = f"It is too large for this computer's memory, and shown in a coarser resolution of {shape} voxels."
            warnings = (*volume.warnings, told)
            found = Volume.lazy(level.source, level.geometry, volume.metadata, warnings, volume.suvbw_factor)
        if _takes(found) <= _free() * _SHOWN_PART:
            break
    found.load(progress, cancel)
    return found


def _takes(volume: Volume) -> int:
    """Return how many bytes loading and, for an oblique scan, resampling take."""
    geometry = volume.geometry
    shown = 0 if geometry.is_axis_aligned else math.prod(geometry.axis_aligned().shape)
    return (math.prod(geometry.shape) + shown) * math.prod(volume.shape[3:]) * volume.dtype.itemsize


def _free() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


class ShownArray:
    """A source as napari slices it: indexing gives another one, and only ``numpy.asarray`` reads.

    Parameters
    ----------
    source : VoxelSource
        What is read.
    index : three index arrays, optional
        Which voxels of it, along every axis, each not decreasing; all by default.
    dropped : tuple of int
        Axes with one voxel that an integer index took away.
    """

    def __init__(
        self, source: VoxelSource, index: tuple[Index, ...] | None = None, dropped: tuple[int, ...] = ()
    ) -> None:
        self._source, self._dropped = source, dropped
        self._index = tuple(np.arange(n) for n in source.shape[:3]) if index is None else index
        self.chunks = (*source.chunks, *source.shape[3:]) if index is None else None
        kept = [len(one) for axis, one in enumerate(self._index) if axis not in dropped]
        self.shape = (*kept, *source.shape[3:])
        self.dtype = source.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in memory, were it read."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, key: Any) -> Any:
        keys = _expanded(key, self.ndim)
        kept = [axis for axis in range(3) if axis not in self._dropped]
        plain = all(isinstance(k, int | np.integer | slice) and _step(k) > 0 for k in keys)
        if not plain or any(k != slice(None) for k in keys[len(kept) :]):
            return np.asarray(self)[key]
        index, dropped = list(self._index), list(self._dropped)
        for axis, k in zip(kept, keys, strict=False):
            if isinstance(k, slice):
                index[axis] = index[axis][k]
            else:
                index[axis] = index[axis][[k]]
                dropped.append(axis)
        return ShownArray(self._source, tuple(index), tuple(dropped))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("These voxels are in a store; an array of them is always a copy.")
        if self.size == 0:
            return np.empty(self.shape, self.dtype if dtype is None else dtype)
        _check_memory(self.nbytes)
        first = [int(one[0]) for one in self._index]
        k, j, i = (slice(int(one[0]), int(one[-1]) + 1) for one in self._index)
        block = self._source.read((k, j, i))
        if any(len(one) != one[-1] - one[0] + 1 or (np.diff(one) != 1).any() for one in self._index):
            block = block[np.ix_(*(one - start for one, start in zip(self._index, first, strict=True)))]
        return np.asarray(block.squeeze(self._dropped) if self._dropped else block, dtype)

    def __deepcopy__(self, _memo: object) -> ShownArray:
        return self  # for napari's Duplicate: it cannot be written to, and the copy shows the same scan


def _expanded(key: Any, ndim: int) -> list[Any]:
    """Return one index for every axis."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(k is Ellipsis for k in keys):
        at = next(n for n, k in enumerate(keys) if k is Ellipsis)
        keys[at : at + 1] = [slice(None)] * (ndim - len(keys) + 1)
    return keys + [slice(None)] * (ndim - len(keys))


def _step(key: Any) -> int:
    return 1 if not isinstance(key, slice) or key.step is None else int(key.step)


def _check_memory(n_bytes: int) -> None:
    free = _free()
    if n_bytes > free * _SHOWN_PART:
        raise ResourceError(
            f"This view needs {n_bytes / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free: the scan has "
            "no resolution that is coarse enough. Look at it slice by slice."
        )


class BlockCache:
    """Blocks that were read last, up to a size; shared by the resolutions of a layer.

    Parameters
    ----------
    most : int
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.lock = RLock()
        self._blocks: OrderedDict[tuple[Any, ...], npt.NDArray[Any]] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: tuple[Any, ...]) -> npt.NDArray[Any] | None:
        """Return a block, which counts as used last."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def put(self, key: tuple[Any, ...], block: npt.NDArray[Any]) -> None:
        """Keep a block, and let go of those that have not been used for longest."""
        self._blocks[key] = block
        self._n_bytes += block.nbytes
        while self._n_bytes > self.most and self._blocks:
            _, old = self._blocks.popitem(last=False)
            self._n_bytes -= old.nbytes


class CachedSource:
    """A source that keeps the blocks it read last, for slices that follow each other.

    Parameters
    ----------
    source : VoxelSource
        What is read.
    cache : BlockCache
        Where blocks are kept.
    """

    def __init__(self, source: VoxelSource, cache: BlockCache) -> None:
        self._source, self._cache = source, cache
        self.shape, self.dtype, self.chunks = source.shape, source.dtype, source.chunks
        self.levels: tuple[Level, ...] = ()

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box."""
        ends = box_ends(box, self.shape)
        ranges = [range(a // c, -(-b // c)) for (a, b), c in zip(ends, self.chunks, strict=True)]
        block_bytes = math.prod(self.chunks) * math.prod(self.shape[3:]) * self.dtype.itemsize
        if math.prod(len(r) for r in ranges) * block_bytes > self._cache.most // 2:
            return self._source.read(box)
        out = np.empty([*(b - a for a, b in ends), *self.shape[3:]], self.dtype)
        for index, block in self._blocks(list(product(*ranges))).items():
            spans = list(zip(index, self.chunks, ends, strict=True))
            target = tuple(slice(max(n * c, a) - a, min((n + 1) * c, b) - a) for n, c, (a, b) in spans)
            inner = tuple(slice(max(n * c, a) - n * c, min((n + 1) * c, b) - n * c) for n, c, (a, b) in spans)
            out[target] = block[inner]
        return out

    def _blocks(self, wanted: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], npt.NDArray[Any]]:
        """Return blocks, those that are not kept read at once: they are decoded side by side then."""
        with self._cache.lock:
            found = {index: self._cache.get(self._key(index)) for index in wanted}
            missing = np.array([index for index, block in found.items() if block is None])
            if len(missing):
                first, last = missing.min(0), missing.max(0)
                k, j, i = (
                    slice(int(a) * c, (int(b) + 1) * c) for a, b, c in zip(first, last, self.chunks, strict=True)
                )
                whole = self._source.read((k, j, i))
                for index in [index for index, block in found.items() if block is None]:
                    starts = [(n - int(a)) * c for n, a, c in zip(index, first, self.chunks, strict=True)]
                    part = whole[tuple(slice(s, s + c) for s, c in zip(starts, self.chunks, strict=True))].copy()
                    self._cache.put(self._key(index), part)
                    found[index] = part
        return {index: block for index, block in found.items() if block is not None}

    def _key(self, index: tuple[int, ...]) -> tuple[Any, ...]:
        return (id(self), *index)
