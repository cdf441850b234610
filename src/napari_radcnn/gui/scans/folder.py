"""What the Scans page lists: the scans at some paths from their headers, and their layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import CancelledError, ReadError
from napari_radcnn.files import binary_size
from napari_radcnn.gui.layers.layers import LayerData
from napari_radcnn.gui.layers.sequences import few_of, layers_of
from napari_radcnn.gui.parts.sweeping import unswept
from napari_radcnn.gui.scans.glimpse import Glimpse, glimpse_of
from napari_radcnn.gui.scans.reading import layers_at
from napari_radcnn.io import OnIrregular, Problem, ScansAtPath, SeriesInfo, read_series, sniff
from napari_radcnn.io.contents import Kind, kind_of
from napari_radcnn.io.dicom import DicomFolder
from napari_radcnn.io.dicom.headers import text
from napari_radcnn.io.dicom.irregular import READ_ANYWAY, READ_SPLIT
from napari_radcnn.io.dicom.series import LABEL_MODALITIES
from napari_radcnn.io.dicom_reading import read_dicom_folder
from napari_radcnn.io.formats import DICOM
from napari_radcnn.io.several import find_scans_of, series_beside
from napari_radcnn.progress import CancelEvent, Progress

#: What is shown of a study.
_STUDY_TAGS = ("PatientName", "PatientID", "StudyDate", "StudyDescription")


@dataclass(frozen=True)
class ListedScan:
    """One scan, in the words of the list.

    Attributes
    ----------
    group : str
        Its study: patient, date and description; or the format of single files.
    group_key : str
        What tells two groups of the same words apart.
    title, modality, size, spacing : str
        As shown.
    n_files : int
        Files it is made of.
    problem : str or None
        Why it, or a part of it, cannot be opened.
    source : SeriesInfo, Path or None
        What to read; None for a file that cannot be used.
    can_be_repaired : bool
        Whether it cannot be opened as it is because its slices are not evenly spaced.
    on_irregular : {"refuse", "resample", "split"}
        What is done then.
    """

    group: str
    group_key: str
    title: str
    modality: str
    size: str
    spacing: str
    n_files: int
    problem: str | None
    source: SeriesInfo | Path | None
    can_be_repaired: bool = False
    on_irregular: OnIrregular = "refuse"

    @property
    def can_open(self) -> bool:
        """Whether there is a picture to open."""
        if isinstance(self.source, SeriesInfo):
            return self.source.n_volumes > 0 or self.on_irregular != "refuse"
        return self.source is not None

    @property
    def is_result(self) -> bool:
        """Whether it holds labels that lie on another scan."""
        return isinstance(self.source, SeriesInfo) and self.source.modality in LABEL_MODALITIES

    @property
    def key(self) -> Hashable:
        """What tells it from others, also where it is listed anew."""
        if isinstance(self.source, SeriesInfo):
            return self.source.series_uid, self.source.files, self.on_irregular
        return self.source

    @property
    def details(self) -> str:
        """The second line of its entry."""
        spacing = f"{self.spacing} mm" if self.spacing else ""
        return " · ".join(filter(None, (self.modality, self.size, spacing)))


@dataclass(frozen=True)
class Listing:
    """What was found.

    Attributes
    ----------
    scans : tuple of ListedScan
        In the order of the list.
    first : tuple of ListedScan
        What is opened without being chosen: all files that were named, or the first series of a folder.
    slice : ListedScan or None
        The single slice that was named, where the first scan is the series that it belongs to.
    """

    scans: tuple[ListedScan, ...]
    first: tuple[ListedScan, ...]
    slice: ListedScan | None = None


@unswept()
def list_paths(paths: Sequence[Path], progress: Progress | None = None, cancel: CancelEvent | None = None) -> Listing:
    """Return what is found at files and folders: DICOM series, images of other formats, findings, and what is left out.

    Raises
    ------
    ReadError
        If one is not there, or cannot be read.
    CancelledError
        If `cancel` was set.
    """
    if len(paths) == 1:
        beside = series_beside(paths[0], progress, cancel)
        if beside is not None:
            found = find_scans_of(paths, progress, cancel)
            (alone,) = _rows(found, paths[0].parent)[:1]
            alone = replace(alone, title=f"Only the slice {paths[0].name}")
            whole = _series_row(beside.series, (alone.group, alone.group_key))
            return Listing((whole, alone), (whole,) if whole.can_open else (alone,), alone)
    findings = [path for path in paths if kind_of(path) in (Kind.REPORT, Kind.FINDINGS)]
    others = [path for path in paths if path not in findings]
    rows: list[ListedScan] = []
    if others:
        found = find_scans_of(others, progress, cancel)
        rows = _rows(found, found.path)
    named = [_image_row(path, path) for path in findings]
    named += [row for row in rows if isinstance(row.source, Path) and row.source in others]
    if all(path.is_dir() for path in others):
        named = named or _first_of(rows)
    else:
        named = [*_first_of([row for row in rows if not isinstance(row.source, Path)]), *named]
    return Listing((*(_image_row(path, path) for path in findings), *rows), tuple(named))


def first_scan(
    folder: Path,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    show: Callable[[Glimpse], object] | None = None,
) -> tuple[ListedScan, list[LayerData]] | None:
    """Return the first scan of a folder and its layers, without looking at all of it; None where that is not quicker.

    It is that of the first folder in it with DICOM files, or of the folder itself where it holds no others. Listing all
    of a disc may take ten times as long as reading the scan that is shown first. `show` gets the slice of it that will
    be seen, before the others are read.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
        if files and ((Path(parent) == folder and folders) or sniff(files[0]) is not DICOM):
            return None
        if not files:
            continue
        try:
            found = find_scans_of([Path(parent)], None, cancel)
            rows = _rows(found, Path(parent))
            (first,) = _first_of([row for row in rows if isinstance(row.source, SeriesInfo)])
            return first, _layers_of_first(first, found, progress, cancel, show)
        except (ReadError, ValueError):  # nothing that opens: the list says why
            return None
    return None


