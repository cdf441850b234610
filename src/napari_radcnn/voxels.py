"""Voxels that stay on the disk until they are asked for: what a store offers, and the array it becomes when loaded."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import CancelledError, ResourceError
from napari_radcnn.geometry import AxisMap, Box, Geometry
from napari_radcnn.memory import free_memory
from napari_radcnn.progress import CancelEvent, Progress

#: The part of the free memory that loading may take; the rest is for what is done with the voxels then.
_MOST_OF_FREE = 0.8
#: Bytes that are read at once when everything is loaded: enough to be fast, few enough to cancel soon.
_SLAB_BYTES = 64 << 20
#: What is read for the display range of voxels that are not in memory: a whole resolution up to this size, else blocks
#: on the diagonal, the middle one among them.
_SAMPLED_BYTES, _SAMPLED_BLOCKS = 64 << 20, 7


class VoxelSource(Protocol):
    """Where the voxels of a volume can be read, box by box.

    Attributes
    ----------
    shape : tuple of int
        ``(k, j, i)`` or ``(k, j, i, 3)``, in the volume's own order.
    dtype : dtype
        Of what `read` returns, in native byte order.
    chunks : (k, j, i) tuple of int
        The blocks that are decoded at once: a box that begins and ends on their borders wastes nothing.
    levels : tuple of Level
        Coarser resolutions for display, each coarser than the one before; may be empty.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102  described above

    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102

    @property
    def chunks(self) -> tuple[int, int, int]: ...  # noqa: D102

    @property
    def levels(self) -> tuple[Level, ...]: ...  # noqa: D102

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box: the same values as in the whole array; may be called on any thread.

        Raises
        ------
        ReadError
            If they are damaged; names the file.
        """
        ...


@dataclass(frozen=True, eq=False)
class Level:
    """A coarser resolution of a volume.

    Attributes
    ----------
    source : VoxelSource
        Its voxels; has no levels itself.
    geometry : Geometry
        Its own grid, which need not be an exact multiple of the full resolution's.
    """

    source: VoxelSource
    geometry: Geometry


def box_ends(box: Box, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return start and stop of a box along ``(k, j, i)``, within `shape`.

    Raises
    ------
    ValueError
        If the box has not three slices, or one of them has a step.
    """
    if len(box) != 3 or any(extent.step not in (None, 1) for extent in box):
        raise ValueError(f"A box must be three slices without steps, got {box}.")
    k, j, i = ((r.start, max(r.start, r.stop)) for r in (range(n)[s] for s, n in zip(box, shape, strict=False)))
    return k, j, i


