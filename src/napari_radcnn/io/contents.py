"""What a path holds, decided in one place for `read`, the docks, napari's reader and the command line."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ReadError
from napari_radcnn.io.archive import DAMAGE
from napari_radcnn.io.dicom import DicomFolder, SeriesInfo, find_dicom, find_dicomdir, series_infos
from napari_radcnn.io.dicom.series import collect
from napari_radcnn.io.dicom_results import is_report
from napari_radcnn.io.formats import (
    DICOM,
    DICOMDIR,
    NOT_IN_FOLDERS,
    PICTURE,
    WEIGHTS,
    ZIP,
    Format,
    readable_suffixes,
    sniff,
)
from napari_radcnn.io.nifti import is_voxel_half
from napari_radcnn.io.omezarr import is_zarr
from napari_radcnn.io.problems import as_read_errors
from napari_radcnn.io.reports import is_findings_table
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.schemas import JOURNAL_NAME, JOURNAL_START, MANIFEST_SUFFIX, PACK_LIST


class Kind(StrEnum):
    """What a path holds, in the words of messages."""

    #: Scans and label maps, which `read` opens.
    IMAGES = "images"
    #: A DICOM structured report.
    REPORT = "a structured report"
    #: Findings, as `write` writes detections.
    FINDINGS = "findings"
    #: The probabilities of a classification.
    CLASSES = "class probabilities"
    #: A value that was read off a scan.
    VALUE = "a value"
    #: The risk of an event.
    RISK = "a risk"
    #: Named places in the patient.
    LANDMARKS = "landmarks"
    #: Numbers by which a model knows a scan.
    EMBEDDING = "an embedding"
    #: What made a result.
    MANIFEST = "the manifest of a result"
    #: Prompts and tools, to be played on a scan.
    SCRIPT = "a script"
    #: An interactive session that is kept on the disk.
    SESSION = "an interactive session"
    #: A model in one file, to be installed.
    PACK = "a model pack"
    #: A model that somebody else made.
    MODEL = "a model"


#: What the viewer opens.
SHOWN = (Kind.IMAGES, Kind.REPORT, Kind.FINDINGS)

#: Bytes of a file of JSON types that are looked at; a smaller one is parsed whole.
_BEGINNING = 1024
_PARSED_WHOLE = 1 << 20
#: The first key of what is written here -> what the file holds.
_FIRST_KEYS = {
    "detections": Kind.FINDINGS,
    "probabilities": Kind.CLASSES,
    "value": Kind.VALUE,
    "risk": Kind.RISK,
    "landmarks": Kind.LANDMARKS,
    "embedding": Kind.EMBEDDING,
    "steps": Kind.SCRIPT,
}
#: What lies in the folder of a model, at whatever depth.
_MODEL_FILES = ("configs/inference.json", "configs/inference.yaml", "configs/metadata.json", "plans.json", "model.json")
_MODEL_MEMBER = re.compile(rf"(?:[^/]+/){{0,2}}(?:{'|'.join(map(re.escape, _MODEL_FILES))})")


def kind_of(path: str | Path) -> Kind | None:
    """Return what a path holds, from its name and first bytes; None where it is nothing that is known here.

    Cheap enough to call on everything a user drops: of an image nothing but the header is read, of a folder the first
    200 entries. Errors of the disk count as None.

    Parameters
    ----------
    path : path
        A file or a folder.
    """
    path = Path(path)
    try:
        return _kind_of_folder(path) if path.is_dir() else _kind_of_file(path)
    except OSError:
        return None


def _kind_of_folder(path: Path) -> Kind | None:
    if (path / JOURNAL_NAME).is_file():
        return Kind.SESSION
    if sniff(path) is not None:
        return Kind.IMAGES
    return Kind.MODEL if any((path / name).is_file() for name in _MODEL_FILES) else None


def _kind_of_file(path: Path) -> Kind | None:
    if not path.is_file():
        return None
    found = sniff(path)
    if found is ZIP:
        return _kind_of_archive(path)
    if found is not None:
        return Kind.REPORT if found is DICOM and is_report(path) else Kind.IMAGES
    name = path.name.lower()
    if name.endswith(".json"):
        return _kind_of_json(path)
    if name.endswith(".csv"):
        return Kind.FINDINGS if is_findings_table(path) else None
    with path.open("rb") as file:
        if file.read(len(JOURNAL_START)) == JOURNAL_START:
            return Kind.SESSION
    return Kind.MODEL if name.endswith(WEIGHTS) else None


def _kind_of_json(path: Path) -> Kind | None:
    """Judge by the key that comes first, as our own files are written, or by all keys of a small file."""
    if path.name.lower().endswith(MANIFEST_SUFFIX):
        return Kind.MANIFEST
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    first = re.match(rb'\s*\{\s*"(\w+)"\s*:', beginning)
    if first is not None and first[1].decode() in _FIRST_KEYS:
        return _FIRST_KEYS[first[1].decode()]
    if path.stat().st_size > _PARSED_WHOLE:
        return Kind.MANIFEST if b'"radcnn-manifest/' in beginning else None
    try:
        plain: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(plain, dict):
        return None
    if str(plain.get("schema")).startswith("radcnn-manifest/"):
        return Kind.MANIFEST
    kind = next((kind for key, kind in _FIRST_KEYS.items() if key in plain), None)
    return Kind.MODEL if kind is None and path.name == "model.json" else kind


def _kind_of_archive(path: Path) -> Kind:
    """Return whether a ZIP archive is a model; any other, a damaged one among them, is to be opened as images."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGE:
        return Kind.IMAGES
    if PACK_LIST in names:
        return Kind.PACK
    return Kind.MODEL if any(map(_MODEL_MEMBER.fullmatch, names)) else Kind.IMAGES


