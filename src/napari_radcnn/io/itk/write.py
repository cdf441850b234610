"""Writing NRRD and MetaImage with SimpleITK."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

import numpy as np

from napari_radcnn.errors import WriteError
from napari_radcnn.files import (
    atomic_path,
    check_target,
    drop,
    give_name,
    hidden_path,
    owning,
    sync,
    together,
    write_error,
)
from napari_radcnn.interop import to_simpleitk
from napari_radcnn.io.guard import verify_written
from napari_radcnn.io.itk.metaimage import read_metaimage
from napari_radcnn.io.itk.nrrd import read_nrrd
from napari_radcnn.io.itk.segments import segment_keys
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume

#: Bytes that fit on no disk that is full.
_BLOCK = 1 << 16


def write_itk(obj: Volume | LabelMap, path: Path, overwrite: bool = False) -> None:
    """Write NRRD or MetaImage, by the suffix, with SimpleITK; NRRD holds names and colors of labels as 3D Slicer does.

    Raises
    ------
    WriteError
        If the file cannot be written, or the format cannot hold a sheared grid or the type of the values.
    """
    if any("\ud800" <= character <= "\udfff" for character in str(path)):  # ends the process within SimpleITK
        raise WriteError(
            f"{path}: the path has a byte that is not UTF-8, under which {path.suffix} cannot be written; choose "
            "another name, or write .nii.gz."
        )
    try:
        image = to_simpleitk(np.asarray(obj.array), obj.geometry)
    except WriteError as error:
        raise WriteError(f"{path}: {error}") from error
    if path.suffix.lower() == ".nrrd" and (isinstance(obj, LabelMap) or obj.metadata.is_label):
        for key, value in segment_keys(obj).items():
            image.SetMetaData(key, value)
    if path.suffix.lower() == ".mhd":
        _write_pair(image, obj, path, overwrite)
        return
    with atomic_path(path, overwrite) as temporary:
        _write(image, obj, temporary, path)


def _write(image: object, obj: Volume | LabelMap, temporary: Path, target: Path) -> None:
    """Write `image`, made from `obj`, and read it again."""
    import SimpleITK

    try:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True)
    except RuntimeError as error:
        raise _cause(obj, temporary, target, error) from error
    reader = read_nrrd if temporary.suffix.lower() == ".nrrd" else read_metaimage
    try:
        verify_written(obj, temporary, target, lambda path: reader(path, None, None))
    except WriteError as error:  # SimpleITK does not notice that a disk is full
        raise _full_disk(temporary, target) or error from error


def _cause(obj: Volume | LabelMap, temporary: Path, target: Path, error: RuntimeError) -> WriteError:
    """Find out why SimpleITK, which does not say it, could not write a file."""
    try:
        if shutil.disk_usage(target.parent).free < np.asarray(obj.array).nbytes:
            return write_error(target, OSError(errno.ENOSPC, "No space left on device"))
        with temporary.open("ab"):
            pass
    except OSError as cause:
        return write_error(target, cause)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[-1][:160] if lines else "it does not say why"
    return WriteError(f"{target}: SimpleITK could not write the file ({said}); write .nii.gz instead.")


def _full_disk(temporary: Path, target: Path) -> WriteError | None:
    """Find out whether a file is not what was written because there is no room for more."""
    try:
        with temporary.open("ab") as file:
            file.write(bytes(_BLOCK))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return write_error(target, error)
    return None


def _write_pair(image: object, obj: Volume | LabelMap, path: Path, overwrite: bool) -> None:
    """Write header and voxels, which get their names together."""
    check_target(path, overwrite)
    made = hidden_path(path)
    data_made = made.with_suffix(".zraw")
    data = path.with_suffix(".zraw")
    check_target(data, overwrite)
    with owning(path), owning(data):
        try:
            _write(image, obj, made, path)
            header = re.sub(
                r"ElementDataFile = .*", lambda _: f"ElementDataFile = {data.name}", made.read_text("utf-8")
            )
            made.write_text(header, encoding="utf-8")
            sync(made)
            sync(data_made)
            with together():
                give_name(data_made, data, overwrite)
                give_name(made, path, overwrite)
        finally:
            for leftover in (made, data_made):
                drop(leftover)
