"""Small synthetic scans, asymmetric and anisotropic, for samples, documentation and tests.

None has a symmetry that would hide a mirrored axis, an exchanged pair of axes or a wrong spacing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume, VolumeMetadata

#: What `world_field` adds up per mm of x, y and z.
FIELD_COEFFICIENTS = (3.0, 5.0, 7.0)


def rotation(degrees_x: float, degrees_y: float, degrees_z: float) -> npt.NDArray[np.float64]:
    """Return the (3, 3) rotation matrix about x, then y, then z."""
    matrix = np.eye(3)
    for axis, degrees in enumerate((degrees_x, degrees_y, degrees_z)):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = cosine, -sine, sine, cosine
        matrix = turn @ matrix
    return matrix


def oblique_geometry(shape: tuple[int, int, int] = (10, 16, 20)) -> Geometry:
    """Return a doubly oblique grid of 2.5 x 0.8 x 0.7 mm that is centered nowhere near zero."""
    direction = rotation(12.0, -9.0, 17.0) @ np.eye(3)[:, ::-1]
    return Geometry.from_parts(shape, (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25), direction)


def world_field(geometry: Geometry) -> Volume:
    """Return a volume whose every voxel holds ``3x + 5y + 7z`` of its own center in LPS mm.

    Any wrong order, flip, shear or spacing on the way to a file or a screen then shows as a number.
    """
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    values = (geometry.to_world(index) @ np.array(FIELD_COEFFICIENTS)).astype(np.float32)
    return Volume(values, geometry, VolumeMetadata(name="world field"))


def head(geometry: Geometry | None = None, *, seed: int = 0) -> Volume:
    """Return an asymmetric head like a T1-weighted MR scan: skull, brain, nose in front, one ear on the left.

    Parameters
    ----------
    geometry : Geometry, optional
        Grid to draw it on; by default 48 x 72 x 56 voxels of 4 x 3 x 3.5 mm around the head.
    seed : int
        Of the noise.

    Returns
    -------
    Volume
        int16. The head's center is world (0, 0, 0), the nose at y = -95 mm, the ear at x = +80 mm (the
        patient's left), a bright mass of 12 mm radius right, behind and above: (-28, 20, 30).
    """
    if geometry is None:
        geometry = Geometry.from_parts((48, 72, 56), (4.0, 3.0, 3.5), (-96.25, -117.0, -94.0))
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    position = geometry.to_world(index)
    image = np.zeros(geometry.shape, np.float32)
    for center, radii, value in (
        ((0, 0, 0), (76, 92, 88), 420),  # scalp
        ((0, -95, -15), (9, 14, 14), 400),  # nose, in front
        ((80, 5, -10), (12, 14, 20), 400),  # the one ear, left
        ((0, 0, 4), (70, 86, 80), 90),  # skull
        ((0, 2, 6), (64, 79, 73), 620),  # brain
        ((12, 5, 10), (9, 30, 12), 180),  # one ventricle, left
        ((-28, 20, 30), (12, 12, 12), 900),  # mass, right, behind, above
    ):
        distance = (((position - np.array(center, float)) / np.array(radii, float)) ** 2).sum(-1)
        image[distance <= 1] = value
    noise = np.random.default_rng(seed).normal(0.0, 12.0, geometry.shape)
    values = np.clip(np.abs(image + noise), 0, 2000).astype(np.int16)
    return Volume(values, geometry, VolumeMetadata(name="head phantom", modality="MR"))


def disks(noise: float = 20.0, *, seed: int = 0) -> tuple[Volume, Volume]:
    """Return a noisy CT of contrast disks and the same without noise, 24 x 72 x 80 voxels of 2.0 x 0.9 x 0.8 mm.

    Parameters
    ----------
    noise : float
        Standard deviation of the added white noise, HU.
    seed : int
        Of the noise.
    """
    geometry = Geometry.from_parts((24, 72, 80), (2.0, 0.9, 0.8), (-31.6, -32.0, -23.0))
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(geometry.to_world(index), -1, 0)
    clean = np.full(geometry.shape, -1000.0, np.float32)
    clean[(x / 29) ** 2 + (y / 27) ** 2 <= 1] = 40.0
    for center_x, center_y, radius, value in ((-12, -9, 6, 120), (11, -12, 4, 10), (-9, 12, 3, 300), (13, 10, 7, -80)):
        clean[((x - center_x) ** 2 + (y - center_y) ** 2 <= radius**2) & (z > -16) & (z < 12)] = value
    noisy = clean + np.random.default_rng(seed).normal(0.0, noise, geometry.shape).astype(np.float32)
    metadata = VolumeMetadata(name="disk phantom", modality="CT", units="HU", window_center=40.0, window_width=400.0)
    return Volume(noisy, geometry, metadata), Volume(clean, geometry, metadata)
