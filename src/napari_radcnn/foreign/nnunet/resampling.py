"""Resampling as nnU-Net does it, of any part of the new grid at a time.

nnU-Net resamples whole arrays with `skimage.transform.resize`: cubic splines for images, linear for logits, and where
voxels are much longer along one axis, that axis apart and to the nearest slice. All of these act along one axis after
the other, so each is a matrix an axis; a part of the result needs a few rows of each, and a little more than that part
of the old grid. Results differ from nnU-Net's by rounding in float32 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.foreign.nnunet.plans import Resampling
from napari_radcnn.geometry import Box, Shape

_Floats = npt.NDArray[np.float32]

#: One axis is resampled apart where its spacing is more than this many times the smallest (nnU-Net's ANISO_THRESHOLD).
_ANISOTROPY = 3.0
#: Indicators closer than this are equal: float32's rounding of sums of a few weights.
_TIE = 1e-5
#: Weights of a spline below this are left out: it fades by 0.27 a voxel, so that 13 voxels on either side are kept.
_LEAST_WEIGHT = 1e-7


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """How new samples along one axis follow from old ones.

    Attributes
    ----------
    matrix : (new, old) array of float32 or None
        Weights; None where every new sample is an old one.
    nearest : (new,) array of int or None
        Index of that old sample; None with `matrix` None where nothing changes.
    first, last : (new,) arrays of int
        The old samples that a new one depends on, both included.
    """

    matrix: _Floats | None
    nearest: npt.NDArray[np.intp] | None
    first: npt.NDArray[np.intp]
    last: npt.NDArray[np.intp]

    def support(self, new: slice) -> slice:
        """Return the old samples that new ones depend on."""
        return slice(int(self.first[new].min()), int(self.last[new].max()) + 1)

    def apply(self, block: _Floats, axis: int, new: slice, old: slice) -> _Floats:
        """Return the new samples of a block that holds the samples `old` along `axis`, of four."""
        if self.nearest is not None:
            return np.take(block, self.nearest[new] - old.start, axis=axis)
        if self.matrix is None:
            part = [slice(None)] * 4
            part[axis] = slice(new.start - old.start, new.stop - old.start)
            return block[tuple(part)]
        weights = self.matrix[new, old]
        if axis == 3:
            return np.matmul(block, weights.T)
        if axis == 2:
            return np.matmul(weights, block)
        flat = np.ascontiguousarray(block).reshape(block.shape[0], block.shape[1], -1)
        return np.matmul(weights, flat).reshape(block.shape[0], -1, *block.shape[2:])


@dataclass(frozen=True, eq=False)
class Resampler:
    """From one grid to another that covers the same field of view.

    Attributes
    ----------
    old, new : tuple of int
        Shapes.
    axes : tuple of AxisWeights
        One an axis.
    apart : int or None
        The axis that is resampled apart, to the nearest slice; values are cut off slice by slice then.
    order : int
        Of the spline: 3 overshoots, and nnU-Net cuts that off.
    """

    old: Shape
    new: Shape
    axes: tuple[AxisWeights, AxisWeights, AxisWeights]
    apart: int | None
    order: int

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self.old == self.new

    @property
    def needs_limits(self) -> bool:
        """Whether `apply` wants to know the smallest and largest old value."""
        return not self.is_identity and self.order > 1

    def support(self, box: Box) -> Box:
        """Return the part of the old grid that a part of the new one depends on."""
        k, j, i = (axis.support(side) for axis, side in zip(self.axes, box, strict=True))
        return k, j, i

    def apply(self, block: _Floats, box: Box, limits: tuple[_Floats, _Floats] | None = None) -> _Floats:
        """Return a part of the new grid.

        Parameters
        ----------
        block : (channels, k, j, i) array of float32
            The old grid in ``support(box)``.
        box : tuple of slice
            The part, with ends inside the new grid.
        limits : (2,) tuple of arrays, optional
            Smallest and largest value of the old grid, ``(channels, 1)``, or ``(channels, slices)`` with one of every
            slice across the axis `apart`; needed if `needs_limits`.
        """
        if self.is_identity:
            return block
        old = self.support(box)
        order = [n for n in range(3) if n != self.apart]
        for n in order:
            block = self.axes[n].apply(block, n + 1, box[n], old[n])
        if limits is not None and self.order > 1:
            low, high = (self._along(limit, old) for limit in limits)
            block = np.clip(block, low, high)
        if self.apart is not None:
            n = self.apart
            block = self.axes[n].apply(block, n + 1, box[n], old[n])
        return np.ascontiguousarray(block, np.float32)

    def _along(self, limit: _Floats, old: Box) -> _Floats:
        shape = [len(limit), 1, 1, 1]
        if self.apart is not None and limit.shape[1] > 1:
            limit = limit[:, old[self.apart]]
            shape[self.apart + 1] = limit.shape[1]
        return limit.reshape(shape)


def new_shape(shape: Shape, spacing: Sequence[float], target: Sequence[float]) -> Shape:
    """Return how many voxels of spacing `target` cover what `shape` voxels of `spacing` do."""
    k, j, i = (round(s / t * n) for n, s, t in zip(shape, spacing, target, strict=True))
    return max(1, k), max(1, j), max(1, i)


def make_resampler(
    old: Shape, new: Shape, spacing: Sequence[float], target: Sequence[float], how: Resampling
) -> Resampler:
    """Return the way from one grid to another.

    Parameters
    ----------
    old, new : tuple of int
        Shapes.
    spacing, target : sequence of float
        Of the old and the new grid, as nnU-Net gives them to its resampling: they decide whether an axis goes apart.
    how : Resampling
        What the plans say.
    """
    apart = _axis_apart(spacing, target, how.separate_z)
    orders = [how.order_z if n == apart else how.order for n in range(3)]
    k, j, i = (_axis_weights(o, n, order) for o, n, order in zip(old, new, orders, strict=True))
    return Resampler(old, new, (k, j, i), apart, how.order)


def _axis_apart(spacing: Sequence[float], target: Sequence[float], wanted: bool | None) -> int | None:
    """Return the axis that is resampled apart: the one of the longest voxels, before or after, if it is alone."""
    if wanted is False:
        return None
    for candidate in (spacing, target):
        if wanted or max(candidate) / min(candidate) > _ANISOTROPY:
            longest = [n for n, s in enumerate(candidate) if max(candidate) / s == 1]
            return longest[0] if len(longest) == 1 else None
    return None


@lru_cache(maxsize=64)
def _axis_weights(old: int, new: int, order: int) -> AxisWeights:
    index = np.arange(new)
    if old == new:
        return AxisWeights(None, None, index, index)
    if order == 0:
        # As `scipy.ndimage` rounds coordinates.
        at = np.clip(np.floor((old / new) * (index + 0.5) - 0.5 + 0.5).astype(np.intp), 0, old - 1)
        return AxisWeights(None, at, at, at)
    matrix = _spline_matrix(old, new, order)
    matrix[np.abs(matrix) < _LEAST_WEIGHT] = 0
    filled = matrix != 0
    first, last = filled.argmax(1), old - 1 - filled[:, ::-1].argmax(1)
    return AxisWeights(matrix.astype(np.float32), None, first, last)


def _spline_matrix(old: int, new: int, order: int) -> npt.NDArray[np.float64]:
    """Return what `scipy.ndimage.zoom` makes of every unit vector, its border repeated, voxels' edges in place."""
    if old == 1:
        return np.ones((new, 1))
    from scipy import ndimage

    rows = np.empty((new, old))
    width = 256  # unit vectors at once
    for start in range(0, old, width):
        stop = min(start + width, old)
        units = np.zeros((old, stop - start))
        units[np.arange(start, stop), np.arange(stop - start)] = 1
        rows[:, start:stop] = ndimage.zoom(units, (new / old, 1), order=order, mode="nearest", grid_mode=True)
    return rows


