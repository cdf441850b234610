"""A small scan with a map of two objects, for what `few-clicks` learns from clicks."""

from __future__ import annotations

import numpy as np

from napari_radcnn.training.few_clicks.scans import Scan


def clicked_scan() -> Scan:
    """Return two blocks, one darker and one brighter than what is around, with their map."""
    labels = np.zeros((20, 36, 30), np.uint16)
    labels[4:10, 5:15, 4:14] = 1
    labels[8:16, 18:32, 12:26] = 2
    image = np.where(labels == 2, 150, 0) - 80.0 * (labels == 1) + np.random.default_rng(0).normal(0, 9, labels.shape)
    objects = ((1, (slice(4, 10), slice(5, 15), slice(4, 14))), (2, (slice(8, 16), slice(18, 32), slice(12, 26))))
    spacing = np.array([2.0, 0.9, 1.1])
    return Scan("mr_head/made-up", image.astype(np.float32), labels, spacing, True, objects, 1.0, -300.0, 300.0, 1.0)
