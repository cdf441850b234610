"""Axes, units and transformations of an OME-Zarr image, turned into an affine.

OME-Zarr's world has the axes x, y, z of the microscope and no patient. They are taken as DICOM's (x to the left, y to
the back, z to the head), unless every axis says its anatomical orientation (OME-NGFF RFC-4) or the store holds our own
block with the true affine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.omezarr.store import short

#: The axes that are divided into volumes, and those of a volume, in our order.
LIST_AXES, SPACE_AXES = ("t", "c"), ("z", "y", "x")
_MM = {
    "millimeter": 1.0,
    "micrometer": 1e-3,
    "nanometer": 1e-6,
    "picometer": 1e-9,
    "angstrom": 1e-7,
    "centimeter": 10.0,
    "decimeter": 100.0,
    "meter": 1000.0,
    "inch": 25.4,
    "mm": 1.0,
    "um": 1e-3,
    "µm": 1e-3,
    "micron": 1e-3,
    "nm": 1e-6,
    "cm": 10.0,
    "m": 1000.0,
}
#: World axis (0 x, 1 y, 2 z of LPS) and sign of an orientation.
_ORIENTATIONS = {
    "right-to-left": (0, 1),
    "left-to-right": (0, -1),
    "anterior-to-posterior": (1, 1),
    "posterior-to-anterior": (1, -1),
    "inferior-to-superior": (2, 1),
    "superior-to-inferior": (2, -1),
}


@dataclass(frozen=True)
class Axis:
    """One axis of an image.

    Attributes
    ----------
    name : str
        ``"t"``, ``"c"``, ``"z"``, ``"y"`` or ``"x"``.
    unit : str or None
        Of length, for axes in space.
    orientation : str or None
        ``"right-to-left"`` and so on, where it is said.
    """

    name: str
    unit: str | None = None
    orientation: str | None = None


def parse_axes(value: object, n_axes: int, shown: str) -> list[Axis]:
    """Return the axes of an image.

    Raises
    ------
    ReadError
        If they are not some of t, c, z, y, x, at least y and x, each once, one for every axis of the array.
    """
    if not isinstance(value, list) or not all(isinstance(a, dict) and isinstance(a.get("name"), str) for a in value):
        raise ReadError(f"{shown}: the metadata is damaged: 'axes' must be a list of axes with names.")
    names = [axis["name"].lower() for axis in value]
    if len(names) != n_axes:
        raise ReadError(f"{shown}: the metadata names {len(names)} axes ({short(names)}), but the array has {n_axes}.")
    if len(set(names)) != len(names) or not set(names) <= {*LIST_AXES, *SPACE_AXES} or not {"y", "x"} <= set(names):
        raise ReadError(f"{shown}: the axes {short(names)} do not form a volume; they must be some of t, c, z, y, x.")
    return [Axis(name, _text(axis.get("unit")), _orientation(axis)) for name, axis in zip(names, value, strict=True)]


def scale_and_translation(
    levels: Sequence[object], n_axes: int, shown: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], bool]:
    """Return scale and translation along every axis, in the file's units, and whether a scale was given.

    Parameters
    ----------
    levels : sequence of list
        The ``coordinateTransformations`` of the dataset, then of the multiscale image, in the order they apply.
    n_axes : int
        How many axes there are.
    shown : str
        What errors call the store.

    Raises
    ------
    ReadError
        If a transformation is of another kind, has another length, or is no number.
    """
    scale, translation, has_scale = np.ones(n_axes), np.zeros(n_axes), False
    for transformations in levels:
        if transformations is None:
            continue
        if not isinstance(transformations, list):
            raise ReadError(f"{shown}: the metadata is damaged: 'coordinateTransformations' is not a list.")
        for item in transformations:
            kind = item.get("type") if isinstance(item, dict) else None
            if kind == "identity":
                continue
            if kind not in ("scale", "translation"):
                raise ReadError(f"{shown}: the coordinate transformation {short(kind)} cannot be read.")
            values = _numbers(item.get(kind), kind, n_axes, shown)
            if kind == "scale":
                scale, translation, has_scale = scale * values, translation * values, True
            else:
                translation = translation + values
    if not (np.isfinite(scale).all() and np.isfinite(translation).all() and scale.all()):
        raise ReadError(f"{shown}: the scale must be finite and not zero, got {short(scale.tolist())}.")
    return scale, translation, has_scale


def world_affine(
    axes: Sequence[Axis], scale: npt.NDArray[np.float64], translation: npt.NDArray[np.float64], warnings: list[str]
) -> npt.NDArray[np.float64]:
    """Return the ``(k, j, i)`` affine of the axes in space: LPS, mm.

    Parameters
    ----------
    axes : sequence of Axis
        All axes of the array, in its order.
    scale, translation : (n_axes,) array
        In the units of the axes.
    warnings : list of str
        Warnings for the user are appended.
    """
    places = {axis.name: n for n, axis in enumerate(axes)}
    units = _millimeters([axes[places[name]] for name in SPACE_AXES if name in places], warnings)
    directions = _directions([axes[places[name]] for name in SPACE_AXES if name in places], warnings)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, name in enumerate(SPACE_AXES):
        world, sign = directions[name]
        if name not in places:
            warnings.append("The image has no slice spacing: it is shown as one slice of 1 mm.")
            affine[world, column] = sign
            continue
        n, unit = places[name], units[name]
        affine[world, column] = sign * scale[n] * unit
        affine[world, 3] = sign * translation[n] * unit
    return affine


def _millimeters(axes: Sequence[Axis], warnings: list[str]) -> dict[str, float]:
    """Return mm per unit of every axis."""
    unknown = sorted({axis.unit for axis in axes if axis.unit is not None and axis.unit.lower() not in _MM})
    if unknown:
        warnings.append(f"Unknown unit of length ({short(', '.join(unknown))}): millimeters are assumed.")
    if any(axis.unit is None for axis in axes):
        warnings.append("The metadata gives no unit of length: millimeters are assumed.")
    return {axis.name: _MM.get((axis.unit or "").lower(), 1.0) for axis in axes}


def _directions(axes: Sequence[Axis], warnings: list[str]) -> dict[str, tuple[int, int]]:
    """Return the world axis and the sign of x, y and z."""
    found = {axis.name: _ORIENTATIONS[axis.orientation] for axis in axes if axis.orientation in _ORIENTATIONS}
    if len(found) == len(axes) == len({world for world, _ in found.values()}):
        if "z" not in found:
            found["z"] = ({0, 1, 2} - {world for world, _ in found.values()}).pop(), 1
        return found
    warnings.append(
        "OME-Zarr does not define the orientation in the patient: x is assumed to point left, y to posterior, z to "
        "the head; left and right may be swapped."
    )
    return {"z": (2, 1), "y": (1, 1), "x": (0, 1)}


def _orientation(axis: Mapping[str, Any]) -> str | None:
    said = axis.get("orientation")
    value = said.get("value") if isinstance(said, dict) else said
    return _text(value)


def _text(value: object) -> str | None:
    return value.strip().lower() if isinstance(value, str) and value.strip() else None


def _numbers(value: object, what: str, n_axes: int, shown: str) -> npt.NDArray[np.float64]:
    if not isinstance(value, list) or not all(type(v) in (int, float) and abs(v) < 1e300 for v in value):
        raise ReadError(f"{shown}: the metadata is damaged: '{what}' must be a list of numbers, got {short(value)}.")
    if len(value) != n_axes or not all(math.isfinite(v) for v in value):
        raise ReadError(f"{shown}: '{what}' has {len(value)} numbers for {n_axes} axes: {short(value)}.")
    return np.array(value, float)
