"""The chest as the networks of `lung-nodules` see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box, Geometry, Shape
from napari_radcnn.models.ct_tissues.region import find_region
from napari_radcnn.models.lung_nodules.network import FOLD, OUTSIDE, SPACING
from napari_radcnn.models.lung_nodules.places import shown
from napari_radcnn.preprocessing import resample
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Chest:
    """The lungs and what is around them at 1.25 mm, and which cells a nodule may be centered in."""

    voxels: Floats
    region: Mask
    grid: Geometry
    liters: float


def prepare_chest(volume: Volume, monitor: Monitor) -> Chest:
    """Return the part of a scan that holds the lungs, brought to 1.25 mm.

    Raises
    ------
    ModelError
        If no lung is found.
    CancelledError
        If the user asked to stop.
    """
    upright = volume.reoriented("SPL")
    found = find_region(upright.array, upright.geometry.spacing, say=monitor.say)
    if found is None:
        raise ModelError(
            f"No aerated lung was detected in '{volume.name}': this model needs a chest CT in Hounsfield units."
        )
    small, lungs, region = found
    monitor.say("resampling the chest to 1.25 mm")
    box = _box_around(region, small.factor, upright.geometry)
    part = upright.geometry.cropped(box)
    grid = part.with_shape(
        [FOLD * n for n in cell_shape([n * s for n, s in zip(part.shape, part.spacing, strict=True)])]
    )
    values = np.asarray(upright.array[box])
    hu = resample(
        np.asarray(values, np.float32),
        part,
        grid,
        interpolation="linear",
        fill=OUTSIDE,
        each_slab=lambda *_: monitor.check(),
    )
    cells = grid.with_shape([n // FOLD for n in grid.shape])
    where = _at_cells(region, small.factor, upright.geometry, cells)
    return Chest(shown(hu), where, grid, float(np.count_nonzero(lungs)) * small.voxel_ml / 1000)


def cell_shape(extent: Sequence[float]) -> Shape:
    """Return how many cells cover some mm along each axis."""
    k, j, i = (max(1, round(mm / (FOLD * SPACING))) for mm in extent)
    return k, j, i


def _box_around(region: Mask, factor: Shape, geometry: Geometry) -> Box:
    """Return the box of the scan that holds a mask on the small grid."""
    sides = []
    for axis, (step, size) in enumerate(zip(factor, geometry.shape, strict=True)):
        rows = np.flatnonzero(region.any(tuple(n for n in range(3) if n != axis)))
        sides.append(slice(int(rows[0]) * step, min(size, (int(rows[-1]) + 1) * step)))
    return sides[0], sides[1], sides[2]


def _at_cells(region: Mask, factor: Shape, scan: Geometry, cells: Geometry) -> Mask:
    """Return which cells have their middle in a mask on the small grid; both grids have the scan's axes."""
    offset = np.linalg.solve(scan.affine, cells.affine)
    index = []
    for axis, (step, size) in enumerate(zip(factor, region.shape, strict=True)):
        at = (np.arange(cells.shape[axis]) * offset[axis, axis] + offset[axis, 3] + 0.5) / step
        index.append(np.clip(at.astype(int), 0, size - 1))
    return np.asarray(region[np.ix_(*index)])
