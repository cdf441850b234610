"""The files of a case on their way: packed here, unpacked beside a worker, and the results back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from napari_radcnn.cohort.jobs import Answer, Job
from napari_radcnn.cohort.reading import files_of


def pack_inputs(job: Job) -> bytes:
    """Return the files of a case as a ZIP archive, stored: most are compressed already.

    Raises
    ------
    OSError, ReadError
        If one cannot be read.
    """
    sent = io.BytesIO()
    with _archive(sent) as archive:
        for number, placed in enumerate(job.inputs.values()):
            _add(archive, Path(placed.path), f"{number}", files_of(Path(placed.path), placed.which))
        for name, path in job.reuse.items():
            _add(archive, Path(path), f"step-{name}", files_of(Path(path)))
    return sent.getvalue()


def unpacked(job: Job, files: bytes, folder: Path) -> Job:
    """Return a job whose files lie in a folder here; manifests name them as they are called where they came from."""
    with zipfile.ZipFile(io.BytesIO(files)) as archive:
        archive.extractall(folder / "in")
    inputs = {
        name: replace(
            placed,
            path=str(folder / "in" / str(number) / Path(placed.path).name),
            shown=placed.shown or placed.path,
        )
        for number, (name, placed) in enumerate(job.inputs.items())
    }
    reuse = {name: str(folder / "in" / f"step-{name}" / Path(path).name) for name, path in job.reuse.items()}
    return replace(job, inputs=inputs, reuse=reuse, staging=str(folder / "out"))


def packed(answer: Answer, staging: Path) -> bytes:
    """Return the results of a case as a ZIP archive."""
    sent = io.BytesIO()
    with _archive(sent) as archive:
        for done in answer.steps:
            for name in (*done.files, *done.extra):
                _add(archive, staging / name, "", files_of(staging / name))
    return sent.getvalue()


def unpack_results(data: bytes, staging: Path) -> None:
    """Put the results of a case into its folder here.

    Raises
    ------
    OSError
        If the disk is full or cannot be written.
    """
    staging.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(staging)


def _archive(target: io.BytesIO) -> zipfile.ZipFile:
    # the time of a file does not matter, and ZIP has none before 1980
    return zipfile.ZipFile(target, "w", strict_timestamps=False)


def _add(archive: zipfile.ZipFile, path: Path, place: str, files: Iterable[Path]) -> None:
    """Add files that lie in a folder, or one file itself."""
    before = f"{place}/" if place else ""
    for one in files:
        archive.write(one, f"{before}{one.relative_to(path.parent).as_posix()}")
