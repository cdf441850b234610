"""The scan that a cell of a list names: a file, a folder, or one series of a folder (``FOLDER#SERIES``)."""

from __future__ import annotations

from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.volume import Volume


def locate(text: str, folder: Path) -> tuple[Path, str]:
    """Return the path that a cell names, and which of its scans: a SeriesInstanceUID or a number; empty for the only.

    Examples
    --------
    >>> locate("export#1.2.840.1", Path("/data"))[1]
    '1.2.840.1'
    """
    path = folder / text
    if "#" not in text or path.exists():  # a file may have the sign in its name
        return path, ""
    place, _, which = text.rpartition("#")
    return folder / place, which


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
