"""How `adrenal-mass` was made: ``radcnn train adrenal-mass --data DIR --out DIR``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_radcnn.models.classifiers.adrenal_mass import SHAPE
from napari_radcnn.models.classifiers.input import gland_channels
from napari_radcnn.training.classifiers import learn as classification
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
    return classification.train_ensemble("adrenal-mass", cases(data), SHAPE, gland_views, out, recipe, trained_on)
