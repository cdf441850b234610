"""The weighted mean of overlapping patches, plane by plane, in bounded memory."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.positions import clipped
from napari_radcnn.inference.tiles import Box, Shape

_Floats = npt.NDArray[np.float32]


def blending_bytes(shape: Shape, classes: int, patch: Shape, budget_bytes: int) -> tuple[int, int]:
    """Return what `Blend` will take of memory and of disk.

    Parameters
    ----------
    shape, classes, patch, budget_bytes
        As for `Blend`.

    Returns
    -------
    memory, disk : int
        Bytes; disk is 0 where the budget suffices.
    """
    height, depth = min(patch[0], shape[0]), min(patch[1], shape[1])
    row = 4 * (classes + 1) * shape[2]
    if row * height * shape[1] <= budget_bytes:
        return row * height * shape[1], 0
    return row * height * depth, row * height * shape[1]


class Blend:
    """Collects patches and gives their weighted mean, for the planes that no further patch touches.

    Only the planes between the last one released and the last one touched exist. They are held in memory where they
    fit into the budget. Otherwise they lie in a temporary file, and only a rod of them (the height and depth of a
    patch, all along the last axis) is in memory; the sums are the same to the last bit.

    Parameters
    ----------
    shape : tuple of int
        Of the volume, without padding.
    classes : int
        Of the network's answer.
    patch : tuple of int
        The largest box that will be added.
    budget_bytes : int
        Memory it may take; a single rod is taken even if it is larger.
    workspace : Path or None
        Folder of the temporary file; None takes the system's.
    first_plane : int
        Planes below are not wanted.
    empty : sequence of float or None
        Logits of a voxel that no patch covers, one a class; None for zeros.

    Raises
    ------
    ResourceError
        If the temporary file cannot be made, or the disk is full.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        patch: Shape,
        budget_bytes: int,
        workspace: Path | None = None,
        *,
        first_plane: int = 0,
        empty: Sequence[float] | None = None,
    ) -> None:
        self.shape = shape
        self.classes = classes
        self._first = first_plane
        self._empty = np.zeros(classes, np.float32) if empty is None else np.asarray(empty, np.float32)
        if self._empty.shape != (classes,):
            raise ValueError(f"one empty logit a class is needed: {classes}, got {self._empty.size}")
        plane = (classes + 1, shape[1], shape[2])  # the last channel is the sum of the weights
        self.is_spilled = blending_bytes(shape, classes, patch, budget_bytes)[1] > 0
        self._planes: _Planes = _FilePlanes(plane, workspace) if self.is_spilled else _MemoryPlanes(plane)

    def go_to(self, planes: slice, rows: slice) -> None:
        """Say where the next patches lie; before the first of every row of patches along the last axis."""
        self._planes.go_to(*self._inside(planes, rows))

    def _inside(self, planes: slice, rows: slice) -> tuple[slice, slice]:
        k, j, _ = clipped((planes, rows, slice(0, 1)), self.shape)
        return slice(max(k.start, self._first), max(k.stop, self._first)), j

    def add(self, box: Box, answer: _Floats, weights: _Floats) -> None:
        """Add a patch.

        Parameters
        ----------
        box : tuple of slice
            Where it lies, within what `go_to` was told; what reaches outside the volume is left out.
        answer : (classes, k, j, i) array of float32
            The network's answer, of the shape of `box`.
        weights : (k, j, i) array of float32
            How much each voxel counts.
        """
        k, j = self._inside(box[0], box[1])
        i = clipped(box, self.shape)[2]
        part = (
            slice(j.start - box[1].start, j.stop - box[1].start),
            slice(i.start - box[2].start, i.stop - box[2].start),
        )
        product = np.empty((self.classes, j.stop - j.start, i.stop - i.start), np.float32)
        for plane in range(k.start, k.stop):
            sums = self._planes.window(plane, j)[:, :, i]
            weight = weights[plane - box[0].start][part]
            np.multiply(answer[:, plane - box[0].start][(slice(None), *part)], weight, out=product)
            sums[:-1] += product
            sums[-1] += weight

    def settle(self) -> None:
        """Make what was added readable; after every row of patches along the first axis."""
        self._planes.flush()

    def read(self, box: Box) -> _Floats:
        """Return the mean logits of a box, ``(classes, k, j, i)``; every plane of it final and not yet released."""
        k, j, i = box
        if k.start < self._first:
            raise ValueError(f"plane {k.start} was released; the first that is left is {self._first}")
        logits = np.empty((self.classes, k.stop - k.start, j.stop - j.start, i.stop - i.start), np.float32)
        for plane in range(k.start, k.stop):
            target = logits[:, plane - k.start]
            found = self._planes.load(plane, j)
            if found is None:
                target[:] = self._empty[:, None, None]
                continue
            sums = found[:, :, i]
            weight = sums[-1]
            covered = weight > 0
            if covered.all():
                np.divide(sums[:-1], weight, out=target)
            else:
                target[:] = self._empty[:, None, None]
                np.divide(sums[:-1], weight, out=target, where=covered[None])
        return logits

    def release(self, first: int) -> None:
        """Forget the planes below `first`; they are not asked for again."""
        self._first = max(self._first, first)
        self._planes.release(self._first)

    def close(self) -> None:
        """Give memory and disk back."""
        self._planes.close()


