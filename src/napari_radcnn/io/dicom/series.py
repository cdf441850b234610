"""The series with pictures of a folder: found, listed, decoded."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.division.slicewise import with_slices_together
from napari_radcnn.io.dicom.frames import frames_of
from napari_radcnn.io.dicom.headers import Instance, NoImage, damage, quiet, read_header, text
from napari_radcnn.io.dicom.irregular import OnIrregular
from napari_radcnn.io.dicom.patients import Belonging, belongings
from napari_radcnn.io.dicom.pixels import check_size
from napari_radcnn.io.dicom.stacks import Stack, make_stacks
from napari_radcnn.io.dicom.values import make_volume
from napari_radcnn.io.problems import Problem
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel, report
from napari_radcnn.volume import Volume

#: An empty file, or one that is no DICOM, is told of if it is called like a slice; other files are not ours.
_LIKE_A_SLICE = (".dcm", ".dicom", ".ima", ".dic")
#: Objects without a picture that are read as label volumes.
LABEL_MODALITIES = ("SEG", "RTSTRUCT")
#: Codes go into layer names; anything else does not.
_CODE = re.compile(r"[A-Z0-9]{1,16}")


@dataclass(frozen=True)
class SeriesInfo:
    """What the headers say about one series.

    Attributes
    ----------
    study_uid, series_uid : str
        DICOM's identifiers.
    modality : str
        ``"CT"``, ...
    number : int or None
        SeriesNumber.
    description : str
        SeriesDescription: written by people, for lists only.
    shape : tuple of int or None
        ``(k, j, i)`` of its largest volume.
    spacing : tuple of float or None
        Of that volume, mm along ``(k, j, i)``; None where it is not known.
    n_volumes : int
        Volumes that `read_series` will make of it.
    n_files : int
        Files in it.
    files : tuple of Path
        Those files.
    problem : str or None
        Why it, or a part of it, cannot be opened.
    beside : tuple of Path
        For labels: the pictures that were found with them, on whose grid they are put.
    patient : int
        Which of the patients whose scans were found together, counted from 1; 0 where all are of one.
    notes : tuple of str
        What must be said about whose scan it is.
    """

    study_uid: str
    series_uid: str
    modality: str
    number: int | None
    description: str
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    n_volumes: int
    n_files: int
    files: tuple[Path, ...]
    problem: str | None
    beside: tuple[Path, ...] = ()
    patient: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class Series:
    """The files of one series, and whose they are among others."""

    instances: list[Instance]
    belonging: Belonging = field(default_factory=Belonging)
    _known: dict[OnIrregular, tuple[list[Stack], list[str]]] = field(default_factory=dict, repr=False, compare=False)

    def stacks(self, on_irregular: OnIrregular = "refuse") -> tuple[list[Stack], list[str]]:
        """Return its volumes, not decoded yet, and what is wrong with the rest; found once, at the first call."""
        if on_irregular not in self._known:
            self._known[on_irregular] = self._stacked(on_irregular)
        stacks, problems = self._known[on_irregular]
        return list(stacks), list(problems)

    def _stacked(self, on_irregular: OnIrregular) -> tuple[list[Stack], list[str]]:
        frames = []
        problems: list[str] = []
        for instance in self.instances:
            try:
                check_size(instance)
                frames += frames_of(instance)
            except ReadError as error:
                problems.append(str(error))
            except damage() as error:
                problems.append(_damaged(instance.path, error))
        if problems:  # a stack without one of its slices is not the scan; other stacks of the series may be whole
            return [], _shortened(problems)
        try:
            stacks, wrong = make_stacks(frames, on_irregular)
        except ReadError as error:
            return [], [str(error)]
        lines = [str(problem) for problem in wrong]
        # a file is opened whole or not at all: half of one is not what the user asked for
        return ([] if wrong and len(self.instances) == 1 else stacks), lines

    def info(self) -> SeriesInfo:
        """Return what the headers say."""
        first = self.instances[0].tags
        with quiet():
            stacks, problems = self.stacks()
        largest = stacks[0].geometry if stacks else None
        number = text(first, "SeriesNumber")
        return SeriesInfo(
            text(first, "StudyInstanceUID"),
            text(first, "SeriesInstanceUID"),
            text(first, "Modality"),
            int(number) if number.lstrip("+-").isdigit() else None,
            text(first, "SeriesDescription"),
            largest.shape if largest else None,
            largest.spacing if largest and stacks[0].is_calibrated else None,
            len(stacks),
            len(self.instances),
            tuple(instance.path for instance in self.instances),
            " ".join(problems) or None,
            patient=self.belonging.patient,
            notes=self.belonging.notes,
        )


@dataclass
class DicomFolder:
    """What was found: series with pictures, objects without, and files that cannot be used."""

    folder: Path
    series: list[Series] = field(default_factory=list)
    others: list[NoImage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def read_pictures(
        self,
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
        on_irregular: OnIrregular = "refuse",
    ) -> tuple[list[Volume], list[str]]:
        """Decode every series; return the volumes, and which series or parts of them were left out and why."""
        volumes: list[Volume] = []
        refused: list[str] = []
        total = sum(len(series.instances) for series in self.series)
        done = 0
        with quiet():
            for series in self.series:
                made, wrong = _read(series, self.folder, progress, cancel, done, total, on_irregular)
                volumes += [noted(volume, series.belonging.notes) for volume in made]
                refused += wrong
                done += len(series.instances)
        return volumes, refused


@dataclass(frozen=True, eq=False)
class SeriesVolumes:
    """A series and its volumes, from headers.

    Attributes
    ----------
    uid : str
        SeriesInstanceUID.
    stacks : list of Stack
        Its volumes.
    """

    uid: str
    stacks: list[Stack]


def volumes_of_series(listed: list[Series], *, with_irregular: bool = False) -> list[SeriesVolumes]:
    """Return the volumes of series whose headers were read.

    Parameters
    ----------
    listed : list of Series
        What was read.
    with_irregular : bool
        Whether series whose slices are not evenly spaced count, too: resampled to an even grid, and split into runs.
    """
    found = []
    with quiet():
        for series in listed:
            stacks = series.stacks()[0]
            if with_irregular and not stacks:
                stacks = series.stacks("resample")[0] + series.stacks("split")[0]
            found.append(SeriesVolumes(text(series.instances[0].dataset, "SeriesInstanceUID"), stacks))
    return found


def find_dicom(
    folder: Path,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    *,
    skip: Callable[[Path], bool] | None = None,
) -> DicomFolder:
    """Read the headers of every file below a folder.

    Parameters
    ----------
    folder : Path
        Searched at any depth; hidden files and folders, links to folders and Zarr stores are not looked into.
    progress : callable, optional
        Called as ``progress(done, total, message)``.
    cancel : threading.Event, optional
        Set it to stop.
    skip : callable, optional
        Which further folders are not looked into.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    files, unreadable = _files(folder, skip)
    found = collect(folder, files, progress, cancel)
    found.problems += unreadable
    return found


