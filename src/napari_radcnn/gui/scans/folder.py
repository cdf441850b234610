"""What the Scans dock lists: the scans in a folder from their headers, and their layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_radcnn.errors import CancelledError, ReadError
from napari_radcnn.gui.layers.layers import LayerData
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.io import SeriesInfo, list_series, read, read_series
from napari_radcnn.io.formats import sniff
from napari_radcnn.progress import CancelEvent, Progress


@dataclass(frozen=True)
class Found:
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
    source : SeriesInfo or Path
        What to read.
    """

    group: str
    title: str
    modality: str
    size: str
    spacing: str
    n_files: int
    problem: str | None
    source: SeriesInfo | Path

    @property
    def can_open(self) -> bool:
        """Whether there is a picture to open."""
        return isinstance(self.source, Path) or self.source.n_volumes > 0


def list_folder(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[Found]:
    """Return the DICOM series below a folder, at any depth, and the images of other formats right in it.

    Raises
    ------
    ReadError
        If there is no such folder, or it cannot be read.
    CancelledError
        If `cancel` was set.
    """
    if not path.exists():
        raise ReadError(f"{path}: no such file or folder; check the name.")
    others = _other_images(path)
    if path.is_file() and others:
        return others
    series = list_series(path, progress=progress, cancel=cancel)
    studies: dict[str, int] = {}
    for info in series:
        studies.setdefault(info.study_uid, len(studies) + 1)
    return [_series_row(info, studies[info.study_uid]) for info in series] + others


def load(scans: list[Found], progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[LayerData]:
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
        if isinstance(scan.source, Path):
            volumes = read(scan.source, progress=progress, cancel=cancel)
        else:
            volumes = read_series(scan.source, progress=progress, cancel=cancel)
        layers += layers_of(volumes, progress=progress, cancel=cancel)
    return layers


def _series_row(info: SeriesInfo, study: int) -> Found:
    number = "" if info.number is None else f"{info.number} · "
    volumes = f" ({info.n_volumes} volumes)" if info.n_volumes > 1 else ""
    return Found(
        group=f"Study {study}",
        title=f"{number}{info.description or 'no description'}{volumes}",
        modality=info.modality,
        size="" if info.shape is None else " x ".join(str(n) for n in info.shape),
        spacing="" if info.spacing is None else " x ".join(f"{step:.3g}" for step in info.spacing),
        n_files=info.n_files,
        problem=info.problem,
        source=info,
    )


def _other_images(path: Path) -> list[Found]:
    """Return the images that are not DICOM."""
    try:
        files = [path] if path.is_file() else sorted(entry for entry in path.iterdir() if entry.is_file())
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}.") from error
    found = []
    for file in files:
        known = sniff(file)
        is_second = file.suffix == ".img" and file.with_suffix(".hdr").exists()
        if known is not None and known.name not in ("DICOM", "DICOMDIR") and not is_second:
            found.append(Found("Single files", file.name, known.name, "", "", 1, None, file))
    return found
