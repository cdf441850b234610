"""Awkward grids for tests: never a cube, never an identity."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import oblique_geometry, rotation

#: All 48 ways in which three axes can run.
ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "SI")) for letters in product(*axes)]
SHAPE, SPACING, ORIGIN = (3, 4, 5), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25)


def axial() -> Geometry:
    return Geometry.from_parts(SHAPE, SPACING, ORIGIN)


def sagittal() -> Geometry:
    """Slices run to the left, rows to the feet, columns to the back."""
    return Geometry.from_parts(SHAPE, SPACING, ORIGIN, np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float))


def left_handed() -> Geometry:
    return Geometry.from_parts(SHAPE, SPACING, ORIGIN, np.eye(3)[:, ::-1] * [-1, 1, 1])


def oblique() -> Geometry:
    return oblique_geometry(SHAPE)


def sheared() -> Geometry:
    """Gantry tilt of 20 degrees: every slice is shifted along y."""
    direction = rotation(3.0, 5.0, -8.0) @ np.eye(3)[:, ::-1]
    direction[:, 0] = direction[:, 0] + np.tan(np.radians(20)) * direction[:, 1]
    direction[:, 0] /= np.linalg.norm(direction[:, 0])
    return Geometry.from_parts(SHAPE, SPACING, ORIGIN, direction)


ALL = {grid.__name__: grid for grid in (axial, sagittal, left_handed, oblique, sheared)}
