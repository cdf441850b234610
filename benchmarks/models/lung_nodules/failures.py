"""What `lung-nodules` misses, and what it takes for a nodule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from benchmarks.models.lung_nodules import measure
from benchmarks.models.panels import AXES, Failures, Panel
from napari_radcnn.results import Detection

_Floats = npt.NDArray[np.floating[Any]]


def failures(data: Path) -> Failures:
    """Return the synthetic nodules that `lung-nodules` scores lowest, and what it takes for one most surely."""
    rounds = measure.rounds_of(data / measure.PULMONARY, 3, 10, 1)
    lowest, wrong = [], []
    for number, one in enumerate(rounds):
        for put in one.put:
            hits = [box.score for box in one.found if measure.is_hit(box, put.detection)]
            lowest.append((max(hits, default=0.0), number, put))
        there = [put.detection for put in one.put]
        away = [box for box in one.found if not any(measure.is_hit(box, other) for other in there)]
        wrong += [(box.score, number, box) for box in away]
    lowest = sorted(lowest, key=lambda row: row[0])[:3]
    places = {tuple(round(c / 10) for c in box.center): (score, n, box) for score, n, box in sorted(wrong, key=_score)}
    wrong = sorted(places.values(), key=_score)[:-4:-1]  # each place once: all copies are of one scan
    panels = [
        Panel(
            _around(rounds[number].scan, put.detection.center),
            f"{put.kind} {put.detection.size[0]:.0f} mm: {score:.2f}",
        )
        for score, number, put in lowest
    ]
    panels += [Panel(_around(rounds[n].scan, box.center), f"no nodule: {score:.2f}") for score, n, box in wrong]
    count = sum(len(one.put) for one in rounds)
    return panels, (
        f"Of {count} synthetic nodules in {len(rounds)} copies of a held-out scan, the three with the lowest scores, "
        "and the three places without one that got the highest; each in the middle of a square of 50 mm."
    )


def _score(row: tuple[float, int, Detection]) -> float:
    return row[0]


def _around(scan: radcnn.Volume, center: tuple[float, float, float]) -> _Floats:
    """Return the part of a slice around a place, 50 mm wide, in the window of the lung."""
    upright = scan.reoriented(AXES)
    k, j, i = (round(float(n)) for n in upright.geometry.to_index(center))
    rows, columns = (round(25 / step) for step in upright.geometry.spacing[1:])
    padded = np.pad(upright.array[k], ((rows, rows), (columns, columns)), constant_values=-1000)
    return (padded[j : j + 2 * rows + 1, i : i + 2 * columns + 1] + 1100.0) / 1400


#: What draws the failures of each model.
FAILURES = {"lung-nodules": failures}
