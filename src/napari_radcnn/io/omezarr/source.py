"""The voxels of one volume in a store, read box by box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Box
from napari_radcnn.io.omezarr.array import StoredArray
from napari_radcnn.io.omezarr.axes import LIST_AXES, SPACE_AXES, Axis
from napari_radcnn.io.omezarr.chunks import open_stored, read_box
from napari_radcnn.voxels import Level, box_ends


class ZarrSource:
    """A `napari_radcnn.voxels.VoxelSource` of one time point and channel, or of one picture in color.

    Parameters
    ----------
    stored : StoredArray
        The array, checked.
    root : Path
        Folder of the store, links resolved.
    axes : sequence of Axis
        Of the array.
    index : sequence of int
        Which time point and channel, of the axes of these that there are; without the channel for color.
    is_color : bool
        Whether the channels are red, green and blue.
    levels : tuple of Level
        Coarser resolutions.

    Raises
    ------
    ReadError
        If zarr cannot read the metadata.
    """

    def __init__(
        self,
        stored: StoredArray,
        root: Path,
        axes: Sequence[Axis],
        index: Sequence[int],
        *,
        is_color: bool = False,
        levels: tuple[Level, ...] = (),
    ) -> None:
        self._stored, self._root, self._index, self._is_color = stored, root, tuple(index), is_color
        self._places = {axis.name: n for n, axis in enumerate(axes)}
        self._array = open_stored(stored)  # now, since what was checked is to be what is read
        self._mark = self._present_mark()
        self.levels = levels

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """``(k, j, i)`` or ``(k, j, i, 3)``."""
        return (*self._of_space(self._stored.shape), *([3] if self._is_color else []))

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of what is read; bits are numbers 0 and 1."""
        return np.dtype(np.uint8) if self._stored.dtype == np.bool_ else self._stored.dtype

    @cached_property
    def chunks(self) -> tuple[int, int, int]:
        """What is decoded at once along ``(k, j, i)``, at most the whole."""
        sizes = zip(self._of_space(self._stored.decoded), self.shape, strict=False)
        k, j, i = (min(chunk, n) for chunk, n in sizes)
        return k, j, i

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box.

        Raises
        ------
        ReadError
            If they are damaged, or the store was removed or replaced since it was opened; names it and the chunk.
        """
        if self._present_mark() != self._mark:  # missing files would be taken for the fill value
            raise ReadError(
                f"{self._stored.name}: the store was changed or removed since it was opened; open it again."
            )
        ends = box_ends(box, self.shape)
        n_axes = len(self._places)
        if any(start == stop for start, stop in ends):
            return np.empty([*(stop - start for start, stop in ends), *self.shape[3:]], self.dtype)
        wanted = [slice(0, 1)] * n_axes
        lists = [name for name in LIST_AXES if name in self._places]
        for name, n in zip(lists, (*self._index, 0), strict=False):
            is_channels = self._is_color and name == "c"
            wanted[self._places[name]] = slice(0, 3) if is_channels else slice(n, n + 1)
        for name, (start, stop) in zip(SPACE_AXES, ends, strict=True):
            if name in self._places:
                wanted[self._places[name]] = slice(start, stop)
        values = read_box(self._stored, self._array, self._root, wanted)
        values = values.view(np.uint8) if values.dtype == np.bool_ else values
        space = [self._places[name] for name in SPACE_AXES if name in self._places]
        channels = values.transpose(*(self._places[name] for name in lists), *space)
        channels = channels.reshape(-1, *([1] if "z" not in self._places else []), *channels.shape[len(lists) :])
        return np.stack(list(channels), axis=-1) if self._is_color else channels[0]

    def _present_mark(self) -> tuple[int, int, int] | None:
        """Return what tells the array's metadata from another's; None where it is gone."""
        try:
            status = (self._stored.folder / ("zarr.json" if self._stored.zarr_format == 3 else ".zarray")).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _of_space(self, sizes: Sequence[int]) -> tuple[int, int, int]:
        k, j, i = (sizes[self._places[name]] if name in self._places else 1 for name in SPACE_AXES)
        return k, j, i


def n_volumes(axes: Sequence[Axis], shape: Sequence[int], *, is_color: bool) -> int:
    """Return how many volumes an array holds: one for every time point and, but for color, channel."""
    return math.prod(_list_shape(axes, shape, is_color=is_color))


def list_index(n: int, axes: Sequence[Axis], shape: Sequence[int], *, is_color: bool) -> tuple[int, ...]:
    """Return the time point and channel of the `n`-th volume, the channel running fastest."""
    return tuple(int(k) for k in np.unravel_index(n, _list_shape(axes, shape, is_color=is_color)))


def _list_shape(axes: Sequence[Axis], shape: Sequence[int], *, is_color: bool) -> tuple[int, ...]:
    sizes = {axis.name: n for axis, n in zip(axes, shape, strict=True)}
    return tuple(sizes[name] for name in LIST_AXES if name in sizes and not (is_color and name == "c"))