class _Planes(Protocol):
    """Sums of the planes that exist, each ``(classes + 1, rows, columns)``; planes that were never touched are zero."""

    def go_to(self, planes: slice, rows: slice) -> None: ...

    def window(self, plane: int, rows: slice) -> _Floats:
        """Return a view to add into, within what `go_to` was told."""
        ...

    def flush(self) -> None: ...

    def load(self, plane: int, rows: slice) -> _Floats | None:
        """Return some rows of a plane, None where it was never touched."""
        ...

    def release(self, first: int) -> None: ...

    def close(self) -> None: ...


class _MemoryPlanes:
    """All planes in memory; those that were released serve again."""

    def __init__(self, plane: tuple[int, int, int]) -> None:
        self._shape = plane
        self._planes: dict[int, _Floats] = {}
        self._spare: list[_Floats] = []

    def go_to(self, planes: slice, rows: slice) -> None:  # noqa: ARG002  (all rows are at hand)
        for plane in range(planes.start, planes.stop):
            if plane not in self._planes:
                self._planes[plane] = self._blank()

    def _blank(self) -> _Floats:
        if not self._spare:
            return np.zeros(self._shape, np.float32)
        plane = self._spare.pop()
        plane.fill(0)
        return plane

    def window(self, plane: int, rows: slice) -> _Floats:
        return self._planes[plane][:, rows]

    def flush(self) -> None:
        pass

    def load(self, plane: int, rows: slice) -> _Floats | None:
        return self._planes[plane][:, rows] if plane in self._planes else None

    def release(self, first: int) -> None:
        for plane in [plane for plane in self._planes if plane < first]:
            self._spare.append(self._planes.pop(plane))

    def close(self) -> None:
        self._planes.clear()
        self._spare.clear()