def labels_like_nnunet(block: npt.NDArray[Any], resampler: Resampler, box: Box) -> npt.NDArray[Any]:
    """Return labels on a part of the new grid: the label whose linearly resampled indicator is the largest.

    Parameters
    ----------
    block : (k, j, i) array of int
        Labels in ``resampler.support(box)``.
    resampler : Resampler
        Of order 1 (0 takes the nearest voxel).
    box : tuple of slice
        Part of the new grid.

    Notes
    -----
    Where two are equal, the nearest voxel's label is taken, as `batchgenerators` does from version 0.25.2 on.
    """
    if resampler.is_identity:
        return block
    found = np.unique(block)
    if found.size == 1:
        return np.full([side.stop - side.start for side in box], found[0], block.dtype)
    nearest = _nearest(block, resampler, box)
    best = np.empty_like(nearest)
    score = np.full(best.shape, -1.0, np.float32)
    score_nearest = np.zeros(best.shape, np.float32)
    for value in found:
        here = resampler.apply((block == value).astype(np.float32)[None], box)[0]
        best[here > score + _TIE] = value
        np.maximum(score, here, out=score)
        np.copyto(score_nearest, here, where=nearest == value)
    return np.where(score_nearest > score - _TIE, nearest, best)


def _nearest(block: npt.NDArray[Any], resampler: Resampler, box: Box) -> npt.NDArray[Any]:
    old = resampler.support(box)
    for n in range(3):
        axis = _axis_weights(resampler.old[n], resampler.new[n], 0)
        index = (axis.first[box[n]] if axis.nearest is None else axis.nearest[box[n]]) - old[n].start
        block = np.take(block, np.clip(index, 0, block.shape[n] - 1), axis=n)
    return block
