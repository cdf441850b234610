"""Several files and folders as one: slices chosen together are a series, and one slice has others beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.io.contents import ScansAtPath, find_scans
from napari_radcnn.io.dicom import DicomFolder, SeriesInfo
from napari_radcnn.io.dicom.division.slicewise import with_slices_together
from napari_radcnn.io.dicom.headers import Instance, text
from napari_radcnn.io.dicom.patients import belongings
from napari_radcnn.io.dicom.series import Series, collect
from napari_radcnn.io.dicom_reading import read_dicom_folder
from napari_radcnn.io.formats import DICOM, sniff
from napari_radcnn.io.problems import as_read_errors
from napari_radcnn.io.reading import read
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel
from napari_radcnn.volume import Volume

#: What two files of one series have in common.
_KEYS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")


def find_scans_of(
    paths: Sequence[Path], progress: Progress | None = None, cancel: CancelEvent | None = None
) -> ScansAtPath:
    """Return what is found at several paths, as `find_scans` does at one.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders, at least one; files of one DICOM series become one series, wherever they lie.
    progress, cancel
        As for `find_scans`.

    Raises
    ------
    ReadError
        If one is not there, cannot be read, or is nothing that `read` opens.
    CancelledError
        If `cancel` was set.
    """
    if len(paths) == 1:
        return find_scans(paths[0], progress, cancel)
    slices = [path for path in paths if path.is_file() and sniff(path) is DICOM]
    common = Path(os.path.commonpath([path.parent if path.is_file() else path for path in paths]))
    with as_read_errors(common):
        folders = [collect(common, slices, progress, cancel)] if slices else []
    images: list[Path] = []
    for path in (path for path in paths if path not in set(slices)):
        checked_cancel(cancel)
        found = find_scans(path, progress, cancel)
        folders.append(found.dicom)
        images += found.images
    return ScansAtPath(common, _merged(common, folders), tuple(dict.fromkeys(images)))


def read_together(
    paths: Sequence[Path], progress: Progress | None = None, cancel: CancelEvent | None = None
) -> list[Volume]:
    """Read every volume of several files and folders; DICOM slices among them are put together to their series.

    Parameters
    ----------
    paths : sequence of Path
        At least one.
    progress, cancel
        As for `napari_radcnn.read`.

    Raises
    ------
    ReadError
        If one of them is not there, or none can be read; what was left out stands in the warnings of the others.
    CancelledError
        If `cancel` was set.
    """
    if len(paths) == 1:
        return read(paths[0], progress=progress, cancel=cancel)
    found = find_scans_of(paths, progress, cancel)
    with as_read_errors(found.path):
        volumes, refused = read_dicom_folder(found.dicom, progress, cancel)
    for image in found.images:
        volumes += read(image, progress=progress, cancel=cancel)
    if not volumes:
        raise ReadError(" ".join(refused[:5]) or "These files contain no image.")
    told = tuple(f"Left out: {line}" for line in refused)
    return [replace(volume, warnings=(*volume.warnings, *told)) for volume in volumes]


@dataclass(frozen=True)
class SliceInSeries:
    """One slice, and the series whose other slices lie beside it.

    Attributes
    ----------
    path : Path
        Of the slice.
    series : SeriesInfo
        All slices in its folder that belong to it, itself among them.
    """

    path: Path
    series: SeriesInfo


def series_beside(
    path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> SliceInSeries | None:
    """Return the series that a file is one slice of; None where it is no slice, or no other is in its folder.

    A radiograph is no slice: the other views of its series are pictures of their own.

    Parameters
    ----------
    path : Path
        A file.
    progress, cancel
        As for `find_scans`.

    Raises
    ------
    ReadError
        If its folder cannot be read.
    CancelledError
        If `cancel` was set.
    """
    with as_read_errors(path):
        uid = slice_of(path)
        if uid is None:
            return None
        files = sorted(file for file in path.parent.iterdir() if not file.name.startswith(".") and file.is_file())
        found = collect(path.parent, files, progress, cancel)
    for series in found.series:
        if len(series.instances) > 1 and any(instance.path == path for instance in series.instances):
            return SliceInSeries(path, series.info())
    return None


def slice_of(path: Path) -> str | None:
    """Return the SeriesInstanceUID of a file with a single slice; None for anything else. Reads its header alone.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if not path.is_file() or sniff(path) is not DICOM:
        return None
    instances = [instance for series in collect(path.parent, [path]).series for instance in series.instances]
    if len(instances) != 1 or not _is_slice(instances[0]):
        return None
    return text(instances[0].tags, "SeriesInstanceUID") or None


def _is_slice(instance: Instance) -> bool:
    frames = text(instance.tags, "NumberOfFrames")
    return frames in ("", "1") and bool(text(instance.tags, "ImagePositionPatient"))


def _merged(common: Path, folders: Sequence[DicomFolder]) -> DicomFolder:
    """Return one folder of all, with the files of a series together and the patients counted anew."""
    files: dict[tuple[str, ...], list[Instance]] = {}
    for n, folder in enumerate(folders):
        here: set[tuple[str, ...]] = set()
        for m, series in enumerate(folder.series):
            key = tuple(text(series.instances[0].tags, keyword) for keyword in _KEYS)
            if key in here or not key[2]:  # what one folder keeps apart stays apart
                key = (*key, str(n), str(m))
            here.add(key)
            known = files.setdefault(key, [])
            paths = {instance.path for instance in known}
            known += [instance for instance in series.instances if instance.path not in paths]
    lists = with_slices_together(list(files.values()))
    merged = DicomFolder(common)
    merged.series = [Series(*pair) for pair in zip(lists, belongings(lists), strict=True)]
    merged.others = [other for folder in folders for other in folder.others]
    merged.problems = [problem for folder in folders for problem in folder.problems]
    return merged
