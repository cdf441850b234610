"""What the Scans dock lists: the scans in a folder from their headers, and their layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_radcnn.errors import CancelledError
from napari_radcnn.gui.layers.layers import LayerData
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.io import Problem, SeriesInfo, find_scans, read, read_series, sniff
from napari_radcnn.progress import CancelEvent, Progress


@dataclass(frozen=True)
class ListedScan:
    """One scan in a folder, in the words of the list.

    Attributes
    ----------
    group : str
        The study, or the format of single files.
    title, modality, size, spacing : str
        As shown.
    n_files : int
        Files it is made of.
    problem : str or None
        Why it, or a part of it, cannot be opened.
    source : SeriesInfo, Path or None
        What to read; None for a file that cannot be used.
    """

    group: str
    title: str
    modality: str
    size: str
    spacing: str
    n_files: int
    problem: str | None
    source: SeriesInfo | Path | None

    @property
    def can_open(self) -> bool:
        """Whether there is a picture to open."""
        return self.source.n_volumes > 0 if isinstance(self.source, SeriesInfo) else self.source is not None


def list_folder(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[ListedScan]:
    """Return what `napari_radcnn.read` opens at a path: DICOM series, images of other formats, and what is left out.

    Raises
    ------
    ReadError
        If there is no such path, or it cannot be read.
    CancelledError
        If `cancel` was set.
    """
    scans = find_scans(path, progress, cancel)
    studies: dict[str, int] = {}
    series = scans.series
    for info in series:
        studies.setdefault(info.study_uid, len(studies) + 1)
    return [
        *(_series_row(info, studies[info.study_uid]) for info in series),
        *(_image_row(image, path) for image in scans.images),
        *(_problem_row(problem) for problem in scans.dicom.problems),
    ]


def load(
    scans: list[ListedScan], progress: Progress | None = None, cancel: CancelEvent | None = None
) -> list[LayerData]:
    """Return the layers of scans that `list_folder` found.

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
        if scan.source is None:
            continue
        if isinstance(scan.source, SeriesInfo):
            volumes = read_series(scan.source, progress=progress, cancel=cancel)
        else:
            volumes = read(scan.source, progress=progress, cancel=cancel)
        layers += layers_of(volumes, progress=progress, cancel=cancel)
    return layers


def _series_row(info: SeriesInfo, study: int) -> ListedScan:
    number = "" if info.number is None else f"{info.number} · "
    volumes = f" ({info.n_volumes} volumes)" if info.n_volumes > 1 else ""
    return ListedScan(
        group=f"Patient {info.patient} · Study {study}" if info.patient else f"Study {study}",
        title=f"{number}{info.description or 'no description'}{volumes}",
        modality=info.modality,
        size="" if info.shape is None else " x ".join(str(n) for n in info.shape),
        spacing="" if info.spacing is None else " x ".join(f"{step:.3g}" for step in info.spacing),
        n_files=info.n_files,
        problem=info.problem,
        source=info,
    )


def _image_row(image: Path, folder: Path) -> ListedScan:
    """Return the row of an image that is not DICOM, by its place in the folder."""
    title = image.relative_to(folder).as_posix() if image != folder else image.name
    known = sniff(image)
    return ListedScan("Single files", title, "" if known is None else known.name, "", "", 1, None, image)


def _problem_row(problem: Problem) -> ListedScan:
    return ListedScan("Left out", problem.file, "DICOM", "", "", 1, str(problem), None)
