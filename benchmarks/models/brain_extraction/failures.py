"""Where `brain-extraction` differs most from HD-BET."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.models.brain_extraction.measure import brain_of, hd_bet_of
from benchmarks.models.panels import AXES, Failures, Panel
from napari_radcnn.metrics import dice
from napari_radcnn.training.brain_extraction.heads import WHOLE
from napari_radcnn.training.meshnet import upright_volume


def failures(data: Path) -> Failures:
    """Return the slice of the worst head in which our network's mask differs most from HD-BET's."""
    rows = []
    for name, file in WHOLE.items():
        scan = upright_volume(data / file)
        ours, theirs = brain_of(scan), hd_bet_of(data, name)
        rows.append((dice(ours, theirs), name, scan, ours, theirs))
    _, name, scan, ours, theirs = min(rows, key=lambda row: float(row[0]))
    turn = scan.geometry.axis_map(AXES)
    values, ours, theirs = (turn.apply(each) for each in (np.asarray(scan.array, np.float32), ours, theirs))
    differs = ours != theirs
    k = int(differs.sum((1, 2)).argmax())
    shades = values[k] / np.quantile(values, 0.995)
    panels = [Panel(shades, name), Panel(shades, "method any-contrast", theirs[k] & ~ours[k], ours[k] & ~theirs[k])]
    return panels, (
        f"The slice of {name}, the head with the lowest Dice, in which our network's mask differs most from HD-BET's: "
        f"{int(differs[k].sum())} voxels, against {int((ours & theirs)[k].sum())} in both. Blue: in HD-BET's only; "
        "orange: in ours only."
    )


#: What draws the failures of each model.
FAILURES = {"brain-extraction": failures}
