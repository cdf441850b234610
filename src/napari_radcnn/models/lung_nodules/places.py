"""What the networks of `lung-nodules` are shown, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.lung_nodules.network import FOLD, HIGHEST, LOWEST, SIDE, SPACING, UNIT
from napari_radcnn.preprocessing import scale_to_range

Floats = npt.NDArray[np.float32]

#: A place nearer to a better one than this, or than this share of that one's diameter, is the same; mm.
_APART, _APART_SHARE = 4.0, 0.5
#: The least part of what surrounds a place, from and to so many mm outside of it, that holds air: below so many HU.
_LEAST_LUNG, _SHELL, _AIR = 0.25, (1.0, 4.0), -500.0
#: mm: diameters are kept within these.
_DIAMETERS = (2.0, 60.0)


@dataclass(frozen=True, eq=False)
class Places:
    """Where nodules may be, best first.

    Attributes
    ----------
    centers : (n, 3) array
        Voxels of `SPACING` along k, j and i.
    diameters : (n,) array
        mm.
    logits : (n,) array
        What the finder says.
    """

    centers: npt.NDArray[np.float64]
    diameters: npt.NDArray[np.float64]
    logits: npt.NDArray[np.float64]

    def only(self, kept: npt.NDArray[np.bool_]) -> Places:
        """Return some of them."""
        return Places(self.centers[kept], self.diameters[kept], self.logits[kept])


def shown(hu: npt.NDArray[Any]) -> Floats:
    """Return HU as both networks see them."""
    return scale_to_range(hu, LOWEST, HIGHEST)


def fold(voxels: Floats) -> Floats:
    """Return ``(k, j, i)`` voxels as ``(8, k / 2, j / 2, i / 2)`` cells; sides must be even."""
    k, j, i = (n // FOLD for n in voxels.shape)
    cells = voxels.reshape(k, FOLD, j, FOLD, i, FOLD).transpose(1, 3, 5, 0, 2, 4)
    return np.ascontiguousarray(cells.reshape(FOLD**3, k, j, i))


def find_places(answer: Floats, where: npt.NDArray[np.bool_], most: int, least: float = -8.0) -> Places:
    """Return the peaks of the finder's answer.

    Parameters
    ----------
    answer : (ANSWERS, k, j, i) array
        Of the finder.
    where : (k, j, i) array of bool
        Which cells count.
    most : int
        How many are returned.
    least : float
        Logit below which nothing is returned.
    """
    from scipy import ndimage

    logits = np.where(where, answer[0], -np.inf)
    peaks = np.argwhere((logits > least) & (logits == ndimage.maximum_filter(logits, 3)))
    values = logits[tuple(peaks.T)]
    order = np.argsort(-values, kind="stable")[: 4 * most]
    peaks, values = peaks[order], values[order]
    offsets = answer[(slice(1, 4), *peaks.T)].T.clip(-1, 1)
    sizes = answer[(4, *peaks.T)]
    centers = (peaks + offsets + 0.5) * FOLD - 0.5
    diameters = np.clip(UNIT * np.exp(np.clip(sizes, -4, 4)), *_DIAMETERS)
    kept = _apart(centers * SPACING, diameters, most)
    return Places(centers[kept].astype(float), diameters[kept].astype(float), values[kept].astype(float))


def _apart(centers: npt.NDArray[Any], diameters: npt.NDArray[Any], most: int) -> list[int]:
    """Return which places, best first, are no part of a better one; mm."""
    kept: list[int] = []
    for number, center in enumerate(centers):
        if len(kept) == most:
            break
        distances = np.linalg.norm(centers[kept] - center, axis=1)
        if np.all(distances > np.maximum(_APART, _APART_SHARE * diameters[kept])):
            kept.append(number)
    return kept


def in_lung(voxels: Floats, places: Places) -> Places:
    """Return the places with some lung around them: the rest is a part of the mediastinum or of the chest wall.

    Parameters
    ----------
    voxels : (k, j, i) array
        See `shown`.
    places : Places
        In it.
    """
    air = float(shown(np.array(_AIR)))
    kept = np.zeros(len(places.logits), bool)
    for number, (center, diameter) in enumerate(zip(places.centers, places.diameters, strict=True)):
        near, far = diameter / 2 + _SHELL[0], diameter / 2 + _SHELL[1]
        low = np.maximum(np.floor(center - far / SPACING).astype(int), 0)
        high = np.minimum(np.ceil(center + far / SPACING).astype(int) + 1, voxels.shape)
        k, j, i = (np.square((np.arange(a, b) - c) * SPACING) for a, b, c in zip(low, high, center, strict=True))
        squared = k[:, None, None] + j[None, :, None] + i[None, None, :]
        values = voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        around = values[(squared > near**2) & (squared < far**2)]
        kept[number] = around.size > 0 and float(np.mean(around < air)) >= _LEAST_LUNG
    return places.only(kept)


def cubes(voxels: Floats, centers: npt.NDArray[Any]) -> Floats:
    """Return what the second network sees of places: ``(n, 2, SIDE, SIDE, SIDE)``.

    Parameters
    ----------
    voxels : (k, j, i) array
        See `shown`.
    centers : (n, 3) array
        Voxels; the nearest corner between voxels is taken.
    """
    found = np.zeros((len(centers), 2, SIDE, SIDE, SIDE), np.float32)
    for number, center in enumerate(centers):
        first = np.round(np.asarray(center) + 0.5).astype(int) - SIDE
        low, high = np.maximum(first, 0), np.minimum(first + 2 * SIDE, voxels.shape)
        if np.any(low >= high):
            continue
        wide = np.zeros((2 * SIDE,) * 3, np.float32)
        wide[tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))] = voxels[
            tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        ]
        middle = slice(SIDE // 2, SIDE // 2 + SIDE)
        found[number, 0] = wide[middle, middle, middle]
        found[number, 1] = fold(wide).mean(0)
    return found


def fused(
    finder: npt.NDArray[np.float64], second: npt.NDArray[np.floating], calibration: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    """Return scores of 0..1 from the logits of both networks.

    Parameters
    ----------
    finder, second : (n,) arrays
        Their logits.
    calibration : mapping
        ``finder`` and ``second``, what each counts, and ``shift``; training finds them.
    """
    logits = calibration["finder"] * finder + calibration["second"] * second + calibration["shift"]
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), float)