def _layers_of_first(
    scan: ListedScan,
    found: ScansAtPath,
    progress: Progress | None,
    cancel: CancelEvent | None,
    show: Callable[[Glimpse], object] | None,
) -> list[LayerData]:
    """Return the layers of a scan whose headers were just read, which `load` would read again."""
    source = scan.source
    own = [
        series
        for series in found.dicom.series
        if isinstance(source, SeriesInfo) and series.instances[0].path in source.files
    ]
    glimpse = glimpse_of(own[0], found.dicom.folder) if show is not None and len(own) == 1 else None
    if show is not None and glimpse is not None:
        show(glimpse)
    volumes, refused = read_dicom_folder(DicomFolder(found.dicom.folder, own), progress, cancel)
    if not volumes or refused:  # the list says why
        return load([scan], progress, cancel)
    return layers_of(volumes, progress=progress, cancel=cancel)


def list_folder(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[ListedScan]:
    """Return what `napari_radcnn.read` opens at a path, see `list_paths`."""
    return list(list_paths([path], progress, cancel).scans)


def load(
    scans: Sequence[ListedScan],
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    places: Sequence[Path] = (),
    which: Sequence[int] | None = None,
) -> list[LayerData]:
    """Return the layers of scans that `list_paths` found.

    Parameters
    ----------
    scans : sequence of ListedScan
        Which.
    progress, cancel
        As for `napari_radcnn.read`.
    places : sequence of Path
        Folders of series that are open: segmentations and contours without their series beside them look there.
    which : sequence of int, optional
        Which of the volumes of a scan, from 0; by default the first few.

    Raises
    ------
    ReadError
        If one cannot be read; names the file and the cause.
    CancelledError
        If `cancel` was set.
    """
    layers: list[LayerData] = []
    for scan in scans:
        if cancel is not None and cancel.is_set():
            raise CancelledError("Loading")
        if isinstance(scan.source, SeriesInfo):
            info = scan.source
            if scan.is_result and not info.beside:
                info = replace(info, beside=tuple(file for place in places for file in _files(place)))
            try:
                volumes = read_series(info, progress, cancel, scan.on_irregular)
            except ReadError as error:
                raise ReadError(in_viewer_words(str(error))) from error
            layers += layers_of(few_of(volumes, which), progress=progress, cancel=cancel)
        elif scan.source is not None:
            layers += layers_at(scan.source, progress, cancel, which)
    return layers


def in_viewer_words(text: str) -> str:
    """Return what is said of slices that are not evenly spaced, with the page's buttons for the options of Python."""
    button = "click on it and press"
    both = text.replace(READ_ANYWAY, f"{button} *Interpolate to an even grid* or *Open its even parts*")
    return both.replace(READ_SPLIT, f"{button} *Open its even parts*")


def repaired(scan: ListedScan, how: OnIrregular) -> ListedScan:
    """Return the scan as it is opened in spite of slices that are not evenly spaced."""
    return replace(scan, on_irregular=how)


def _rows(found: ScansAtPath, folder: Path) -> list[ListedScan]:
    groups = _Groups(found)
    return [
        *(_series_row(info, groups.of(info)) for info in found.series),
        *(_image_row(image, folder) for image in found.images),
        *(_problem_row(problem) for problem in found.dicom.problems),
    ]


class _Groups:
    """The studies of a folder, each in one line."""

    def __init__(self, found: ScansAtPath) -> None:
        self._tags: dict[str, Any] = {}
        for series in found.dicom.series:
            tags = series.instances[0].tags
            self._tags.setdefault(text(tags, "StudyInstanceUID"), tags)
        self._lines: dict[tuple[str, int], str] = {}

    def of(self, info: SeriesInfo) -> tuple[str, str]:
        """Return the line of a series' study, and a key."""
        key = (info.study_uid, info.patient)
        if key not in self._lines:
            self._lines[key] = self._line(info)
        return self._lines[key], f"{info.study_uid}/{info.patient}"

    def _line(self, info: SeriesInfo) -> str:
        tags = self._tags.get(info.study_uid)
        if tags is None:
            tags = _header_of(info.files[0])
        name, patient_id, date, description = (text(tags, keyword) for keyword in _STUDY_TAGS)
        name = ", ".join(part.strip() for part in name.split("=")[0].split("^")[:2] if part.strip())
        if len(date) == 8 and date.isdigit():
            date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
        number = f"Patient {info.patient}:" if info.patient else ""
        person = " ".join(filter(None, (number, name or "no name", f"({patient_id})" if patient_id else "")))
        study = " · ".join(filter(None, (date, description)))
        return f"{person}\n{study}" if study else person


def _header_of(path: Path) -> Any:
    """Return what a file without a picture says of its study; nothing where it is damaged."""
    from pydicom import Dataset, dcmread

    from napari_radcnn.io.dicom.headers import damage, quiet

    try:
        with quiet():
            return dcmread(path, stop_before_pixels=True, specific_tags=list(_STUDY_TAGS), force=True)
    except damage():
        return Dataset()


def _first_of(rows: Sequence[ListedScan]) -> list[ListedScan]:
    """Return the scan of a folder that is shown without being chosen: the first of more than one slice that opens."""
    open_ = [row for row in rows if row.can_open and not row.is_result]
    whole = [row for row in open_ if not isinstance(row.source, SeriesInfo) or (row.source.shape or (1,))[0] > 1]
    return [*whole, *open_, *(row for row in rows if row.can_open)][:1]


def _files(place: Path) -> list[Path]:
    """Return the files of a folder, or of the folder that a file lies in."""
    folder = place if place.is_dir() else place.parent
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _series_row(info: SeriesInfo, group: tuple[str, str]) -> ListedScan:
    number = "" if info.number is None else f"{info.number} · "
    volumes = f" ({info.n_volumes} volumes)" if info.n_volumes > 1 else ""
    kind = {"SEG": "segmentation", "RTSTRUCT": "contours"}.get(info.modality, "no description")
    return ListedScan(
        group=group[0],
        group_key=group[1],
        title=f"{number}{info.description or kind}{volumes}",
        modality=info.modality,
        size=_size(info),
        spacing="" if info.spacing is None else " x ".join(f"{step:.3g}" for step in info.spacing),
        n_files=info.n_files,
        problem=None if info.problem is None else in_viewer_words(info.problem),
        source=info,
        can_be_repaired=info.n_volumes == 0 and "evenly spaced" in (info.problem or ""),
    )


def _size(info: SeriesInfo) -> str:
    if info.shape is None:
        return ""
    n, rows, columns = info.shape
    return f"{n} {'slice' if n == 1 else 'slices'} · {rows} x {columns}"


def _image_row(image: Path, folder: Path) -> ListedScan:
    """Return the row of an image that is not DICOM, by its place in the folder."""
    is_inside = image != folder and image.is_relative_to(folder)
    title = image.relative_to(folder).as_posix() if is_inside else image.name
    known = sniff(image)
    size = binary_size(image.stat().st_size) if image.is_file() else ""
    return ListedScan("Single files", "", title, "" if known is None else known.name, size, "", 1, None, image)


def _problem_row(problem: Problem) -> ListedScan:
    return ListedScan("Left out", "", problem.file, "DICOM", "", "", 1, str(problem), None)
