"""Where the coordinates of a layer lie in the patient, whatever transforms it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import to_patient


def first_of(layer: Any, point: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of a layer at napari's world point on those of its axes that are none of the patient's."""
    extra = layer.ndim - 3
    return tuple(np.rint(layer.world_to_data(point[-layer.ndim :])[:extra]).astype(int).tolist())


def affine_of(layer: Any, first: Sequence[int] = ()) -> npt.NDArray[np.float64]:
    """Return the (4, 4) matrix from the last three coordinates of a layer to LPS mm.

    Parameters
    ----------
    layer : napari layer
        Of three axes or more.
    first : sequence of int
        Where on the axes before those.
    """
    base = np.array([*first, 0.0, 0.0, 0.0])
    origin = to_patient(layer.data_to_world(base))
    affine = np.eye(4)
    affine[:3, 3] = origin
    for axis in range(3):
        ahead = base.copy()
        ahead[len(first) + axis] += 1
        affine[:3, axis] = to_patient(layer.data_to_world(ahead)) - origin
    return affine
