"""How our own network of `brain-extraction` outlines the brain of a head when the scan changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.models.adversary import Step, other_side
from benchmarks.models.brain_extraction.measure import brain_of
from benchmarks.models.changes import mr_changes
from benchmarks.models.robustness import Labels, Trial, segmented
from napari_radcnn.models.brain_extraction.network import OUTSIDE
from napari_radcnn.training.brain_extraction.heads import WHOLE
from napari_radcnn.training.meshnet import upright_volume
from napari_radcnn.volume import Volume

_STEP = Step("a step of 2% of the range against the network", 0.02, (1.0,), other_side, (OUTSIDE, 1.5))


def trial(data: Path) -> Trial:
    """Return how the answer for a head changes."""
    name, file = next(iter(WHOLE.items()))

    def ask(scan: Volume) -> Labels:
        return brain_of(scan).astype(np.uint8)

    scans = f"The head {name}, which was learned from, by the method any-contrast"
    return segmented(scans, upright_volume(data / file), mr_changes, ask, {"brain": (1,)}, _STEP)


#: What tries each model.
ROBUSTNESS = {"brain-extraction": trial}
