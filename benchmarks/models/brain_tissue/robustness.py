"""How `brain-tissue` labels a brain that it did not learn from when the scan changes."""

from __future__ import annotations

from pathlib import Path

import napari_radcnn as radcnn
from benchmarks.models.adversary import Step, other_class
from benchmarks.models.changes import mr_changes
from benchmarks.models.robustness import Labels, Trial, segmented
from napari_radcnn.models import get_model
from napari_radcnn.models.brain_structures.network import OUTSIDE, TISSUES
from napari_radcnn.volume import Volume

#: Shares of the range of gray values, against both of the network's answers.
STEP = Step(
    "a step of 2% of the range against the network",
    0.02,
    (1.0,),
    other_class(slice(0, TISSUES), slice(TISSUES, None)),
    (OUTSIDE, 2.0),
)


def stroke(data: Path) -> Volume:
    """Return the T1 of the patient with a stroke, the brain alone."""
    return radcnn.read(data / "mr_stroke_t1_t2_flair" / "T1.nii.gz")[0].reoriented("SPL")


def trial(data: Path) -> Trial:
    """Return how the answer for the stroke patient's T1 changes."""

    def ask(scan: Volume) -> Labels:
        return radcnn.segment(scan, "brain-tissue", anyway=True).array

    classes = {label.name: (value,) for value, label in get_model("brain-tissue").labels.items()}
    scans = "The T1 of the patient with a stroke, which was not learned from"
    return segmented(scans, stroke(data), mr_changes, ask, classes, STEP)


#: What tries each model.
ROBUSTNESS = {"brain-tissue": trial}