def series_infos(folder: DicomFolder) -> list[SeriesInfo]:
    """Return what the headers say of every series that was found.

    They come by study and series number; objects without pictures stand at the end: segmentations and contours, whose
    labels can be read, and others (reports) with a `problem`.
    """
    infos = [series.info() for series in folder.series]
    infos.sort(key=lambda info: (info.study_uid, info.number is None, info.number or 0, info.series_uid))
    pictures: dict[str, list[Path]] = defaultdict(list)
    for info in infos:
        pictures[info.study_uid] += info.files
    everywhere = [path for paths in pictures.values() for path in paths]
    by_series: dict[tuple[str, str, str, str], list[Path]] = defaultdict(list)
    for other in folder.others:
        by_series[(other.study_uid, other.series_uid, other.modality, other.what)].append(other.path)
    for (study, series, modality, what), paths in by_series.items():
        holds_labels = modality in LABEL_MODALITIES
        why = None if holds_labels else f"{some_names(paths)}: not an image: {what}."
        count = len(paths) if holds_labels else 0
        beside = tuple(pictures.get(study) or everywhere) if holds_labels else ()
        infos.append(
            SeriesInfo(study, series, modality, None, "", None, None, count, len(paths), tuple(paths), why, beside)
        )
    return infos


def _files(folder: Path, skip: Callable[[Path], bool] | None) -> tuple[list[Path], list[Problem]]:
    """Return every file below a folder, not following links to folders, in a fixed order, and the unreadable folders.

    Raises
    ------
    OSError
        If the folder itself cannot be read.
    """
    found = []
    errors: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.endswith(".zarr") and not name.startswith("."))
        if skip is not None:
            folders[:] = [name for name in folders if not skip(Path(parent) / name)]
        found += [Path(parent) / name for name in sorted(names) if not name.startswith(".")]
    problems = []
    for error in errors:
        where = Path(error.filename or folder)
        if where == folder:
            raise error
        cause = f"the folder cannot be read ({error.strerror or error}): slices may be missing"
        problems.append(Problem(where.name, cause, "ask its owner for access, or leave it out"))
    return found, problems


