"""Where `ct-tissues` finds muscle least as the reference does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.models.panels import AXES, Failures, Panel
from napari_radcnn.models.ct_tissues.spec import MUSCLE


def failures(data: Path) -> Failures:
    """Return the slice in which `ct-tissues` finds muscle least as the reference does."""
    folder = data / "ct_totalsegmentator"
    names = ("example_ct_sm", "example_seg_tissue_types/skeletal_muscle")
    scan, reference = (radcnn.read(folder / f"{name}.nii.gz")[0].reoriented(AXES) for name in names)
    theirs = np.asarray(reference.array) > 0
    ours = radcnn.segment(scan, "ct-tissues").array == MUSCLE
    k = int((theirs != ours).sum((1, 2)).argmax())
    shades = (scan.array[k] + 160) / 400
    missing, wrong = (theirs & ~ours)[k], (ours & ~theirs)[k]
    return [Panel(shades, "CT"), Panel(shades, "muscle: missed, wrongly found", missing, wrong)], (
        f"The slice of the abdomen scan in which muscle differs most from the reference: blue is missed "
        f"({int(missing.sum())} voxels), orange found where the reference (a network's, not a reader's) has none "
        f"({int(wrong.sum())} voxels)."
    )


#: What draws the failures of each model.
FAILURES = {"ct-tissues": failures}
