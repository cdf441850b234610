"""What is wrong with which file, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_radcnn.errors import ReadError

#: How the warning begins that a file does not say where left and right are: such a scan gets no letters.
NO_ORIENTATION = "The orientation is unknown"


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


@contextmanager
def as_read_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says while `path` is read into one clear line.

    Raises
    ------
    ReadError
        For an OSError or a MemoryError of the block.
    """
    try:
        yield
    except PermissionError as error:
        raise ReadError(f"{error.filename or path}: permission denied; ask its owner for access.") from error
    except MemoryError as error:
        raise ReadError(f"{path.name}: the image is too large for this computer's memory.") from error
    except OSError as error:
        raise ReadError(f"{error.filename or path}: cannot be read: {error.strerror or error}.") from error


def stem_of(path: Path) -> str:
    """Return the name of the file without its suffix, ``.nii.gz`` counting as one."""
    name = path.name
    for suffix in (".nii.gz", ".img.gz", ".hdr.gz", ".seg.nrrd", ".ome.zarr"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem or name
