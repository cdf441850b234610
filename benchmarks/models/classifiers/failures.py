"""What the classifiers are most surely wrong about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.models.classifiers import measure
from benchmarks.models.panels import Failures, Panel
from napari_radcnn.models import get_model
from napari_radcnn.training.classifiers import adrenal_mass, cxr_pneumonia
from napari_radcnn.training.classifiers.learn import find_file, load_split

_Floats = npt.NDArray[np.floating[Any]]


def pneumonia(data: Path) -> Failures:
    """Return the radiographs that `cxr-pneumonia` is most surely wrong about."""
    pictures, truth = load_split(find_file(data, cxr_pneumonia.FILE), "test")
    said = measure.probabilities_of(get_model("cxr-pneumonia"), [measure.radiograph(one) for one in pictures])
    worst = _most_wrong(said, truth)
    panels = [Panel(pictures[n] / 255, _verdict(said[n], truth[n], "pneumonia")) for n in worst]
    return panels, _confident(said, truth, worst, "radiographs", "pneumonia")


def adrenal(data: Path) -> Failures:
    """Return the glands that `adrenal-mass` is most surely wrong about, seen from the front."""
    masks, truth = load_split(find_file(data, adrenal_mass.FILE), "test")
    said = measure.probabilities_of(get_model("adrenal-mass"), [measure.gland(one) for one in masks])
    worst = _most_wrong(said, truth)
    panels = [Panel((masks[n] > 0).mean(1) * 3, _verdict(said[n], truth[n], "mass")) for n in worst]
    return panels, _confident(said, truth, worst, "outlined glands", "mass") + " Brightness is depth."


def _most_wrong(said: _Floats, truth: npt.NDArray[np.int64]) -> list[int]:
    """Return three cases that were missed and three false alarms, the surest first."""
    missed, alarms = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    missed, alarms = missed[said[missed] < 0.5], alarms[said[alarms] > 0.5]
    return [*missed[np.argsort(said[missed])][:3], *alarms[np.argsort(-said[alarms])][:3]]


def _verdict(said: float, truth: int, finding: str) -> str:
    return f"{finding} {said:.2f}; is {finding if truth else 'normal'}"


def _confident(said: _Floats, truth: npt.NDArray[np.int64], worst: list[int], what: str, finding: str) -> str:
    missed, alarms = int(np.sum((truth == 1) & (said < 0.5))), int(np.sum((truth == 0) & (said > 0.5)))
    return (
        f"Of the {len(truth)} {what} of the test split, the {len(worst)} it is most surely wrong about (at 0.5 it "
        f"misses {missed} and gives {alarms} false alarms): what it says of {finding}, and what it is."
    )


#: What draws the failures of each model.
FAILURES = {"adrenal-mass": adrenal, "cxr-pneumonia": pneumonia}
