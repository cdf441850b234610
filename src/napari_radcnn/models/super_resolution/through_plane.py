"""Where thin slices lie between thick ones, and the cubic B-spline through the thick ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from napari_radcnn.geometry import Geometry

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ThroughPlane:
    """Thick slices and the thin ones between them, along one axis.

    A thick slice fills the slab of one spacing around its center. Thin slices fill the same slabs from the same first
    edge: the first one's center lies half a thin slice after that edge, not at the first thick slice's center. The last
    one's center lies in the last slab.

    Attributes
    ----------
    count : int
        Number of thick slices.
    factor : float
        Thick spacing over thin spacing.
    thickness : float
        How thick a slice truly is, over the thick spacing: below 1 there are gaps, above 1 slices overlap.
    """

    count: int
    factor: float
    thickness: float = 1.0

    @property
    def thin_count(self) -> int:
        """Number of thin slices: as many as have their centers in the slabs."""
        return max(1, math.ceil(self.count * self.factor - 0.5 - 1e-6))

    @property
    def divides_evenly(self) -> bool:
        """Whether a thick slice is the mean of a whole number of thin ones: no gaps, no overlap, a whole factor."""
        return abs(self.factor - round(self.factor)) < 1e-6 and abs(self.thickness - 1) < 1e-6

    def positions(self) -> npt.NDArray[np.float64]:
        """Return the thin slices' centers in thick slices, ``(thin_count,)``: 0 is the first thick slice's center."""
        return np.asarray((np.arange(self.thin_count) + 0.5) / self.factor - 0.5, np.float64)

    def grid(self, geometry: Geometry, axis: int) -> Geometry:
        """Return the grid of the thin slices, where `geometry` is that of the thick ones along `axis`."""
        shape, first = list(geometry.shape), np.zeros(3)
        shape[axis], first[axis] = self.thin_count, self.positions()[0]
        affine = geometry.affine.copy()
        affine[:3, axis] /= self.factor
        affine[:3, 3] = geometry.to_world(first)
        return Geometry((shape[0], shape[1], shape[2]), affine)

    def conditions(self) -> Array:
        """Return what the network is told of each thin slice, ``(4, thin_count)``.

        Thickness, factor (logarithm, 1 at 6), cosine and sine of the place between two thick slices.
        """
        turn = 2 * np.pi * self.positions()
        told = np.empty((4, self.thin_count), np.float32)
        told[0], told[1] = self.thickness, math.log(self.factor) / math.log(6)
        told[2], told[3] = np.cos(turn), np.sin(turn)
        return told

    def weights(self) -> sparse.csr_array:
        """Return the weights of the spline's coefficients, ``(thin_count, count)``; ends are mirrored."""
        positions = self.positions()
        base = np.floor(positions).astype(int)
        rest = positions - base
        values = np.stack(
            [
                (1 - rest) ** 3 / 6,
                2 / 3 - rest**2 + rest**3 / 2,
                2 / 3 - (1 - rest) ** 2 + (1 - rest) ** 3 / 2,
                rest**3 / 6,
            ]
        )
        columns = np.mod(base + np.arange(-1, 3)[:, None], 2 * self.count)
        columns = np.where(columns < self.count, columns, 2 * self.count - 1 - columns)
        rows = np.broadcast_to(np.arange(self.thin_count), columns.shape)
        made = sparse.coo_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(self.thin_count, self.count))
        return made.tocsr()

    def cubic(self, thick: npt.NDArray[Any]) -> Array:
        """Return the cubic B-spline through thick slices at the thin ones.

        Parameters
        ----------
        thick : (count, ...) array

        Returns
        -------
        (thin_count, ...) array of float32
        """
        coefficients = thick.astype(np.float64)
        if self.count > 1:
            coefficients = ndimage.spline_filter1d(coefficients, 3, axis=0, mode="reflect")
        flat = self.weights() @ coefficients.reshape(self.count, -1)
        return flat.reshape(self.thin_count, *thick.shape[1:]).astype(np.float32)

    def with_means(self, thin: Array, thick: npt.NDArray[Any]) -> Array:
        """Return thin slices shifted so that the mean of each slab is the thick slice; only where slabs divide evenly.

        Parameters
        ----------
        thin : (thin_count, ...) array of float32
        thick : (count, ...) array
        """
        slab = thin.reshape(self.count, -1, *thin.shape[1:])
        wrong = thick.astype(np.float64) - slab.mean(1, dtype=np.float64)
        return (slab + wrong.astype(np.float32)[:, None]).reshape(thin.shape)

    def begins(self) -> npt.NDArray[np.intp]:
        """Return the thin slices, but for the first, before which a slab ends and another begins."""
        slab = np.floor(self.positions() + 0.5 + 1e-9)
        return np.flatnonzero(np.diff(slab) > 0) + 1


def unit_value(array: npt.NDArray[Any], modality: str) -> float:
    """Return which value the network sees as 1: 1000 HU of a CT, nearly the brightest tissue of an MR.

    Of an MR the 99th percentile of its positive values, so that a masked background does not count; 0 if it has none.
    """
    if modality == "CT":
        return 1000.0
    values = array[:: max(1, array.shape[0] // 64)]
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.percentile(values, 99)) if values.size else 0.0
