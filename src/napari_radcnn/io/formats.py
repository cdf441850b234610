"""Which formats there are, and which of them a file is: by its first bytes, then by its name."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from napari_radcnn.discovery import Added, Package, blamed
from napari_radcnn.errors import CatalogueWarning, ReadError, WriteError
from napari_radcnn.files import where
from napari_radcnn.io.dicom import OnIrregular, is_dicom_start, is_dicomdir_start
from napari_radcnn.io.dicom_reading import read_dicom, read_dicomdir
from napari_radcnn.io.itk.metaimage import read_metaimage
from napari_radcnn.io.itk.nrrd import read_nrrd
from napari_radcnn.io.itk.write import write_itk
from napari_radcnn.io.mgh import is_mgh_start, read_mgh
from napari_radcnn.io.nifti import HEADER_STARTS, read_nifti, write_nifti
from napari_radcnn.io.omezarr import is_zarr, read_omezarr, write_omezarr
from napari_radcnn.io.picture import STARTS as PICTURE_STARTS, read_picture
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import LabelMap
from napari_radcnn.tasks import kinds
from napari_radcnn.volume import Volume

#: How much of a file, and how many entries of a folder, `sniff` looks at.
_START_BYTES = 352
_MOST_ENTRIES = 200
#: How deep: a disc has folders of patients, studies and series.
_MOST_DEPTH = 5


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
        ``reader(path, progress, cancel) -> list[Volume]``; None for an archive, which holds files of other formats,
        and for a format that is only written.
    writer : callable or None
        ``writer(object, path, overwrite)``.
    has_slices : bool
        Whether slices that are not evenly spaced can be found in it: `reader` then takes a fourth argument,
        ``on_irregular``.
    package : Package or None
        The installed package that adds it, which is filled in where it is found; None for our own.
    """

    name: str
    suffixes: tuple[str, ...]
    writes: tuple[str, ...]
    claims: Callable[[bytes], bool]
    reader: Callable[..., list[Volume]] | None = None
    writer: Callable[[Volume | LabelMap, Path, bool], None] | None = None
    has_slices: bool = False
    package: Package | None = None

    @property
    def is_read(self) -> bool:
        """Whether its files are opened; an archive's are, as the images that it holds."""
        return self.reader is not None or not self.writes

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
            raise ReadError(f"{path.name}: a {self.name} contains files of other formats; unpack it first.")
        more = (on_irregular,) if self.has_slices else ()
        with blamed(self.package, f"{path.name}: reading the format '{self.name}'", ReadError):
            volumes = self.reader(path, progress, cancel, *more)
            if self.package is not None:
                _check_volumes(volumes)
        return volumes

    def write(self, obj: Volume | LabelMap, path: Path, overwrite: bool = False) -> None:
        """Write a file of this format.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        if self.writer is None:
            raise WriteError(f"{path}: writing {self.name} is not supported.")
        with blamed(self.package, f"{path}: writing the format '{self.name}'", WriteError):
            self.writer(obj, path, overwrite)
            if self.package is not None and not where(path).exists():
                raise FileNotFoundError("it wrote no file of this name")


DICOM = Format("DICOM", (".dcm", ".dicom", ".ima"), (), is_dicom_start, read_dicom, has_slices=True)
#: The table of contents of a disc; the files that it names are opened.
DICOMDIR = Format("DICOMDIR", (), (), is_dicomdir_start, read_dicomdir, has_slices=True)
#: By its name alone: many kinds of files are ZIP archives inside.
ZIP = Format("ZIP archive", (".zip",), (), lambda _: False)

#: A folder: `claims`, which looks into files, never holds.
OME_ZARR = Format(
    "OME-Zarr", (".ome.zarr", ".zarr"), (".ome.zarr", ".zarr"), lambda _: False, read_omezarr, write_omezarr
)

#: A radiograph as other programs export it. In a folder with scans it is taken for a screenshot and left alone.
PICTURE = Format(
    "picture",
    (".png", ".jpg", ".jpeg", ".tif", ".tiff"),
    (),
    lambda start: start.startswith(PICTURE_STARTS),
    read_picture,
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
    Format("MGH", (".mgz", ".mgh", ".mgh.gz"), (), is_mgh_start, read_mgh),
    OME_ZARR,
    PICTURE,
    ZIP,
)
#: How names of files with the weights of a network end.
WEIGHTS = (".onnx", ".pt", ".pth", ".ts", ".safetensors", ".ckpt")
#: How names of further files end that mean something here.
_OTHERS = (".json", ".csv", ".radcnn", ".raw", ".zraw", *WEIGHTS)
#: What a file in a folder is not opened as: the folder is read for DICOM files anyway, and archives are left alone.
NOT_IN_FOLDERS = (DICOMDIR, DICOM, ZIP)


def sniff(path: str | Path) -> Format | None:
    """Return the format of a file or folder, or None; cheap enough to call on everything a user drops.

    A file is judged by its first bytes and its suffix. A folder is judged by its first 200 entries, those of the
    folders in it included; the format of the first one that is any image is returned.
    """
    path = Path(path)
    try:
        if is_zarr(path):
            return OME_ZARR
        if path.is_dir():
            if any(is_zarr(inner) for inner in islice(path.glob("*.zarr"), _MOST_ENTRIES)):
                return OME_ZARR
            found = (_sniff_file(entry) for entry in _entries(path))
            return _first_format(format_ for format_ in found if format_ not in (None, ZIP))
        return _sniff_file(path)
    except OSError:
        return None


def _first_format(found: Iterable[Format | None]) -> Format | None:
    """Return the first format; that of pictures only where there is no other."""
    last = None
    for format_ in found:
        if format_ is not PICTURE:
            return format_
        last = PICTURE
    return last


def formats() -> Iterator[Format]:
    """Give our own formats, then those of installed packages, which are imported when it comes to them."""
    yield from FORMATS
    yield from ADDED.all().values()


def format_by_suffix(path: Path) -> Format | None:
    """Return the format that files of this name have."""
    return next((found for found in formats() if found.is_read and _has_suffix(path, found.suffixes)), None)


def _has_suffix(path: Path, suffixes: Iterable[str]) -> bool:
    name = path.name.lower()
    return any(name.endswith(suffix) and name != suffix for suffix in suffixes)


def readable_suffixes() -> tuple[str, ...]:
    """Return every suffix that a file we read may have (a DICOM file may also have none)."""
    return tuple(suffix for found in formats() if found.is_read for suffix in found.suffixes)


def writable_suffixes() -> tuple[str, ...]:
    """Return every suffix that an image can be written with."""
    return tuple(suffix for found in formats() for suffix in found.writes)


def _sniff_file(path: Path) -> Format | None:
    if path.name.startswith("._"):  # what macOS leaves beside files on other disks
        return None
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    own = next((found for found in FORMATS if found.claims(start)), None)
    own = own or next((found for found in FORMATS if _has_suffix(path, found.suffixes)), None)
    if own is not None or _has_suffix(path, own_suffixes()):
        return own
    return next((found for found in ADDED.all().values() if _claims(found, start)), None) or format_by_suffix(path)


def _entries(folder: Path) -> Iterator[Path]:
    """Give files of the folder, then of the folders in it, and so on, 200 entries in all."""
    left = _MOST_ENTRIES
    folders = [folder]
    for _ in range(_MOST_DEPTH):
        deeper: list[Path] = []
        for current in folders:
            with os.scandir(current) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return
                    if entry.is_file():
                        yield Path(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        deeper.append(Path(entry.path))
        folders = deeper


# -- of installed packages --------------------------------------------------------------------------------------------


def own_suffixes() -> tuple[str, ...]:
    """Return every suffix that means something without any package: of images, of results, of models, of sessions."""
    images = (suffix for found in FORMATS for suffix in found.suffixes)
    results = (suffix for kind in kinds() for suffix in kind.writers if suffix)
    return (*images, *results, *_OTHERS)


def _checked(thing: object, name: str, package: Package) -> Format:
    """Return the format of an installed package.

    Raises
    ------
    ReadError
        If it is none that can be used.
    """
    if not isinstance(thing, Format):
        raise ReadError(f"'{name}' is a {type(thing).__name__}, expected a Format")
    if thing.name != name:
        raise ReadError(f"the entry point is called '{name}', but its format '{thing.name}'; give both the same name")
    if thing.reader is None and thing.writer is None:
        raise ReadError("it has neither a reader nor a writer")
    if not all(callable(part) for part in (thing.claims, thing.reader or print, thing.writer or print)):
        raise ReadError("claims, reader and writer must be functions")
    wrong = [one for one in (*thing.suffixes, *thing.writes) if not re.fullmatch(r"(\.[a-z0-9_-]+)+", str(one))]
    if wrong:
        raise ReadError(f"'{wrong[0]}' is not a suffix: use a dot, then lowercase letters and digits")
    if not set(thing.writes) <= set(thing.suffixes) or bool(thing.writes) != (thing.writer is not None):
        raise ReadError("what it writes must be among its suffixes, and have a writer")
    own = next((one for one in thing.suffixes if _has_suffix(Path(f"x{one}"), own_suffixes())), None)
    if own is not None:
        raise ReadError(f"files whose names end with '{own}' are already opened and written without this package")
    return replace(thing, package=package)


def _check_volumes(volumes: object) -> None:
    """Raise if what a reader returned is no list of volumes.

    Raises
    ------
    TypeError
        If it is none, or empty.
    """
    if not isinstance(volumes, list) or not volumes or not all(isinstance(volume, Volume) for volume in volumes):
        raise TypeError("it did not return a list of at least one Volume")


def _claims(candidate: Format, start: bytes) -> bool:
    """Return whether a format of an installed package claims a file; one that fails at that does not."""
    try:
        with blamed(candidate.package, f"Recognizing files of the format '{candidate.name}'", ReadError):
            return candidate.is_read and bool(candidate.claims(start))
    except ReadError as error:
        warnings.warn(str(error), CatalogueWarning, stacklevel=2)
        return False


#: Those of installed packages; files are asked for after our own.
ADDED = Added("napari_radcnn.formats", "format", _checked, lambda: {found.name for found in FORMATS})