def collect(
    folder: Path, files: Iterable[Path], progress: Progress | None = None, cancel: CancelEvent | None = None
) -> DicomFolder:
    """Read the headers of these files, which lie in `folder` or below it."""
    found = DicomFolder(folder)
    series: dict[tuple[str, ...], list[Instance]] = defaultdict(list)
    files = list(files)
    with quiet():
        for n, path in enumerate(files):
            checked_cancel(cancel)
            if n % 20 == 0:
                report(progress, n, len(files), f"Checking {path.name}")
            item = _header(path)
            if isinstance(item, Instance):
                keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
                key = [text(item.tags, keyword) for keyword in keys]
                series[(*key, "" if key[2] else text(item.tags, "SeriesNumber"))].append(item)
            elif isinstance(item, NoImage):
                found.others.append(item)
            elif isinstance(item, Problem):
                found.problems.append(item)
    with quiet():
        files_of = with_slices_together(list(series.values()))
        found.series = [Series(*pair) for pair in zip(files_of, belongings(files_of), strict=True)]
    return found


def _header(path: Path) -> Instance | NoImage | Problem | None:
    """Read a header, turning what is wrong with the file into a problem."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a socket, a pipe: reading one may wait for ever
            return None
        if status.st_size == 0:
            is_ours = path.suffix.lower() in _LIKE_A_SLICE
            return Problem(path.name, "the file is empty (0 bytes)", "copy it again") if is_ours else None
        item = read_header(path)
    except FileNotFoundError:  # a broken link
        return None
    except PermissionError:
        return Problem(path.name, "permission denied", "ask its owner for access")
    except OSError as error:
        return Problem(path.name, f"cannot be read: {error.strerror or error}")
    if item is None and path.suffix.lower() in _LIKE_A_SLICE:
        return Problem(path.name, "not a DICOM file (no DICM prefix)", "leave it out or copy it again")
    return item


def _read(
    series: Series,
    source: Path,
    progress: Progress | None,
    cancel: CancelEvent | None,
    done: int,
    total: int,
    on_irregular: OnIrregular,
) -> tuple[list[Volume], list[str]]:
    stacks, refused = series.stacks(on_irregular)
    volumes = []
    name = _name(series.instances[0])
    seen: set[Path] = set()

    def step(frame: object) -> None:
        checked_cancel(cancel)
        path = getattr(frame, "path", source)
        if path not in seen:
            seen.add(path)
            report(progress, done + len(seen), total, f"Reading {name}")

    for stack in stacks:
        try:
            label = f"{name} · {stack.label}" if stack.label else name
            volumes.append(make_volume(stack, label, source, step, series.instances))
        except ReadError as error:
            refused.append(str(error))
        except damage() as error:
            refused.append(_damaged(stack.frames[0].path, error))
    return _distinct_names(volumes), refused


def noted(volume: Volume, notes: Iterable[str]) -> Volume:
    """Return the volume with further warnings."""
    return replace(volume, warnings=tuple(dict.fromkeys((*volume.warnings, *notes))))


def _distinct_names(volumes: list[Volume]) -> list[Volume]:
    """Return the volumes of one series with a number in names that would be the same."""
    counts = Counter(volume.name for volume in volumes)
    used: Counter[str] = Counter()
    result = []
    for volume in volumes:
        if counts[volume.name] > 1:
            used[volume.name] += 1
            label = f"{volume.name} · {used[volume.name]}"
            volume = volume.with_array(volume.array, name=label)
        result.append(volume)
    return result


def _name(instance: Instance) -> str:
    """Return modality and series number: nothing that a person may have written a name into."""
    modality, number = text(instance.tags, "Modality"), text(instance.tags, "SeriesNumber")
    parts = [modality if _CODE.fullmatch(modality) else "DICOM", number if number.lstrip("+-").isdigit() else ""]
    return " ".join(part for part in parts if part)


def _damaged(path: Path, error: BaseException) -> str:
    """Say that a header holds what pydicom cannot make sense of; its own words may quote a patient's tags."""
    return f"{path.name}: the DICOM header is damaged ({type(error).__name__}); copy the file again."


def _shortened(problems: list[str], most: int = 3) -> list[str]:
    rest = len(problems) - most
    return problems[:most] + ([f"{rest} more files of the series have problems."] if rest > 0 else [])
