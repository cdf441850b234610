"""One label of a label map, slab by slab: where it is, its shape, and the values of a scan in it.

A mask of the whole scan is never made: the bounding box of a label is gone through in slabs of some slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box
from napari_radcnn.measure.diameters import axial_diameters, hull, longest, longest_of_mesh, outermost
from napari_radcnn.measure.statistics import Values
from napari_radcnn.measure.surface import Surface, cells

#: Voxels of a slab.
_SLAB = 400_000
#: Of IBSI's series for the surface of an ellipsoid.
_TERMS = 20
#: Integer scans of at most this many values are counted, not collected.
_MOST_VALUES = 1 << 16


@dataclass(frozen=True)
class Shape:
    """The shape of a region, and where it is, on the axes of its array.

    Attributes
    ----------
    voxels : int
        How many.
    centroid : (3,) array
        Index.
    figures : dict
        By the names of `features.FEATURES`.
    """

    voxels: int
    centroid: npt.NDArray[np.float64]
    figures: dict[str, float | int | None]


@dataclass(frozen=True)
class Intensities:
    """The values of a scan within a region.

    Attributes
    ----------
    values : Values or None
        Those that are finite and no padding; None where there are none.
    left_out : int
        How many are not.
    center : (3,) array or None
        Index of the center of mass; None where the values add up to nothing.
    """

    values: Values | None
    left_out: int
    center: npt.NDArray[np.float64] | None


def slabs(labels: npt.NDArray, value: int, box: Box) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Give the mask of a label in its box, some slices at a time, each with its first slice."""
    start, stop = box[0].start, box[0].stop
    area = (box[1].stop - box[1].start) * (box[2].stop - box[2].start)
    rows = max(1, _SLAB // area)
    for first in range(start, stop, rows):
        yield first, labels[first : min(first + rows, stop), box[1], box[2]] == value


def shape_of(labels: npt.NDArray, value: int, box: Box, steps: npt.NDArray[np.float64]) -> Shape:
    """Return the shape of a label.

    Parameters
    ----------
    labels : (k, j, i) array of integer
        Slices along the first axis are those in which axial diameters are measured.
    value : int
        Of the label, which has voxels.
    box : three slices
        Around them.
    steps : (3, 3) array
        Columns are the world steps along the axes, mm.
    """
    surface = Surface(steps)
    moments = _Moments()
    points = []
    size = tuple(int(extent.stop - extent.start) for extent in box)
    before = np.zeros((1, size[1] + 2, size[2] + 2), np.uint8)
    for first, mask in slabs(labels, value, box):
        offset = first - box[0].start
        moments.add(np.flatnonzero(mask), mask.shape, offset)
        points.append(_ends(mask) + np.array((offset, 0, 0)))
        padded = np.pad(mask.view(np.uint8), ((0, 0), (1, 1), (1, 1)))
        surface.add(cells(np.concatenate([before, padded])), offset - 1)
        before = padded[-1:]
    surface.add(cells(np.concatenate([before, np.zeros_like(before)])), size[0] - 1)
    ends = np.concatenate(points)
    shape = (size[0], size[1], size[2])
    around = hull(outermost(ends, shape), steps)
    axial = axial_diameters(ends, shape, steps)
    figures: dict[str, float | int | None] = {
        "longest_diameter_mm": longest(around.centers, steps)[0],
        "axial_diameter_mm": axial.longest,
        "axial_perpendicular_mm": axial.perpendicular,
        "maximum_3d_diameter_mm": longest_of_mesh(around.centers, steps),
        **_from_mesh(surface, around.volume, around.area),
        **_in_box(surface, shape, steps),
        **_axes(moments.covariance, steps, surface),
    }
    begin = np.array([extent.start for extent in box])
    return Shape(moments.n, moments.mean + begin, figures)


def intensities_of(labels: npt.NDArray, image: npt.NDArray, value: int, box: Box, padding: float | None) -> Intensities:
    """Return the values of a scan within a label; the labels lie on its grid.

    Parameters
    ----------
    labels, image : (k, j, i) array
        Of one shape.
    value, box
        As in `shape_of`.
    padding : float or None
        The value of voxels outside the scanned field.
    """
    is_counted = image.dtype.kind in "biu" and image.dtype.itemsize <= 2
    lowest = int(np.iinfo(image.dtype).min) if is_counted and image.dtype.kind == "i" else 0
    histogram = np.zeros(_MOST_VALUES if is_counted else 0, np.int64)
    collected: list[npt.NDArray] = []
    total, sums, left_out = 0.0, np.zeros(3), 0
    for first, mask in slabs(labels, value, box):
        values = image[first : first + mask.shape[0], box[1], box[2]][mask]
        is_value = np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
        if padding is not None:
            is_value &= values != padding
        where = np.flatnonzero(mask)
        if not is_value.all():
            left_out += int(len(values) - np.count_nonzero(is_value))
            values, where = values[is_value], where[is_value]
        weights = values.astype(np.float64)
        total += float(weights.sum())
        for axis, position in enumerate(np.unravel_index(where, mask.shape)):
            sums[axis] += float(weights @ position) + (first * float(weights.sum()) if axis == 0 else 0.0)
        if is_counted:
            histogram += np.bincount(values.astype(np.int64) - lowest, minlength=_MOST_VALUES)
        else:
            collected.append(values)
    found = _counted(histogram, lowest) if is_counted else _collected(collected)
    center = None
    if found is not None and abs(total) > 1e-9 * found.n * max(abs(found.values[0]), abs(found.values[-1]), 1e-300):
        center = sums / total + np.array((0, box[1].start, box[2].start))
    return Intensities(found, left_out, center)


class _Moments:
    """Number, mean and covariance of indices; sums are of whole numbers below 2^53 and exact."""

    def __init__(self) -> None:
        self.n = 0
        self._first, self._second = np.zeros(3), np.zeros((3, 3))

    def add(self, where: npt.NDArray[np.intp], shape: tuple[int, ...], start: int) -> None:
        index = [axis.astype(np.float64) for axis in np.unravel_index(where, shape)]
        index[0] += start
        self.n += len(where)
        for a in range(3):
            self._first[a] += index[a].sum()
            for b in range(a, 3):
                self._second[a, b] += index[a] @ index[b]

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        return self._first / self.n

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        second = np.triu(self._second) + np.triu(self._second, 1).T
        spread = second - self.n * np.outer(self.mean, self.mean)
        return np.asarray(spread / max(self.n - 1, 1))


def _ends(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the first and the last voxel of each row that has any, ordered by slice."""
    k, j = np.nonzero(mask.any(axis=2))
    rows = mask[k, j]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    found = np.stack([np.repeat(k, 2), np.repeat(j, 2), np.stack([first, last], axis=1).ravel()], axis=1)
    return np.asarray(found, np.int64)


def _from_mesh(surface: Surface, hull_volume: float, hull_area: float) -> dict[str, float]:
    """Return what IBSI derives from volume and surface of the mesh (reference manual, 3.1)."""
    volume, area = surface.volume_mm3, surface.area_mm2
    ball = (36 * np.pi * volume**2) ** (1 / 3)  # the surface of a ball of this volume
    return {
        "mesh_volume_ml": volume / 1000,
        "surface_mm2": area,
        "surface_to_volume": area / volume,
        "compactness_1": volume / (np.sqrt(np.pi) * area**1.5),
        "compactness_2": 36 * np.pi * volume**2 / area**3,
        "spherical_disproportion": area / ball,
        "sphericity": ball / area,
        "asphericity": area / ball - 1,
        "convex_volume_density": volume / hull_volume,
        "convex_area_density": area / hull_area,
    }


def _in_box(surface: Surface, shape: tuple[int, int, int], steps: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return how much of the smallest box along the grid's axes the mesh fills."""
    sides = steps * np.array(shape, float)
    faces = [np.linalg.norm(np.cross(sides[:, a], sides[:, b])) for a, b in ((0, 1), (1, 2), (2, 0))]
    return {
        "box_volume_density": surface.volume_mm3 / float(abs(np.linalg.det(sides))),
        "box_area_density": surface.area_mm2 / float(2 * sum(faces)),
    }


def _axes(
    covariance: npt.NDArray[np.float64], steps: npt.NDArray[np.float64], surface: Surface
) -> dict[str, float | None]:
    """Return what IBSI says of the ellipsoid with the moments of the voxel centers (reference manual, 3.1)."""
    spread = steps @ covariance @ steps.T
    least, minor, major = np.sqrt(np.clip(np.linalg.eigvalsh(spread), 0, None)).tolist()
    is_point, is_flat = major < 1e-9, least < 1e-6 * max(major, 1e-9)
    volume = 4 / 3 * np.pi * 8 * least * minor * major
    is_thin = minor < 1e-6 * max(major, 1e-9)
    area = 0.0 if is_thin else _ellipsoid_area(2 * major, 2 * minor, 2 * least)
    return {
        "ellipsoid_volume_density": None if is_flat else surface.volume_mm3 / volume,
        "ellipsoid_area_density": None if is_thin else surface.area_mm2 / area,
        "major_axis_mm": 4 * major,
        "minor_axis_mm": 4 * minor,
        "least_axis_mm": 4 * least,
        "elongation": None if is_point else minor / major,
        "flatness": None if is_point else least / major,
    }


def _ellipsoid_area(a: float, b: float, c: float) -> float:
    """Return what IBSI takes for the surface of an ellipsoid with half axes a >= b >= c, mm^2 (reference manual, RDD2).

    Its series has both eccentricities against the longest axis, where that of the surface has one against the second
    axis: it is 19 % too small for a spheroid that is twice as long as wide, and 24 % too large for one half as high as
    wide. IBSI's consensus values follow its series, and so does this.
    """
    first, second = 1 - (b / a) ** 2, 1 - (c / a) ** 2
    # the terms without their factors: products of eccentricities and Legendre polynomials, by the recurrence of these
    before, term, total = 0.0, 1.0, 1.0
    for n in range(_TERMS):
        before, term = term, ((2 * n + 1) * (first + second) / 2 * term - n * first * second * before) / (n + 1)
        total += term / (1 - 4 * (n + 1) ** 2)
    return 4 * np.pi * a * b * total


def _counted(histogram: npt.NDArray[np.int64], lowest: int) -> Values | None:
    present = np.flatnonzero(histogram)
    if not len(present):
        return None
    return Values((present + lowest).astype(np.float64), histogram[present].astype(np.float64))


def _collected(values: list[npt.NDArray]) -> Values | None:
    joined = np.concatenate(values)
    if not len(joined):
        return None
    joined.sort()
    return Values(joined.astype(np.float64))
