"""Ranges of a scan's values and single slices: what several tools limit themselves to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.tools.base import TOLERANCE, as_number, as_triple
from napari_radcnn.interactive.update import Mask
from napari_radcnn.volume import Volume

#: The scan's axes, and the word for all of them.
AXES = ("k", "j", "i")
EVERY_SLICE = "none"


def checked_range(low: object, high: object) -> tuple[float | None, float | None]:
    """Return both ends of a range of values, ends included; None is no limit.

    Raises
    ------
    OptionError
        If one is no finite number, or the range is empty.
    """
    first = None if low is None else as_number("'low'", low)
    last = None if high is None else as_number("'high'", high)
    if first is not None and last is not None and first > last:
        raise OptionError(f"The range of values {first:g} to {last:g} is empty.")
    return first, last


def refuse_color(volume: Volume) -> None:
    """Raise if a scan does not have one value per voxel.

    Raises
    ------
    OptionError
        If it is a color image.
    """
    if volume.is_color:
        raise OptionError("A color image does not have one value per voxel: work without a range of values.")


def in_range(values: npt.NDArray[Any], low: float | None, high: float | None) -> Mask:
    """Return where values lie within a range, ends included; NaN lies in none.

    Parameters
    ----------
    values : array of real numbers
        Of any shape.
    low, high : float or None
        In the unit of the values; None is no limit.
    """
    with np.errstate(invalid="ignore"):
        inside = np.asarray(values >= (-np.inf if low is None else low))
        inside &= values <= (np.inf if high is None else high)
    return inside


def checked_axis(axis: object) -> str:
    """Return the axis that a slice lies across, ``"k"``, ``"j"`` or ``"i"``, or ``"none"`` for all slices.

    Raises
    ------
    OptionError
        If it is no such word.
    """
    if axis not in (EVERY_SLICE, *AXES):
        raise OptionError(f"'axis' must be one of none, k, j, i, got {axis!r}.")
    return str(axis)


def checked_place(position: object) -> tuple[float, float, float] | None:
    """Return a position, LPS mm, or None.

    Raises
    ------
    OptionError
        If it is neither.
    """
    return None if position is None else as_triple("A position", position)


def index_at(geometry: Geometry, position: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return the voxel (k, j, i) at a position, LPS mm; half a voxel is rounded up.

    Raises
    ------
    OptionError
        If it lies outside the scan.
    """
    places = np.floor(geometry.to_index(np.array(position)) + 0.5 + TOLERANCE)
    if not all(0 <= place < size for place, size in zip(places, geometry.shape, strict=True)):
        x, y, z = position
        raise OptionError(f"The position ({x:.6g}, {y:.6g}, {z:.6g}) mm lies outside the scan: point at a voxel of it.")
    k, j, i = (int(place) for place in places)
    return k, j, i


def slice_box(geometry: Geometry, axis: str, position: tuple[float, float, float] | None) -> Box:
    """Return the box of the slice across an axis at a position, or of the whole scan.

    Parameters
    ----------
    geometry : Geometry
        Of the scan.
    axis : str
        ``"k"``, ``"j"``, ``"i"``; ``"none"`` is the whole scan.
    position : (x, y, z) or None
        LPS mm; only where it lies along the axis counts.

    Raises
    ------
    OptionError
        If there is no position, or the slice lies outside the scan.
    """
    ends = [slice(0, n) for n in geometry.shape]
    if axis != EVERY_SLICE:
        if position is None:
            raise OptionError(f"A slice across '{axis}' needs 'position_mm', a position on it.")
        number = AXES.index(axis)
        place = float(np.floor(geometry.to_index(np.array(position))[number] + 0.5 + TOLERANCE))
        if not 0 <= place < geometry.shape[number]:
            x, y, z = position
            raise OptionError(f"The slice at ({x:.6g}, {y:.6g}, {z:.6g}) mm across '{axis}' lies outside the scan.")
        ends[number] = slice(int(place), int(place) + 1)
    return ends[0], ends[1], ends[2]
