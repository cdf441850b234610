"""How `adrenal-mass` was made: ``radcnn train adrenal-mass --data DIR --out DIR``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.classifiers.adrenal_mass import SHAPE
from napari_radcnn.models.classifiers.input import gland_channels
from napari_radcnn.models.classifiers.run import MIRRORS
from napari_radcnn.models.classifiers.shape import shape_features
from napari_radcnn.training.classifiers import learn as classification
from napari_radcnn.training.classifiers.decide import decide_again, mirrored
from napari_radcnn.training.classifiers.learn import Cases, find_file, load_split
from napari_radcnn.training.views import gland_views

#: The file of the data folder.
FILE = "adrenalmnist3d_64.npz"


@dataclass(frozen=True)
class Recipe(classification.Recipe):
    """Settings of this training; classes are drawn as often as they occur."""

    minutes: float = 8.0
    members: int = 3
    batch: int = 24
    smoothing: float = 0.05
    sampling: Literal["balanced", "natural"] = "natural"


def cases(data: Path) -> Cases:
    """Return what the members learn from: the splits for training and validation, in order."""
    path = find_file(data, FILE)
    first, second = load_split(path, "train"), load_split(path, "val")
    masks = np.concatenate([first[0], second[0]]) > 0
    return Cases(np.stack([gland_channels(mask) for mask in masks]), np.concatenate([first[1], second[1]]))


def features(data: Path) -> npt.NDArray[np.float64]:
    """Return the features `(N, n)` of the shapes of `cases`."""
    path = find_file(data, FILE)
    masks = np.concatenate([load_split(path, "train")[0], load_split(path, "val")[0]]) > 0
    return np.stack([shape_features(mask) for mask in masks])


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from what lies in `out`, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder with ``adrenalmnist3d_64.npz``, or with a folder ``classification`` that has it.
    out : Path
        Folder for the members' checkpoints and logs, and ``adrenal-mass.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    trained_on = ["AdrenalMNIST3D-64 train", "AdrenalMNIST3D-64 val"]
    written = classification.train_ensemble("adrenal-mass", cases(data), SHAPE, gland_views, out, recipe, trained_on)
    decide(written, data)
    return written


def decide(weights: Path, data: Path) -> dict[str, Any]:
    """Fit the shape's share and the operating points of weights on cases each network never saw; see `decide_again`."""
    return decide_again(weights, cases(data), mirrored(MIRRORS["adrenal-mass"]), features(data))
