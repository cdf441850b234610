"""Grids on which series are written as vendors write them: asymmetric, anisotropic, oblique."""

from __future__ import annotations

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import oblique_geometry, rotation

SHAPE = (5, 12, 10)
SAGITTAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
GRIDS = {
    "axial": Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25)),
    "oblique": oblique_geometry(SHAPE),
    "sagittal": Geometry.from_parts(SHAPE, (3.1, 0.9, 1.2), (12.0, -80.0, 33.5), rotation(3, -5, 8) @ SAGITTAL),
}
