"""Anchors: where they lie, and how deltas move them (Ren et al. 2015, Faster R-CNN, NeurIPS, equation 2)."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
import numpy.typing as npt

from napari_radcnn.foreign.detection.described import Corners

_Floats = npt.NDArray[np.float64]
#: The logarithm of a side's growth is cut off here, as MONAI and torchvision do.
_MOST_GROWTH = log(1000.0 / 16)


def cells_of_shapes(shapes: Sequence[Sequence[float]], scales: Sequence[float]) -> tuple[tuple[Corners, ...], ...]:
    """Return the corners of anchors of these shapes times a scale, one for each level.

    Notes
    -----
    Rounded to whole voxels, halves to the even one, as in MONAI's `AnchorGeneratorWithAnchorShape`.

    Examples
    --------
    >>> cells_of_shapes([[6, 5]], [1, 2])
    (((-3.0, -2.0, 3.0, 2.0),), ((-6.0, -5.0, 6.0, 5.0),))
    """
    return tuple(tuple(_corners([scale * side for side in shape]) for shape in shapes) for scale in scales)


def cells_of_sizes(
    sizes: Sequence[Sequence[float]], ratios: Sequence[Sequence[float]]
) -> tuple[tuple[Corners, ...], ...]:
    """Return the corners of anchors of these sizes, a list for each level, in every ratio.

    Parameters
    ----------
    sizes : sequence of sequence of float
        Side of a square or cube of the same area or volume, in voxels.
    ratios : sequence of sequence of float
        Sides along the axes after the first, in parts of that along the first.

    Notes
    -----
    In the order of MONAI's `AnchorGenerator`: all sizes of the first ratio, then of the next.
    """
    found = []
    for level in sizes:
        cells = []
        for ratio in ratios:
            shape = np.array([1.0, *ratio])
            shape = shape / np.prod(shape) ** (1 / len(shape))
            cells += [_corners([float(size * side) for side in shape]) for size in level]
        found.append(tuple(cells))
    return tuple(found)


def _corners(sides: Sequence[float]) -> Corners:
    halves = [float(np.round(np.float32(side) / np.float32(2))) for side in sides]
    return (*(-half for half in halves), *halves)


def anchor_boxes(cells: Sequence[Corners], grid: Sequence[int], steps: Sequence[int], is_middle: bool) -> _Floats:
    """Return the anchors of a level, ``(places * cells, 2 * dims)``, the last axis of the grid running fastest.

    Parameters
    ----------
    cells : sequence of Corners
        Around each place.
    grid, steps : sequence of int
        Places along each axis, and voxels from one to the next.
    is_middle : bool
        As of `napari_radcnn.foreign.detection.described.Anchors`.
    """
    axes = [np.arange(count) * step + (step // 2 if is_middle else 0) for count, step in zip(grid, steps, strict=True)]
    places = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1)
    return np.asarray((np.tile(places, 2)[:, None] + np.array(cells)[None]).reshape(-1, 2 * len(grid)), float)


def moved(boxes: _Floats, deltas: _Floats, weights: Sequence[float]) -> _Floats:
    """Return boxes ``(n, 2 * dims)`` moved and scaled by deltas of the same shape: first centers, then sides."""
    dims = boxes.shape[1] // 2
    deltas = deltas / np.array(weights)
    sides = boxes[:, dims:] - boxes[:, :dims]
    centers = (boxes[:, :dims] + boxes[:, dims:]) / 2 + deltas[:, :dims] * sides
    halves = np.exp(np.minimum(deltas[:, dims:], _MOST_GROWTH)) * sides / 2
    return np.concatenate([centers - halves, centers + halves], 1)
