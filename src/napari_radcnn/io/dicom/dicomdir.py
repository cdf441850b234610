"""DICOMDIR: the table of contents of a disc, which names the files that belong to it (DICOM PS3.10, 8.6)."""

from __future__ import annotations

from pathlib import Path

from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.headers import DICOMDIR, damage, is_dicom_start, quiet
from napari_radcnn.io.dicom.patients import belongings
from napari_radcnn.io.dicom.series import DicomFolder, Series, find_dicom
from napari_radcnn.io.problems import Problem
from napari_radcnn.progress import CancelEvent, Progress

_MOST_NAMES = 100_000


def is_dicomdir_start(start: bytes) -> bool:
    """Whether the first bytes of a file are a DICOMDIR's: its class stands first in the file meta group."""
    return is_dicom_start(start) and DICOMDIR.encode() in start[132:352]


def find_dicomdir(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> DicomFolder:
    """Read the headers of the files that a DICOMDIR names; of all below its folder where it names none that is there.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    named, problems = _named_files(path)
    found = find_dicom(path.parent, progress, cancel)
    if named:
        kept = [[instance for instance in series.instances if instance.path in named] for series in found.series]
        kept = [instances for instances in kept if instances]
        found.series = [Series(*pair) for pair in zip(kept, belongings(kept), strict=True)]
        found.others = [other for other in found.others if other.path in named]
        names = {file.name for file in named}
        found.problems = [problem for problem in found.problems if problem.file in names]
    found.problems += problems
    return found


def _named_files(path: Path) -> tuple[set[Path], list[Problem]]:
    """Return the files that the table names and that are there, and a problem with the others."""
    from pydicom import dcmread

    folder = path.parent
    found, missing = set(), []
    try:
        with quiet():
            records = dcmread(path, force=True).get("DirectoryRecordSequence") or []
            names = [record.get("ReferencedFileID") for record in records[:_MOST_NAMES]]
    except damage():  # a RecursionError is one: it is a RuntimeError
        return set(), [Problem(path.name, "the table of files is damaged", "all files below its folder were read")]
    for name in names:
        parts = [name] if isinstance(name, str) else [str(part) for part in name or ()]
        if not parts or any(part in ("", ".", "..") or set(part) & set("/\\\0") for part in parts):
            continue
        # a file system may show the names, which are upper case, in lower case
        choices = (folder.joinpath(*parts), folder.joinpath(*(part.lower() for part in parts)))
        present = next((file for file in choices if file.is_file()), None)
        if present is None:
            missing.append(choices[0])
        else:
            found.add(present)
    if not missing:
        return found, []
    cause = f"{len(missing)} files listed in {path.name} are missing"
    return found, [Problem(some_names(missing), cause, "copy the whole disc")]
