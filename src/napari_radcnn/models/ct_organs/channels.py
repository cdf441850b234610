"""What the network of `ct-organs` is shown: the scan at 3 mm in two windows, its extent, and places in the body."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.models.ct_organs.network import SPACING

Array = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]

#: HU outside the scan, and the highest that counts.
AIR, HIGHEST = -1024.0, 3000.0
#: Blocks that are averaged are at most about this wide, as a share of 3 mm.
_FINER = 0.7
#: HU in the middle of the soft window, and its half width.
_MIDDLE, _REACH = 50.0, 150.0
#: mm that count as one.
_UNIT = 150.0
#: HU above which something counts when the middle of the body is looked for.
_FLESH = -200.0


def at_3mm(hu: npt.NDArray[Any], spacing: Spacing) -> Array:
    """Return a scan at 3 mm: blocks averaged where it is finer, then interpolated; the corners stay where they are.

    Parameters
    ----------
    hu : (k, j, i) array
        Axes towards S, P, L; what is no number counts as air.
    spacing : tuple of float
        mm along k, j, i.
    """
    shape = tuple(max(1, round(n * step / SPACING)) for n, step in zip(hu.shape, spacing, strict=True))
    factors = [max(1, round(_FINER * SPACING / step)) for step in spacing]
    values = _blocks(hu, factors)
    for axis, (count, step, factor) in enumerate(zip(shape, spacing, factors, strict=True)):
        where = np.clip((np.arange(count) + 0.5) * SPACING / (step * factor) - 0.5, 0, values.shape[axis] - 1)
        low = np.floor(where).astype(int)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        share = (where - low).astype(np.float32).reshape([-1 if n == axis else 1 for n in range(3)])
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return np.clip(np.nan_to_num(values, nan=AIR), AIR, HIGHEST).astype(np.float32)


def _blocks(hu: npt.NDArray[Any], factors: list[int]) -> Array:
    """Return the means over blocks of voxels; the last ones may be smaller."""
    rows, columns = (np.arange(0, n, f) for n, f in zip(hu.shape[1:], factors[1:], strict=True))
    starts = range(0, hu.shape[0], factors[0])
    area = np.diff([*rows, hu.shape[1]])[:, None] * np.diff([*columns, hu.shape[2]])
    means = np.empty((len(starts), rows.size, columns.size), np.float32)
    for k, start in enumerate(starts):
        slab = np.nan_to_num(hu[start : start + factors[0]].astype(np.float32), nan=AIR, posinf=HIGHEST, neginf=AIR)
        slab = np.maximum(slab, AIR).mean(0)
        means[k] = np.add.reduceat(np.add.reduceat(slab, rows, 0), columns, 1) / area
    return means


def middle_of(hu: Array) -> tuple[float, float]:
    """Return the median row and column of the largest part of a scan at 3 mm that is not air, and no table."""
    flesh = ndimage.binary_erosion(hu > _FLESH, np.ones((1, 5, 5), bool))
    parts, count = ndimage.label(flesh)
    if not count:
        return (hu.shape[1] - 1) / 2, (hu.shape[2] - 1) / 2
    _, rows, columns = np.nonzero(parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1)
    return float(np.median(rows)), float(np.median(columns))


def channels(hu: Any, inside: Any, rows: Any, columns: Any) -> list[Any]:
    """Return the channels of arrays or tensors, in the order of `CHANNELS`.

    Parameters
    ----------
    hu : (k, j, i) array or tensor
        At 3 mm.
    inside : (k, j, i) array or tensor
        1 in the scan, 0 outside.
    rows, columns : (k, j, i) array or tensor
        Voxels behind and to the left of the middle of the body.
    """
    scale = SPACING / _UNIT
    soft = ((hu - _MIDDLE) / _REACH).clip(-1.5, 1.5)
    return [hu / 1000.0, soft, inside, columns * scale, rows * scale]