class _FilePlanes:
    """Planes in a file that has no name; a rod of them, moving along the rows, in memory.

    Plain reads and writes: pages of a memory map would count as the program's own memory.
    """

    def __init__(self, plane: tuple[int, int, int], workspace: Path | None) -> None:
        self._channels, _, self._columns = plane
        self._row_bytes = 4 * self._columns
        self._channel_bytes = 4 * plane[1] * plane[2]
        self._plane_bytes = self._channels * self._channel_bytes
        self._folder = Path(tempfile.gettempdir()) if workspace is None else workspace
        self._slots: dict[int, int] = {}
        self._spare: list[int] = []
        self._filled: dict[int, int] = {}  # rows of a plane that are in the file; the ones after are zero
        self._rod = np.zeros((0, self._channels, 0, self._columns), np.float32)
        self._at: tuple[slice, slice] = (slice(0, 0), slice(0, 0))
        try:
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder, prefix="radcnn-")  # noqa: SIM115
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> ResourceError:
        held = (len(self._slots) + len(self._spare)) * self._plane_bytes
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return ResourceError(
                f"The disk is full: a temporary file in '{self._folder}' needs {held / 2**30:.2f} GiB so far. Free "
                "some space, set TMPDIR to a folder on a larger disk, or allow the run more memory."
            )
        return ResourceError(
            f"No temporary file can be kept in '{self._folder}': {error.strerror or error}. Set TMPDIR to a folder "
            "that can be written to."
        )

    def go_to(self, planes: slice, rows: slice) -> None:
        """Move the rod; what it leaves is written, what it comes to is read."""
        for plane in range(planes.start, planes.stop):
            if plane not in self._slots:
                self._slots[plane] = self._spare.pop() if self._spare else len(self._slots)
                self._filled[plane] = 0
        old_planes, old_rows = self._at
        if planes != old_planes or rows.start < old_rows.start or rows.start >= old_rows.stop:
            self.flush()
            self._at = (planes, rows)
            self._resize(0)
            self._fetch(rows)
            return
        kept = slice(rows.start, old_rows.stop)
        self._store(slice(old_rows.start, rows.start))
        self._at = (planes, slice(rows.start, max(rows.stop, old_rows.stop)))
        self._resize(kept.start - old_rows.start, kept.stop - kept.start)
        self._fetch(slice(kept.stop, self._at[1].stop))

    def _resize(self, first: int, count: int = 0) -> None:
        """Give the rod the place of `_at`, `count` of its rows from `first` on moved to the front."""
        planes, rows = self._at
        shape = (planes.stop - planes.start, self._channels, rows.stop - rows.start, self._columns)
        if self._rod.shape == shape:
            for plane in self._rod if count else ():
                plane[:, :count] = plane[:, first : first + count]
            return
        old, self._rod = self._rod, self._rod[:0]
        if not count:
            del old  # before the new one is made: both at once may be too much
        self._rod = np.empty(shape, np.float32)
        if count:
            self._rod[:, :, :count] = old[:, :, first : first + count]

    def _runs(self, rows: slice) -> list[tuple[int, int, _Floats]]:
        """Return plane, place in the file and part of the rod for every plane and channel."""
        planes, held = self._at
        part = slice(rows.start - held.start, rows.stop - held.start)
        return [
            (plane, self._offset(plane, channel, rows.start), self._rod[plane - planes.start, channel, part])
            for plane in range(planes.start, planes.stop)
            for channel in range(self._channels)
        ]

    def _offset(self, plane: int, channel: int, row: int) -> int:
        return self._slots[plane] * self._plane_bytes + channel * self._channel_bytes + row * self._row_bytes

    def _fetch(self, rows: slice) -> None:
        """Read rows into the rod."""
        for plane, offset, part in self._runs(rows):
            there = max(0, min(self._filled[plane] - rows.start, rows.stop - rows.start))
            self._read(offset, part[:there])
            part[there:] = 0

    def _store(self, rows: slice) -> None:
        """Write rows of the rod; rows that were passed over become zero."""
        if rows.start >= rows.stop:
            return
        for plane in range(self._at[0].start, self._at[0].stop):
            missing = rows.start - self._filled[plane]
            if missing > 0:
                nothing = np.zeros((missing, self._columns), np.float32)
                for channel in range(self._channels):
                    self._write(self._offset(plane, channel, self._filled[plane]), nothing)
        for plane, offset, part in self._runs(rows):
            self._write(offset, part)
            self._filled[plane] = max(self._filled[plane], rows.stop)

    def _read(self, offset: int, part: _Floats) -> None:
        view = part.data.cast("B") if part.size else memoryview(b"")
        try:
            self._file.seek(offset)
            done = 0
            while done < len(view):
                count = self._file.readinto(view[done:])
                if not count:
                    raise OSError(errno.EIO, "the file ends too early")
                done += count
        except OSError as error:
            raise self._error(error) from error

    def _write(self, offset: int, part: _Floats) -> None:
        view = part.data.cast("B")
        try:
            self._file.seek(offset)
            done = 0
            while done < len(view):
                done += self._file.write(view[done:])
        except OSError as error:
            raise self._error(error) from error

    def window(self, plane: int, rows: slice) -> _Floats:
        planes, held = self._at
        return self._rod[plane - planes.start][:, rows.start - held.start : rows.stop - held.start]

    def flush(self) -> None:
        self._store(self._at[1])
        self._at = (slice(0, 0), slice(0, 0))

    def load(self, plane: int, rows: slice) -> _Floats | None:
        if plane not in self._slots:
            return None
        found = np.zeros((self._channels, rows.stop - rows.start, self._columns), np.float32)
        there = max(0, min(self._filled[plane] - rows.start, rows.stop - rows.start))
        for channel in range(self._channels):
            self._read(self._offset(plane, channel, rows.start), found[channel, :there])
        return found

    def release(self, first: int) -> None:
        for plane in [plane for plane in self._slots if plane < first]:
            self._spare.append(self._slots.pop(plane))
            del self._filled[plane]

    def close(self) -> None:
        self._file.close()
