"""How `cxr-pneumonia` was made: ``radcnn train cxr-pneumonia --data DIR --out DIR``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_radcnn.models.classifiers.cxr_pneumonia import SHAPE
from napari_radcnn.models.classifiers.input import standardized
from napari_radcnn.training.classifiers import learn as classification
from napari_radcnn.training.classifiers.attention import Attention, lung_field
from napari_radcnn.training.classifiers.decide import decide_again, varied
from napari_radcnn.training.classifiers.learn import Cases, find_file, load_split
from napari_radcnn.training.views import radiograph_views, radiograph_views_with

#: The file of the data folder.
FILE = "pneumoniamnist.npz"


@dataclass(frozen=True)
class Recipe(classification.Recipe):
    """Settings of this training.

    Normal and pneumonia are drawn alike, since the split holds nine times as many of one; the calibration looks at
    views from other machines as well, since a new hospital's pictures differ more than a fold's.

    Attributes
    ----------
    attention : float
        How much it counts that the networks look outside of the lungs.
    """

    minutes: float = 31.0
    smoothing: float = 0.08
    mixup: float = 0.3
    views: int = 8
    attention: float = 1.0


def cases(data: Path) -> Cases:
    """Return what the members learn from: the splits for training and validation, in order."""
    path = find_file(data, FILE)
    first, second = load_split(path, "train"), load_split(path, "val")
    pictures = standardized(np.concatenate([first[0], second[0]]))[:, None]
    return Cases(pictures, np.concatenate([first[1], second[1]]))


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from what lies in `out`, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder with ``pneumoniamnist.npz``, or with a folder ``classification`` that has it.
    out : Path
        Folder for the members' checkpoints and logs, and ``cxr-pneumonia.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    trained_on = ["PneumoniaMNIST train", "PneumoniaMNIST val"]
    known = cases(data)
    pictures, classes = load_split(find_file(data, FILE), "train")
    attention = Attention(lung_field(pictures[classes == 0]), recipe.attention, radiograph_views_with)
    written = classification.train_ensemble(
        "cxr-pneumonia",
        known,
        SHAPE,
        radiograph_views,
        out,
        recipe,
        trained_on,
        attention if recipe.attention else None,
    )
    decide(written, data)
    return written


def decide(weights: Path, data: Path) -> dict[str, Any]:
    """Fit the operating points of weights on views of cases each network never saw; see `decide_again`."""
    return decide_again(weights, cases(data), varied(radiograph_views, Recipe.views, Recipe.seed))
