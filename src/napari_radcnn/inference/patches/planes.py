"""Planes of sums: in memory, or in a temporary file of which a rod is in memory."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ResourceError

Floats = npt.NDArray[np.float32]


class Planes(Protocol):
    """Sums of the planes that exist, each ``(classes + 1, rows, columns)``; planes that were never touched are zero."""

    def go_to(self, planes: slice, rows: slice) -> None:
        """Say which rows of which planes are added to next."""
        ...

    def window(self, plane: int, rows: slice) -> Floats:
        """Return a view to add into, within what `go_to` was told."""
        ...

    def flush(self) -> None:
        """Make what was added readable."""
        ...

    def load(self, plane: int, rows: slice) -> Floats | None:
        """Return some rows of a plane, None where it was never touched."""
        ...

    def release(self, first: int) -> None:
        """Forget the planes below `first`; their room serves again."""
        ...

    def close(self) -> None:
        """Give memory and disk back."""
        ...


class MemoryPlanes:
    """All planes in memory; those that were released serve again."""

    def __init__(self, plane: tuple[int, int, int]) -> None:
        self._shape = plane
        self._planes: dict[int, Floats] = {}
        self._spare: list[Floats] = []

    def go_to(self, planes: slice, rows: slice) -> None:  # noqa: ARG002  (all rows are at hand)
        """Make room for planes that are new."""
        for plane in range(planes.start, planes.stop):
            if plane not in self._planes:
                self._planes[plane] = self._blank()

    def _blank(self) -> Floats:
        if not self._spare:
            return np.zeros(self._shape, np.float32)
        plane = self._spare.pop()
        plane.fill(0)
        return plane

    def window(self, plane: int, rows: slice) -> Floats:
        """Return a view to add into."""
        return self._planes[plane][:, rows]

    def flush(self) -> None:
        """Nothing is to be done: what was added is at hand."""

    def load(self, plane: int, rows: slice) -> Floats | None:
        """Return some rows of a plane, None where it was never touched."""
        return self._planes[plane][:, rows] if plane in self._planes else None

    def release(self, first: int) -> None:
        """Forget the planes below `first`; their room serves again."""
        for plane in [plane for plane in self._planes if plane < first]:
            self._spare.append(self._planes.pop(plane))

    def close(self) -> None:
        """Give memory back."""
        self._planes.clear()
        self._spare.clear()


class FilePlanes:
    """Planes in a file that has no name; a rod of them, moving along the rows, in memory.

    Plain reads and writes: pages of a memory map would count as the program's own memory.
    """

    def __init__(self, plane: tuple[int, int, int], workspace: Path | None, expected_bytes: int) -> None:
        self._expected = expected_bytes
        self._channels, _, self._columns = plane
        self._row_bytes = 4 * self._columns
        self._channel_bytes = 4 * plane[1] * plane[2]
        self._plane_bytes = self._channels * self._channel_bytes
        self._folder = Path(tempfile.gettempdir()) if workspace is None else workspace
        self._slots: dict[int, int] = {}
        self._spare: list[int] = []
        self._filled: dict[int, int] = {}  # rows of a plane that are in the file; the ones after are zero
        self._rod = np.empty((0, 0, 0, 0), np.float32)
        self._at: tuple[slice, slice] = (slice(0, 0), slice(0, 0))
        try:
            free = shutil.disk_usage(self._folder).free
            if free < expected_bytes:
                raise self._full(f", {free / 2**30:.2f} GiB are free")
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder, prefix="radcnn-")  # noqa: SIM115
        except OSError as error:
            raise self._error(error) from error

    def _full(self, free_space: str = "") -> ResourceError:
        return ResourceError(
            f"The disk is full: a temporary file in '{self._folder}' needs {self._expected / 2**30:.2f} "
            f"GiB{free_space}. Free some space, set TMPDIR to a folder on a larger disk, or allow the run more memory."
        )

    def _error(self, error: OSError) -> ResourceError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return self._full()
        return ResourceError(
            f"No temporary file can be created in '{self._folder}': {error.strerror or error}. Set TMPDIR to a "
            "folder with write permission."
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
        old, self._rod = self._rod, np.empty((0, 0, 0, 0), np.float32)
        if not count:
            del old  # before the new one is made: both at once may be too much
        self._rod = np.empty(shape, np.float32)
        if count:
            self._rod[:, :, :count] = old[:, :, first : first + count]

    def _runs(self, rows: slice) -> list[tuple[int, int, Floats]]:
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

    def _read(self, offset: int, part: Floats) -> None:
        view = part.data.cast("B") if part.size else memoryview(b"")
        try:
            self._file.seek(offset)
            done = 0
            while done < len(view):
                count = self._file.readinto(view[done:])
                if not count:
                    raise OSError(errno.EIO, "the file is truncated")
                done += count
        except OSError as error:
            raise self._error(error) from error

    def _write(self, offset: int, part: Floats) -> None:
        view = part.data.cast("B")
        try:
            self._file.seek(offset)
            done = 0
            while done < len(view):
                done += self._file.write(view[done:])
        except OSError as error:
            raise self._error(error) from error

    def window(self, plane: int, rows: slice) -> Floats:
        """Return a view to add into."""
        planes, held = self._at
        return self._rod[plane - planes.start][:, rows.start - held.start : rows.stop - held.start]

    def flush(self) -> None:
        """Write the rod."""
        self._store(self._at[1])
        self._at = (slice(0, 0), slice(0, 0))

    def load(self, plane: int, rows: slice) -> Floats | None:
        """Return some rows of a plane, None where it was never touched."""
        if plane not in self._slots:
            return None
        found = np.zeros((self._channels, rows.stop - rows.start, self._columns), np.float32)
        there = max(0, min(self._filled[plane] - rows.start, rows.stop - rows.start))
        for channel in range(self._channels):
            self._read(self._offset(plane, channel, rows.start), found[channel, :there])
        return found

    def release(self, first: int) -> None:
        """Forget the planes below `first`; their room serves again."""
        for plane in [plane for plane in self._slots if plane < first]:
            self._spare.append(self._slots.pop(plane))
            del self._filled[plane]

    def close(self) -> None:
        """Give the disk back; the file has no name, so a killed run leaves nothing either."""
        self._rod = np.empty((0, 0, 0, 0), np.float32)
        self._file.close()
