"""Fill holes, and smooth by millimetres without losing volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools.base import FormTool, ToolState, padded, reach
from napari_radcnn.interactive.tools.distance import by_slabs
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.options import option

#: The axis of "slice by slice".
_AXES = ("none", "k", "j", "i")
#: A Gaussian is cut off at this many standard deviations, where it has fallen to 1/3000.
_CUT = 4.0
#: Steps of a smoothed mask between 0 and 1. Rounding to them makes equal what differs by rounding errors only, so that
#: what is symmetric stays so.
_LEVELS = 1 << 15


@dataclass(frozen=True)
class FillHoles(FormTool):
    """Add what the object encloses: background that has no way out over the faces of its voxels.

    Parameters
    ----------
    axis : str
        ``"none"`` for holes that are closed in space; ``"k"``, ``"j"`` or ``"i"`` for those that are closed in each
        slice across that axis of the scan. The scan's border is open.
    """

    name: ClassVar[str] = "fill_holes"
    axis: str = option(
        "none",
        title="Slice by slice along",
        help="none: fill holes enclosed in 3-D; an axis: fill holes enclosed within each slice perpendicular to it",
        choices=_AXES,
    )

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Fill holes" if self.axis == "none" else f"Fill holes slice by slice along {self.axis}"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object without holes."""
        from scipy import ndimage

        found = state.find()
        if found is None:
            return None
        monitor.say("filling holes")
        axis = None if self.axis == "none" else _AXES.index(self.axis) - 1
        outside = np.pad(~state.mask(found), 1, constant_values=True)
        neighbors = ndimage.generate_binary_structure(3, 1)
        if axis is not None:
            neighbors = np.moveaxis(neighbors, axis, 0)
            neighbors[[0, 2]] = False
            neighbors = np.moveaxis(neighbors, 0, axis)
        numbers = np.empty(outside.shape, np.int32)
        ndimage.label(outside, neighbors, output=numbers)
        monitor.check()
        # The padding joins all background that is open: in space to one part, else to one in every slice.
        corner = [slice(0, 1)] * 3
        if axis is not None:
            corner[axis] = slice(None)
        filled = numbers != numbers[tuple(corner)]
        return state.update(found, filled[1:-1, 1:-1, 1:-1])


@dataclass(frozen=True)
class Smooth(FormTool):
    """Smooth the surface with a Gaussian, and keep the volume.

    Of the smoothed mask the highest voxels are taken, as many as there were. Equal ones stay together, so that the
    number may differ by some voxels. Parts much smaller than the distance vanish, and the rest grows by their volume.

    Parameters
    ----------
    distance : float
        Standard deviation of the Gaussian, mm in the patient, in every direction. Details finer than about twice that
        go.
    """

    name: ClassVar[str] = "smooth"
    distance: float = option(
        1.0,
        title="Distance",
        help="Standard deviation of the Gaussian; removes details finer than about twice this value",
        low=0.01,
        high=100.0,
        step=0.5,
        unit="mm",
    )

    @property
    def title(self) -> str:
        """What a history calls it."""
        return f"Smooth by {self.distance:g} mm"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the smoothed object."""
        found = state.find()
        if found is None:
            return None
        margin = [n + 1 for n in reach(state.geometry, _CUT * self.distance)]
        box = padded(found, margin, state.labels.shape)
        mask = state.mask(box)
        levels = _smoothed(mask, state.geometry, self.distance, monitor)
        # above[n]: how many voxels have at least level n.
        above = np.bincount(levels.ravel(), minlength=_LEVELS + 1)[::-1].cumsum()[::-1]
        wanted = np.count_nonzero(mask)
        level = 1 + int(np.abs(above[1:] - wanted).argmin())
        return state.update(box, levels >= level)


def _smoothed(mask: Mask, geometry: Geometry, sigma: float, monitor: Monitor) -> npt.NDArray[np.uint16]:
    """Return a mask smoothed by a Gaussian of `sigma` mm, in `_LEVELS` steps; the border is repeated outwards."""
    extent = [n + 1 for n in reach(geometry, _CUT * sigma)]
    kernel = _gaussian(geometry, sigma, extent) if geometry.is_sheared else None

    def smooth_part(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        from scipy import ndimage, signal

        if kernel is None:
            sigmas = [sigma / step for step in geometry.spacing]
            smooth = ndimage.gaussian_filter(part.astype(np.float32), sigmas, mode="nearest", truncate=_CUT)
        else:
            wide = np.pad(part.astype(np.float32), [(n, n) for n in extent], mode="edge")
            smooth = signal.fftconvolve(wide, kernel, mode="valid")
        return np.rint(np.clip(smooth, 0, 1) * _LEVELS)

    levels = np.zeros(mask.shape, np.uint16)
    by_slabs(mask, levels, smooth_part, extent[0], monitor, "smoothing")
    return levels


def _gaussian(geometry: Geometry, sigma: float, extent: list[int]) -> npt.NDArray[np.float32]:
    """Return the weights of a Gaussian that is round in the patient, on any grid; their sum is 1."""
    index = np.indices([2 * n + 1 for n in extent]).reshape(3, -1) - np.reshape(extent, (3, 1))
    squared = ((geometry.affine[:3, :3] @ index) ** 2).sum(axis=0)
    weights = np.exp(-squared / (2 * sigma**2)).reshape([2 * n + 1 for n in extent])
    return np.asarray(weights / weights.sum(), np.float32)
