"""Where `ct-organs` finds three structures least as the reference does, in a scan that it did not learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.models.ct_organs.cases import answer, is_class, whole_cases
from benchmarks.models.ct_organs.measure import FEWEST_ML, values_of
from benchmarks.models.panels import Failures, Panel
from napari_radcnn.metrics import dice
from napari_radcnn.models.ct_organs.structures import STRUCTURES


def failures(data: Path) -> Failures:
    """Return the slice of each of the three structures with the lowest Dice in which it differs most."""
    case = whole_cases(data)[0]
    found = answer(case)
    ml = case.scan.geometry.voxel_volume / 1000
    worst = []
    for structure in STRUCTURES:
        theirs, ours = is_class(case.classes, *structure.classes), np.isin(found, values_of(structure))
        if np.count_nonzero(theirs) * ml >= FEWEST_ML:
            worst.append((dice(theirs, ours), structure.name, theirs, ours))
    worst.sort(key=lambda row: row[0])
    panels = []
    for _, name, theirs, ours in worst[:3]:
        k = int((theirs != ours).sum((1, 2)).argmax())
        shades = (case.scan.array[k] + 160) / 400
        panels.append(Panel(shades, name, (theirs & ~ours)[k], (ours & ~theirs)[k]))
    return panels, (
        "The three structures that are found least as in the reference in the abdomen scan, with the network that did "
        "not learn from it, each in the slice with the largest difference: blue is missed, orange wrongly found."
    )


#: What draws the failures of each model.
FAILURES = {"ct-organs": failures}
