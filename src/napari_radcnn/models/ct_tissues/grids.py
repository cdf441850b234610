"""A scan on a smaller grid, and masks of it; distances in mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Shape

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]

#: HU that voxels which are no number count as: air.
NOTHING = -1024.0


@dataclass(frozen=True, eq=False)
class Small:
    """A scan whose neighboring voxels were averaged.

    Attributes
    ----------
    hu : (k, j, i) array of float32
        The means.
    spacing : tuple of float
        mm along k, j, i.
    factor : tuple of int
        How many voxels of the scan one stands for, along each axis; the last may stand for fewer.
    """

    hu: Values
    spacing: Spacing
    factor: Shape

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, ml."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def pixel_mm2(self) -> float:
        """Area of a voxel within its slice, mm²."""
        return self.spacing[1] * self.spacing[2]


def shrink(array: npt.NDArray[Any], spacing: Spacing, target_mm: float) -> Small:
    """Return the means over blocks of voxels whose sides come nearest to `target_mm` without getting far beyond it.

    Parameters
    ----------
    array : (k, j, i) array
        The scan, HU; what is no number counts as air.
    spacing : tuple of float
        mm along k, j, i.
    target_mm : float
        Side of a block.
    """
    factor = tuple(max(1, round(target_mm / step)) for step in spacing)
    rows, columns = (np.arange(0, n, f) for n, f in zip(array.shape[1:], factor[1:], strict=True))
    starts = range(0, array.shape[0], factor[0])
    means = np.empty((len(starts), rows.size, columns.size), np.float32)
    area = np.diff([*rows, array.shape[1]])[:, None] * np.diff([*columns, array.shape[2]])
    for k, start in enumerate(starts):
        slab = array[start : start + factor[0]]
        flat = slab.mean(0, dtype=np.float32)
        means[k] = np.add.reduceat(np.add.reduceat(flat, rows, 0), columns, 1) / area
    wide = (spacing[0] * factor[0], spacing[1] * factor[1], spacing[2] * factor[2])
    return Small(means, wide, (factor[0], factor[1], factor[2]))


def spread(mask: npt.NDArray[Any], factor: Shape, shape: Shape, first: int = 0) -> npt.NDArray[Any]:
    """Return the slices `first` to ``first + shape[0]`` of a small array on the scan's grid.

    Parameters
    ----------
    mask : (k, j, i) array
        On the small grid.
    factor : tuple of int
        See `Small`.
    shape : tuple of int
        Of the result.
    first : int
        Its first slice, on the scan's grid.
    """
    rows = np.minimum(np.arange(first, first + shape[0]) // factor[0], mask.shape[0] - 1)
    columns = (
        np.minimum(np.arange(n) // f, m - 1) for n, f, m in zip(shape[1:], factor[1:], mask.shape[1:], strict=True)
    )
    return np.asarray(mask[np.ix_(rows, *columns)])


def coarser(mask: Mask, fine: Small, coarse: Small) -> Mask:
    """Return a mask of a fine grid on the larger blocks of a coarse one: whether a block holds any voxel's center."""
    found = np.zeros(coarse.hu.shape, bool)
    found[tuple(_nearest(index, n, fine, coarse) for n, index in enumerate(np.nonzero(mask)))] = True
    return found


def finer(mask: npt.NDArray[Any], coarse: Small, fine: Small) -> npt.NDArray[Any]:
    """Return an array of a coarse grid on the smaller blocks of a fine one of the same scan."""
    every = (_nearest(np.arange(size), n, fine, coarse) for n, size in enumerate(fine.hu.shape))
    return np.asarray(mask[np.ix_(*every)])


def _nearest(index: npt.NDArray[np.int_], axis: int, of: Small, on: Small) -> npt.NDArray[np.int_]:
    """Return which blocks of one grid along an axis hold the centers of blocks of another."""
    center = index * of.factor[axis] + (of.factor[axis] - 1) // 2
    return np.asarray(np.minimum(center // on.factor[axis], on.hu.shape[axis] - 1))


def rim(small: Small) -> Mask:
    """Return the neighborhood of one voxel along the axes on which the small grid is coarser than the scan."""
    return np.ones([3 if factor > 1 else 1 for factor in small.factor], bool)


def grow(mask: Mask, distance: float, spacing: Spacing) -> Mask:
    """Return every voxel within `distance` mm of a mask."""
    return np.asarray(_distance_to(mask, spacing) <= distance) if mask.any() else mask.copy()


def erode(mask: Mask, distance: float, spacing: Spacing) -> Mask:
    """Return the voxels of a mask further than `distance` mm from what is not in it; the image's edge is no border."""
    return mask & (_distance_to(~mask, spacing) > distance) if not mask.all() else mask.copy()


def _distance_to(mask: Mask, spacing: Spacing) -> Values:
    """Return the distance of each voxel outside a mask to the nearest voxel center of it, mm; inside 0 or less.

    ITK's transform is exact (Maurer et al. 2003) and takes a quarter of the time of SciPy's.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    found = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.asarray(sitk.GetArrayFromImage(found))


def in_slices(mask: Mask) -> tuple[npt.NDArray[np.int32], int]:
    """Return the parts of a mask within each slice, numbered through, and how many there are."""
    from scipy import ndimage

    cross = np.zeros((3, 3, 3), bool)
    cross[1] = ndimage.generate_binary_structure(2, 1)
    parts, count = ndimage.label(mask, cross)
    return parts, int(count)


def parts_at_edge(parts: npt.NDArray[np.int32], count: int) -> Mask:
    """Return for every part (0 is none) whether it reaches the edge of its slice."""
    at_edge = np.zeros(count + 1, bool)
    for side in (parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1]):
        at_edge[np.unique(side)] = True
    at_edge[0] = False
    return at_edge


def middle_column(body: Mask) -> float:
    """Return the middle column of the body."""
    columns = np.flatnonzero(body.any((0, 1)))
    return float(columns[0] + columns[-1]) / 2


def hulls(mask: Mask) -> Mask:
    """Return the convex hull of a mask within each slice: of the centers of its voxels."""
    found = np.zeros_like(mask)
    columns = np.arange(mask.shape[2])
    for k in np.flatnonzero(mask.any((1, 2))):
        rows = np.flatnonzero(mask[k].any(1))
        first = mask[k, rows].argmax(1)
        last = mask.shape[2] - 1 - mask[k, rows, ::-1].argmax(1)
        every = np.arange(rows[0], rows[-1] + 1)
        left, right = _envelope(rows, first, every), -_envelope(rows, -last, every)
        found[k, every] = (columns >= left[:, None] - 1e-6) & (columns <= right[:, None] + 1e-6)
    return found


def _envelope(
    rows: npt.NDArray[np.int_], values: npt.NDArray[np.int_], at: npt.NDArray[np.int_]
) -> npt.NDArray[np.float64]:
    """Return the largest convex function below some values, at other rows (Andrew 1979, monotone chain)."""
    kept: list[tuple[int, int]] = []
    for point in zip(rows.tolist(), values.tolist(), strict=True):
        while len(kept) > 1 and _turns_up(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return np.asarray(np.interp(at, [row for row, _ in kept], [value for _, value in kept]))


def _turns_up(first: tuple[int, int], middle: tuple[int, int], last: tuple[int, int]) -> bool:
    """Return whether the middle of three points lies on or above the line through the others."""
    rise, run = middle[1] - first[1], middle[0] - first[0]
    return rise * (last[0] - first[0]) >= (last[1] - first[1]) * run
