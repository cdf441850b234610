"""Changes of the grid on the way to a network, each along the axes alone, and their way back.

They are those of MONAI's `Spacing`, which repeats the border, and of its crops and pads, which put zeros where there is
no scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Shape

_Floats = npt.NDArray[np.float32]
Reader = Callable[[Box], npt.NDArray]


@dataclass(frozen=True, eq=False)
class AxisPlaces:
    """Between which two voxels of another grid each voxel lies, and how far from the first (None: on it)."""

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    fraction: _Floats | None

    @classmethod
    def at(cls, places: npt.NDArray[Any], size: int, nearest: bool) -> AxisPlaces:
        """Make it from places, in voxels of the other grid; beyond its ends the border goes on."""
        places = np.clip(places, 0, size - 1)
        low = np.floor(places).astype(np.intp)
        if nearest or np.array_equal(low, places):
            index = np.rint(places).astype(np.intp)
            return cls(index, index, None)
        low = np.minimum(low, max(size - 2, 0))
        return cls(low, np.minimum(low + 1, size - 1), (places - low).astype(np.float32))


@dataclass(frozen=True)
class Spaced:
    """Interpolation to another spacing.

    Attributes
    ----------
    start : tuple of float
        Where the first new voxel lies on the old grid, in voxels.
    ratio : tuple of float
        New voxel size in old ones, along each axis.
    before, after : tuple of int
        Shapes.
    is_nearest : bool
        On the way there.
    """

    start: tuple[float, float, float]
    ratio: tuple[float, float, float]
    before: Shape
    after: Shape
    is_nearest: bool = False

    def forward(self) -> tuple[AxisPlaces, AxisPlaces, AxisPlaces]:
        """Return where the new voxels lie on the old grid."""
        k, j, i = (
            AxisPlaces.at(start + np.arange(new) * ratio, old, self.is_nearest)
            for start, ratio, old, new in zip(self.start, self.ratio, self.before, self.after, strict=True)
        )
        return k, j, i

    def backward(self, nearest: bool) -> tuple[AxisPlaces, AxisPlaces, AxisPlaces]:
        """Return where the old voxels lie on the new grid."""
        k, j, i = (
            AxisPlaces.at((np.arange(old) - start) / ratio, new, nearest)
            for start, ratio, old, new in zip(self.start, self.ratio, self.before, self.after, strict=True)
        )
        return k, j, i


@dataclass(frozen=True)
class Boxed:
    """A box of the grid, which may reach beyond it.

    Attributes
    ----------
    offset : tuple of int
        Its first voxel in the old grid.
    before, after : tuple of int
        Shapes.
    repeats_border : bool
        Whether what lies beyond repeats the border instead of being 0.
    """

    offset: Shape
    before: Shape
    after: Shape
    repeats_border: bool = False


@dataclass(frozen=True)
class Resized:
    """Interpolation to a number of voxels, from edge to edge."""

    before: Shape
    after: Shape


GridChange = Spaced | Boxed | Resized


def before_change(places: npt.NDArray[np.float64], change: GridChange) -> npt.NDArray[np.float64]:
    """Return places ``(n, 3)`` in voxels of the grid before a change, given those in voxels after it."""
    if isinstance(change, Spaced):
        return np.asarray(np.array(change.start) + places * np.array(change.ratio))
    if isinstance(change, Boxed):
        return np.asarray(places + np.array(change.offset))
    return np.asarray((places + 0.5) * np.array(change.before) / np.array(change.after) - 0.5)


#: MONAI takes spacings as the same within this, mm.
_SAME_SPACING = 1e-3


def spaced_as_monai(
    shape: Shape, axes: npt.NDArray[np.float64], spacing: Sequence[float], nearest: bool
) -> Spaced | None:
    """Return how MONAI's `Spacing` goes to another spacing; None where it changes nothing.

    Parameters
    ----------
    shape : tuple of int
        Of the grid.
    axes : (3, 3) array
        World directions of its axes times their spacing, as columns.
    spacing : sequence of float
        mm along the axes; 0 keeps the grid's own.
    nearest : bool
        Instead of linearly.

    Notes
    -----
    `monai.data.utils.compute_shape_offset`: the first voxel's center stays in place, unless the axes are not exactly at
    right angles, as an oblique affine kept in float32 is not: then the grids are put together at their middle. Both are
    needed to see what the network saw in training.
    """
    axes = np.asarray(axes, np.float32).astype(np.float64)  # the same from memory as from a NIfTI file
    old = np.linalg.norm(axes, axis=0)
    new = np.array([o if abs(o - n) <= _SAME_SPACING or not n else n for o, n in zip(old, spacing, strict=True)])
    root = np.linalg.cholesky(axes.T @ axes).T
    turned = axes @ np.linalg.inv(root) @ np.diag(np.sign(np.diag(root)) * new)
    corners = np.stack(np.meshgrid(*[(0.0, n - 1.0) for n in shape], indexing="ij")).reshape(3, -1)
    places = np.linalg.solve(turned, axes) @ corners
    sizes = np.round(np.ptp(places, axis=1) + 1.0).astype(int)
    ratio = new / old
    if tuple(sizes) == tuple(shape) and np.abs(ratio - 1).max() <= _SAME_SPACING:
        return None
    lowest = places.min(1, keepdims=True)
    stays = bool((np.abs(places - lowest) <= 1e-8).all(0).any())
    start = np.zeros(3) if stays else np.array(shape) / 2 - sizes / 2 * ratio
    k, j, i = (int(n) for n in sizes)
    return Spaced(
        (float(start[0]), float(start[1]), float(start[2])),
        (float(ratio[0]), float(ratio[1]), float(ratio[2])),
        shape,
        (k, j, i),
        nearest,
    )


def interpolated(read: Reader, axes: Sequence[AxisPlaces], box: Box) -> npt.NDArray:
    """Return a box of the grid that `axes` belong to, out of ``(channels, k, j, i)`` boxes that `read` gives."""
    parts = []
    sides = []
    for axis, side in zip(axes, box, strict=True):
        low, high = axis.low[side], axis.high[side]
        start, stop = int(low[0]), int(high[-1]) + 1
        sides.append(slice(start, stop))
        parts.append((low - start, high - start, None if axis.fraction is None else axis.fraction[side]))
    values = read((sides[0], sides[1], sides[2]))
    for n in sorted(range(3), key=lambda n: len(parts[n][0]) / values.shape[n + 1]):  # what shrinks comes first
        low, high, fraction = parts[n]
        if fraction is None and len(low) == values.shape[n + 1] and np.array_equal(low, np.arange(len(low))):
            continue
        first = values.take(low, n + 1)
        if fraction is not None:
            second = values.take(high, n + 1)
            second -= first
            second *= fraction.reshape([-1 if axis == n + 1 else 1 for axis in range(4)])
            first += second
        values = first
    return values


class WayBack:
    """Reads what lies on the network's grid in boxes of the scans' grid.

    Parameters
    ----------
    changes : sequence of GridChange
        From the scans' grid to the network's.
    channels : int
        Of what is read.
    nearest : bool or None
        Instead of linearly; None for each change as on the way there.
    fill : float
        Where the network saw nothing.
    """

    def __init__(self, changes: Sequence[GridChange], channels: int, nearest: bool | None, fill: float) -> None:
        self._changes = tuple(changes)
        self._places = [
            change.backward(change.is_nearest if nearest is None else nearest) if isinstance(change, Spaced) else None
            for change in changes
        ]
        self._channels, self._fill = channels, fill

    def read(self, read: Reader, box: Box, level: int = 0) -> npt.NDArray:
        """Return ``(channels, *box)`` out of boxes of the network's grid that `read` gives."""
        if level == len(self._changes):
            return read(box)
        change, places = self._changes[level], self._places[level]
        if places is not None:
            return interpolated(lambda inner: self.read(read, inner, level + 1), places, box)
        if not isinstance(change, Boxed):
            raise TypeError(f"not a change of the grid: {change!r}")
        moved = [slice(s.start - o, s.stop - o) for s, o in zip(box, change.offset, strict=True)]
        inside = [slice(max(s.start, 0), min(s.stop, n)) for s, n in zip(moved, change.after, strict=True)]
        if any(s.start >= s.stop for s in inside):
            return np.full((self._channels, *(s.stop - s.start for s in box)), self._fill, np.float32)
        values = self.read(read, (inside[0], inside[1], inside[2]), level + 1)
        missing = [(i.start - m.start, m.stop - i.stop) for m, i in zip(moved, inside, strict=True)]
        if not any(before or after for before, after in missing):
            return values
        return np.pad(values, [(0, 0), *missing], constant_values=self._fill)

    def planes(self, first: int, last: int) -> tuple[int, int]:
        """Return which planes of the network's grid, along its first axis, planes ``first..last`` (excluded) need."""
        low, high = first, last
        for change, places in zip(self._changes, self._places, strict=True):
            if places is not None:
                low, high = int(places[0].low[low]), int(places[0].high[high - 1]) + 1
            elif isinstance(change, Boxed):
                low, high = (min(max(n - change.offset[0], 0), change.after[0]) for n in (low, high))
                if low >= high:
                    return low, low
        return low, high
