"""How `brain-structures` labels a brain that it did not learn from when the scan changes."""

from __future__ import annotations

from pathlib import Path

import napari_radcnn as radcnn
from benchmarks.models.brain_tissue.robustness import STEP, stroke
from benchmarks.models.changes import mr_changes
from benchmarks.models.robustness import Labels, Trial, segmented
from napari_radcnn.models.brain_structures.network import CLASSES
from napari_radcnn.models.brain_structures.structures import VALUES
from napari_radcnn.volume import Volume


def trial(data: Path) -> Trial:
    """Return how the answer for the stroke patient's T1 changes."""

    def ask(scan: Volume) -> Labels:
        return radcnn.segment(scan, "brain-structures", anyway=True).array

    classes = {CLASSES[number]: tuple(pair) for number, pair in VALUES.items()}
    scans = "The T1 of the patient with a stroke, the brain alone, which was not learned from"
    return segmented(scans, stroke(data), mr_changes, ask, classes, STEP)


#: What tries each model.
ROBUSTNESS = {"brain-structures": trial}
