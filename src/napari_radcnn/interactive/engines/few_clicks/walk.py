"""A random walk through a scan's values that keeps to what is already believed (Grady 2005, CVPR, with priors).

Every voxel has a belief, a probability that it belongs to the object. The walk gives each the mean of its neighbors,
the more alike their values the more, and of its own belief; marked voxels keep what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Of two neighbors that differ without end: nothing is cut off wholly, so that the equations stay well posed.
_LEAST = 1e-3
#: Steps of the conjugate gradients at most, and how small the residual must be, beside the first one.
_STEPS, _SMALL = 50, 5e-3

_LOWER = tuple(tuple(slice(0, -1) if axis == other else slice(None) for other in range(3)) for axis in range(3))
_UPPER = tuple(tuple(slice(1, None) if axis == other else slice(None) for other in range(3)) for axis in range(3))


@dataclass(frozen=True, eq=False)
class Ties:
    """How strongly neighbors hold together, along each of three axes.

    Attributes
    ----------
    along : tuple of three arrays of float32
        Between each voxel and the next one along an axis: one voxel shorter than the grid there.
    """

    along: tuple[Array, Array, Array]

    @classmethod
    def of(cls, values: Array, spacing: Sequence[float], scale: float) -> Ties:
        """Return the ties of an image.

        Parameters
        ----------
        values : (k, j, i) array of float32
            The image.
        spacing : sequence of float
            mm between voxels along k, j, i; the farther neighbors are apart, the looser.
        scale : float
            A difference of values by so much loosens a tie to a third.
        """
        finest = min(spacing)
        ties = []
        for axis in range(3):
            difference = np.diff(values, axis=axis) / np.float32(max(scale, 1e-6))
            tie = np.exp(-difference * difference) + np.float32(_LEAST)
            ties.append((tie * np.float32((finest / spacing[axis]) ** 2)).astype(np.float32))
        return cls((ties[0], ties[1], ties[2]))

    def pull(self, x: Array) -> Array:
        """Return how far every voxel is from its neighbors, summed over them (the graph's Laplacian times `x`)."""
        total = np.zeros_like(x)
        for axis, tie in enumerate(self.along):
            flow = np.diff(x, axis=axis)
            flow *= tie
            total[_LOWER[axis]] -= flow
            total[_UPPER[axis]] += flow
        return total

    def sums(self, shape: tuple[int, ...]) -> Array:
        """Return the sum of the ties of every voxel."""
        total = np.zeros(shape, np.float32)
        for axis, tie in enumerate(self.along):
            total[_LOWER[axis]] += tie
            total[_UPPER[axis]] += tie
        return total


def walk(belief: Array, ties: Ties, trust: float, marked: Mask, marks: Mask) -> Array:
    """Return the probability of every voxel to belong to the object.

    Parameters
    ----------
    belief : (k, j, i) array of float32
        0..1.
    ties : Ties
        Of the same grid.
    trust : float
        Weight of a voxel's own belief beside a tie between equal values, more than 0.
    marked : (k, j, i) array of bool
        Voxels that keep what `marks` says.
    marks : (k, j, i) array of bool
        Whether a marked voxel belongs to the object.

    Returns
    -------
    (k, j, i) array of float32
        0..1, up to the precision of the solution.
    """
    free = np.asarray(~marked, np.float32)
    x = np.where(marked, marks, belief).astype(np.float32)
    residual = free * (np.float32(trust) * (belief - x) - ties.pull(x))
    inverse = free / (ties.sums(x.shape) + np.float32(trust))
    z = inverse * residual
    direction = z.copy()
    now = begun = float(np.vdot(residual, z))
    for _ in range(_STEPS):
        if now <= _SMALL * _SMALL * begun or now <= 0:
            break
        ahead = free * (ties.pull(direction) + np.float32(trust) * direction)
        length = np.float32(now / float(np.vdot(direction, ahead)))
        x += length * direction
        residual -= length * ahead
        z = inverse * residual
        before, now = now, float(np.vdot(residual, z))
        direction = z + np.float32(now / before) * direction
    return np.clip(x, 0, 1, out=x)


def noise_of(values: Array) -> float:
    """Return about the standard deviation of the differences between neighbors, of an image that is mostly flat."""
    differences = [np.abs(np.diff(values, axis=axis)).ravel() for axis in range(3) if values.shape[axis] > 1]
    return 1.4826 * max(float(np.median(np.concatenate(differences))), 1e-3) if differences else 1.0
