"""Which formats there are, and which of them a file is: by its first bytes, then by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom import OnIrregular, is_dicom_start, is_dicomdir_start
from napari_radcnn.io.dicom_reading import read_dicom, read_dicomdir
from napari_radcnn.io.itk.metaimage import read_metaimage
from napari_radcnn.io.itk.nrrd import read_nrrd
from napari_radcnn.io.itk.write import write_itk
from napari_radcnn.io.nifti import HEADER_STARTS, read_nifti, write_nifti
from napari_radcnn.io.omezarr import is_zarr, read_omezarr, write_omezarr
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume

#: How much of a file, and how many entries of a folder, `sniff` looks at.
_START_BYTES = 352
_MOST_ENTRIES = 200


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
        ``"NIfTI"``.
    suffixes : tuple of str
        What its files are called, in full and lower case: ``".nii.gz"``.
    writes : tuple of str
        Those of them that we write.
    claims : callable
        Whether the first bytes of a file are this format's; they decide before the suffix does.
    reader : callable or None
        ``reader(path, progress, cancel) -> list[Volume]``; None for an archive, which holds files of other formats.
    writer : callable or None
        ``writer(object, path, overwrite)``.
    has_slices : bool
        Whether slices that are not evenly spaced can be found in it: `reader` then takes a fourth argument,
        ``on_irregular``.
    """

    name: str
    suffixes: tuple[str, ...]
    writes: tuple[str, ...]
    claims: Callable[[bytes], bool]
    reader: Callable[..., list[Volume]] | None = None
    writer: Callable[[Volume | LabelMap, Path, bool], None] | None = None
    has_slices: bool = False

    def read(
        self, path: Path, progress: Progress | None, cancel: CancelEvent | None, on_irregular: OnIrregular
    ) -> list[Volume]:
        """Read a file of this format; `on_irregular` has no effect where every file is a whole, even grid.

        Raises
        ------
        ReadError
            If the file cannot be read, or is an archive.
        """
        if self.reader is None:
            raise ReadError(f"{path.name}: a {self.name} holds files of other formats; unpack it first.")
        if self.has_slices:
            return self.reader(path, progress, cancel, on_irregular)
        return self.reader(path, progress, cancel)


DICOM = Format("DICOM", (".dcm", ".dicom", ".ima"), (), is_dicom_start, read_dicom, has_slices=True)
#: The table of contents of a disc; the files that it names are opened.
DICOMDIR = Format("DICOMDIR", (), (), is_dicomdir_start, read_dicomdir, has_slices=True)
#: By its name alone: many kinds of files are ZIP archives inside.
ZIP = Format("ZIP archive", (".zip",), (), lambda _: False)

#: A folder: `claims`, which looks into files, never holds.
OME_ZARR = Format(
    "OME-Zarr", (".ome.zarr", ".zarr"), (".ome.zarr", ".zarr"), lambda _: False, read_omezarr, write_omezarr
)

FORMATS = (
    DICOMDIR,
    DICOM,
    Format(
        "NIfTI",
        (".nii.gz", ".nii", ".hdr", ".img", ".hdr.gz", ".img.gz"),
        (".nii.gz", ".nii"),
        lambda start: start[:4] in HEADER_STARTS and start[344:348] in (b"n+1\0", b"ni1\0"),
        read_nifti,
        write_nifti,
    ),
    Format("NRRD", (".nrrd", ".nhdr"), (".nrrd",), lambda start: start.startswith(b"NRRD000"), read_nrrd, write_itk),
    Format(
        "MetaImage",
        (".mha", ".mhd"),
        (".mha", ".mhd"),
        lambda start: start.startswith((b"ObjectType = Image", b"ObjectType=Image", b"NDims =")),
        read_metaimage,
        write_itk,
    ),
    OME_ZARR,
    ZIP,
)
#: What a file in a folder is not opened as: the folder is read for DICOM files anyway, and archives are left alone.
NOT_IN_FOLDERS = (DICOMDIR, DICOM, ZIP)


def sniff(path: str | Path) -> Format | None:
    """Return the format of a file or folder, or None; cheap enough to call on everything a user drops.

    A file is judged by its first bytes and its suffix. A folder is judged by its first 200 entries, one level of
    folders deeper included; the format of the first one that is any image is returned.
    """
    path = Path(path)
    try:
        if is_zarr(path):
            return OME_ZARR
        if path.is_dir():
            if any(is_zarr(inner) for inner in islice(path.glob("*.zarr"), _MOST_ENTRIES)):
                return OME_ZARR
            found = (_sniff_file(entry) for entry in _entries(path))
            return next((format_ for format_ in found if format_ not in (None, ZIP)), None)
        return _sniff_file(path)
    except OSError:
        return None


def format_by_suffix(path: Path) -> Format | None:
    """Return the format that files of this name have."""
    name = path.name.lower()
    return next((f for f in FORMATS if any(name.endswith(s) and name != s for s in f.suffixes)), None)


def readable_suffixes() -> tuple[str, ...]:
    """Return every suffix that a file we read may have (a DICOM file may also have none)."""
    return tuple(suffix for found in FORMATS for suffix in found.suffixes)


def writable_suffixes() -> tuple[str, ...]:
    """Return every suffix that an image can be written with."""
    return tuple(suffix for found in FORMATS for suffix in found.writes)


def _sniff_file(path: Path) -> Format | None:
    if path.name.startswith("._"):  # what macOS leaves beside files on other disks
        return None
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    for found in FORMATS:
        if found.claims(start):
            return found
    return format_by_suffix(path)


def _entries(folder: Path) -> Iterator[Path]:
    """Give files of the folder, then of the folders in it, 200 entries in all."""
    left = _MOST_ENTRIES
    folders = [folder]
    for depth in range(2):
        deeper: list[Path] = []
        for current in folders:
            with os.scandir(current) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return
                    if entry.is_file():
                        yield Path(entry.path)
                    elif depth == 0 and entry.is_dir(follow_symlinks=False):
                        deeper.append(Path(entry.path))
        folders = deeper
