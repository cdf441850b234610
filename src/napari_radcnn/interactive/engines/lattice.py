"""Grids along the axes of a scan, and values that are carried from one to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Geometry

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lattice:
    """A grid with its axes along those of a scan.

    Parameters
    ----------
    first : tuple of float
        Index (k, j, i) in the scan of its voxel (0, 0, 0).
    steps : tuple of float
        Voxels of the scan from one of its voxels to the next.
    shape : tuple of int
        Voxels along k, j, i.
    """

    first: tuple[float, float, float]
    steps: tuple[float, float, float]
    shape: tuple[int, int, int]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Lattice:
        """Return the scan's own grid."""
        return cls((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (int(shape[0]), int(shape[1]), int(shape[2])))

    @classmethod
    def fine(cls, box: Box) -> Lattice:
        """Return the scan's own voxels in a box of it."""
        k, j, i = box
        shape = (k.stop - k.start, j.stop - j.start, i.stop - i.start)
        return cls((float(k.start), float(j.start), float(i.start)), (1.0, 1.0, 1.0), shape)

    @classmethod
    def cube(cls, geometry: Geometry, middle: npt.ArrayLike, zoom: float, size: int) -> Lattice:
        """Return a cube of `size` voxels a side, `zoom` mm apart, around an index in the scan."""
        steps = zoom / np.asarray(geometry.spacing, float)
        return cls(_three(np.asarray(middle, float) - (size - 1) / 2 * steps), _three(steps), (size, size, size))

    @classmethod
    def over(cls, box: Box, spacing: Sequence[float], most: int) -> Lattice:
        """Return a grid over a box of the scan with at most about `most` cubed voxels, which are nearly cubes.

        Parameters
        ----------
        box : tuple of slice
            In the scan.
        spacing : sequence of float
            Of the scan, mm.
        most : int
            Voxels along a side, were it a cube.
        """
        size = np.array([extent.stop - extent.start for extent in box])
        sides = size * np.asarray(spacing, float)
        step = max(float(np.prod(sides / most) ** (1 / 3)), float(min(spacing)))
        shape = np.clip(np.rint(sides / step), 1, size).astype(int)
        steps = size / shape
        first = np.array([extent.start for extent in box]) + (steps - 1) / 2
        return cls(_three(first), _three(steps), (int(shape[0]), int(shape[1]), int(shape[2])))

    def index(self, at: npt.ArrayLike) -> Floats:
        """Return the index in this grid of indices (..., 3) in the scan."""
        return (np.asarray(at, float) - self.first) / self.steps

    def voxels(self, at: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the voxels (n, 3) that indices (m, 3) in the scan lie in, without those outside."""
        places = np.floor(self.index(at) + 0.5).astype(np.int64)
        return places[((places >= 0) & (places < np.array(self.shape))).all(1)]

    def back(self, at: npt.ArrayLike) -> Floats:
        """Return the index in the scan of indices (..., 3) in this grid."""
        return np.asarray(at, float) * self.steps + self.first

    @cached_property
    def is_fine(self) -> bool:
        """Whether its voxels are those of the scan, or as good as."""
        return all(abs(step - 1) < 1e-6 for step in self.steps)


def _three(values: npt.ArrayLike) -> tuple[float, float, float]:
    k, j, i = (float(value) for value in np.asarray(values))
    return k, j, i


def carried(values: npt.NDArray, source: Lattice, target: Lattice, outside: float | None = None) -> Array:
    """Return values of one grid on another.

    Linear between voxels, and an average over as many of them as a step covers where the target is coarser.

    Parameters
    ----------
    values : (k, j, i) array
        On `source`.
    source, target : Lattice
        Of one scan.
    outside : float, optional
        Stands outside `source`; by default the values at its faces are continued.
    """
    lines = [
        _line((to - of) / step_of, step_to / step_of, count, length)
        for to, of, step_to, step_of, count, length in zip(
            target.first, source.first, target.steps, source.steps, target.shape, values.shape, strict=True
        )
    ]
    block = np.asarray(values[tuple(line.part for line in lines)], np.float32)
    for line in lines:  # each product moves the axis it works on to the end: after three they are back in order
        block = np.tensordot(block, line.weights, axes=(0, 1))
    block = np.ascontiguousarray(block, np.float32)
    if outside is not None:
        for axis, line in enumerate(lines):
            np.moveaxis(block, axis, 0)[~line.is_known] = outside
    return block


def thinned(mask: Mask, target: Lattice) -> Array:
    """Return a mask of the whole scan on a grid, 0..1; 0 outside.

    Where the grid is much coarser than the scan only every so many voxels are read, so that a large scan costs little.
    """
    every = [max(1, int(step / 2)) for step in target.steps]
    few = mask[tuple(slice(None, None, n) for n in every)]
    source = Lattice((0.0, 0.0, 0.0), _three(every), (few.shape[0], few.shape[1], few.shape[2]))
    return carried(few, source, target, outside=0.0)


@dataclass(frozen=True, eq=False)
class _Line:
    """How the values along one axis are averaged."""

    weights: Array
    part: slice
    is_known: Mask


def _line(first: float, step: float, count: int, length: int) -> _Line:
    """Return what samples a line of `length` voxels at `count` places, with a triangle as wide as the coarser step."""
    places = first + step * np.arange(count)
    width = max(1.0, step)
    known = (places > -0.5 - 1e-6) & (places < length - 0.5 + 1e-6)
    clipped = np.clip(places, 0, length - 1)
    low = max(0, int(np.floor(clipped.min() - width)))
    high = min(length, int(np.ceil(clipped.max() + width)) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(clipped[:, None] - np.arange(low, high)) / width)
    weights /= weights.sum(1, keepdims=True)
    return _Line(weights.astype(np.float32), slice(low, high), known)
