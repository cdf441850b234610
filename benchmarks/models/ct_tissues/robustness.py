"""How `ct-tissues` labels an abdomen when the scan changes, with the network that never saw it."""

from __future__ import annotations

from pathlib import Path

import napari_radcnn as radcnn
from benchmarks.models.changes import ct_changes
from benchmarks.models.ct_organs.cases import with_fold
from benchmarks.models.ct_organs.robustness import STEP
from benchmarks.models.robustness import Labels, Trial, segmented
from napari_radcnn.models import get_model
from napari_radcnn.training.ct_organs.scans import read_upright
from napari_radcnn.volume import Volume

_SCAN = "ct_totalsegmentator/example_ct.nii.gz"


def trial(data: Path) -> Trial:
    """Return how the answer for the abdomen changes."""
    model = with_fold("ct-tissues", "abdomen")

    def ask(scan: Volume) -> Labels:
        return radcnn.segment(scan, model, anyway=True).array

    classes = {label.name: (value,) for value, label in get_model("ct-tissues").labels.items()}
    scans = "The abdomen without contrast medium, which the network that the rules ask had not seen"
    return segmented(scans, read_upright(data / _SCAN), ct_changes, ask, classes, STEP)


#: What tries each model.
ROBUSTNESS = {"ct-tissues": trial}
