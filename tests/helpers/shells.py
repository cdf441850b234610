"""A brain of three shells."""

from __future__ import annotations

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume, VolumeMetadata


def shells(shape=(60, 84, 70), spacing=(1.0, 1.0, 1.0), direction=None, levels=(0.1, 0.5, 0.9)):
    """Return a lopsided brain of three shells in mm, with a ventricle on one side, and its labels."""
    geometry = Geometry.from_parts(shape, spacing, (11.0, -23.0, 6.0), direction)
    middle = geometry.to_world([(n - 1) / 2 for n in shape])
    position = geometry.to_world(np.stack(np.indices(shape), -1)) - middle
    size = min(n * s for n, s in zip(shape, spacing, strict=True)) / 2 - 3

    def within(center, radii):
        return (((position - np.array(center) * size) / (np.array(radii) * size)) ** 2).sum(-1) <= 1

    labels = np.zeros(shape, np.uint8)
    labels[within((0, 0, 0), (0.9, 1.0, 0.95))] = 1
    labels[within((0.02, 0.03, 0.05), (0.83, 0.92, 0.85))] = 2
    labels[within((0.02, 0.08, 0.05), (0.62, 0.72, 0.66))] = 3
    labels[within((0.25, 0.1, 0.1), (0.1, 0.3, 0.14))] = 1
    values = np.array([0, *(100 + 1000 * level for level in levels)], np.float32)[labels]
    noise = np.random.default_rng(0).normal(0, 4, shape)
    values = np.where(labels > 0, values + noise, 0).astype(np.float32)
    return Volume(values, geometry, VolumeMetadata(name="brain", modality="MR")), labels
