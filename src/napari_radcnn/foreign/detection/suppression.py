"""Which of many boxes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes with a score.

    Attributes
    ----------
    corners : (n, 2 * dims) array
        Low end along each axis, then the high end, in voxels from the edge or the center of the first.
    scores : (n,) array
        0..1.
    classes : (n,) array of int
        From 0.
    """

    corners: _Floats
    scores: _Floats
    classes: _Numbers

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, chosen: npt.NDArray[Any]) -> Found:
        """Return some of them."""
        return Found(self.corners[chosen], self.scores[chosen], self.classes[chosen])

    def clipped(self, shape: Sequence[int], least: float = 0.0) -> Found:
        """Return what of them lies within a picture of `shape`, without those with a side of 0 or below `least`."""
        dims = len(shape)
        corners = np.clip(self.corners, 0, np.tile(np.array(shape, float), 2))
        sides = corners[:, dims:] - corners[:, :dims]
        return Found(corners, self.scores, self.classes).only(np.all((sides > 0) & (sides >= least), axis=1))


def together(parts: Sequence[Found], dims: int) -> Found:
    """Return the boxes of several parts as one."""
    if not parts:
        return Found(np.zeros((0, 2 * dims)), np.zeros(0), np.zeros(0, np.int64))
    return Found(
        np.concatenate([one.corners for one in parts]),
        np.concatenate([one.scores for one in parts]),
        np.concatenate([one.classes for one in parts]),
    )


def shares(box: _Floats, others: _Floats) -> _Floats:
    """Return intersection over union of one box with others.

    Examples
    --------
    >>> shares(np.array([0.0, 0, 2, 2]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(3).tolist()
    [0.333, 0.0]
    """
    dims = len(box) // 2
    low = np.maximum(box[:dims], others[:, :dims])
    high = np.minimum(box[dims:], others[:, dims:])
    common = np.prod(np.clip(high - low, 0, None), 1)
    sizes = np.prod(others[:, dims:] - others[:, :dims], 1) + np.prod(box[dims:] - box[:dims])
    return np.asarray(common / np.maximum(sizes - common, np.finfo(float).tiny))


def without_parts(found: Found, is_cut: npt.NDArray[np.bool_], most_shared: float = 0.5) -> Found:
    """Return boxes without those that a window cut off of an object which another window saw whole.

    Parameters
    ----------
    found : Found
        Of all windows.
    is_cut : (n,) array of bool
        Whether a box ends where its window does, within the scan.
    most_shared : float
        The share of such a box that may lie in a whole one of its class.
    """
    whole, dims = found.only(~is_cut), found.corners.shape[1] // 2
    kept = np.ones(len(found), bool)
    for number in np.flatnonzero(is_cut).tolist():
        box = found.corners[number]
        low, high = np.maximum(box[:dims], whole.corners[:, :dims]), np.minimum(box[dims:], whole.corners[:, dims:])
        inside = np.prod(np.clip(high - low, 0, None), 1) / np.prod(box[dims:] - box[:dims])
        kept[number] = not (inside[whole.classes == found.classes[number]] > most_shared).any()
    return found.only(kept)


def suppressed(found: Found, overlap: float, most: int) -> tuple[Found, bool]:
    """Return the best boxes, and whether there would have been more than `most` of them.

    Parameters
    ----------
    found : Found
        In any order.
    overlap : float
        Of two boxes of a class that share more than this, intersection over union, the one that scores higher is kept.
    most : int
        How many are kept, of all classes together.
    """
    order = np.argsort(-found.scores, kind="stable")
    kept: list[int] = []
    while len(order):
        if len(kept) == most:
            return found.only(np.array(kept)), True
        best = int(order[0])
        kept.append(best)
        rest = order[1:]
        shared = shares(found.corners[best], found.corners[rest])
        order = rest[(shared <= overlap) | (found.classes[rest] != found.classes[best])]
    return found.only(np.array(kept, np.int64)), False
