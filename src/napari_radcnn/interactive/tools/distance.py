"""Grow and shrink by millimetres: exact Euclidean distances between voxel centers, on any grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools.base import TOLERANCE, FormTool, ToolState, padded, reach
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.options import option

#: Voxels worked on at once, so that memory does not grow with the object: some seconds of work between two looks at
#: the cancel event would be too long.
_SLAB_VOXELS = 2_000_000


@dataclass(frozen=True)
class Grow(FormTool):
    """Add every voxel whose center lies within a distance of the center of one of the object's voxels.

    Parameters
    ----------
    distance : float
        mm in the patient, in every direction: on anisotropic and sheared grids an ellipsoid of voxels.
    """

    name: ClassVar[str] = "grow"
    distance: float = option(
        2.0, title="Distance", help="How far the surface moves outward", low=0.01, high=200.0, step=0.5, unit="mm"
    )

    @property
    def title(self) -> str:
        """What a history calls it."""
        return f"Grow by {self.distance:g} mm"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the grown object."""
        found = state.find()
        if found is None:
            return None
        box = padded(found, reach(state.geometry, self.distance), state.labels.shape)
        return state.update(box, near(state.mask(box), state.geometry, self.distance, monitor, "growing"))


@dataclass(frozen=True)
class Shrink(FormTool):
    """Remove every voxel whose center lies within a distance of the center of a voxel that is not the object's.

    The border of the scan is no border of the object: what the scan cuts off does not shrink from there. So a grown
    object, shrunk by the same distance, holds the object it was.

    Parameters
    ----------
    distance : float
        mm in the patient, in every direction.
    """

    name: ClassVar[str] = "shrink"
    distance: float = option(
        2.0, title="Distance", help="How far the surface moves inward", low=0.01, high=200.0, step=0.5, unit="mm"
    )

    @property
    def title(self) -> str:
        """What a history calls it."""
        return f"Shrink by {self.distance:g} mm"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the shrunken object."""
        found = state.find()
        if found is None:
            return None
        box = padded(found, reach(state.geometry, self.distance), state.labels.shape)
        mask = state.mask(box)
        return state.update(box, mask & ~near(~mask, state.geometry, self.distance, monitor, "shrinking"))


def near(mask: Mask, geometry: Geometry, distance: float, monitor: Monitor, message: str) -> Mask:
    """Return where the center of a True voxel lies within a distance.

    Parameters
    ----------
    mask : (k, j, i) array of bool
        Of any box of the grid.
    geometry : Geometry
        Its steps count, not its shape.
    distance : float
        mm.
    monitor : Monitor
        Told of every slab.
    message : str
        What it is told.

    Notes
    -----
    Slab by slab: whatever lies within the distance lies within a halo of slices, so that the result is that of the
    whole. Where axes are at right angles (also oblique ones) the distance transform is exact (Maurer et al. 2003, IEEE
    PAMI 25(2)); on a sheared grid the mask is convolved with the ellipsoid of voxels, in Fourier space with counts
    exact to far less than one.
    """
    ellipsoid = ball(geometry, distance) if geometry.is_sheared else None

    def near_part(part: npt.NDArray[Any]) -> Mask:
        if not part.any():
            return np.zeros(part.shape, bool)
        if ellipsoid is None:
            return _near_at_right_angles(part, geometry.spacing, distance)
        return _near_any_grid(part, ellipsoid)

    result = np.zeros(mask.shape, bool)
    by_slabs(mask, result, near_part, reach(geometry, distance)[0], monitor, message)
    return result


def by_slabs(
    source: npt.NDArray[Any],
    target: npt.NDArray[Any],
    function: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
    halo: int,
    monitor: Monitor,
    message: str,
) -> None:
    """Fill `target` with what `function` makes of `source`, a slab of slices at a time.

    Parameters
    ----------
    source, target : (k, j, i) array
        Of one shape.
    function : callable
        Takes a slab with `halo` slices more on both sides, where there are any, and returns an array of that shape.
    halo : int
        Slices that a voxel of the result depends on, to either side.
    monitor : Monitor
        Told `message` before every slab; may stop there.
    """
    count = source.shape[0]
    depth = max(1, halo, _SLAB_VOXELS // max(1, source.shape[1] * source.shape[2]))
    monitor.total = count
    for start in range(0, count, depth):
        monitor.done = start
        monitor.say(message)
        stop, outer = min(start + depth, count), max(0, start - halo)
        made = function(source[outer : min(count, stop + halo)])
        target[start:stop] = made[start - outer : stop - outer]
    monitor.done = count
    monitor.say(message)


def ball(geometry: Geometry, distance: float) -> Mask:
    """Return the voxels whose centers lie within `distance` mm of the middle one's; odd along every axis."""
    extent = reach(geometry, distance)
    index = np.indices([2 * n + 1 for n in extent]).reshape(3, -1) - np.reshape(extent, (3, 1))
    lengths = np.linalg.norm(geometry.affine[:3, :3] @ index, axis=0)
    return np.asarray(lengths <= distance * (1 + TOLERANCE)).reshape([2 * n + 1 for n in extent])


def _near_at_right_angles(mask: Mask, spacing: tuple[float, float, float], distance: float) -> Mask:
    """Return where a True voxel lies within a distance; there is one at least."""
    from scipy import ndimage

    distances: npt.NDArray[np.float64] = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return np.asarray(distances <= distance * (1 + TOLERANCE))


def _near_any_grid(mask: Mask, ellipsoid: Mask) -> Mask:
    """Return where a True voxel lies within an ellipsoid of voxels."""
    from scipy import signal

    counts = signal.fftconvolve(mask.astype(np.float64), ellipsoid.astype(np.float64), mode="full")
    middle = tuple(slice(n // 2, n // 2 + m) for n, m in zip(ellipsoid.shape, mask.shape, strict=True))
    return np.asarray(counts[middle] > 0.5)
