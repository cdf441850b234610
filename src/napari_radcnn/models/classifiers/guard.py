"""How far what a classifier's networks see lies from what they saw in training, by their own last features.

The Mahalanobis distance to the nearest class, with one covariance for all (Lee et al. 2018, NeurIPS). Training fits it;
its limit is set with the cases that each network never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.spec.model import ModelSpec

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.floating]

#: The share of the mean variance that is added to each, so that directions without variance do not rule.
_RIDGE = 0.02


@dataclass(frozen=True, eq=False)
class Guard:
    """What the features of the training data were.

    Attributes
    ----------
    centers : (members, classes, n) array
        Their means.
    whitening : (members, n, n) array
        Takes a difference of features to one of deviation 1 in every direction.
    limits : (members,) array
        Distances below which all but a few cases lie that a member never saw.
    weights : str
        SHA-256 of the weights that it was fitted to.
    """

    centers: Floats
    whitening: Floats
    limits: Floats
    weights: str

    def distance(self, features: Floats) -> float:
        """Return how far features `(members, n)` lie from those of the training data; 1 is the limit."""
        each = [
            nearest(one, centers, whitening) / limit
            for one, centers, whitening, limit in zip(features, self.centers, self.whitening, self.limits, strict=True)
        ]
        return float(np.mean(each))


def nearest(features: Floats, centers: Floats, whitening: Floats) -> float:
    """Return the distance of features `(n,)` to the nearest of centers `(classes, n)`."""
    away = (np.asarray(features, np.float64) - centers) @ np.asarray(whitening, np.float64)
    return float(np.sqrt((away**2).mean(1)).min())


def fit(features: Floats, classes: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the centers `(classes, n)` and the whitening `(n, n)` of features `(cases, n)`."""
    centers = np.stack([features[classes == value].mean(0) for value in np.unique(classes)])
    around = np.asarray(features - centers[classes], np.float64)
    covariance = around.T @ around / len(around)
    covariance += _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return centers, np.linalg.cholesky(np.linalg.inv(covariance))


def features_of(members: Sequence[torch.nn.Module], given: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return the last features `(members, B, n)` of inputs `(B, C, ...)`, as the last layer sees them."""
    import torch

    found = []
    for member in members:
        maps = member.features(given).flatten(2)  # type: ignore[operator]
        found.append(torch.cat([maps.mean(2), maps.amax(2)], 1).float().cpu().numpy())
    return np.stack(found)


def guard_file(spec: ModelSpec) -> PurePosixPath:
    """Return where the guard of a model lies, from the package's folder."""
    return PurePosixPath(spec.weights[0].path).relative_to("napari_radcnn").with_suffix(".guard.npz")


@cache
def _read(path: str) -> Guard | None:
    held = resources.files("napari_radcnn") / path
    if not held.is_file():
        return None
    with resources.as_file(held) as file, np.load(file, allow_pickle=False) as stored:
        return Guard(
            stored["centers"], stored["whitening"].astype(np.float32), stored["limits"], str(stored["weights"])
        )


def guard_of(spec: ModelSpec) -> Guard | None:
    """Return the guard that training left beside the weights; None where it left none, or of others."""
    found = _read(str(guard_file(spec))) if spec.weights else None
    return found if found is not None and found.weights == spec.weights[0].sha256 else None


def write_guard(guard: Guard, path: Path) -> None:
    """Write a guard beside weights."""
    np.savez_compressed(
        path,
        centers=guard.centers.astype(np.float32),
        whitening=guard.whitening.astype(np.float16),
        limits=guard.limits.astype(np.float32),
        weights=guard.weights,
    )
