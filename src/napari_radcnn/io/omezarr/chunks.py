"""The chunks of a Zarr array: counted, since zarr takes missing ones for the fill value, then read slab by slab."""

from __future__ import annotations

import itertools
import lzma
import math
import os
import stat
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size
from napari_radcnn.io.omezarr.array import StoredArray
from napari_radcnn.io.omezarr.store import inside
from napari_radcnn.memory import free_memory
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel, report

#: A chunk can be a little larger on the disk than in memory, where it does not compress.
_MOST_GROWTH = 1.25
#: What zarr and its codecs raise for data that is not what the metadata says.
_DECODE_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
    OSError,
    EOFError,
    BufferError,
    AssertionError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


def existing_chunks(array: StoredArray, root: Path) -> set[tuple[int, ...]]:
    """Return the indices of the chunks that are there.

    Raises
    ------
    ReadError
        If anything among them is a link out of the store or to a folder, no regular file, or impossibly large.
    """
    found = set()
    for parent, folders, names in os.walk(array.folder, onerror=_raise):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink():
                inside(path, path.relative_to(array.folder).as_posix(), array.name, root)
                if path.is_dir():
                    raise ReadError(f"{array.name}: '{name}' is a link to a folder, which is refused; copy the files.")
        for name in names:
            path = Path(parent, name)
            index = _check_file(path, path.relative_to(array.folder).as_posix(), array)
            if index is not None:
                found.add(index)
    return found


def _raise(error: OSError) -> None:
    raise error


