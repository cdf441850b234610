"""A scan of 27 blocks, and clicks on it as a script writes them."""

from __future__ import annotations

import numpy as np

import napari_radcnn as radcnn
from napari_radcnn.phantom import oblique_geometry

SHAPE = (6, 9, 11)


def blocks() -> radcnn.Volume:
    """Return a scan of 27 blocks, each with a value of its own: 100 k + 10 j + i of the block."""
    k, j, i = np.indices(SHAPE)
    return radcnn.Volume((100 * (k // 2) + 10 * (j // 3) + i // 4).astype(np.int16), oblique_geometry(SHAPE))


def click(volume, index, name="a", positive=True):
    point = [float(value) for value in volume.geometry.to_world(index)]
    return {"object": name, "prompt": {"kind": "point", "points_mm": [point], "positive": positive}}
