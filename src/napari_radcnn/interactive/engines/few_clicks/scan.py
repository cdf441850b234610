"""A scan as `few-clicks` looks at it: in units, averaged where it is looked at from afar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.engines.few_clicks.channels import units_of
from napari_radcnn.interactive.engines.lattice import Array, Floats, Lattice, carried
from napari_radcnn.volume import Volume

#: How often the scan is averaged by two, at most.
_MOST = 4
#: About so many values say in which scale a scan is.
_SOME = 400_000


class Scan:
    """A scan, and the same averaged by two, by four and so on along the axes that are fine enough, when first needed.

    Parameters
    ----------
    volume : Volume
        The scan. Values that are not finite count as its lowest one.

    Attributes
    ----------
    factor : float
        What its values are multiplied by to be in units.
    low, high : float
        Ends of its own scale, in units; see `napari_radcnn.interactive.engines.few_clicks.channels`.
    spacing : (3,) array of float
        mm.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.spacing: Floats = np.asarray(volume.geometry.spacing, float)
        array = volume.array
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            known = array[np.isfinite(array)]
            lowest = float(known.min()) if known.size else 0.0
            array = np.nan_to_num(array, nan=lowest, posinf=lowest, neginf=lowest)
        every = max(1, round((array.size / _SOME) ** (1 / 3)))
        self.factor, self.low, self.high = units_of(np.asarray(array[::every, ::every, ::every], np.float32))
        self._levels: list[tuple[Lattice, npt.NDArray]] = [(Lattice.whole(array.shape), array)]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along k, j, i."""
        return self.volume.geometry.shape

    def on(self, lattice: Lattice) -> Array:
        """Return the scan in units on a grid, from the coarsest averages that are still finer than it.

        The values at the scan's faces are continued outside.
        """
        finest = float(min(step * s for step, s in zip(lattice.steps, self.spacing, strict=True)))
        level = 0
        while level < _MOST and finest >= 2 ** (level + 1) * float(self.spacing.min()):
            level += 1
        while len(self._levels) <= level:
            self._levels.append(self._halved(*self._levels[-1]))
        source, array = self._levels[level]
        return carried(array, source, lattice) * np.float32(self.factor)

    def _halved(self, lattice: Lattice, array: npt.NDArray) -> tuple[Lattice, npt.NDArray]:
        """Return an array averaged by two along the axes that are less than twice as coarse as the finest."""
        spacing = self.spacing * lattice.steps
        by = [2 if s < 2 * spacing.min() and n >= 4 else 1 for s, n in zip(spacing, array.shape, strict=True)]
        even = array[tuple(slice(0, n - n % f) for n, f in zip(array.shape, by, strict=True))]
        total = np.zeros([n // f for n, f in zip(even.shape, by, strict=True)], np.float32)
        for k, j, i in np.ndindex(*by):
            total += even[k :: by[0], j :: by[1], i :: by[2]]
        total /= np.float32(np.prod(by))
        first = lattice.back([(f - 1) / 2 for f in by])
        steps = np.asarray(lattice.steps) * by
        shape = total.shape
        half = Lattice(
            (float(first[0]), float(first[1]), float(first[2])),
            (float(steps[0]), float(steps[1]), float(steps[2])),
            (shape[0], shape[1], shape[2]),
        )
        return half, total
