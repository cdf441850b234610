"""What is wrong with which file, in one line, and the small helpers that every reader shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from napari_radcnn.errors import CancelledError, ReadError

#: Called with the number of steps done, the number of all steps, and what is being done.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Problem:
    """What is wrong with which file.

    Attributes
    ----------
    file : str
        Name of the file, or several.
    cause : str
        What is wrong, without a full stop.
    advice : str
        What to do about it; may be empty.
    """

    file: str
    cause: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.file}: {self.cause}" if self.file else self.cause
        return f"{line}; {self.advice}." if self.advice else f"{line}."

    def error(self) -> ReadError:
        """Return the problem as an error to raise."""
        return ReadError(str(self))


def checked_cancel(cancel: Event | None) -> None:
    """Raise `CancelledError` if the user asked to stop."""
    if cancel is not None and cancel.is_set():
        raise CancelledError("Reading")


def report(progress: Progress | None, done: int, total: int, message: str) -> None:
    """Call `progress` if there is one."""
    if progress is not None:
        progress(done, total, message)


def some_names(paths: Sequence[Path], most: int = 3) -> str:
    """Return ``"a.dcm, b.dcm, c.dcm and 7 more"``."""
    names = [path.name for path in paths[:most]]
    rest = len(paths) - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")


def binary_size(n_bytes: int) -> str:
    """Return ``"3.2 GiB"``."""
    size = float(n_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{n_bytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError  # not reached: the last unit always returns


def stem_of(path: Path) -> str:
    """Return the name of the file without its suffix, ``.nii.gz`` counting as one."""
    name = path.name
    for suffix in (".nii.gz", ".img.gz", ".hdr.gz", ".seg.nrrd", ".ome.zarr"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem or name
