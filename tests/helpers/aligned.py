"""Grids along the body's axes in eight orientations, and the field of a phantom at a layer's place."""

from __future__ import annotations

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import FIELD_COEFFICIENTS

ORIENTATIONS = ("SPL", "IPL", "PSL", "LSP", "AIR", "RIA", "LPS", "ILA")


def aligned(orientation: str, shape=(3, 4, 5), spacing=(2.5, 0.8, 0.7)) -> Geometry:
    direction = np.zeros((3, 3))
    for n, letter in enumerate(orientation):
        axis = "LPS".find(letter) if letter in "LPS" else "RAI".find(letter)
        direction[axis, n] = 1 if letter in "LPS" else -1
    return Geometry.from_parts(shape, spacing, (-31.0, 17.5, 40.25), direction)


def field_at(layer, index):
    """The field at the layer's own idea of the world place of a voxel of its array."""
    z, y, x = layer.data_to_world(tuple(float(n) for n in index))
    return float(np.dot((x, y, z), FIELD_COEFFICIENTS))
