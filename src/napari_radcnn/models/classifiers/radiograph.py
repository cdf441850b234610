"""From a radiograph to the small picture a network was trained with, and a map of that picture back onto it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.models.classifiers.input import RADIOGRAPH, standardized
from napari_radcnn.suitability.radiograph import area_weights, upright_map, windowed
from napari_radcnn.volume import Volume

#: A square of the shorter side outside this many mm is no whole chest.
_EXTENTS = (100.0, 600.0)


def radiograph_warnings(volume: Volume) -> tuple[str, ...]:
    """Return what speaks against taking a picture for a frontal radiograph of a chest; looks at no pixel.

    Raises
    ------
    GeometryError
        If it is no single picture, or too small.
    """
    upright = upright_map(volume.geometry)
    rows, columns = upright_shape = tuple(volume.shape[axis] for axis in upright.order)[1:]
    if min(upright_shape) < RADIOGRAPH:
        raise GeometryError(
            f"'{volume.name}' has {rows} x {columns} pixels; this model needs at least {RADIOGRAPH} x {RADIOGRAPH}."
        )
    told = [f"The network sees it reduced to {RADIOGRAPH} x {RADIOGRAPH} pixels: small findings are lost."]
    if max(upright_shape) > 2 * min(upright_shape):
        told.append("The image is more than twice as long as wide; only its middle square is used.")
    extent = min(n * volume.geometry.spacing[axis] for n, axis in zip(upright_shape, upright.order[1:], strict=True))
    if volume.metadata.is_calibrated and not _EXTENTS[0] <= extent <= _EXTENTS[1]:
        told.append(f"The image covers {extent:.0f} mm: a chest of {_EXTENTS[0]:.0f} to {_EXTENTS[1]:.0f} is expected.")
    return tuple(told)


def prepare_radiograph(
    volume: Volume,
) -> tuple[npt.NDArray[np.float32], Callable[[npt.NDArray], npt.NDArray[np.float32]]]:
    """Return the picture `(1, 28, 28)` the network sees, and what brings a map `(28, 28)` onto the volume's grid.

    As in MedMNIST v2, the middle square is shrunk, every pixel to the mean of what lies under it; the head is up, the
    patient's left on the right, low values dark.

    Raises
    ------
    GeometryError
        If it is no single picture, or too small.
    ModelError
        If it is constant, or holds values that are not finite.
    """
    radiograph_warnings(volume)
    upright = upright_map(volume.geometry)
    picture = np.asarray(upright.apply(volume.array)[0], np.float64)
    if not np.isfinite(picture).all():
        raise ModelError(f"'{volume.name}' contains non-finite values: export it again.")
    picture = windowed(picture, volume)
    rows, columns = picture.shape
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    shrink = area_weights(side, RADIOGRAPH)
    small = shrink @ picture[top : top + side, left : left + side] @ shrink.T
    grow = _line_weights(RADIOGRAPH, side)

    def back(pixels: npt.NDArray) -> npt.NDArray[np.float32]:
        spread = np.zeros((1, rows, columns), np.float32)
        spread[0, top : top + side, left : left + side] = grow @ np.asarray(pixels, np.float64) @ grow.T
        return np.ascontiguousarray(upright.invert(spread))

    return standardized(small)[None], back


def _line_weights(few: int, many: int) -> npt.NDArray[np.float64]:
    """Return the matrix `(many, few)` that interpolates linearly between the centers of wide pixels."""
    place = np.clip((np.arange(many) + 0.5) * few / many - 0.5, 0, few - 1)
    return np.clip(1 - np.abs(place[:, None] - np.arange(few)), 0, None)
