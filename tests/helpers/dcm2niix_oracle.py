"""dcm2niix as a second opinion: what volumes does it make of a folder, and where do their voxels lie."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dcm2niix
import nibabel
import numpy as np

from napari_radcnn.volume import Volume
from patience import PATIENCE

#: From nibabel's RAS to DICOM's LPS.
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
_MOST_MM = 1e-3


def converted(folder: Path, out: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the volumes that dcm2niix makes of a folder: ``(i, j, k)`` arrays and their affines to LPS mm."""
    out.mkdir()
    # -m y: merge nothing but what is one series; -b n: no sidecar; -z n: not compressed
    done = subprocess.run(
        [dcm2niix.bin, "-b", "n", "-z", "n", "-f", "%s_%r", "-o", str(out), str(folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    files = sorted(out.glob("*.nii"))
    assert files, done.stdout
    found = []
    for file in files:
        image = nibabel.load(file)
        data = np.asanyarray(image.dataobj)
        data = data[..., None] if data.ndim == 3 else data
        found += [(data[..., n], _FLIP @ image.affine) for n in range(data.shape[3])]
    return found


def same_voxels(volume: Volume, other: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether the other volume has the same value at the place of every voxel, places within 0.001 mm."""
    data, affine = other
    if data.size != volume.array.size or abs(np.linalg.det(affine)) == 0:
        return False
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.array.shape), indexing="ij"), -1).reshape(-1, 3)
    world = index @ volume.geometry.affine[:3, :3].T + volume.geometry.affine[:3, 3]
    inverse = np.linalg.inv(affine)
    found = np.rint(world @ inverse[:3, :3].T + inverse[:3, 3])
    away = np.abs(found @ affine[:3, :3].T + affine[:3, 3] - world).max()
    inside = (found >= 0).all() and (found < data.shape).all()
    if away > _MOST_MM or not inside:
        return False
    return bool(np.array_equal(data[tuple(found.astype(int).T)], np.asarray(volume.array).ravel()))


def are_the_same(volumes: list[Volume], others: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether each volume is one of the others, and each of the others one of the volumes."""
    found = np.array([[same_voxels(volume, other) for other in others] for volume in volumes])
    return bool(found.any(0).all() and found.any(1).all())
