"""The coarser resolutions of an OME-Zarr image: which can be used, and where each lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.omezarr.array import StoredArray
from napari_radcnn.io.omezarr.axes import SPACE_AXES, Axis, scale_and_translation

_Dataset = tuple[StoredArray, Mapping[str, Any]]


def check_level(level: StoredArray, finer: StoredArray, axes: Sequence[Axis]) -> None:
    """Refuse what is no coarser resolution of the image.

    Raises
    ------
    ReadError
        If it has other axes, another type, as many time points or channels, or is not smaller than the `finer` one.
    """
    if len(level.shape) != len(finer.shape) or level.dtype != finer.dtype:
        raise ReadError(
            f"{level.name}: {len(level.shape)} axes of {level.dtype}, but {len(finer.shape)} of {finer.dtype} in the "
            "resolution before."
        )
    in_space = [axis.name in SPACE_AXES for axis in axes]
    pairs = list(zip(level.shape, finer.shape, in_space, strict=True))
    if any(n > before or (not space and n != before) for n, before, space in pairs) or level.shape == finer.shape:
        raise ReadError(
            f"{level.name}: its shape {list(level.shape)} is not a coarser resolution of {list(finer.shape)}."
        )


def geometry_of_level(
    geometry: Geometry, axes: Sequence[Axis], full: _Dataset, level: _Dataset, shown: str
) -> Geometry:
    """Return where a coarser resolution lies.

    Parameters
    ----------
    geometry : Geometry
        Of the full resolution; its directions, which may come from our own block, hold for all.
    axes : sequence of Axis
        Of the arrays.
    full, level : (StoredArray, mapping)
        The two arrays and their entries in ``datasets``, whose transformations are compared.
    shown : str
        What errors call the store.

    Raises
    ------
    ReadError
        If the transformations are damaged or make no grid.
    """
    shape = _of_space(level[0].shape, axes, 1)
    steps, starts, has_scale = zip(
        *(
            scale_and_translation([entry.get("coordinateTransformations")], len(axes), shown)
            for _, entry in (full, level)
        ),
        strict=True,
    )
    if not all(has_scale):
        return geometry.with_shape([int(n) for n in shape])
    ratio = _of_space(steps[1] / steps[0], axes, 1.0)
    offset = _of_space((starts[1] - starts[0]) / steps[0], axes, 0.0)
    to_full = np.eye(4)
    to_full[:3, :3] = np.diag(ratio)
    to_full[:3, 3] = offset
    try:
        if min(ratio) <= 0:
            raise GeometryError(f"an axis of '{level[0].name}' runs backwards.")
        return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), geometry.affine @ to_full)
    except GeometryError as error:
        raise ReadError(f"{shown}: the coordinate transformations do not form a grid: {error}") from error


def _of_space(values: Sequence[float] | npt.NDArray[np.float64], axes: Sequence[Axis], absent: float) -> list[float]:
    """Return the values of z, y and x."""
    found = {axis.name: float(value) for axis, value in zip(axes, values, strict=True)}
    return [found.get(name, absent) for name in SPACE_AXES]
