"""`read`: every volume of a file, a folder or an archive."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_radcnn.errors import ReadError
from napari_radcnn.files import recover
from napari_radcnn.io.archive import unpack
from napari_radcnn.io.contents import find_scans, format_of
from napari_radcnn.io.dicom import OnIrregular, check_on_irregular
from napari_radcnn.io.dicom_reading import read_dicom_folder
from napari_radcnn.io.formats import ZIP
from napari_radcnn.io.omezarr import is_zarr
from napari_radcnn.io.pixel_size import with_typed_size
from napari_radcnn.io.problems import as_read_errors
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel
from napari_radcnn.volume import Volume


def read(
    path: str | Path,
    *,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    on_irregular: OnIrregular = "refuse",
    pixel_size: float | None = None,
) -> list[Volume]:
    """Read every volume of a file or folder.

    Parameters
    ----------
    path : path
        An image file, or a folder: of DICOM files, at any depth, of other images, or an OME-Zarr store.
    progress : callable, optional
        Called as ``progress(done, total, message)``.
    cancel : threading.Event, optional
        Set it to stop.
    on_irregular : {"refuse", "resample", "split"}
        What to do with a DICOM series whose slices are not evenly spaced, such as one with a missing slice.
        ``"refuse"`` raises an error that names the files around the gap. ``"resample"`` interpolates linearly between
        neighboring slices onto an even grid, which keeps the first and the last slice in their places, and all
        others where a grid of at least a quarter of the median gap meets them; masks and labels are taken from the
        nearest slice instead. ``"split"`` makes every run of evenly spaced slices a volume of its own. What was done
        stands in the warnings of the volumes. Other formats, and DICOM segmentations and contours, are read as ever.
    pixel_size : float, optional
        Width and height of the pixels of pictures whose file does not say it, such as a radiograph as PNG, mm.

    Returns
    -------
    list of Volume
        At least one. What a user must be told before relying on one stands in its ``warnings``.

    Raises
    ------
    ReadError
        If nothing can be read rightly; names the file and the cause.
    CancelledError
        If `cancel` was set.
    OptionError
        If `on_irregular` is no choice, or `pixel_size` is none, or is given for what states its own.
    """
    check_on_irregular(on_irregular)
    return with_typed_size(_read(Path(path), progress, cancel, on_irregular), pixel_size)


def _read(path: Path, progress: Progress | None, cancel: CancelEvent | None, on_irregular: OnIrregular) -> list[Volume]:
    if not os.path.lexists(path):
        recover(path.parent)
    with as_read_errors(path):
        if path.is_dir() and not is_zarr(path):
            return _read_folder(path, progress, cancel, on_irregular)
        found = format_of(path)
        if found is ZIP:
            return _read_zip(path, progress, cancel, on_irregular)
        return found.read(path, progress, cancel, on_irregular)


def _read_folder(
    folder: Path,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    on_irregular: OnIrregular = "refuse",
) -> list[Volume]:
    """Read every image in a folder; what could not be read is told in the warnings of what could.

    Raises
    ------
    ReadError
        If the folder is empty, holds no image, or none of its images can be read.
    """
    if not any(folder.iterdir()):
        raise ReadError(f"{folder.name or folder}: the folder is empty.")
    volumes: list[Volume] = []
    refused: list[str] = []
    scans = find_scans(folder, progress, cancel)
    for path in scans.images:
        checked_cancel(cancel)
        try:
            volumes += format_of(path).read(path, progress, cancel, on_irregular)
        except ReadError as error:
            refused.append(str(error))
    read, problems = read_dicom_folder(scans.dicom, progress, cancel, on_irregular)
    volumes += read
    refused += problems
    if not volumes:
        if refused:
            raise ReadError(" ".join(refused[:5]) + (f" And {len(refused) - 5} more." if len(refused) > 5 else ""))
        raise ReadError(
            f"{folder.name or folder}: contains no readable image (DICOM, NIfTI, NRRD, MetaImage, MGH, OME-Zarr)."
        )
    if not refused:
        return volumes
    told = tuple(f"Left out: {line}" for line in refused)
    return [replace(volume, warnings=(*volume.warnings, *told)) for volume in volumes]


def _read_zip(
    path: Path, progress: Progress | None, cancel: CancelEvent | None, on_irregular: OnIrregular
) -> list[Volume]:
    """Read every image in a ZIP archive, as if it were a folder; archives in it are left alone.

    Raises
    ------
    ReadError
        If the archive is damaged, encrypted, unsafe or too large when unpacked, or none of its images can be read.
    CancelledError
        If `cancel` was set.
    """
    with tempfile.TemporaryDirectory(prefix="radcnn-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / "unpacked"
        folder.mkdir()
        unpack(path, folder, progress, cancel)
        if not any(folder.iterdir()):
            raise ReadError(f"{path.name}: the archive is empty.")
        try:
            volumes = _read_folder(folder, progress, cancel, on_irregular)
        except ReadError as error:
            raise ReadError(f"{path.name}: {str(error).removeprefix('unpacked: ')}") from error
        return [volume.with_array(np.asarray(volume.array), source=path) for volume in volumes]