# -- scans ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScansAtPath:
    """What `napari_radcnn.read` opens at a path, found but not read.

    Attributes
    ----------
    path : Path
        The file or folder.
    dicom : DicomFolder
        Headers of DICOM files: series, objects without pictures, and files that cannot be used.
    images : tuple of Path
        Files and stores of other formats, one of each pair of files.
    """

    path: Path
    dicom: DicomFolder
    images: tuple[Path, ...]

    @property
    def series(self) -> list[SeriesInfo]:
        """What the headers say of every series, as `list_series` returns it."""
        return series_infos(self.dicom)


def find_scans(path: str | Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> ScansAtPath:
    """Return what `napari_radcnn.read` opens at a path.

    In a folder those are the DICOM series at any depth and the images of other formats right in it; where there are
    neither, the images of other formats one folder down; and where there is nothing else, its pictures (PNG, JPEG,
    TIFF). Hidden files and folders are left out, and so are archives
    in a folder.

    Parameters
    ----------
    path : path
        A file, a folder or an OME-Zarr store.
    progress : callable, optional
        Called as ``progress(done, total, message)``.
    cancel : threading.Event, optional
        Set it to stop.

    Raises
    ------
    ReadError
        If there is no such path, it cannot be read, or it is a file that `read` does not open.
    CancelledError
        If `cancel` was set.
    """
    path = Path(path)
    with as_read_errors(path):
        return _find_scans(path, progress, cancel)


def _find_scans(path: Path, progress: Progress | None, cancel: CancelEvent | None) -> ScansAtPath:
    if not path.is_dir() or is_zarr(path):
        found = format_of(path)
        if found is DICOM:
            return ScansAtPath(path, collect(path.parent, [path], progress, cancel), ())
        if found is DICOMDIR:
            return ScansAtPath(path, find_dicomdir(path, progress, cancel), ())
        return ScansAtPath(path, DicomFolder(path.parent), (path,))
    dicom = find_dicom(path, progress, cancel, skip=is_zarr)
    images = _other_images(path, {instance.path for series in dicom.series for instance in series.instances})
    if not images and not dicom.series:
        inner = sorted(entry for entry in _entries(path) if entry.is_dir() and not is_zarr(entry))
        images = [image for folder in inner for image in _readable_images(folder)]
    if not images and not dicom.series:
        images = [entry for entry in _entries(path) if entry.is_file() and sniff(entry) is PICTURE]
    return ScansAtPath(path, dicom, tuple(images))


def list_series(
    folder: str | Path, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> list[SeriesInfo]:
    """List the series in a folder from their headers alone.

    Parameters
    ----------
    folder : path
        Searched at any depth; a single file works, too.
    progress : callable, optional
        Called as ``progress(done, total, message)``.
    cancel : threading.Event, optional
        Set it to stop.

    Returns
    -------
    list of SeriesInfo
        By study and series number; objects without pictures stand at the end: segmentations and contours, whose
        labels can be read, and others (reports) with a `problem`.

    Raises
    ------
    ReadError
        If the folder does not exist or cannot be read.
    CancelledError
        If `cancel` was set.
    """
    folder = Path(folder)
    if not folder.exists():
        raise ReadError(f"{folder}: no such file or folder; check the name.")
    with as_read_errors(folder):
        if folder.is_dir():
            return series_infos(find_dicom(folder, progress, cancel, skip=is_zarr))
        return series_infos(collect(folder.parent, [folder], progress, cancel))


def format_of(path: Path) -> Format:
    """Return the format that a file or store is read as.

    Raises
    ------
    ReadError
        If there is no such file, or it holds no image; says what it holds instead.
    OSError
        If it cannot be read.
    """
    if not path.exists():
        raise ReadError(f"{path}: no such file or folder; check the name.")
    if not path.is_file() and not is_zarr(path):
        raise ReadError(f"{path}: neither a file nor a folder.")
    if path.is_file() and path.stat().st_size == 0:
        raise ReadError(f"{path.name}: the file is empty (0 bytes); copy it again.")
    found = sniff(path)
    kind = kind_of(path) if found is None or found is ZIP else Kind.IMAGES
    if kind is Kind.PACK:
        raise ReadError(f"{path.name}: this is a model pack, not a scan; install it: radcnn models install {path.name}")
    if found is not None:
        return found
    with path.open("rb"):  # says "permission denied" where that is why nothing was found
        pass
    if kind is not None:
        raise ReadError(f"{path.name}: {kind}, not an image; `radcnn info` shows what it contains.")
    suffixes = ", ".join(s for s in readable_suffixes() if s not in (".dcm", ".dicom", ".ima"))
    raise ReadError(f"{path.name}: not an image in a supported format. Supported: DICOM, {suffixes}.")


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, in a fixed order, without what is hidden, such as stores that are being written."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _readable_images(folder: Path) -> list[Path]:
    """Return the images of an inner folder; none where it cannot be read, which stands among the problems already."""
    try:
        return _other_images(folder)
    except PermissionError:
        return []


def _other_images(folder: Path, known: Set[Path] = frozenset()) -> list[Path]:
    """Return the images of the folder that are not DICOM (`known` are), one of every pair of files."""
    images = []
    for path in _entries(folder):
        if path.is_dir():
            if is_zarr(path):
                images.append(path)
        elif path not in known and path.is_file() and path.stat().st_size > 0 and not is_voxel_half(path):
            found = sniff(path)
            if found is not None and found not in (*NOT_IN_FOLDERS, PICTURE):
                images.append(path)
    return images
