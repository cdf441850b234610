"""How well the network does on the scans of a fold, which it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.metrics import dice
from napari_radcnn.models.ct_organs.network import CLASSES
from napari_radcnn.models.ct_organs.run import find_classes
from napari_radcnn.training.ct_organs.scans import Scan, voxel_ml

if TYPE_CHECKING:
    import torch

#: ml that a structure has at least to be tested on.
_FEWEST_ML = 15.0
#: What a map without its name says nothing of.
_OTHER = 0


def test(network: torch.nn.Module, scans: Sequence[Scan]) -> dict[str, float]:
    """Return the Dice of each class that the scans show, over all of them together.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    scans : sequence of Scan
        Those that are held out; voxels that may be several classes do not count.
    """
    theirs: list[npt.NDArray[np.uint8]] = []
    ours: list[npt.NDArray[np.uint8]] = []
    for scan in scans:
        if not scan.is_whole:
            continue
        theirs.append(scan.labels.ravel())
        ours.append(find_classes(network, scan.hu).ravel())
    if not theirs:
        return {}
    reference, found = np.concatenate(theirs), np.concatenate(ours)
    counts = np.bincount(reference, minlength=len(CLASSES)) * voxel_ml()
    return {
        name: dice(reference == n, found == n)
        for n, name in enumerate(CLASSES)
        if n != _OTHER and counts[n] >= _FEWEST_ML
    }
