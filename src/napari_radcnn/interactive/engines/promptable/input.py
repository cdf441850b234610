"""What `promptable-3d` looks at: a cubic grid somewhere in the scan, and the channels on it.

Training and the engine share this module, so that the network sees in both what it was taught to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.engines.lattice import Lattice, carried

Array = npt.NDArray[np.float32]

#: A click is drawn as a bump of this width (standard deviation) and radius, in voxels of the network's grid.
CLICK_WIDTH, CLICK_RADIUS = 2.5, 7
#: Where such a bump is higher than this, within two voxels, it stands for the clicked place.
CLICKED = 0.7
#: Share of the patch's range of values that the contrast around the clicked value may be narrowed to, at least and
#: at most.
_NARROWEST, _WIDEST = 0.02, 0.15


@dataclass(frozen=True, eq=False)
class Grid:
    """A cubic grid with its axes along those of a scan.

    Parameters
    ----------
    scan : Geometry
        The grid of the scan.
    center : (3,) tuple of float
        Index (k, j, i) in the scan that the middle of the cube lies on.
    spacing : float
        mm between its voxels, the same along all three axes.
    size : int
        Voxels along a side.
    """

    scan: Geometry
    center: tuple[float, float, float]
    spacing: float
    size: int

    @cached_property
    def steps(self) -> tuple[float, float, float]:
        """Voxels of the scan from one voxel of this grid to the next, along k, j, i."""
        k, j, i = (self.spacing / spacing for spacing in self.scan.spacing)
        return k, j, i

    @cached_property
    def first(self) -> tuple[float, float, float]:
        """Index in the scan of voxel (0, 0, 0)."""
        half = (self.size - 1) / 2
        k, j, i = (middle - half * step for middle, step in zip(self.center, self.steps, strict=True))
        return k, j, i

    @cached_property
    def geometry(self) -> Geometry:
        """The cube as a geometry of its own."""
        affine = self.scan.affine.copy()
        affine[:3, 3] = self.scan.to_world(self.first)
        affine[:3, :3] = self.scan.affine[:3, :3] * np.asarray(self.steps)
        return Geometry((self.size, self.size, self.size), affine)

    @cached_property
    def box(self) -> Box | None:
        """The voxels of the scan that lie within the cube, from its outer faces; None where it lies outside."""
        ends = []
        for first, step, count in zip(self.first, self.steps, self.scan.shape, strict=True):
            low = max(0, int(np.ceil(first - step / 2)))
            high = min(count, int(np.floor(first + (self.size - 0.5) * step)) + 1)
            if high <= low:
                return None
            ends.append(slice(low, high))
        return ends[0], ends[1], ends[2]

    def sample(self, array: npt.NDArray, outside: float | None = None) -> Array:
        """Return the values of a scan-sized array on this grid.

        Linear between voxels, and an average over as many of them as a step covers where the grid is coarser.

        Parameters
        ----------
        array : (k, j, i) array
            On the scan's grid.
        outside : float, optional
            Stands outside the scan; by default its border values are continued.
        """
        return carried(array, Lattice.whole(array.shape), self._lattice, outside)

    def to_scan(self, values: Array) -> tuple[Box, Array] | None:
        """Return `values`, which lie on this grid, on the scan's voxels within the cube."""
        if self.box is None:
            return None
        k, j, i = self.box
        target = Lattice(
            (float(k.start), float(j.start), float(i.start)),
            (1.0, 1.0, 1.0),
            (k.stop - k.start, j.stop - j.start, i.stop - i.start),
        )
        return self.box, carried(values, self._lattice, target)

    @property
    def _lattice(self) -> Lattice:
        return Lattice(self.first, self.steps, (self.size, self.size, self.size))


def resample(array: npt.NDArray, shape: tuple[int, int, int]) -> Array:
    """Return an array with other numbers of voxels over the same field, averaged where they become fewer."""
    k, j, i = (source / count for count, source in zip(shape, array.shape, strict=True))
    return carried(
        array, Lattice.whole(array.shape), Lattice(((k - 1) / 2, (j - 1) / 2, (i - 1) / 2), (k, j, i), shape)
    )


def click_bump() -> Array:
    """Return the bump that a click is drawn as: 1 in its middle, 0 from its radius on."""
    k, j, i = np.ogrid[(slice(-CLICK_RADIUS, CLICK_RADIUS + 1),) * 3]
    squared = k * k + j * j + i * i
    bump = np.exp(-squared / (2 * CLICK_WIDTH**2))
    return np.where(squared <= CLICK_RADIUS**2, bump, 0.0).astype(np.float32)


_BUMP = click_bump()


def mark(channel: Array, index: tuple[int, int, int]) -> None:
    """Draw a click into a channel, in place; what lies outside is left out."""
    target, source = [], []
    for at, count in zip(index, channel.shape, strict=True):
        low, high = max(0, at - CLICK_RADIUS), min(count, at + CLICK_RADIUS + 1)
        if high <= low:
            return
        target.append(slice(low, high))
        source.append(slice(low - at + CLICK_RADIUS, high - at + CLICK_RADIUS))
    view = channel[tuple(target)]
    np.maximum(view, _BUMP[tuple(source)], out=view)


def wide_channel(image: Array) -> tuple[Array, float]:
    """Return the patch scaled to about -1..1 by its own range, and that range.

    The range is from the 0.5th to the 99.5th percentile, of every other voxel along each axis, and from the least to
    the greatest value where these two are the same.
    """
    low, high = np.percentile(image[::2, ::2, ::2], (0.5, 99.5))
    if not high - low > 1e-5 * max(abs(low), abs(high)):  # sampling rounds
        low, high = image.min(), image.max()
    extent = float(high - low)
    if not extent > 0:
        return np.zeros(image.shape, np.float32), 0.0
    scaled = (image - np.float32((low + high) / 2)) * np.float32(2 / extent)
    return np.clip(scaled, -1.5, 1.5, out=scaled), extent


def near_channel(image: Array, extent: float, positive: npt.NDArray) -> Array:
    """Return the patch scaled by the values under the positive prompts: 0 like them, -1 and 1 far from them.

    Parameters
    ----------
    image : (n, n, n) array
        The patch, in the scan's units.
    extent : float
        Its range, from `wide_channel`.
    positive : (n, n, n) array
        Above `CLICKED` where a positive prompt lies. Without any the channel is 0.
    """
    values = image[positive > CLICKED]
    if not values.size or extent <= 0:
        return np.zeros(image.shape, np.float32)
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    width = 4 * min(max(spread, _NARROWEST * extent), _WIDEST * extent)
    scaled = (image - np.float32(middle)) * np.float32(1 / width)
    return np.clip(scaled, -1, 1, out=scaled)


def inner_core(area: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the middle of a drawn outline: where it is at least half as deep as at its deepest."""
    where = np.argwhere(area)
    if not len(where):
        return np.zeros_like(area)
    low, high = where.min(0), where.max(0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    # An outline is flat: depth is measured over the axes along which it extends.
    part = area[box]
    flat = tuple(axis for axis, count in enumerate(part.shape) if count == 1)
    depth = ndimage.distance_transform_edt(np.pad(np.squeeze(part, flat), 1))
    core = depth[(slice(1, -1),) * depth.ndim] >= 0.5 * depth.max()
    result = np.zeros_like(area)
    result[box] = np.expand_dims(core, flat)
    return result
