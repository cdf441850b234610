"""The thin slices that the networks are farthest from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.models.panels import AXES, Failures, Panel
from benchmarks.models.super_resolution import measure


def thin_slices(name: str) -> Callable[[Path], Failures]:
    """Return what finds the thin slice that a model of super-resolution is farthest from, at a factor of 5."""

    def draw(data: Path) -> Failures:
        rows = []
        for path in measure.HELD_OUT[name]:
            scan = measure.cut(radcnn.read(data / path)[0].reoriented(AXES), 96)
            truth, spline, made = measure.made_thin(name, scan, 0, 5, "box")
            error = np.abs(made - truth).mean((1, 2)) / np.ptp(np.quantile(truth, (0.01, 0.99)))
            n = int(error.argmax())
            rows.append((float(error[n]), path, n, [one[n] for one in (truth, spline, made)]))
        worst, path, n, parts = max(rows, key=lambda row: row[0])
        low, high = np.quantile(parts[0], (0.01, 0.99))
        words = ("measured", "spline, factor 5", "network, factor 5")
        panels = [Panel((part - low) / (high - low), word) for part, word in zip(parts, words, strict=True)]
        return panels, (
            f"The thin slice of the held-out scans that it is farthest from when slices five times as thick are all it "
            f"gets: slice {n} of {Path(path).parent.name}, mean error {100 * worst:.1f} % of the range of gray values. "
            "Detail between thick slices is not there."
        )

    return draw


#: What draws the failures of each model.
FAILURES = {name: thin_slices(name) for name in measure.NAMES}
