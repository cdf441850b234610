"""The size of a picture's pixels where its file does not say it: typed by whoever knows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume

#: Of a pixel, mm: outside of it a number was mistyped.
SMALLEST_MM, LARGEST_MM = 0.001, 20.0
#: What readers say of a picture whose pixel size they do not know, in parts; no longer true once it is typed.
_SAID = ("pixel spacing is unknown", "PixelSpacing is missing", "size of its pixels is not known", "spacing is unknown")
_TYPED = "was typed and is not from its file"


def with_pixel_size(volume: Volume, mm: float) -> Volume:
    """Return a picture with the size of its square pixels, which its file does not say.

    Parameters
    ----------
    volume : Volume
        One slice whose pixel size is not known, or was typed before.
    mm : float
        Width and height of a pixel, from 0.001 to 20 mm.

    Returns
    -------
    Volume
        On a grid of that spacing, its first pixel where it was; no voxel changes. A warning says that it was typed.

    Raises
    ------
    OptionError
        If the size is none, the file states one, or there are several slices.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_radcnn.volume import VolumeMetadata
    >>> grid = Geometry.from_parts((1, 4, 6), (1.0, 1.0, 1.0))
    >>> film = Volume(np.zeros((1, 4, 6), np.uint8), grid, VolumeMetadata(is_calibrated=False))
    >>> with_pixel_size(film, 0.25).geometry.spacing
    (1.0, 0.25, 0.25)
    """
    if not (math.isfinite(mm) and SMALLEST_MM <= mm <= LARGEST_MM):
        raise OptionError(f"The pixel size is {mm:g} mm; it must be from {SMALLEST_MM:g} to {LARGEST_MM:g} mm.")
    if volume.geometry.shape[0] != 1:
        raise OptionError(
            f"'{volume.name}' has {volume.geometry.shape[0]} slices; a pixel size is typed for pictures of one slice."
        )
    if not can_be_typed(volume):
        down, across = volume.geometry.spacing[1:]
        raise OptionError(f"The pixel size of '{volume.name}' is known from its file: {down:g} x {across:g} mm.")
    affine = volume.geometry.affine.copy()
    affine[:3, 1:3] *= mm / float(volume.geometry.spacing[1]), mm / float(volume.geometry.spacing[2])
    metadata = replace(volume.metadata, is_calibrated=True, is_size_typed=True)
    geometry = Geometry(volume.geometry.shape, affine)
    return replace(volume, geometry=geometry, metadata=metadata, warnings=said_of_typed(volume.warnings, mm))


def with_typed_size(volumes: Sequence[Volume], mm: float | None) -> list[Volume]:
    """Return volumes of which those that lack a pixel size have the one that was typed; all as they are for None.

    Raises
    ------
    OptionError
        If the size is none, or the files state one for each.
    """
    if mm is None:
        return list(volumes)
    lacking = [can_be_typed(volume) and volume.geometry.shape[0] == 1 for volume in volumes]
    if not any(lacking):
        with_pixel_size(volumes[0], mm)  # raises with the reason
    return [with_pixel_size(volume, mm) if lacks else volume for volume, lacks in zip(volumes, lacking, strict=True)]


def can_be_typed(volume: Volume) -> bool:
    """Whether the file of a volume does not say how large its pixels are."""
    return not volume.metadata.is_calibrated or volume.metadata.is_size_typed


def said_of_typed(warnings: Sequence[str], mm: float) -> tuple[str, ...]:
    """Return the warnings of a picture, or of what was made of it, once its pixel size is typed."""
    kept = [line for line in warnings if not any(part in line for part in (*_SAID, _TYPED))]
    return (*kept, f"Its pixel size of {mm:g} mm {_TYPED}.")
