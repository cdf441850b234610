"""Standard output and error as they are on any terminal: in ASCII, closed, full, or with a reader that has gone."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from napari_radcnn.errors import WriteError


class _Stream:
    """A stream of text that hands on all but `write` and `flush`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Results(_Stream):
    """Standard output: what cannot be written to it is an error of one line."""

    def write(self, text: str) -> int:
        with _told():
            return self._stream.write(text)

    def flush(self) -> None:
        with _told():
            self._stream.flush()


class _Remarks(_Stream):
    """Standard error: what cannot be written to it is lost, and the work goes on."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # full, or closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise WriteError(
            f"Standard output: the answer cannot be printed ({cause}); send it to a file on a disk with room."
        ) from error


@contextmanager
def steady_streams() -> Iterator[None]:
    r"""Make standard output and error take every name of a file, and fail by an error of ours or not at all.

    Characters that the terminal does not have are written as escapes such as ``\xe9``. Where a stream is closed, the
    null device takes its place, so that no file that is opened later gets its number.
    """
    before = sys.stdout, sys.stderr
    out, told = (_opened(stream, number) for number, stream in ((1, sys.stdout), (2, sys.stderr)))
    sys.stdout, sys.stderr = _Results(out), _Remarks(told)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        if before[0] is None or before[1] is None:
            sys.stdout, sys.stderr = out, told
        _let_go(out)


def _opened(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        return os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _let_go(stream: TextIO) -> None:
    """Drop what could not be written, which Python would try again as it ends, and say so in its own words."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
