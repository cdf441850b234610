"""The scan that a cell of a list names: a file, a folder, or one series of a folder (``FOLDER#SERIES``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ReadError
from napari_radcnn.files import file_hash
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.sides import Sides
from napari_radcnn.volume import Volume

#: What a NIfTI file does not hold and a model, or the judge of whether it suits, wants to know.
_TOLD = ("modality", "units", "is_label", "is_inverted", "is_calibrated", "is_placed")
_TOLD_NUMBERS = ("padding_value", "window_center", "window_width")


def locate(text: str, folder: Path) -> tuple[Path, str]:
    """Return the path that a cell names, and which of its scans: a SeriesInstanceUID or a number; empty for the only.

    Examples
    --------
    >>> locate("export#1.2.840.1", Path("/data"))[1]
    '1.2.840.1'
    """
    path = folder / text
    if "#" not in text or is_there(path):  # a file may have the sign in its name
        return path, ""
    place, _, which = text.rpartition("#")
    return folder / place, which


def is_there(path: Path) -> bool:
    """Return whether there is such a file or folder; a text that no system takes for a name is none."""
    try:
        return path.exists()
    except OSError:  # too long, or a folder that may not be looked into
        return False


def told_of(volume: Volume) -> dict[str, Any]:
    """Return what is known of a scan and travels beside its file, as JSON types; nothing of whose it is."""
    metadata = volume.metadata
    sides = None if metadata.sides is None else asdict(metadata.sides)
    return {
        **{name: getattr(metadata, name) for name in _TOLD},
        **{name: None if (value := getattr(metadata, name)) is None else float(value) for name in _TOLD_NUMBERS},
        "acquisition": dict(metadata.acquisition),
        "sides": sides,
    }


def with_told(volume: Volume, told: Mapping[str, Any]) -> Volume:
    """Return a scan with what `told_of` gave, and whatever other fields of its metadata stand there."""
    sides = told.get("sides")
    given = {**told, "sides": Sides(**sides)} if sides is not None else told
    return replace(volume, metadata=replace(volume.metadata, **given))


def files_of(path: Path, which: str = "") -> list[Path]:
    """Return the files that a cell names: of one series of a folder its own, else the file or all of the folder.

    Raises
    ------
    ReadError
        If a series is named and the folder cannot be read.
    """
    if not path.is_dir():
        return [path]
    if "." in which:
        from napari_radcnn.io import list_series

        found = {file for info in list_series(path) if info.series_uid == which for file in info.files}
        if found:
            return sorted(found)
    return sorted(one for one in path.rglob("*") if one.is_file())


def hash_of(path: Path, which: str = "") -> str:
    """Return the hash of what a cell names; other series of the folder do not count.

    Raises
    ------
    OSError
        If a file cannot be read.
    ReadError
        As of `files_of`.
    """
    return file_hash(path, files_of(path, which) if "." in which and path.is_dir() else None)


def read_scan(
    path: Path, which: str = "", progress: Progress | None = None, cancel: CancelEvent | None = None
) -> Volume:
    """Read the scan that a cell names.

    Parameters
    ----------
    path : path
        A file or folder.
    which : str
        The SeriesInstanceUID of a DICOM series, or the number of a volume as ``radcnn info`` lists them.
    progress, cancel
        As of `napari_radcnn.read`.

    Raises
    ------
    ReadError
        If it cannot be read, or holds several scans and none was named.
    """
    from napari_radcnn.io import list_series, read, read_series

    if "." in which:
        found = [info for info in list_series(path, progress, cancel) if info.series_uid == which]
        if not found:
            raise ReadError(f"{path}: contains no series {which}.")
        volumes = [volume for info in found for volume in read_series(info, progress, cancel)]
        which = ""
    else:
        volumes = read(path, progress=progress, cancel=cancel)
    if which:
        if not which.isdecimal() or not 1 <= int(which) <= len(volumes):
            raise ReadError(f"{path}: contains {len(volumes)} volumes, and none with the number '{which}'.")
        return volumes[int(which) - 1]
    if len(volumes) == 1:
        return volumes[0]
    listing = "; ".join(f"{number}: {volume.name}" for number, volume in enumerate(volumes[:6], 1))
    raise ReadError(
        f"{path} contains {len(volumes)} volumes: name one in the list as PATH#NUMBER ({listing}"
        f"{' ...' if len(volumes) > 6 else ''})."
    )