def _check_file(path: Path, name: str, array: StoredArray) -> tuple[int, ...] | None:
    """Return the chunk that a file of the array holds, None for other files."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ReadError(f"{array.name}: '{name}' is not a regular file, which is refused.")
    index = _chunk_index(name, array)
    most = math.prod(array.chunks) * array.dtype.itemsize * _MOST_GROWTH + (1 << 20)
    if index is not None and status.st_size > most:
        raise ReadError(
            f"{array.name}: the chunk {_shown_index(index)} has {binary_size(status.st_size)}, more than its shape "
            f"{array.chunks} of {array.dtype} allows; the metadata or the chunk is damaged."
        )
    if index is not None and array.blosc_trailer is not None:
        _check_blosc(path, status.st_size - array.blosc_trailer, index, array)
    return index


def _check_blosc(path: Path, size: int, index: tuple[int, ...], array: StoredArray) -> None:
    """Compare the lengths in the header of a Blosc frame (c-blosc, README_CHUNK_FORMAT) with what is there."""
    with path.open("rb") as file:
        header = file.read(16)
    n_bytes, _, n_compressed = struct.unpack("<III", header[4:]) if len(header) == 16 else (0, 0, 0)
    if len(header) < 16 or n_compressed != size:
        raise ReadError(
            f"{array.name}: the chunk {_shown_index(index)} is truncated or damaged: it has {size} bytes, but its "
            f"Blosc header declares {n_compressed}; copy the whole folder again."
        )
    if n_bytes > math.prod(array.chunks) * max(array.dtype.itemsize, 8):
        raise ReadError(
            f"{array.name}: the chunk {_shown_index(index)} declares {binary_size(n_bytes)}, more than its shape "
            f"{array.chunks} of {array.dtype} allows; the chunk is damaged."
        )


def check_memory(array: StoredArray) -> None:
    """Refuse an array of which not one chunk could be decoded, before any memory is taken.

    Raises
    ------
    ReadError
        Naming the size, and the memory there is.
    """
    free = free_memory()
    chunk = math.prod(array.decoded) * array.dtype.itemsize
    if chunk > free // 2:
        raise ReadError(
            f"{array.name}: one chunk of the image needs {binary_size(chunk)} of memory, but only "
            f"{binary_size(free)} are free; store it in smaller chunks."
        )


def check_chunks(array: StoredArray, root: Path, warnings: list[str]) -> set[tuple[int, ...]]:
    """Return the indices of the chunks that are there; none is decoded.

    Parameters
    ----------
    array : StoredArray
        Whose files are looked at.
    root : Path
        Folder of the store, links resolved.
    warnings : list of str
        Warnings for the user are appended: that some are missing.

    Raises
    ------
    ReadError
        As `existing_chunks` does.
    """
    there = existing_chunks(array, root)
    n_missing = math.prod(array.grid) - len(there)
    if n_missing:
        first = next(i for i in itertools.product(*(range(n) for n in array.grid)) if i not in there)
        warnings.append(
            f"{n_missing} of {math.prod(array.grid)} chunk files are missing (the first is chunk "
            f"{_shown_index(first)}): filled with {array.fill_value}, as the format requires. Either all their "
            "voxels have this value, or the copy is incomplete."
        )
    return there


def read_array(
    array: StoredArray,
    root: Path,
    warnings: list[str],
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> npt.NDArray[Any]:
    """Return all values of the array.

    Parameters
    ----------
    array : StoredArray
        What to read.
    root : Path
        Folder of the store, links resolved.
    warnings : list of str
        Warnings for the user are appended.
    progress : callable, optional
        Called as ``progress(done, total, message)``.
    cancel : threading.Event, optional
        Set it to stop.

    Raises
    ------
    ReadError
        If a chunk is too large for the memory, or cannot be decoded; names the chunk.
    CancelledError
        If `cancel` was set.
    """
    check_memory(array)
    there = check_chunks(array, root, warnings)
    out = np.zeros(array.shape, array.dtype)
    if array.fill_value != 0:
        out[...] = array.fill_value
    with catch_warnings():
        simplefilter("ignore")  # what matters of them has been checked
        stored = open_stored(array)
        slabs = sorted({index[0] for index in there})
        per_slab = math.prod(array.grid[1:])
        for n, slab in enumerate(slabs):
            checked_cancel(cancel)
            report(progress, n, len(slabs), f"Reading {array.name}")
            chunks = sorted(index for index in there if index[0] == slab) if len(slabs) > 1 else sorted(there)
            _read_slab(array, stored, out, chunks, is_whole=len(chunks) == per_slab)
        report(progress, len(slabs), len(slabs), f"Read {array.name}")
    return out


def read_box(array: StoredArray, stored: Any, root: Path, box: Sequence[slice]) -> npt.NDArray[Any]:
    """Return the values of a part of the array.

    Parameters
    ----------
    array : StoredArray
        What to read.
    stored : zarr.Array
        From `open_stored`.
    root : Path
        Folder of the store, links resolved.
    box : sequence of slice
        One for every axis, start and stop within the array.

    Raises
    ------
    ReadError
        If one of its chunks leads out of the store, has an impossible size, or cannot be decoded; names the chunk.
    """
    ranges = [range(s.start // c, -(-s.stop // c)) for s, c in zip(box, array.chunks, strict=True)]
    touched = list(itertools.product(*ranges))
    there = [index for index in touched if _is_there(index, array, root)]
    with catch_warnings():
        simplefilter("ignore")  # what matters of them has been checked
        if len(there) == len(touched) > 1:
            with suppress(*_DECODE_ERRORS):  # which of them it was, and why, is found below
                return np.asarray(stored[tuple(box)], array.dtype)
        out = np.full([s.stop - s.start for s in box], array.fill_value, array.dtype)
        for index in there:
            part = [
                slice(max(s.start, n * c), min(s.stop, (n + 1) * c))
                for s, n, c in zip(box, index, array.chunks, strict=True)
            ]
            target = tuple(slice(p.start - s.start, p.stop - s.start) for p, s in zip(part, box, strict=True))
            out[target] = _decoded(array, stored, index, tuple(part))
    return out


def _is_there(index: tuple[int, ...], array: StoredArray, root: Path) -> bool:
    """Whether the file of a chunk is there; checked like those that `existing_chunks` finds."""
    name = array.separator.join((*([array.prefix] if array.prefix else []), *(str(n) for n in index)))
    path = array.folder / name
    if os.path.realpath(path) != str(path):
        inside(path, name, array.name, root)
    try:
        _check_file(path, name, array)
    except FileNotFoundError:
        return False
    return True


def open_stored(array: StoredArray) -> Any:
    """Return zarr's own array, for metadata that was checked.

    Raises
    ------
    ReadError
        If zarr cannot read the metadata, or reads something else in it.
    """
    import zarr

    try:
        store = zarr.storage.LocalStore(array.folder, read_only=True)
        stored = zarr.open_array(store=store, mode="r", zarr_format=array.zarr_format)
    except _DECODE_ERRORS as error:
        raise ReadError(f"{array.name}: the metadata is damaged: {_cause(error)}.") from error
    if stored.shape != array.shape or stored.dtype.newbyteorder("=") != array.dtype:
        raise ReadError(f"{array.name}: the metadata changed while it was being read; try again.")
    return stored


def _read_slab(
    array: StoredArray, stored: Any, out: npt.NDArray[Any], chunks: Sequence[tuple[int, ...]], *, is_whole: bool
) -> None:
    """Read chunks that are neighbors along the first axis: all at once where none is missing, which is faster."""
    if is_whole and len(chunks) > 1:
        start = chunks[0][0] * array.chunks[0]
        rows = slice(start, start + array.chunks[0])
        try:
            out[rows] = stored[rows]
        except _DECODE_ERRORS:
            pass  # which of them it was, and why, is found below
        else:
            return
    for index in chunks:
        box = tuple(slice(n * c, (n + 1) * c) for n, c in zip(index, array.chunks, strict=True))
        out[box] = _decoded(array, stored, index, box)


def _decoded(array: StoredArray, stored: Any, index: Sequence[int], box: tuple[slice, ...]) -> npt.NDArray[Any]:
    """Return what lies in a box within one chunk."""
    try:
        return np.asarray(stored[box])
    except _DECODE_ERRORS as error:
        raise ReadError(
            f"{array.name}: the chunk {_shown_index(index)} is truncated or damaged: {_cause(error)}; copy the whole "
            "folder again."
        ) from error


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _shown_index(index: Sequence[int]) -> str:
    return "/".join(str(n) for n in index)


def _chunk_index(name: str, array: StoredArray) -> tuple[int, ...] | None:
    """Return the index that a file's path in its array names, or None."""
    words = name.split(array.separator)
    if array.prefix:
        if words[0] != array.prefix:
            return None
        words = words[1:]
    if len(words) != len(array.shape) or not all(w.isascii() and w.isdigit() and len(w) < 19 for w in words):
        return None
    index = tuple(int(w) for w in words)
    if any(str(n) != w for n, w in zip(index, words, strict=True)):
        return None
    return index if all(n < count for n, count in zip(index, array.grid, strict=True)) else None
