"""How `ct-organs` finds organs when the scan changes, with the weights that never saw it."""

from __future__ import annotations

from pathlib import Path

import napari_radcnn as radcnn
from benchmarks.models.adversary import Step, other_class
from benchmarks.models.changes import ct_changes
from benchmarks.models.ct_organs.cases import tested_folds, whole_cases, with_fold
from benchmarks.models.ct_organs.measure import values_of
from benchmarks.models.robustness import Labels, Trial, segmented
from napari_radcnn.models.ct_organs.structures import STRUCTURES
from napari_radcnn.volume import Volume

#: HU, against the network of `ct-organs`: in both windows alike, at 3 mm.
STEP = Step(
    "a step of 5 HU against the network",
    5.0,
    (1 / 1000, 1 / 150, 0.0, 0.0, 0.0),
    other_class(),
    (-1.5, 1.5),
    is_joined=True,
)


def trial(data: Path) -> Trial:
    """Return how the answer for the abdomen changes."""
    case = next(case for case in whole_cases(data) if case.fold in tested_folds())
    model = with_fold("ct-organs", case.fold)

    def ask(scan: Volume) -> Labels:
        return radcnn.segment(scan, model, anyway=True).array

    classes = {structure.name: values_of(structure) for structure in STRUCTURES}
    return segmented(f"The {case.title}, which this network had not seen", case.scan, ct_changes, ask, classes, STEP)


#: What tries each model.
ROBUSTNESS = {"ct-organs": trial}
