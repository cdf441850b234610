"""A window of a scan, reduced by whole factors: the grid that the region engine works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box
from napari_radcnn.interactive.blocks import block_means
from napari_radcnn.interactive.update import Mask, box_of
from napari_radcnn.volume import Volume

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Window:
    """A box of a volume, and its voxels averaged in blocks.

    Parameters
    ----------
    volume : Volume
        The scan.
    low, high : (3,) array of int
        The box: first voxel, and the one after the last, along (k, j, i).
    factors : (3,) array of int
        Voxels of the scan along each side of a block, at least 1.
    """

    volume: Volume
    low: Indices
    high: Indices
    factors: Indices

    @classmethod
    def around(cls, volume: Volume, low: Indices, high: Indices, margin: float, most: int) -> Window:
        """Return the window around a box with a margin in mm, at most about `most` blocks along its longest side."""
        spacing, shape = np.array(volume.geometry.spacing), np.array(volume.geometry.shape)
        pad = np.ceil(margin / spacing).astype(np.intp)
        low, high = np.maximum(0, low - pad), np.minimum(shape, high + pad)
        step = max(spacing.min(), ((high - low) * spacing).max() / most)
        return cls(volume, low, high, np.maximum(1, np.round(step / spacing).astype(np.intp)))

    @classmethod
    def filled(cls, volume: Volume, low: Indices, high: Indices, margin: float, most: int) -> Window:
        """Return such a window of at most about ``most ** 3`` blocks altogether, however long one side is."""
        window = cls.around(volume, low, high, margin, 1 << 30)
        spacing = np.array(volume.geometry.spacing)
        extent = (window.high - window.low) * spacing
        step = max(spacing.min(), float(extent.prod() / most**3) ** (1 / 3))
        return cls(volume, window.low, window.high, np.maximum(1, np.round(step / spacing).astype(np.intp)))

    @property
    def box(self) -> Box:
        """In voxels of the scan."""
        k, j, i = (slice(int(a), int(b)) for a, b in zip(self.low, self.high, strict=True))
        return k, j, i

    @property
    def spacing(self) -> npt.NDArray[np.float64]:
        """Of the blocks, mm."""
        return np.asarray(np.array(self.volume.geometry.spacing) * self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(int(n) for n in -(-(self.high - self.low) // self.factors))

    @property
    def is_open(self) -> tuple[tuple[bool, bool], ...]:
        """Of each axis, whether the scan goes on before the window and behind it."""
        shape = self.volume.geometry.shape
        return tuple((bool(a > 0), bool(b < n)) for a, b, n in zip(self.low, self.high, shape, strict=True))

    def cropped(self, blocks: Mask) -> tuple[Window, Mask]:
        """Return the part of the window around its True blocks, with one block more on each side, and those in it."""
        box = box_of(blocks)
        if box is None:
            return self, blocks
        k, j, i = (slice(max(0, e.start - 1), min(n, e.stop + 1)) for e, n in zip(box, self.shape, strict=True))
        first, end = np.array([k.start, j.start, i.start]), np.array([k.stop, j.stop, i.stop])
        low, high = self.low + first * self.factors, np.minimum(self.low + end * self.factors, self.high)
        return Window(self.volume, low.astype(np.intp), high.astype(np.intp), self.factors), blocks[k, j, i]

    @cached_property
    def _values(self) -> tuple[Floats, Mask]:
        block = np.asarray(self.volume.read_block(self.box))
        if block.ndim == 4:
            block = block.astype(np.float32).mean(-1)
        image = self.reduced(block)
        is_valid = np.isfinite(image)
        if not is_valid.all():
            image = np.where(is_valid, image, np.median(image[is_valid]) if is_valid.any() else 0).astype(np.float32)
        return image, is_valid

    @property
    def image(self) -> Floats:
        """Means of the blocks; where a block holds what is no number, the median of the others."""
        return self._values[0]

    @property
    def is_valid(self) -> Mask:
        """Whether all voxels of a block are numbers."""
        return self._values[1]

    def reduced(self, array: npt.NDArray[Any]) -> Floats:
        """Return means over the blocks of an array on the window's voxels; the last block repeats the edge."""
        return block_means(array, self.factors.tolist())

    def drawn(self, field: npt.NDArray[Any], level: float) -> Mask:
        """Return which of the window's voxels a field on its blocks, interpolated linearly, reaches a level at."""
        reached = np.asarray(field >= level)
        if (self.factors == 1).all():
            return reached
        mask = np.zeros(self.high - self.low, bool)
        box = box_of(reached)
        if box is None:
            return mask
        field = np.asarray(field, np.float32)
        k, j, i = (self._between(axis, extent) for axis, extent in enumerate(box))
        for n, plane in enumerate(range(k.voxels.start, k.voxels.stop)):  # what is worked on stays in the cache
            rows = j.mixed(k.mixed(field, 0, slice(n, n + 1))[0], 0)
            mask[plane, j.voxels, i.voxels] = i.mixed(rows, 1) >= level
        return mask

    def _between(self, axis: int, blocks: slice) -> _Between:
        """Return where the voxels that some blocks reach lie between the blocks of an axis."""
        factor, low, high = int(self.factors[axis]), int(self.low[axis]), int(self.high[axis])
        voxels = slice(max(0, (blocks.start - 1) * factor), min(high - low, (blocks.stop + 1) * factor))
        position = (np.arange(voxels.start, voxels.stop) + 0.5) / factor - 0.5
        last = self.shape[axis] - 1
        first = np.clip(np.floor(position).astype(np.intp), 0, last)
        weight = np.clip(position - first, 0, 1).astype(np.float32)
        return _Between(voxels, first, np.minimum(first + 1, last), weight)

    def marked(self, voxels: npt.NDArray[np.integer]) -> Mask:
        """Return which blocks hold one of the voxels ``(n, 3)``."""
        mask = np.zeros(self.shape, bool)
        voxels = np.asarray(voxels, np.intp).reshape(-1, 3)
        inside = voxels[((voxels >= self.low) & (voxels < self.high)).all(1)]
        mask[tuple(((inside - self.low) // self.factors).T)] = True
        return mask


@dataclass(frozen=True, eq=False)
class _Between:
    """Voxels along an axis, and for each the two blocks that it lies between and how far from the first."""

    voxels: slice
    first: Indices
    second: Indices
    weight: Floats

    def mixed(self, field: Floats, axis: int, part: slice = slice(None)) -> Floats:
        """Return a field on the blocks of an axis on some of the voxels."""
        weight = self.weight[part]
        if not weight.any():
            return np.take(field, self.first[part], axis)
        weight = weight.reshape([-1 if other == axis else 1 for other in range(field.ndim)])
        one, other = np.take(field, self.first[part], axis), np.take(field, self.second[part], axis)
        return np.asarray(one * (1 - weight) + other * weight)


def smoothed(image: Floats, spacing: npt.NDArray[np.float64]) -> Floats:
    """Return an image smoothed by 0.7 of its finest spacing, against noise."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, 0.7 * spacing.min() / spacing, truncate=3), np.float32)


def gradient(image: Floats, spacing: npt.NDArray[np.float64]) -> Floats:
    """Return the size of the gradient, per step of the finest spacing."""
    total = np.zeros_like(image)
    for axis in range(3):
        if image.shape[axis] > 1:
            slope = np.gradient(image, axis=axis) * np.float32(spacing.min() / spacing[axis])
            total += slope * slope
    return np.asarray(np.sqrt(total), np.float32)


def neighbors(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the slices of all voxels but the last, and all but the first, along an axis of three."""
    before: list[slice] = [slice(None)] * 3
    after: list[slice] = [slice(None)] * 3
    before[axis], after[axis] = slice(0, -1), slice(1, None)
    return tuple(before), tuple(after)


def connected(mask: Mask, marked: Mask) -> Mask:
    """Return the pieces of a mask that hold marked voxels; pieces hang together by faces."""
    from scipy.ndimage import label

    pieces, count = label(mask)
    is_kept = np.zeros(count + 1, bool)
    is_kept[pieces[marked]] = True
    is_kept[0] = False
    kept = np.flatnonzero(is_kept)
    return np.asarray(pieces == kept[0] if len(kept) == 1 else is_kept[pieces])


def bounds(voxels: npt.NDArray[np.integer]) -> tuple[Indices, Indices]:
    """Return the first voxel of the smallest box around voxels ``(n, 3)``, and the one after the last."""
    return np.asarray(voxels.min(0), np.intp), np.asarray(voxels.max(0) + 1, np.intp)


def voxels_of(mask: Mask, start: Sequence[int]) -> Indices:
    """Return the True voxels ``(n, 3)`` of a mask whose first voxel is `start`."""
    return np.argwhere(mask) + np.asarray(start, np.intp)
