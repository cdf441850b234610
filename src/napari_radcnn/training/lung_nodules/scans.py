"""Scans of chests that nodules are put into, and where in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.models.ct_tissues.grids import spread
from napari_radcnn.models.ct_tissues.region import find_region
from napari_radcnn.preprocessing import resample
from napari_radcnn.spec.gaps import CT_AIR
from napari_radcnn.volume import Volume

Floats = npt.NDArray[np.float32]

#: Scans that are learned from, below the folder of the data, and how often each is drawn.
SCANS = {"ct_chest_thin/ct_hu.nii.gz": 0.6, "ct_totalsegmentator/aorta_cta/ct_cropped.nii.gz": 0.4}
#: mm of a voxel of a chest as it is kept.
STEP = 1.0
#: Depth of what is not learned from.
NOWHERE = -99.0
#: Scan, center and radius (LPS, mm) of the opacities that were there before: a spiculated tumor.
OPACITIES = {"ct_chest_thin/ct_hu.nii.gz": (((-96.0, -145.5, -67.0), 22.0),)}
#: Boxes (x, y, z from and to, LPS mm) that are kept out of the training, for a test within the scan: the upper left.
KEPT_OUT = {"ct_chest_thin/ct_hu.nii.gz": ((-5.0, 400.0), (-400.0, 400.0), (-130.0, 400.0))}
#: HU below which there is air.
_AIR = -450.0
#: mm outside of the lungs up to which there is something to learn.
AROUND_LUNG = -8.0


@dataclass(frozen=True, eq=False)
class Chest:
    """A scan to put nodules into.

    Attributes
    ----------
    hu : (k, j, i) array of float32
        At `STEP`, axes towards S, P, L.
    depth : (k, j, i) array of float32
        mm from the surface of the lungs, negative outside; `NOWHERE` where nothing is learned.
    weight : float
        How often it is drawn.
    """

    hu: Floats
    depth: Floats
    weight: float


def load_chests(data: Path) -> list[Chest]:
    """Return the scans to learn from."""
    return [make_chest(read(data / name)[0], name, weight) for name, weight in SCANS.items()]


def make_chest(scan: Volume, name: str = "", weight: float = 1.0) -> Chest:
    """Return a scan with its lungs found.

    Raises
    ------
    ValueError
        If it shows no lung.
    """
    upright = scan.reoriented("SPL")
    count = [max(1, round(n * s / STEP)) for n, s in zip(upright.shape, upright.geometry.spacing, strict=True)]
    grid = upright.geometry.with_shape(count)
    values = np.nan_to_num(np.asarray(upright.array, np.float32), nan=CT_AIR, posinf=CT_AIR, neginf=CT_AIR)
    hu = resample(values, upright.geometry, grid, interpolation="linear", fill=float(values.min()))
    found = find_region(hu, grid.spacing)
    if found is None:
        raise ValueError(f"'{scan.name}' shows no lung")
    small, lungs, region = found
    inside = _lung(hu, lungs, small.factor)
    depth = _distance(inside, grid)
    depth[~spread(region, small.factor, grid.shape)] = NOWHERE
    depth[_excluded(grid, name)] = NOWHERE
    return Chest(hu, depth, weight)


def _lung(hu: Floats, lungs: npt.NDArray[np.bool_], factor: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """Return the lungs with their vessels, with the surface that the scan's own values have."""
    from scipy import ndimage

    near = ndimage.binary_dilation(lungs, iterations=1)
    core = ndimage.binary_erosion(lungs, iterations=1, border_value=1)
    return spread(core, factor, hu.shape) | (spread(near, factor, hu.shape) & (hu < _AIR))


def _distance(inside: npt.NDArray[np.bool_], grid: Geometry) -> Floats:
    """Return mm from the surface, positive inside."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(inside.astype(np.uint8))
    image.SetSpacing([float(step) for step in reversed(grid.spacing)])
    found = sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    return np.asarray(sitk.GetArrayFromImage(found), np.float32)


def _excluded(grid: Geometry, name: str) -> npt.NDArray[np.bool_]:
    """Return where opacities are that were there before, and what is kept for a test; axes run along S, P, L."""
    corner = np.asarray(grid.origin)
    x, y, z = (
        corner[axis] + np.arange(n) * step
        for axis, n, step in zip((0, 1, 2), grid.shape[::-1], grid.spacing[::-1], strict=True)
    )
    places = z[:, None, None], y[None, :, None], x[None, None, :]
    excluded = np.zeros(grid.shape, bool)
    for center, radius in OPACITIES.get(name, ()):
        excluded |= sum((at - c) ** 2 for at, c in zip(places, center[::-1], strict=True)) < radius**2
    if name in KEPT_OUT:
        inside = np.ones(grid.shape, bool)
        for at, (low, high) in zip(places, KEPT_OUT[name][::-1], strict=True):
            inside &= (at >= low) & (at <= high)
        excluded |= inside
    return excluded
