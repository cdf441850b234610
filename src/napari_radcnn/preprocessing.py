"""What is done to a scan before a network sees it, and undone to what the network gives back.

Each step is a frozen dataclass. ``apply`` takes a volume and returns one; ``invert`` takes an array on the new grid
and returns it on the grid from before, so that results end where the scan began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def resample(
    array: npt.NDArray[Any],
    source: Geometry,
    target: Geometry,
    *,
    interpolation: Interpolation,
    fill: float = 0.0,
    antialias: bool = True,
    each_slab: Callable[[int, int], object] | None = None,
) -> npt.NDArray[Any]:
    """Return the values of `array`, which lies on `source`, at the voxel centers of `target`.

    Parameters
    ----------
    array : (k, j, i) or (k, j, i, 3) array
        On the grid `source`; the result has its type.
    source, target : Geometry
        Two grids in one patient, of any orientation, oblique or sheared.
    interpolation : str
        ``"nearest"`` for labels, ``"linear"`` for images.
    fill : float
        The value outside the field of view.
    antialias : bool
        Whether an image is smoothed first along the axes that become coarser, so that what the new grid cannot hold
        does not come back as false structure. The Gaussian is the difference of the two voxels' point spread
        functions (Cardoso et al. 2015, MICCAI, Scale factor point spread function matching).
    each_slab : callable, optional
        Called as ``each_slab(done, total)`` after every slab of slices; may raise to stop.

    Examples
    --------
    >>> from napari_radcnn.phantom import oblique_geometry, world_field
    >>> field = world_field(oblique_geometry())
    >>> resample(field.array, field.geometry, field.geometry.axis_aligned(), interpolation="linear").shape
    (12, 25, 30)
    """
    from scipy import ndimage

    values = array.astype(np.uint8) if array.dtype == bool else array
    target_to_source = np.linalg.solve(source.affine, target.affine)
    matrix, offset = target_to_source[:3, :3], target_to_source[:3, 3]
    channels = [values] if values.ndim == 3 else [values[..., n] for n in range(values.shape[3])]
    if antialias and interpolation == "linear":
        channels = [_smoothed(channel, np.linalg.norm(matrix, axis=1)) for channel in channels]
    result = np.empty((*target.shape, len(channels)), values.dtype)
    depth = max(1, _SLAB_VOXELS // (target.shape[1] * target.shape[2]))
    for start in range(0, target.shape[0], depth):
        stop = min(start + depth, target.shape[0])
        for n, channel in enumerate(channels):
            # "grid-constant" keeps the outer half of the border voxels: "constant" would drop a whole border slice
            # for a rounding error of 1e-15.
            slab = ndimage.affine_transform(
                channel,
                matrix,
                offset + matrix[:, 0] * start,
                output_shape=(stop - start, *target.shape[1:]),
                output=np.float32 if channel.dtype.kind == "f" or interpolation == "linear" else channel.dtype,
                order=0 if interpolation == "nearest" else 1,
                mode="grid-constant",
                cval=fill,
            )
            result[start:stop, ..., n] = np.rint(slab) if values.dtype.kind in "iu" and slab.dtype.kind == "f" else slab
        if each_slab is not None:
            each_slab(stop, target.shape[0])
    return result[..., 0] if values.ndim == 3 else result


#: Voxels made between two calls of `each_slab`: a tenth of a second of work.
_SLAB_VOXELS = 2_000_000
#: Full width at half maximum of a Gaussian, in standard deviations.
_FWHM = 2 * np.sqrt(2 * np.log(2))


def _smoothed(array: npt.NDArray[Any], ratios: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Return `array` smoothed along the axes whose voxels grow by more than a tenth."""
    from scipy import ndimage

    sigmas = [np.sqrt(ratio**2 - 1) / _FWHM if ratio > 1.1 else 0.0 for ratio in ratios]
    if not any(sigmas):
        return array
    return np.asarray(ndimage.gaussian_filter(np.asarray(array, np.float32), sigmas, mode="nearest"))


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
