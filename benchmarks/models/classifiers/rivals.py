"""Trivial rivals of the classifiers: logistic regressions on a few numbers, fitted to the same training cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.classifiers.shape import FEATURES, shape_features
from napari_radcnn.training.classifiers import adrenal_mass, cxr_pneumonia
from napari_radcnn.training.classifiers.learn import find_file, load_split
from napari_radcnn.training.classifiers.shape import logistic

Floats = npt.NDArray[np.float64]

#: Features of a gland that anybody would think of first.
_EIGHT = ("volume", "long deviation", "long extent", "middle extent", "deepest", "mean depth", "parts", "sphericity")
#: Sides of the squares that a radiograph is averaged to.
_SQUARES = 4


def shape_rival(data: Path) -> Floats:
    """Return the probability of a mass for each gland of the test split, by eight numbers of its shape."""
    chosen = [FEATURES.index(name) for name in _EIGHT]

    def numbers(masks: npt.NDArray[np.uint8]) -> Floats:
        return np.log1p(np.stack([shape_features(mask > 0) for mask in masks])[:, chosen])

    return _fitted(find_file(data, adrenal_mass.FILE), numbers)


def brightness_rival(data: Path) -> Floats:
    """Return the probability of pneumonia for each radiograph of the test split, by its brightness in 16 squares."""

    def numbers(pictures: npt.NDArray[np.uint8]) -> Floats:
        side = pictures.shape[-1] // _SQUARES
        squares = pictures.reshape(-1, _SQUARES, side, _SQUARES, side).mean((2, 4)).reshape(len(pictures), -1)
        spread = pictures.reshape(len(pictures), -1).std(1)
        return np.c_[(squares - squares.mean(1)[:, None]) / spread[:, None], spread / 64]

    return _fitted(find_file(data, cxr_pneumonia.FILE), numbers, balanced=True)


def _fitted(path: Path, numbers: Callable[[npt.NDArray[Any]], Floats], *, balanced: bool = False) -> Floats:
    first, second, test = (load_split(path, split) for split in ("train", "val", "test"))
    positive = np.concatenate([first[1], second[1]]) == 1
    known = np.concatenate([numbers(first[0]), numbers(second[0])])
    center, scale = known.mean(0), np.maximum(known.std(0), 1e-9)
    share = positive.mean()
    counts = np.where(positive, 0.5 / share, 0.5 / (1 - share)) if balanced else None
    weights, bias = logistic((known - center) / scale, positive, 0.1, counts)
    return np.asarray(1 / (1 + np.exp(-((numbers(test[0]) - center) / scale @ weights + bias))))
