"""Time points of one scan as one array of four axes: what napari slices, made when it is asked for.

The fourth axis, the first one of napari, may as well be phases of the heart, echoes or b-values. Nothing is stacked:
every time point stays the volume that was read, and what is oblique is resampled slice by slice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import AxisMap, Geometry
from napari_radcnn.gui.layers.block_cache import BlockCache
from napari_radcnn.gui.layers.multiscale import cache_of_layer, expanded, shown_levels
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume


class TimePoints:
    """The volumes of a layer with a fourth axis, and which of them is shown.

    Parameters
    ----------
    volumes : sequence of Volume
        On one grid, in order; two at least.
    labels : sequence of str
        What each is called within the scan: ``"1"``, ``"2"``.
    axis : str
        What the fourth axis is called: ``"time"``, ``"echo"``.
    """

    def __init__(self, volumes: Sequence[Volume], labels: Sequence[str], axis: str = "time") -> None:
        self.volumes, self.labels, self.axis = tuple(volumes), tuple(labels), axis
        self.shown = 0

    def __len__(self) -> int:
        return len(self.volumes)

    @property
    def volume(self) -> Volume:
        """The one that is shown."""
        return self.volumes[self.shown]

    def at(self, number: int) -> TimePoints:
        """Return the same with another one shown, which stays."""
        found = TimePoints(self.volumes, self.labels, self.axis)
        found.shown = number
        return found

    def words(self, number: int | None = None) -> str:
        """Return where one stands, by default the one that is shown: ``"time 12 of 300"``."""
        n = self.shown if number is None else number
        place = "" if self.labels[n] == str(n + 1) else f" (number {n + 1})"
        return f"{self.axis} {self.labels[n]}{place} of {len(self)}"


def shown_points(volumes: Sequence[Volume], axis_map: AxisMap | None, upright: Geometry) -> list[TimeArray]:
    """Return what napari is given for volumes on one grid: their full resolution, and coarser ones where they have any.

    Parameters
    ----------
    volumes : sequence of Volume
        In order.
    axis_map : AxisMap or None
        From a scan's array to that of the layer; None for an oblique one.
    upright : Geometry
        The grid of the layer.
    """
    if axis_map is None:
        return [TimeArray([UprightArray(volume, upright) for volume in volumes])]
    turn = axis_map
    if all(volume.is_loaded or volume.source is None for volume in volumes):
        return [TimeArray([_plain(turn.apply(volume.array)) for volume in volumes])]
    cache = cache_of_layer()
    levels = [_levels(volume, turn, cache) for volume in volumes]
    n_levels = min(len(each) for each in levels)
    return [TimeArray([each[n] for each in levels]) for n in range(n_levels)]


def _levels(volume: Volume, axis_map: AxisMap, cache: BlockCache) -> Sequence[Any]:
    if volume.source is None or volume.is_loaded:
        return [_plain(axis_map.apply(volume.array))]
    return shown_levels(volume.source, volume.geometry, axis_map, cache)


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.uint8) if array.dtype == bool else array


class TimeArray:
    """Arrays of one shape behind each other along a new first axis; only what is asked for is read.

    Parameters
    ----------
    arrays : sequence of array-like
        Of one shape and type; each is indexed as NumPy's are.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        self._arrays = tuple(arrays)
        self.shape = (len(self._arrays), *self._arrays[0].shape)
        self.dtype = np.dtype(self._arrays[0].dtype)

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
        """Size in memory, were it one array."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def still(self, number: int) -> Any:
        """Return what is behind one place of the first axis."""
        return self._arrays[number]

    def __getitem__(self, key: Any) -> Any:
        first, *others = expanded(key, self.ndim)
        if isinstance(first, int | np.integer):
            return self._arrays[int(first)][tuple(others)]
        picked = self._arrays[first] if isinstance(first, slice) else [self._arrays[int(n)] for n in np.asarray(first)]
        if not len(picked):
            return np.empty((0, *np.empty(self.shape[1:], np.bool_)[tuple(others)].shape), self.dtype)
        return np.stack([np.asarray(array[tuple(others)]) for array in picked])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("These time points are arrays of their own; converting them to one always copies.")
        return np.stack([np.asarray(array) for array in self._arrays]).astype(dtype or self.dtype, copy=False)

    def __deepcopy__(self, _memo: object) -> TimeArray:
        return self  # for napari's Duplicate: it cannot be written to, and the copy shows the same scan


class UprightArray:
    """An oblique volume on the upright grid of a layer: only the box that is asked for is resampled.

    Parameters
    ----------
    volume : Volume
        On its own grid.
    upright : Geometry
        The grid of the layer.
    """

    def __init__(self, volume: Volume, upright: Geometry) -> None:
        self._volume, self._upright = volume, upright
        self._fill: float | None = None
        self.shape = (*upright.shape, *volume.shape[3:])
        self.dtype = np.dtype(np.uint8) if volume.dtype == bool else volume.dtype
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        keys = expanded(key, len(self.shape))
        box, inner = [], []
        for k, n in zip(keys[:3], self.shape[:3], strict=True):
            wanted = np.atleast_1d(np.arange(n)[k])
            if not wanted.size:
                return np.empty(np.empty(self.shape, np.bool_)[tuple(keys)].shape, self.dtype)
            low, high = int(wanted.min()), int(wanted.max()) + 1
            box.append(slice(low, high))
            inner.append(wanted - low)
        part = self._resampled(box)
        for axis, (k, index) in enumerate(zip(keys[:3], inner, strict=True)):
            if isinstance(k, slice):
                part = np.take(part, index, axis)
        dropped = tuple(axis for axis, k in enumerate(keys[:3]) if not isinstance(k, slice))
        part = part.squeeze(dropped)
        return part[(..., *keys[3:])] if len(keys) > 3 else part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("These voxels are resampled; converting them to an array always copies.")
        return self[()].astype(dtype or self.dtype, copy=False)

    def __deepcopy__(self, _memo: object) -> UprightArray:
        return self  # as a `TimeArray`

    def _resampled(self, box: Sequence[slice]) -> npt.NDArray[Any]:
        array = self._volume.array
        if self._fill is None:
            padding = self._volume.metadata.padding_value
            self._fill = least_finite(array) if padding is None else padding
        target = self._upright.cropped(box)
        return resample(array, self._volume.geometry, target, interpolation="linear", fill=self._fill, antialias=False)


def least_finite(array: npt.NDArray[Any]) -> float:
    """Return the smallest finite value."""
    finite = array if array.dtype.kind in "iub" else array[np.isfinite(array)]
    return float(finite.min()) if finite.size else 0.0
