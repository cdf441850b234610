"""Scans as registration wants them: values without outliers, on reduced grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume

#: Values beyond these percentiles say little and would take most bins of a histogram.
_LOW, _HIGH = 0.5, 99.5
#: Below so many voxels along an axis there is nothing to be turned.
LEAST_VOXELS = 4


@dataclass(frozen=True, eq=False)
class Levels:
    """One scan at several resolutions.

    Attributes
    ----------
    volume : Volume
        The scan.
    finest : SimpleITK.Image
        With values of 0 to 1, no finer than registration looks.
    """

    volume: Volume
    finest: Any

    def at(self, spacing_mm: float) -> Any:
        """Return the scan as an image of SimpleITK with voxels of about a size, mean values of finer ones."""
        import SimpleITK as sitk

        factors = _factors(self.finest.GetSpacing(), self.finest.GetSize(), spacing_mm)
        reduced = sitk.BinShrink(self.finest, factors) if max(factors) > 1 else self.finest
        return sitk.SmoothingRecursiveGaussian(reduced, [0.5 * spacing_mm] * 3)

    @property
    def corners(self) -> npt.NDArray[np.float64]:
        """The (8, 3) corners of the scan, LPS mm."""
        return self.volume.geometry.corners


def levels_of(volume: Volume, finest_mm: float) -> Levels:
    """Return a scan for registration.

    Raises
    ------
    GeometryError
        If it is no volume: of colors, too flat, or without place.
    """
    import SimpleITK as sitk

    if volume.is_color:
        raise GeometryError(f"'{volume.name}' is a picture in colors, which cannot be aligned.")
    if not volume.metadata.is_placed:
        raise GeometryError(f"'{volume.name}' has no place in the patient: a radiograph or a picture is not aligned.")
    if min(volume.shape) < LEAST_VOXELS:
        shape = " x ".join(map(str, volume.shape))
        raise GeometryError(
            f"'{volume.name}' has {shape} voxels; at least {LEAST_VOXELS} along each axis are needed to find how it is "
            "turned."
        )
    geometry = volume.geometry
    array = _cleaned(volume)
    if geometry.is_sheared:
        upright = geometry.axis_aligned()
        array = resample(array, geometry, upright, interpolation="linear", fill=float(array.min()))
        geometry = upright
    image = Volume(array, geometry).to_simpleitk()
    factors = _factors(image.GetSpacing(), image.GetSize(), finest_mm)
    return Levels(volume, sitk.BinShrink(image, factors) if max(factors) > 1 else image)


def _factors(spacing: Any, size: Any, wanted_mm: float) -> list[int]:
    return [max(1, min(int(wanted_mm / mm + 0.25), n // LEAST_VOXELS)) for mm, n in zip(spacing, size, strict=True)]


def _cleaned(volume: Volume) -> npt.NDArray[np.float32]:
    """Return the values from 0 to 1 without outliers; padding and what is no number become 0.

    Raises
    ------
    GeometryError
        If all values are the same.
    """
    low, high = volume.percentiles(_LOW, _HIGH)
    if not high > low:
        low, high = volume.percentiles(0, 100)
    if not high > low:
        raise GeometryError(f"'{volume.name}' has the same value everywhere: there is nothing to align.")
    array = volume.array.astype(np.float32)
    outside = ~np.isfinite(array)
    if volume.metadata.padding_value is not None:
        outside |= array == np.float32(volume.metadata.padding_value)
    array -= np.float32(low)
    array /= np.float32(high - low)
    np.clip(array, 0, 1, out=array)
    array[outside] = 0
    return array
