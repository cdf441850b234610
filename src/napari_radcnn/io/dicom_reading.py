"""DICOM files as volumes: the pictures, and on their grids the labels that segmentations and contours hold."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.files import some_names
from napari_radcnn.io.dicom import DicomFolder, OnIrregular, SeriesInfo, check_on_irregular, find_dicomdir
from napari_radcnn.io.dicom.headers import NoImage
from napari_radcnn.io.dicom.series import Series, collect, noted
from napari_radcnn.io.dicom_results.read.labels import is_readable, read_result
from napari_radcnn.io.problems import as_read_errors
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel
from napari_radcnn.volume import Volume


def read_dicom_folder(
    folder: DicomFolder,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    on_irregular: OnIrregular = "refuse",
    *,
    beside: Sequence[Series] = (),
) -> tuple[list[Volume], list[str]]:
    """Decode what was found: every series, then every object with labels.

    Parameters
    ----------
    folder : DicomFolder
        Headers.
    progress, cancel, on_irregular
        As for `napari_radcnn.read`.
    beside : sequence of Series
        Further series, on whose grid labels may lie; they are not decoded.

    Returns
    -------
    volumes : list of Volume
    refused : list of str
        What was left out and why.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    volumes, refused = folder.read_pictures(progress, cancel, on_irregular)
    refused += [str(problem) for problem in folder.problems]
    labels, wrong, others = _read_labels(folder.others, [*folder.series, *beside], cancel)
    volumes += labels
    refused += wrong
    if others:
        kinds = ", ".join(f"{n} x {what}" if n > 1 else what for what, n in Counter(o.what for o in others).items())
        names = some_names([other.path for other in others])
        refused.append(f"{names}: not an image: {kinds}.")
    return volumes, refused


def _read_labels(
    objects: Sequence[NoImage], series: Sequence[Series], cancel: CancelEvent | None
) -> tuple[list[Volume], list[str], list[NoImage]]:
    """Read segmentations and contours; return their volumes, what is wrong, and the objects that hold no labels."""
    volumes: list[Volume] = []
    refused: list[str] = []
    for item in objects:
        checked_cancel(cancel)
        if is_readable(item):
            try:
                volumes += read_result(item, series)
            except ReadError as error:
                refused.append(str(error))
    return volumes, refused, [item for item in objects if not is_readable(item)]


def read_series(
    info: SeriesInfo,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    on_irregular: OnIrregular = "refuse",
) -> list[Volume]:
    """Read the volumes of a series that `list_series` found.

    Parameters
    ----------
    info : SeriesInfo
        The series.
    progress, cancel, on_irregular
        As for `napari_radcnn.read`.

    Raises
    ------
    ReadError
        If none can be read; if some can, the rest stands in their warnings.
    CancelledError
        If `cancel` was set.
    OptionError
        If `on_irregular` is no choice.
    """
    check_on_irregular(on_irregular)
    folder = Path(os.path.commonpath([path.parent for path in info.files]))
    with as_read_errors(info.files[0]):
        found = collect(folder, info.files, None, cancel)
        beside = collect(folder, info.beside, None, cancel).series
        volumes, refused = read_dicom_folder(found, progress, cancel, on_irregular, beside=beside)
    return _with_refused([noted(volume, info.notes) for volume in volumes], refused, folder)


def read_dicom(
    path: Path,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    on_irregular: OnIrregular = "refuse",
) -> list[Volume]:
    """Read one DICOM file, which is one slice of a classic series, or a whole enhanced one.

    Raises
    ------
    ReadError
        If it is no image or cannot be decoded completely.
    """
    found = collect(path.parent, [path], None, cancel)
    if not (found.series or found.others or found.problems):
        raise ReadError(f"{path.name}: not a DICOM file (neither the DICM prefix nor a header), or a DICOMDIR.")
    volumes, refused = read_dicom_folder(found, progress, cancel, on_irregular)
    return _with_refused([_with_source(volume, path) for volume in volumes], refused, path)


def read_dicomdir(
    path: Path,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    on_irregular: OnIrregular = "refuse",
) -> list[Volume]:
    """Read the files that a DICOMDIR names; all DICOM files below its folder where it names none that is there.

    Raises
    ------
    ReadError
        If none of them can be read.
    CancelledError
        If `cancel` was set.
    """
    volumes, refused = read_dicom_folder(find_dicomdir(path, progress, cancel), progress, cancel, on_irregular)
    if not volumes:
        raise ReadError(" ".join(refused[:5]) or f"{path.name}: no DICOM image in its folder; copy the whole disc.")
    return _with_refused([_with_source(volume, path.parent) for volume in volumes], refused, path)


def _with_source(volume: Volume, path: Path) -> Volume:
    return replace(volume, metadata=replace(volume.metadata, source=path))


def _with_refused(volumes: list[Volume], refused: Sequence[str], where: Path) -> list[Volume]:
    """Return the volumes with a warning for everything that was left out.

    Raises
    ------
    ReadError
        If there are none.
    """
    if not volumes:
        raise ReadError(" ".join(refused) if refused else f"{where.name}: contains no DICOM image.")
    left_out = tuple(f"Left out: {line}" for line in refused)
    return [replace(volume, warnings=(*volume.warnings, *left_out)) for volume in volumes]
