"""Pairs of thick and thin slices, made from scans with thin ones by what a scanner does: it averages over a profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from napari_radcnn.models.super_resolution.through_plane import ThroughPlane

Array = npt.NDArray[np.float32]
Profile = Literal["box", "gaussian"]

#: Crops are made from one simulated plane; pixels along a side.
CROPS, SIDE = 4, 64
#: Pixels across the slices that are simulated at once.
_WIDTH = 192
#: Sigmas in a full width at half maximum.
_SIGMAS = 2 * math.sqrt(2 * math.log(2))


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan to learn from.

    Attributes
    ----------
    name : str
        What the card lists.
    array : (k, j, i) array of float32
        In the network's units.
    axes : tuple of int
        Along which its voxels are thin enough to stand for thin slices.
    weight : float
        How often it is drawn.
    is_contrast_free : bool
        Whether its values mean nothing by themselves, so that gains and gray curves may vary.
    """

    name: str
    array: Array
    axes: tuple[int, ...]
    weight: float
    is_contrast_free: bool


def slice_profile(
    count: int, centers: npt.NDArray[np.float64], width: float, profile: Profile
) -> npt.NDArray[np.float64]:
    """Return what each of some thick slices takes from each of `count` thin ones, ``(len(centers), count)``.

    Parameters
    ----------
    count : int
        Number of thin slices; each stands for the mean over its own slab.
    centers : array of float
        Of the thick slices, in thin ones.
    width : float
        Width of the box, or full width at half maximum of the Gaussian, in thin slices.
    profile : {"box", "gaussian"}
        Shape. Every row sums to 1, at the ends of the scan as well.
    """
    edges = np.arange(count + 1) - 0.5 - centers[:, None]
    if profile == "box":
        below = np.clip(edges / width + 0.5, 0, 1)
    else:
        below = 0.5 * (1 + special.erf(edges * _SIGMAS / (width * math.sqrt(2))))
    taken: npt.NDArray[np.float64] = np.diff(below, axis=1)
    return taken / taken.sum(1, keepdims=True)


class Sampler:
    """Draws pairs: what the network is shown, and what it must answer.

    Parameters
    ----------
    scans : sequence of Scan
        To draw from.
    seed : int
        Of everything random.
    pointwise : float
        How often a scan that is made coarser is resampled without smoothing.
    """

    def __init__(self, scans: Sequence[Scan], seed: int, pointwise: float = 0.0) -> None:
        self._scans, self._pointwise = scans, pointwise
        self._rng = np.random.default_rng(seed)
        weights = np.array([scan.weight for scan in scans])
        self._chances = weights / weights.sum()

    def draw(self) -> list[tuple[Array, Array]]:
        """Return `CROPS` pairs of one simulated plane: ``(7, SIDE, SIDE)`` and ``(1, SIDE, SIDE)``."""
        rng = self._rng
        scan = self._scans[rng.choice(len(self._scans), p=self._chances)]
        thin = self._planes(scan)
        factor = self._factor(len(thin))
        thickness = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.5, 1.5))
        profile: Profile = "box" if rng.random() < 0.6 else "gaussian"
        slabs = ThroughPlane(int(len(thin) // factor), factor, thickness)
        count = min(slabs.thin_count, len(thin))
        centers = np.asarray(np.arange(slabs.count) * factor + (factor - 1) / 2, np.float64)
        taken = slice_profile(len(thin), centers, max(1.0, thickness * factor), profile)
        thick = taken @ thin.reshape(len(thin), -1)
        if rng.random() < 0.25:
            thick += rng.normal(0, rng.uniform(0, 0.02), thick.shape)
        spline = slabs.cubic(thick.reshape(slabs.count, *thin.shape[1:]))[:count]
        told = np.broadcast_to(slabs.conditions()[:, :count, None], (4, count, thin.shape[1]))
        shown = np.concatenate([spline.transpose(2, 0, 1), told])
        answer = thin[None, :count, :, 1] - shown[1:2]
        return [self._crop(shown, answer) for _ in range(CROPS)]

    def _factor(self, count: int) -> float:
        """Return a factor from 1.5 to 6, whole ones half of the time, that leaves at least three slices."""
        highest = min(6.0, count / 3)
        if self._rng.random() < 0.5:
            return float(self._rng.integers(2, int(highest) + 1))
        return float(np.exp(self._rng.uniform(math.log(1.5), math.log(highest))))

    def _planes(self, scan: Scan) -> npt.NDArray[np.float64]:
        """Return three neighboring planes, ``(through, across, 3)``, in voxels of the scan or larger ones."""
        rng = self._rng
        through = int(rng.choice(scan.axes))
        others = [axis for axis in range(3) if axis != through and scan.array.shape[axis] >= 8]
        if len(others) == 2 and rng.random() < 0.5:
            others.reverse()
        across = others[0]
        array = np.moveaxis(scan.array, (through, across), (0, 1))
        coarse = int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1])) if array.shape[0] >= 150 else 1
        wide = int(rng.choice([1, 2], p=[0.75, 0.25])) if array.shape[1] >= 150 else 1
        if array.shape[2] < 3 * wide:
            array = np.repeat(array[:, :, :1], 3 * wide, 2)
        start = [
            int(rng.integers(coarse)),
            int(rng.integers(max(1, array.shape[1] - wide * _WIDTH + 1))),
            int(rng.integers(array.shape[2] - 3 * wide + 1)),
        ]
        rows = (array.shape[0] - start[0]) // coarse
        columns = min((array.shape[1] - start[1]) // wide, _WIDTH)
        picked = array[
            start[0] : start[0] + rows * coarse,
            start[1] : start[1] + columns * wide,
            start[2] : start[2] + 3 * wide,
        ]
        cells = picked.reshape(rows, coarse, columns, wide, 3, wide)
        if rng.random() < self._pointwise:
            planes = cells[:, 0, :, 0, :, 0].astype(np.float64)
        else:
            planes = cells.mean((1, 3, 5), dtype=np.float64)
        return self._varied(planes, scan)

    def _varied(self, planes: npt.NDArray[np.float64], scan: Scan) -> npt.NDArray[np.float64]:
        """Return planes as another scanner may show them: softer, brighter, turned round."""
        rng = self._rng
        if rng.random() < 0.3:
            planes = ndimage.gaussian_filter(planes, rng.uniform(0.3, 0.9) * np.array([1, 1, 0]), truncate=3)
        if scan.is_contrast_free:
            low, high = planes.min(), max(planes.max(), 1e-3)
            shares = np.clip((planes - low) / max(high - low, 1e-6), 0, 1)
            planes = shares ** rng.uniform(0.7, 1.4) * (high - low) * rng.uniform(0.6, 1.4) + low
        else:
            planes = planes * rng.uniform(0.9, 1.1) + rng.uniform(-0.05, 0.05)
        for axis in range(3):
            if rng.random() < 0.5:
                planes = np.flip(planes, axis)
        return planes

    def _crop(self, shown: Array, answer: Array) -> tuple[Array, Array]:
        """Return a piece with something in it, mirrored at its end if the plane is smaller."""
        rng = self._rng
        both = np.concatenate([shown, answer])
        missing = [max(0, SIDE - side) for side in both.shape[1:]]
        if any(missing):
            both = np.pad(both, ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")
        for _ in range(4):
            j, i = (int(rng.integers(side - SIDE + 1)) for side in both.shape[1:])
            piece = both[:, j : j + SIDE, i : i + SIDE]
            if piece[1].std() > 0.03:
                break
        return piece[:-1].astype(np.float32), piece[-1:].astype(np.float32)
