"""A folder: the DICOM series in it at any depth, and the images of other formats in it, or one level down."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom import DicomFolder, OnIrregular, find_dicom
from napari_radcnn.io.formats import NOT_IN_FOLDERS, sniff
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel
from napari_radcnn.volume import Volume


def read_folder(
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
        raise ReadError(f"{folder.name or folder}: the folder is empty; no image in it.")
    volumes: list[Volume] = []
    refused: list[str] = []
    scan: DicomFolder = find_dicom(folder, progress, cancel)
    others = _other_images(folder, {instance.path for series in scan.series for instance in series.instances})
    if not others and not scan.series:
        inner = sorted(path for path in folder.iterdir() if path.is_dir() and path.suffix.lower() != ".zarr")
        others = [path for subfolder in inner for path in _other_images(subfolder)]
    for path in others:
        checked_cancel(cancel)
        found = sniff(path)
        if found is None:
            continue
        try:
            volumes += found.reader(path, progress, cancel)
        except ReadError as error:
            refused.append(str(error))
    read, problems = scan.read(progress, cancel, on_irregular)
    volumes += read
    refused += problems
    if not volumes:
        if refused:
            raise ReadError(" ".join(refused[:5]) + (f" And {len(refused) - 5} more." if len(refused) > 5 else ""))
        raise ReadError(f"{folder.name or folder}: no readable image (DICOM, NIfTI, NRRD, MetaImage, OME-Zarr) here.")
    if not refused:
        return volumes
    told = tuple(f"Left out: {line}" for line in refused)
    return [replace(volume, warnings=(*volume.warnings, *told)) for volume in volumes]


def _other_images(folder: Path, known: Set[Path] = frozenset()) -> list[Path]:
    """Return the images of the folder that are not DICOM (`known` are), one of every pair of files."""
    images = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".zarr" and path.is_dir():
            images.append(path)
            continue
        if path in known or not path.is_file() or path.stat().st_size == 0:
            continue
        found = sniff(path)
        if found is None or found in NOT_IN_FOLDERS:
            continue
        name = path.name.lower()
        if name.endswith((".img", ".img.gz")) and path.with_name(path.name.replace(".img", ".hdr")).exists():
            continue
        images.append(path)
    return images
