"""Where `brain-tissue` names two contrasts of one patient least alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.models.panels import AXES, Failures, Panel


def failures(data: Path) -> Failures:
    """Return the slice in which `brain-tissue` names FLAIR and T1 of one patient least alike."""
    scans = {
        name: radcnn.read(data / "mr_stroke_t1_t2_flair" / f"{name}.nii.gz")[0].reoriented(AXES)
        for name in ("T1", "FLAIR")
    }
    found = {name: radcnn.segment(scan, "brain-tissue").array == 3 for name, scan in scans.items()}
    differs = found["T1"] != found["FLAIR"]
    k = int(differs.sum((1, 2)).argmax())
    panels = []
    for name, scan in scans.items():
        shades = scan.array[k] / np.quantile(scan.array[scan.array > 0], 0.99)
        panels.append(Panel(shades, name))
        panels.append(Panel(shades, f"{name}: white matter", missing=found[name][k]))
    return panels, (
        "The slice of the stroke patient in which white matter of FLAIR and of T1 differ most: "
        f"{int(differs[k].sum())} voxels, against {int((found['T1'] & found['FLAIR'])[k].sum())} in which both find it."
    )


#: What draws the failures of each model.
FAILURES = {"brain-tissue": failures}