class TurnedSource:
    """A source seen through a permutation and flips; nothing is copied or read before it is asked for.

    Parameters
    ----------
    source : VoxelSource
        In its own order.
    axis_map : AxisMap
        From that order to this one.
    """

    def __init__(self, source: VoxelSource, axis_map: AxisMap) -> None:
        self._source, self._axis_map = source, axis_map

    @property
    def shape(self) -> tuple[int, ...]:
        """As of a `VoxelSource`."""
        shape = self._source.shape
        return (*(shape[axis] for axis in self._axis_map.order), *shape[3:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of a `VoxelSource`."""
        return self._source.dtype

    @property
    def chunks(self) -> tuple[int, int, int]:
        """As of a `VoxelSource`; on a flipped axis the blocks are counted from its end."""
        k, j, i = (self._source.chunks[axis] for axis in self._axis_map.order)
        return k, j, i

    @property
    def levels(self) -> tuple[Level, ...]:
        """As of a `VoxelSource`, turned likewise."""
        return tuple(
            Level(TurnedSource(level.source, self._axis_map), level.geometry.reoriented(self._axis_map))
            for level in self._source.levels
        )

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box."""
        inner = [slice(None)] * 3
        ends = box_ends(box, self.shape)
        for axis, flipped, n, (start, stop) in zip(
            self._axis_map.order, self._axis_map.flip, self.shape, ends, strict=False
        ):
            inner[axis] = slice(n - stop, n - start) if flipped else slice(start, stop)
        return self._axis_map.apply(self._source.read((inner[0], inner[1], inner[2])))


class LazyArray:
    """The voxels of a source, loaded whole at most once.

    Parameters
    ----------
    source : VoxelSource
        Where they can be read.
    array : array, optional
        All of them, where they are in memory already.
    """

    def __init__(self, source: VoxelSource, array: npt.NDArray[Any] | None = None) -> None:
        self.source = source
        self._array = array
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether the voxels are in memory."""
        return self._array is not None

    def load(self, shown: str, progress: Progress | None = None, cancel: CancelEvent | None = None) -> npt.NDArray[Any]:
        """Return all voxels; threads that ask at the same time wait for the one that loads.

        Raises
        ------
        ResourceError
            If they would not fit into the free memory; none of it is taken then. Its text begins with `shown`.
        ReadError
            If they are damaged.
        CancelledError
            If `cancel` was set.
        """
        with self._lock:
            if self._array is None:
                _check_memory(self.source, shown)
                try:
                    self._array = _whole(self.source, shown, progress, cancel)
                except MemoryError as error:  # a limit of this process, below what the computer has
                    raise _too_large(self.source, shown) from error
            return self._array

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box, from memory where they are there."""
        array = self._array
        return self.source.read(box) if array is None else array[box]

    def turned(self, axis_map: AxisMap) -> LazyArray:
        """Return the voxels permuted and flipped; both share what is loaded."""
        return _TurnedArray(self, axis_map)


class _TurnedArray(LazyArray):
    """The voxels of another lazy array in another order: a view, loaded or not."""

    def __init__(self, whole: LazyArray, axis_map: AxisMap) -> None:
        super().__init__(TurnedSource(whole.source, axis_map))
        self._whole, self._axis_map = whole, axis_map

    @property
    def is_loaded(self) -> bool:
        """Whether the voxels are in memory."""
        return self._whole.is_loaded

    def load(self, shown: str, progress: Progress | None = None, cancel: CancelEvent | None = None) -> npt.NDArray[Any]:
        """Return all voxels, as a view of the array that this is made of."""
        return self._axis_map.apply(self._whole.load(shown, progress, cancel))

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box, from memory where they are there."""
        return self.load("")[box] if self.is_loaded else self.source.read(box)


def n_bytes(source: VoxelSource) -> int:
    """Return the size of all voxels in memory."""
    return math.prod(source.shape) * source.dtype.itemsize


def _check_memory(source: VoxelSource, shown: str) -> None:
    block = math.prod(source.chunks) * source.dtype.itemsize
    if n_bytes(source) + block > free_memory() * _MOST_OF_FREE:
        raise _too_large(source, shown)


def _too_large(source: VoxelSource, shown: str) -> ResourceError:
    size = " x ".join(str(n) for n in source.shape)
    return ResourceError(
        f"{shown}: the image is too large for this computer's memory: {size} voxels of {source.dtype} need "
        f"{n_bytes(source) / 2**30:.1f} GiB, but only {free_memory() / 2**30:.1f} GiB are free; crop it first."
    )


def _whole(source: VoxelSource, shown: str, progress: Progress | None, cancel: CancelEvent | None) -> npt.NDArray[Any]:
    """Return all voxels, read in slabs of whole blocks."""
    out = np.empty(source.shape, source.dtype)
    depth, n_slices = source.chunks[0], source.shape[0]
    depth *= max(1, _SLAB_BYTES * n_slices // max(1, n_bytes(source) * depth))
    starts = range(0, n_slices, depth)
    for n, start in enumerate(starts):
        if cancel is not None and cancel.is_set():
            raise CancelledError("Reading")
        if progress is not None:
            progress(n, len(starts), f"Reading {shown}")
        out[start : start + depth] = source.read((slice(start, start + depth), slice(None), slice(None)))
    if progress is not None:
        progress(len(starts), len(starts), f"Read {shown}")
    return out


def sampled(source: VoxelSource) -> npt.NDArray[np.float32]:
    """Return about a million values of voxels that are not in memory, from a coarse resolution or from some blocks."""
    coarsest = source.levels[-1].source if source.levels else source
    if n_bytes(coarsest) <= _SAMPLED_BYTES:
        return thinned(coarsest.read((slice(None), slice(None), slice(None))))
    counts = [-(-n // c) for n, c in zip(coarsest.shape, coarsest.chunks, strict=False)]
    along = [(part + 0.5) / _SAMPLED_BLOCKS for part in range(_SAMPLED_BLOCKS)]  # from corner to corner
    picked = sorted({tuple(int(n * a) for n in counts) for a in along})
    boxes = [[slice(n * c, (n + 1) * c) for n, c in zip(block, coarsest.chunks, strict=True)] for block in picked]
    return np.concatenate([thinned(coarsest.read((k, j, i))) for k, j, i in boxes])


def thinned(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return every n-th value along each axis as float32, about a million of them."""
    step = max(1, round((array.size / 1e6) ** (1 / 3)))
    return np.asarray(array[::step, ::step, ::step], dtype=np.float32).ravel()
