"""What is done to a scan before a network sees it, and undone to what the network gives back.

Each step is a frozen dataclass. ``apply`` takes a volume and returns one; ``invert`` takes an array on the new grid
and returns it on the grid from before, so that results end where the scan began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume

Interpolation = Literal["nearest", "linear"]


class Step(Protocol):
    """One reversible step of preprocessing."""

    def apply(self, volume: Volume) -> Volume:
        """Return the volume after the step."""
        ...

    def invert(self, array: npt.NDArray[Any], before: Geometry) -> npt.NDArray[Any]:
        """Return `array`, which lies on the grid after the step, on `before`, the grid before it."""
        ...


@dataclass(frozen=True)
class Reorient:
    """Permute and flip the axes towards an orientation, without interpolation.

    Attributes
    ----------
    orientation : str
        Three letters for the directions of k, j and i, such as ``"RAS"``.
    """

    orientation: str

    def apply(self, volume: Volume) -> Volume:
        """Return the volume in the new orientation, as a view."""
        return volume.reoriented(self.orientation)

    def invert(self, array: npt.NDArray[Any], before: Geometry) -> npt.NDArray[Any]:
        """Return `array` in the order of `before`, as a view."""
        return before.axis_map(self.orientation).invert(array)


@dataclass(frozen=True)
class Crop:
    """Cut out a box of voxels.

    Attributes
    ----------
    box : tuple of (int, int)
        First and past-the-end index along each axis.
    fill : float
        What lies outside the box after `invert`.
    """

    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    fill: float = 0.0

    @property
    def _slices(self) -> tuple[slice, slice, slice]:
        k, j, i = (slice(*ends) for ends in self.box)
        return k, j, i

    def apply(self, volume: Volume) -> Volume:
        """Return the box, as a view."""
        geometry = volume.geometry.cropped(self._slices)
        return Volume(volume.array[self._slices], geometry, volume.metadata, volume.warnings, volume.suvbw_factor)

    def invert(self, array: npt.NDArray[Any], before: Geometry) -> npt.NDArray[Any]:
        """Return `array` in its place in a grid filled with `fill`."""
        whole = np.full(before.shape, self.fill, array.dtype)
        whole[self._slices] = array
        return whole


@dataclass(frozen=True)
class Resize:
    """Interpolate to a shape that covers the same field of view, whatever spacing results.

    Attributes
    ----------
    shape : tuple of int
        Voxels along each axis.
    interpolation, back : str
        ``"nearest"`` or ``"linear"``, on the way there and on the way back.
    """

    shape: tuple[int, int, int]
    interpolation: Interpolation = "linear"
    back: Interpolation = "linear"

    def apply(self, volume: Volume) -> Volume:
        """Return the volume on the new grid."""
        array = resize(volume.array, self.shape, self.interpolation)
        geometry = volume.geometry.with_shape(self.shape)
        return Volume(array, geometry, volume.metadata, volume.warnings, volume.suvbw_factor)

    def invert(self, array: npt.NDArray[Any], before: Geometry) -> npt.NDArray[Any]:
        """Return `array` interpolated to the shape of `before`."""
        return resize(array, before.shape, self.back)


def resize(array: npt.NDArray[Any], shape: Sequence[int], interpolation: Interpolation) -> npt.NDArray[Any]:
    """Return `array` interpolated to `shape`, voxel edges of the first and last voxel kept in place.

    Parameters
    ----------
    array : 3-D array
        ``"linear"`` returns float32 and repeats the border; ``"nearest"`` keeps the type.
    shape : sequence of int
        New number of voxels along each axis.
    interpolation : str
        ``"nearest"`` or ``"linear"``.
    """
    if interpolation == "nearest":
        index = [
            np.minimum(np.floor((np.arange(new) + 0.5) * (old / new)).astype(int), old - 1)
            for new, old in zip(shape, array.shape, strict=True)
        ]
        return array[np.ix_(*index)]
    from scipy import ndimage

    zoom = [new / old for new, old in zip(shape, array.shape, strict=True)]
    resized = ndimage.zoom(np.asarray(array, np.float32), zoom, order=1, mode="nearest", grid_mode=True)
    return np.asarray(resized)


def scale_to_range(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.float32]:
    """Return float32 `values` clipped to ``low..high`` and scaled to 0..1.

    A flat range, ``high <= low``, gives zeros.
    """
    if not high > low:
        return np.zeros(values.shape, np.float32)
    scaled = (np.asarray(values, np.float32) - np.float32(low)) / np.float32(high - low)
    return np.clip(scaled, 0.0, 1.0)


def standardize(values: npt.NDArray[np.float32], mean: float = 0.0, std: float = 1.0) -> npt.NDArray[np.float32]:
    """Return `values` shifted and scaled to the given mean and standard deviation; flat values become `mean`."""
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    if spread == 0.0:
        return np.full(values.shape, mean, np.float32)
    return np.asarray((values - values.mean()) * (std / spread) + mean, np.float32)
