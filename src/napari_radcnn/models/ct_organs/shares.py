"""From the network's shares at 3 mm to a class for every voxel of the scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.models.ct_organs.channels import Spacing
from napari_radcnn.models.ct_organs.network import CLASSES, SPACING

if TYPE_CHECKING:
    import torch

Labels = npt.NDArray[np.uint8]

#: Classes whose middle is the spine's, and how many of their voxels a slice must have to show it.
_SPINE, _FEWEST = ("vertebrae", "sacrum", "spinal cord"), 20
#: mm along the body over which the spine's middle is averaged.
_SMOOTH = 30.0
#: A part of an organ is kept that has so much of its largest one.
_PART = 0.1
#: Classes that come in many parts.
_MANY = ("ribs", "bowel", "costal cartilage", "vertebrae")
#: Share of a class below which it is not worth the interpolation.
_WORTH = 0.05


@dataclass(frozen=True, eq=False)
class Shares:
    """What the network said of a scan.

    Attributes
    ----------
    values : (classes, k, j, i) array of float16
        Probabilities at 3 mm.
    spacing : tuple of float
        mm between the scan's voxels along k, j, i.
    shape : tuple of int
        Of the scan.
    """

    values: npt.NDArray[np.float16]
    spacing: Spacing
    shape: tuple[int, int, int]

    def classes(self) -> Labels:
        """Return the likeliest class of every voxel at 3 mm."""
        return np.asarray(self.values.argmax(0).astype(np.uint8))

    def places(self, axis: int, part: slice) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the voxel at 3 mm before each voxel of the scan along an axis, and how far it lies behind that."""
        count = self.values.shape[axis + 1]
        where = (np.arange(part.start, part.stop) + 0.5) * (self.spacing[axis] / SPACING) - 0.5
        where = np.clip(where, 0, count - 1)
        low = np.minimum(where.astype(np.int64), max(count - 2, 0))
        return low, (where - low).astype(np.float32)

    def on_scan(self, part: slice) -> Labels:
        """Return the likeliest class of every voxel of some slices of the scan, borders interpolated."""
        import torch

        low, share = self.places(0, part)
        above = np.minimum(low + 1, self.values.shape[1] - 1)
        present = np.flatnonzero(self.values[:, low.min() : above.max() + 1].max((1, 2, 3)) > _WORTH)
        rows, columns = (self.places(axis, slice(0, self.shape[axis])) for axis in (1, 2))
        found = np.zeros((part.stop - part.start, *self.shape[1:]), np.uint8)
        best = torch.full(found.shape, -1.0)
        labels = torch.from_numpy(found)
        weight = share[:, None, None]
        for n in present:
            values = self.values[n]
            small = values[low].astype(np.float32) * (1 - weight) + values[above].astype(np.float32) * weight
            wide = _along(_along(torch.from_numpy(small), 1, *rows), 2, *columns)
            wins = wide > best
            labels[wins] = int(n)
            torch.maximum(best, wide, out=best)
        return found


def _along(values: torch.Tensor, axis: int, low: npt.NDArray[np.int64], share: npt.NDArray[np.float32]) -> torch.Tensor:
    """Return values interpolated along an axis."""
    import torch

    first = torch.from_numpy(low)
    second = torch.from_numpy(np.minimum(low + 1, values.shape[axis] - 1))
    weight = torch.from_numpy(share).reshape([-1 if n == axis else 1 for n in range(3)])
    return torch.lerp(values.index_select(axis, first), values.index_select(axis, second), weight)


def without_crumbs(shares: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """Take from the shares of each class the parts that lie apart from its largest one and are much smaller.

    Parameters
    ----------
    shares : (classes, k, j, i) array of float16
        Changed in place and returned.
    """
    classes = shares.argmax(0)
    for n, box in _boxes(classes):
        if CLASSES[n] in _MANY or n == 0:
            continue
        parts, count = ndimage.label(classes[box] == n, np.ones((3, 3, 3), bool))
        sizes = np.bincount(parts.ravel())[1:]
        small = np.flatnonzero(sizes < _PART * sizes.max()) + 1
        if count > 1 and small.size:
            gone = ndimage.binary_dilation(np.isin(parts, small))
            shares[n][box][gone] = 0
    return shares


def _boxes(classes: npt.NDArray[np.int64]) -> Iterator[tuple[int, tuple[slice, ...]]]:
    for n, box in enumerate(ndimage.find_objects(classes + 1)):
        if box is not None:
            yield n, box


def spine_columns(classes: Labels, middle: float) -> npt.NDArray[np.float64]:
    """Return the column of the spine's middle in each slice at 3 mm, the body's middle where no spine is seen.

    Parameters
    ----------
    classes : (k, j, i) array of uint8
        At 3 mm.
    middle : float
        Column of the body's middle.
    """
    spine = np.isin(classes, [CLASSES.index(name) for name in _SPINE])
    counts = spine.sum((1, 2))
    known = np.flatnonzero(counts >= _FEWEST)
    if not known.size:
        return np.full(classes.shape[0], middle)
    columns = spine.sum(1) @ np.arange(classes.shape[2])
    means = columns[known] / counts[known]
    every = np.interp(np.arange(classes.shape[0]), known, means)
    return np.asarray(ndimage.gaussian_filter1d(every, _SMOOTH / SPACING, mode="nearest"))
