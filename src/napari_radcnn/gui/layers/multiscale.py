"""What napari slices where the voxels stay in their store: an array-like for every resolution.

napari takes a list of array-likes, finest first, and knows nothing of where each lies: it stretches every one over the
extent of the first, voxel edge to voxel edge, by the ratio of their shapes. Resolutions of real stores are rarely that
exact (257 voxels halve to 129), so each is given the length that comes nearest to its true spacing, and for every
voxel that napari draws the one is taken whose true place is nearest: at most half a voxel of that resolution away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ResourceError
from napari_radcnn.geometry import AxisMap, Geometry
from napari_radcnn.gui.layers.block_cache import BlockCache, CachedSource
from napari_radcnn.memory import free_memory
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.volume import Volume
from napari_radcnn.voxels import TurnedSource, VoxelSource

#: The part of the computer's memory that the blocks of one layer may take.
_CACHED_PART = 1 / 16
#: The part of the free memory that voxels may take which must be loaded to be shown.
_LOADED_PART = 0.5
#: The part of it that one picture may take: in 3-D napari takes more than six times the voxels.
_SHOWN_PART = 0.1
#: The most voxels that are drawn in 3-D; a store without a resolution that is this coarse gets one of every n-th voxel.
_MOST_DRAWN = 64_000_000
#: How far from its place napari may draw a voxel, in voxels of its resolution; a border voxel may stand in for one
#: beyond it.
_MOST_SHIFT = 1.5
Index = npt.NDArray[np.intp]


def cache_of_layer() -> BlockCache:
    """Return what keeps the blocks of one layer."""
    import psutil

    return BlockCache(int(psutil.virtual_memory().total * _CACHED_PART))


def shown_levels(
    source: VoxelSource, geometry: Geometry, axis_map: AxisMap, cache: BlockCache | None = None
) -> list[ShownArray]:
    """Return what napari is given for an aligned volume: its full resolution and those coarser ones that it can place.

    Parameters
    ----------
    source : VoxelSource
        In the scan's own order.
    geometry : Geometry
        The scan's own grid.
    axis_map : AxisMap
        From the scan's order to the layer's, (S, P, L).
    cache : BlockCache, optional
        What keeps its blocks, shared with other sources of the layer.
    """
    cache = cache_of_layer() if cache is None else cache
    upright = geometry.reoriented(axis_map)
    shown = [ShownArray(TurnedSource(CachedSource(source, cache), axis_map))]
    for level in source.levels:
        found = level_index(upright, level.geometry.reoriented(axis_map))
        if found is None or tuple(len(index) for index in found) == shown[-1].shape[:3]:
            continue
        shown.append(ShownArray(TurnedSource(CachedSource(level.source, cache), axis_map), found))
    if math.prod(shown[-1].shape[:3]) > _MOST_DRAWN:
        shown.append(shown[-1].thinned(math.ceil((math.prod(shown[-1].shape[:3]) / _MOST_DRAWN) ** (1 / 3))))
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
        drawn = _drawn(n_full, step)
        index = np.clip(np.rint((drawn - start) / step), 0, n - 1).astype(np.intp)
        if np.abs(start + step * index - drawn).max() > _MOST_SHIFT * step:
            return None
        found.append(index)
    return found[0], found[1], found[2]


def finest_that_fits(volume: Volume, progress: Progress | None = None, cancel: CancelEvent | None = None) -> Volume:
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
            told = (
                "The scan is too large for this computer's memory; it is shown at a coarser resolution of "
                f"{shape} voxels."
            )
            warnings = (*volume.warnings, told)
            found = Volume.lazy(level.source, level.geometry, volume.metadata, warnings, volume.suvbw_factor)
        if _takes(found) <= _free() * _LOADED_PART:
            break
    found.load(progress, cancel)
    return found


def _takes(volume: Volume) -> int:
    """Return how many bytes loading and, for an oblique scan, resampling take."""
    geometry = volume.geometry
    shown = 0 if geometry.is_axis_aligned else math.prod(geometry.axis_aligned().shape)
    return (math.prod(geometry.shape) + shown) * math.prod(volume.shape[3:]) * volume.dtype.itemsize


def _free() -> int:

    return free_memory()


def _drawn(n_full: int, step: float) -> npt.NDArray[np.float64]:
    """Return where on an axis of `n_full` voxels napari draws those of a resolution with `step` times their spacing."""
    n_drawn = max(1, round(n_full / step))
    ratio = n_full / n_drawn
    return np.asarray(np.arange(n_drawn) * ratio + (ratio - 1) / 2, np.float64)


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
        keys = expanded(key, self.ndim)
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
            raise ValueError("These voxels are in a store; converting them to an array always copies.")
        if self.size == 0:
            return np.empty(self.shape, self.dtype if dtype is None else dtype)
        _check_memory(self.nbytes)
        if any(len(one) != one[-1] - one[0] + 1 or (np.diff(one) != 1).any() for one in self._index):
            block = self._picked()
        else:
            block = self._read(self._index)
        return np.asarray(block.squeeze(self._dropped) if self._dropped else block, dtype)

    def thinned(self, step: int) -> ShownArray:
        """Return every `step`-th voxel along each axis, those that are nearest to where napari draws them."""
        index = [one[np.rint(_drawn(len(one), step)).astype(np.intp)] for one in self._index]
        return ShownArray(self._source, tuple(index), self._dropped)

    def _picked(self) -> npt.NDArray[Any]:
        """Return voxels of which some between are not wanted, slab by slab: all between may not fit into the memory."""
        first, others = self._index[0], self._index[1:]
        slabs = np.split(first, np.flatnonzero(np.diff(first // self._source.chunks[0])) + 1)
        parts = []
        for slab in slabs:
            block = self._read((slab, *others))
            parts.append(block[np.ix_(*(one - one[0] for one in (slab, *others)))])
        return np.concatenate(parts)

    def _read(self, index: Sequence[Index]) -> npt.NDArray[Any]:
        k, j, i = (slice(int(one[0]), int(one[-1]) + 1) for one in index)
        return self._source.read((k, j, i))

    def __deepcopy__(self, _memo: object) -> ShownArray:
        return self  # for napari's Duplicate: it cannot be written to, and the copy shows the same scan


def expanded(key: Any, ndim: int) -> list[Any]:
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
            f"This view needs {n_bytes / 2**30:.1f} GiB of memory, but only {free / 2**30:.1f} GiB are free, and "
            "the scan has no resolution that is coarse enough. View it slice by slice."
        )
