"""The bytes behind a text header (NRRD, MetaImage): found, bounded, uncompressed, never more than announced."""

from __future__ import annotations

import bz2
import math
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size
from napari_radcnn.io.gzipped import GZIP_ERROR

#: Deflate cannot do better than 1032:1, bzip2 about 45 000:1; a header that asks for more of a file lies.
_MOST_RATIO = {"gzip": 1032, "bzip2": 50_000}
_PIECE = 1 << 20


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def inside_folder(header: Path, name: str) -> Path:
    """Return the data file that `header` names, if it lies in the header's folder, links resolved.

    Raises
    ------
    ReadError
        If it lies elsewhere (a header from outside could else show any file of this computer), or is missing.
    """
    if "\0" in name or not name:
        raise ReadError(f"{header.name}: the name of its data file is damaged.")
    folder = header.resolve().parent
    candidate = folder / name.replace("\\", "/")
    resolved = candidate.resolve()
    if not resolved.is_relative_to(folder):
        raise ReadError(
            f"{header.name}: its data file '{name}' lies outside the header's folder, which is not allowed; "
            "put both into one folder and name it without a path."
        )
    if not resolved.is_file():
        raise ReadError(f"{header.name}: its data file '{name}' is missing; put it into the same folder.")
    return resolved


def read_bytes(path: Path, start: int, n_bytes: int, encoding: str, shown: str) -> bytes | bytearray:
    """Return exactly `n_bytes` of voxels from byte `start` of a file on.

    Parameters
    ----------
    path : Path
        Where the bytes lie.
    start : int
        First byte; -1 counts from the end, so that the voxels are the last thing in the file.
    n_bytes : int
        As many as the header announces.
    encoding : str
        ``"raw"``, ``"gzip"`` (zlib streams too) or ``"bzip2"``.
    shown : str
        What errors call the file: the header's name.

    Raises
    ------
    ReadError
        If the file holds fewer bytes, or the compressed data is damaged.
    """
    size = path.stat().st_size
    available = size * _MOST_RATIO.get(encoding, 1) + (_PIECE if encoding in _MOST_RATIO else 0)
    if start == -1:
        start = size - n_bytes
    if start < 0 or (size - start if encoding == "raw" else available) < n_bytes:
        got = max(size - max(start, 0), 0)
        size_text = binary_size(n_bytes)
        expected = f"{n_bytes} bytes ({size_text})" if n_bytes < 1 << 50 else size_text
        raise ReadError(
            f"{shown}: the data is truncated or the sizes in the header are wrong: expected {expected}, got {got} "
            "bytes; copy the file again."
        )
    with path.open("rb") as file:
        file.seek(start)
        if encoding == "raw":
            return file.read(n_bytes)
        # 32 + 15: it finds out by itself whether the stream has a gzip or a zlib header
        engine: _Decompressor = isal_zlib.decompressobj(47) if encoding == "gzip" else bz2.BZ2Decompressor()
        data = bytearray()
        try:
            while len(data) <= n_bytes and not engine.eof:
                piece = getattr(engine, "unconsumed_tail", b"") or b""
                if not piece and getattr(engine, "needs_input", True):
                    piece = file.read(_PIECE)
                    if not piece:
                        break
                data += engine.decompress(piece, min(16 * _PIECE, n_bytes - len(data) + 1))
        except (GZIP_ERROR, OSError, EOFError) as error:
            raise ReadError(
                f"{shown}: the compressed ({encoding}) data is damaged ({error}), expected {n_bytes} bytes; "
                "copy the file again."
            ) from error
    if len(data) < n_bytes:
        raise ReadError(
            f"{shown}: the compressed ({encoding}) data is truncated: expected {n_bytes} bytes, got {len(data)} "
            "before its end; copy the file again."
        )
    if len(data) == n_bytes and not engine.eof:  # all voxels are there, but the checksum behind them is not
        raise ReadError(f"{shown}: the compressed ({encoding}) data is truncated before its checksum at the end.")
    return data[:n_bytes] if len(data) > n_bytes else data


def read_text_numbers(path: Path, start: int, dtype: np.dtype, count: int, shown: str) -> npt.NDArray:
    """Return `count` numbers written as text, separated by white space or commas.

    Raises
    ------
    ReadError
        If there are fewer, or they are no numbers.
    """
    if count * 2 - 1 > path.stat().st_size - start:
        raise ReadError(f"{shown}: the data is truncated: expected {count} numbers as text, the file is too short.")
    with path.open("rb") as file:
        file.seek(start)
        words = file.read().replace(b",", b" ").split()
    if len(words) < count:
        raise ReadError(f"{shown}: the data is truncated: expected {count} numbers as text, got {len(words)}.")
    try:
        return np.array([w.decode("ascii") for w in words[:count]]).astype(np.float64).astype(dtype)
    except (ValueError, UnicodeDecodeError) as error:
        raise ReadError(f"{shown}: the data should be numbers as text, but contains something else.") from error


def numbers(text: str, field: str, shown: str) -> list[float]:
    """Return the numbers of a header field.

    Raises
    ------
    ReadError
        If it holds something else.
    """
    try:
        return [float(word) for word in text.split()]
    except ValueError as error:
        raise ReadError(f"{shown}: '{field}' in the header should be numbers, but is '{text[:60]}'.") from error


def integers(text: str, field: str, shown: str) -> list[int]:
    """Return the positive whole numbers of a header field.

    Raises
    ------
    ReadError
        If it holds something else.
    """
    values = numbers(text, field, shown)
    if not values or any(not math.isfinite(v) or v < 1 or v != int(v) for v in values):
        raise ReadError(f"{shown}: impossible size: '{field}' must be positive whole numbers, got '{text[:60]}'.")
    return [int(v) for v in values]


def whole_number(text: str, field: str, shown: str) -> int:
    """Return the whole number, of either sign, of a header field.

    Raises
    ------
    ReadError
        If it holds something else.
    """
    try:
        return int(text)
    except ValueError as error:
        raise ReadError(f"{shown}: '{field}' in the header should be a whole number, got '{text[:60]}'.") from error
