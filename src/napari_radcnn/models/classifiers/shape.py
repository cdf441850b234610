"""The shape of an outlined gland in eleven numbers, and a logistic regression on them that joins the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: What `shape_features` returns, in order.
FEATURES = (
    "volume",
    "long deviation",
    "long extent",
    "middle extent",
    "thick at 2 mm",
    "thick at 3 mm",
    "deepest",
    "mean depth",
    "thick axis",
    "parts",
    "sphericity",
)
#: mm: radii of the balls whose union is what is thick, and how far the surface is smoothed before it is measured.
_BALLS, _SMOOTH = (2.0, 3.0), 1.0
#: Of the depths within a gland, what counts as the deepest; of those along its middle, what counts as thick.
_DEEPEST, _THICK = 97, 90


@dataclass(frozen=True)
class ShapeModel:
    """A logistic regression on the logarithms of features, and how much it and the networks count together.

    Attributes
    ----------
    center, scale, weights : tuple of float
        Of each feature: its logarithm's mean and standard deviation in training, and its weight.
    bias : float
        Added to the weighted sum.
    network, shape, shift : float
        What the networks' logit and the shape's are multiplied by, and what is added: the joint logit.
    """

    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    network: float = 1.0
    shape: float = 1.0
    shift: float = 0.0

    def logit(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return what the shape alone says `(...)` of features `(..., 11)`."""
        standard = (np.log1p(features) - np.asarray(self.center)) / np.asarray(self.scale)
        return np.asarray(standard @ np.asarray(self.weights) + self.bias)

    def joint(self, logits: npt.NDArray[Any], features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return logits `(..., 2)` of networks and shape together, from the networks' `(..., 2)`."""
        told = self.network * (logits[..., 1] - logits[..., 0]) + self.shape * self.logit(features) + self.shift
        return np.stack([np.zeros_like(told), told], -1)


def stored_shape(about: Mapping[str, Any]) -> ShapeModel | None:
    """Return the model that lies among the facts about weights; None where there is none."""
    stored = about.get("shape")
    if not isinstance(stored, dict):
        return None
    center, scale, weights = (tuple(float(value) for value in stored[name]) for name in ("center", "scale", "weights"))
    bias, network, shape, shift = (float(stored[name]) for name in ("bias", "network", "shape", "shift"))
    return ShapeModel(center, scale, weights, bias, network, shape, shift)


def shape_features(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the features of a mask in voxels of 1 mm, in any orientation.

    Parameters
    ----------
    mask : (z, y, x) array of bool
        Not empty.

    Returns
    -------
    (11,) array of float64
        See `FEATURES`; mm, mm³, a count and a ratio. None is negative.
    """
    from scipy import ndimage

    places = np.argwhere(mask)
    low, high = places.min(0), places.max(0) + 1
    inside = np.pad(mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], 3)
    depth = ndimage.distance_transform_edt(inside)
    within = depth[inside] - 0.5
    middle = depth[(depth >= ndimage.maximum_filter(depth, 3)) & inside]
    smooth = ndimage.gaussian_filter(inside.astype(np.float32), _SMOOTH)
    slope = np.gradient(smooth)
    surface = float(np.sqrt(sum(np.square(each) for each in slope)).sum())
    offset = places - places.mean(0)
    # A line or a plane of voxels has a direction without spread.
    spread, directions = np.linalg.eigh(offset.T @ offset / len(places))
    extents = np.ptp(offset @ directions, axis=0) + 1
    volume = float(len(places))
    return np.array(
        [
            volume,
            float(np.sqrt(max(float(spread[2]), 0.0))),
            float(extents[2]),
            float(extents[1]),
            *(_opened(depth, radius) for radius in _BALLS),
            float(np.percentile(within, _DEEPEST)),
            float(within.mean()),
            float(np.percentile(middle, _THICK)),
            float(ndimage.label(inside)[1]),
            float((36 * np.pi * volume**2) ** (1 / 3) / max(surface, 1.0)),
        ]
    )


def _opened(depth: npt.NDArray[np.float64], radius: float) -> float:
    """Return the volume of all balls of a radius that fit inside, mm³."""
    from scipy import ndimage

    core = depth >= radius
    if not core.any():
        return 0.0
    return float(np.count_nonzero(ndimage.distance_transform_edt(~core) < radius))
