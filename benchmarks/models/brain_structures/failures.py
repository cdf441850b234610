"""Where `brain-structures` differs most from its teachers on a head that it did not learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.models.brain_structures.measure import cache_of, joined
from benchmarks.models.panels import AXES, Failures, Panel
from napari_radcnn.models.brain_structures.network import CLASSES
from napari_radcnn.training.brain_structures.heads import HELD_OUT, asked
from napari_radcnn.training.meshnet import upright_volume


def failures(data: Path) -> Failures:
    """Return the slice in which a held-out head is named least as the teachers name it, and the structures confused."""
    name, file = next(iter(HELD_OUT.items()))
    scan = upright_volume(data / file)
    image = np.ascontiguousarray(np.asarray(scan.array).transpose(2, 1, 0))
    theirs = np.ascontiguousarray(asked(name, image, data, cache_of(data)).labels.transpose(2, 1, 0))
    ours = joined(radcnn.segment(scan, "brain-structures").array)
    turn = scan.geometry.axis_map(AXES)
    values, ours, theirs = turn.apply(np.asarray(scan.array, np.float32)), turn.apply(ours), turn.apply(theirs)
    differs = ours != theirs
    k = int(differs.sum((1, 2)).argmax())
    shades = values[k] / np.quantile(values, 0.995)
    pairs = ours[differs].astype(int) * len(CLASSES) + theirs[differs]
    worst = int(np.bincount(pairs).argmax())
    panels = [
        Panel(shades, name),
        Panel(shades, "any structure", (theirs[k] > 0) & (ours[k] == 0), (ours[k] > 0) & (theirs[k] == 0)),
        Panel(shades, "named differently", wrong=differs[k] & (ours[k] > 0) & (theirs[k] > 0)),
    ]
    return panels, (
        f"The slice of {name} with the most voxels that are named as the teachers do not: {int(differs[k].sum())} of "
        f"{int((theirs[k] > 0).sum())}. Blue: named by the teachers only; orange: by the model only, or by another "
        f"name. Most often in the whole head, what is '{CLASSES[worst % len(CLASSES)]}' to the teachers is "
        f"'{CLASSES[worst // len(CLASSES)]}' to the model."
    )


#: What draws the failures of each model.
FAILURES = {"brain-structures": failures}
