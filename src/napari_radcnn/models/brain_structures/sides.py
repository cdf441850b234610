"""Left and right of a brain whose structures are known: the plane in which they mirror each other best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import minimize

#: Voxels that the search looks at, at most; voxels that paired structures must have for it.
_LOOKED_AT, _FEWEST = 20_000, 300
#: Voxels by which the map is smoothed for the search: then a step in a direction tells whether it is the right one.
_SMOOTHED = 2.0
#: Steps of the search: voxels of the offset, and of the plane's normal.
_STEPS = np.array([4.0, 0.12, 0.12])


@dataclass(frozen=True)
class MiddlePlane:
    """The plane between the halves of a brain.

    Attributes
    ----------
    normal : tuple of float
        Along the axes of the map; its first part is positive: towards larger indices of the first axis.
    offset : float
        Of the plane along it, voxels.
    agreement : float
        Share of the looked-at voxels whose mirror image has the same class, 0..1.
    """

    normal: tuple[float, float, float]
    offset: float
    agreement: float

    def is_beyond(self, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Return which voxels lie on the side of the larger indices of the first axis."""
        i, j, k = (np.arange(n, dtype=np.float32) for n in shape)
        a, b, c = self.normal
        return np.asarray(
            (a * i)[:, None, None] + (b * j)[None, :, None] + (c * k)[None, None, :] > np.float32(self.offset)
        )


def find_middle(classes: npt.NDArray[np.integer], paired: Sequence[int]) -> MiddlePlane:
    """Return the plane in which paired structures mirror each other best.

    Parameters
    ----------
    classes : (i, j, k) array of int
        A map whose first axis goes from one side to the other, roughly; voxels of equal size.
    paired : sequence of int
        Classes of which each side has one.

    Returns
    -------
    MiddlePlane
        Through the middle of the map and straight up, with an agreement of 0, where it shows too little of them.
    """
    shown = np.isin(classes, paired)
    straight = MiddlePlane((1.0, 0.0, 0.0), _middle_of(classes > 0), 0.0)
    if np.count_nonzero(shown) < _FEWEST:
        return straight
    points = np.argwhere(shown)
    points = points[:: max(1, len(points) // _LOOKED_AT)].astype(float)
    own = classes[tuple(points.astype(int).T)]
    soft = {n: ndimage.gaussian_filter((classes == n).astype(np.float32), _SMOOTHED) for n in paired}
    center = points.mean(0)

    def mirrored(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        normal, offset = _plane(values, center)
        return points - 2 * ((points @ normal) - offset)[:, None] * normal

    def cost(values: npt.NDArray[np.float64]) -> float:
        places = mirrored(values)
        total = 0.0
        for n, field in soft.items():
            total += float(ndimage.map_coordinates(field, places[own == n].T, order=1, mode="constant").sum())
        return -total / len(points)

    begins = [np.array([shift, 0.0, 0.0]) for shift in (0.0, straight.offset - center[0])]
    corners = [begin + np.vstack([np.zeros(3), np.diag(_STEPS)]) for begin in begins]
    results = [
        minimize(cost, simplex[0], method="Nelder-Mead", options={"initial_simplex": simplex, "maxiter": 150})
        for simplex in corners
    ]
    best = min(results, key=lambda result: float(result.fun)).x
    normal, offset = _plane(best, center)
    places = np.rint(mirrored(best)).astype(int)
    inside = ((places >= 0) & (places < classes.shape)).all(1)
    same = np.zeros(len(points), bool)
    same[inside] = classes[tuple(places[inside].T)] == own[inside]
    a, b, c = (float(part) for part in normal)
    return MiddlePlane((a, b, c), float(offset), float(same.mean()))


def _plane(values: npt.NDArray[np.float64], center: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    normal = np.array([1.0, values[1], values[2]])
    normal /= np.linalg.norm(normal)
    return normal, float(normal @ center + values[0])


def _middle_of(mask: npt.NDArray[np.bool_]) -> float:
    """Return the middle of a mask along the first axis, of the map where it is empty."""
    rows = np.flatnonzero(mask.any((1, 2)))
    return float((rows[0] + rows[-1]) / 2) if rows.size else (mask.shape[0] - 1) / 2
