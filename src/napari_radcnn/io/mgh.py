"""Read FreeSurfer's MGH and MGZ: a volume with its place; RAS becomes LPS where NIfTI's does, in `interop`."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.interop import from_nibabel
from napari_radcnn.io.problems import stem_of
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel, report
from napari_radcnn.volume import Volume, VolumeMetadata

#: Types of voxels: uint8, int32, int64, float32, int16, and tensors (FreeSurfer, mri.h).
_TYPES = (0, 1, 2, 3, 4, 6, 10)
_NO_PLACE = (
    "The file does not state its place (goodRASFlag is 0): FreeSurfer's usual one is assumed; sides may be wrong."
)
#: What deflate can do at best, and bytes that do not count.
_MOST_RATIO, _SLACK = 1032, 1 << 20
#: What a file that is cut off or changed raises in nibabel and gzip.
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, ValueError, KeyError, TypeError)


def is_mgh_start(start: bytes) -> bool:
    """Whether a file begins with an MGH header: version 1, four sizes, a type of voxels, all big-endian."""
    version, *sizes, kind = struct.unpack(">6i", start[:24].ljust(24, b"\0"))
    return version == 1 and all(0 < size < 1 << 20 for size in sizes) and kind in _TYPES


def read_mgh(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[Volume]:
    """Read every frame of a file.

    Raises
    ------
    ReadError
        If the file is damaged, or too large for the memory.
    CancelledError
        If `cancel` was set.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.freesurfer import MGHImage
    from nibabel.spatialimages import HeaderDataError

    report(progress, 0, 2, f"Reading {path.name}")
    try:
        is_placed = _check_header(path)
        image = MGHImage.from_filename(path)
        checked_cancel(cancel)
        data = np.asanyarray(image.dataobj)
    except (*_DAMAGE, ImageFileError, HeaderDataError) as error:
        raise ReadError(f"{path.name}: the MGH file is damaged or cut off ({error}); copy it again.") from error
    data = data.astype(data.dtype.newbyteorder("="))  # MGH is big-endian
    report(progress, 1, 2, f"Reading {path.name}")
    frames = [data] if data.ndim == 3 else [data[..., n] for n in range(data.shape[3])]
    stem = path.name[: -len(".mgh.gz")] if path.name.lower().endswith(".mgh.gz") else stem_of(path)
    warnings = () if is_placed else (_NO_PLACE,)
    volumes = []
    for n, frame in enumerate(frames, 1):
        try:
            array, geometry, _ = from_nibabel(MGHImage(frame, image.affine))
        except GeometryError as error:
            raise ReadError(f"{path.name}: {error}") from error
        name = stem if len(frames) == 1 else f"{stem} · {n}"
        about = VolumeMetadata(name=name, source=path, source_format="MGH")
        volumes.append(Volume(array, geometry, about, warnings))
    report(progress, 2, 2, f"Read {path.name}")
    return volumes


def _check_header(path: Path) -> bool:
    """Return whether a file states its place.

    Raises
    ------
    ValueError
        If it is shorter than a header, or the header asks for more than the file can hold.
    """
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzip else path.open("rb") as header:
        start = header.read(30)
    if not is_mgh_start(start) or len(start) < 30:
        raise ValueError("no MGH header")
    n_voxels = math.prod(struct.unpack(">4i", start[4:20]))
    if n_voxels > path.stat().st_size * _MOST_RATIO + _SLACK:
        raise ValueError(f"its header asks for {n_voxels} voxels")
    return struct.unpack(">h", start[28:30]) == (1,)
