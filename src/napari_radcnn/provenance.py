"""What made a result: enough to run it again, and to know whether it was the same run."""

from __future__ import annotations

import hashlib
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.version import __version__
from napari_radcnn.volume import Volume

_PACKAGES = ("numpy", "scipy", "scikit-image", "torch", "SimpleITK", "nibabel", "pydicom")


def identify(volume: Volume) -> dict[str, Any]:
    """Return what identifies an input: name of its file, format, grid and a hash of its voxels and affine."""
    metadata = volume.metadata
    return {
        "name": volume.name,
        "path": None if metadata.source is None else str(metadata.source.absolute()),
        "format": metadata.source_format,
        "modality": metadata.modality,
        "series_uid": metadata.series_uid or None,
        "shape": list(volume.geometry.shape),
        "spacing_mm": [round(s, 6) for s in volume.geometry.spacing],
        "affine": volume.geometry.affine.tolist(),
        "sha256": _volume_hash(volume),
    }


def _volume_hash(volume: Volume) -> str:
    """Return `voxel_hash` of a volume; one that is not in memory is read slab by slab and stays out of it."""
    if volume.source is None or volume.is_loaded:
        return voxel_hash(volume.array, volume.geometry)
    digest = _begin_hash(volume.dtype, volume.shape)
    depth = volume.source.chunks[0]
    for first in range(0, volume.shape[0], depth):
        slab = volume.read_block((slice(first, first + depth), slice(None), slice(None)))
        digest.update(np.ascontiguousarray(slab).view(np.uint8).data)
    return _end_hash(digest, volume.geometry)


def voxel_hash(array: npt.NDArray[Any], geometry: Geometry) -> str:
    """Return the SHA-256 of an array's type, shape and values and of its affine, to a nanometer."""
    whole = np.ascontiguousarray(array)
    digest = _begin_hash(whole.dtype, whole.shape)
    digest.update(whole.view(np.uint8).data)
    return _end_hash(digest, geometry)


def _begin_hash(dtype: np.dtype[Any], shape: tuple[int, ...]) -> hashlib._Hash:
    return hashlib.sha256(f"{dtype.str} {shape}".encode())


def _end_hash(digest: hashlib._Hash, geometry: Geometry) -> str:
    digest.update(np.round(geometry.affine, 6).tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of what computes."""
    found = {"python": platform.python_version(), "napari-radcnn": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def system() -> dict[str, str]:
    """Return what kind of computer it was, without its name or its user's."""
    return {"platform": sys.platform, "machine": platform.machine()}
