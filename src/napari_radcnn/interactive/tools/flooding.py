"""Seeds flood a crop of a scan until they meet: coarse first, then once more at full resolution along the surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.update import Mask
from napari_radcnn.progress import Monitor

Numbers = npt.NDArray[np.int32]
Array = npt.NDArray[np.float32]
Factors = tuple[int, int, int]

#: Voxels that are flooded at once: of the coarse grid, and of a slab of the fine one.
_COARSE_VOXELS, _SLAB_VOXELS = 1_000_000, 1_500_000
#: Smoothing before slopes are looked at, of the finest spacing: an average over voxels needs less.
_COARSE_SIGMA, _FINE_SIGMA = 0.4, 0.8
#: Percent at either end of the values under an object's seeds that are left out, and how many standard deviations of
#: normal values lie between the rest's ends and its middle.
_LEFT_OUT, _DEVIATIONS = 5.0, 1.645
#: Least standard deviation of an object's values, of the crop's.
_LEAST_SPREAD = 0.05


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of a scan with its seeds.

    Parameters
    ----------
    values : (k, j, i) array
        Of the scan.
    seeds : (k, j, i) array of int32
        Number of the object that a voxel is a seed of, from 1; 0 for none.
    walls : (k, j, i) array of bool
        Where nothing grows.
    outside : int
        Number of what belongs to no object; the highest one.
    spacing : tuple of float
        mm, in array order.
    is_open : tuple of (bool, bool)
        For each axis whether the first and the last face are faces of the scan, which may cut through objects.
    """

    values: npt.NDArray[np.generic]
    seeds: Numbers
    walls: Mask
    outside: int
    spacing: tuple[float, float, float]
    is_open: tuple[tuple[bool, bool], ...]


def grow(crop: Crop, spread: float, *, has_outside: bool, is_coarse: bool, monitor: Monitor) -> Numbers:
    """Return the number of what each voxel of a crop belongs to.

    Parameters
    ----------
    crop : Crop
        With seeds.
    spread : float
        See `GrowFromSeeds`.
    has_outside : bool
        Whether there are seeds of what belongs to no object; else the faces of the crop are.
    is_coarse : bool
        Whether the coarse grid's answer is enough.
    monitor : Monitor
        Told of each slab; may stop there.
    """
    factors = _factors(crop)
    image, seeds, walls, spacing = _coarse(crop, factors)
    monitor.step("growing from the seeds")
    smooth = _smoothed(image, spacing, _COARSE_SIGMA)
    ranges = _ranges(smooth, seeds, crop.outside, spread)
    begun = seeds if has_outside else np.where(_around(crop, smooth, ranges) & (seeds == 0), crop.outside, seeds)
    flooded = _flooded(_slope(smooth, spacing), begun, ~walls)
    monitor.step("growing from the seeds")
    flooded = _kept(flooded, image, smooth, seeds, crop.outside, ranges)
    if max(factors) == 1:
        return flooded
    if is_coarse:
        numbers = flooded[np.ix_(*_lines(crop.seeds.shape, factors))]
        return np.where(crop.seeds > 0, crop.seeds, numbers)
    return _refined(crop, flooded, factors, monitor)


def _factors(crop: Crop) -> Factors:
    """Return how many voxels along each axis are one of the coarse grid, which are nearly cubes."""
    factors, spacing = [1, 1, 1], np.array(crop.spacing)
    while np.prod([-(-n // f) for n, f in zip(crop.seeds.shape, factors, strict=True)]) > _COARSE_VOXELS:
        factors[int(np.argmin(spacing * factors))] += 1
    return factors[0], factors[1], factors[2]


def _coarse(crop: Crop, factors: Factors) -> tuple[Array, Numbers, Mask, npt.NDArray[np.float64]]:
    """Return image, seeds, walls and spacing of the coarse grid."""
    from skimage.measure import block_reduce

    values = np.asarray(crop.values, np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        values = np.where(finite, values, np.float32(np.median(values[finite]) if finite.any() else 0))
    if max(factors) == 1:
        return values, crop.seeds, crop.walls, np.array(crop.spacing)
    missing = [(0, -n % f) for n, f in zip(values.shape, factors, strict=True)]
    image = block_reduce(np.pad(values, missing, mode="edge"), factors, np.mean)
    seeds = block_reduce(crop.seeds, factors, np.max)
    walls = block_reduce(np.pad(crop.walls, missing, mode="edge"), factors, np.min)
    return np.asarray(image, np.float32), seeds, np.asarray(walls, bool), np.array(crop.spacing) * factors


def _ranges(smooth: Array, seeds: Numbers, outside: int, spread: float) -> list[tuple[float, float]]:
    """Return for each object the middle of the values under its seeds, and how far from it its values may lie."""
    least = _LEAST_SPREAD * float(smooth.std())
    found = []
    for number in range(1, outside):
        values = smooth[seeds == number]
        if not values.size or spread == 0:  # all its seeds share a coarse voxel with another's
            found.append((0.0, np.inf))
            continue
        low, high = (float(end) for end in np.percentile(values, (_LEFT_OUT, 100 - _LEFT_OUT)))
        found.append(((low + high) / 2, spread * max((high - low) / 2 / _DEVIATIONS, least)))
    return found


def _around(crop: Crop, smooth: Array, ranges: list[tuple[float, float]]) -> Mask:
    """Return what belongs to no object, where nothing says so: the faces of the crop.

    Axes of one or two voxels have none. Of the faces of the scan, which may cut through objects, only what no object's
    values are like.
    """
    faces, ends = np.zeros(smooth.shape, bool), np.zeros(smooth.shape, bool)
    for axis, is_open in enumerate(crop.is_open):
        if smooth.shape[axis] > 2:
            for is_end, line in zip(is_open, (0, -1), strict=True):
                np.moveaxis(ends if is_end else faces, axis, 0)[line] = True
    for middle, reach in ranges:
        ends &= np.abs(smooth - middle) > reach
    return faces | ends


def _smoothed(image: Array, spacing: npt.NDArray[np.float64], sigma: float) -> Array:
    """Return an image smoothed by a Gaussian of `sigma` times the finest spacing, in the patient."""
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(image, sigma * spacing.min() / spacing), np.float32)


def _slope(smooth: Array, spacing: npt.NDArray[np.float64]) -> Array:
    """Return the magnitude of the gradient, per mm."""
    total = np.zeros(smooth.shape, np.float32)
    for axis, step in enumerate(spacing):
        if smooth.shape[axis] > 1:
            total += np.gradient(smooth, np.float32(step), axis=axis) ** 2
    return np.sqrt(total)


def _flooded(slope: Array, seeds: Numbers, where: Mask) -> Numbers:
    from skimage.segmentation import watershed

    return np.asarray(watershed(slope, np.where(where, seeds, 0), mask=where), np.int32)


def _kept(
    flooded: Numbers, image: Array, smooth: Array, seeds: Numbers, outside: int, ranges: list[tuple[float, float]]
) -> Numbers:
    """Return of each object what has values like its seeds and hangs together with one, its holes filled.

    Values count as they are and smoothed, whichever are more alike: noise is in the first, the edge in the second.
    """
    from scipy import ndimage

    result = np.where(flooded == 0, outside, flooded)
    boxes = ndimage.find_objects(flooded, outside - 1)
    for number, (box, (middle, reach)) in enumerate(zip(boxes, ranges, strict=True), 1):
        if box is None:
            continue
        own, here = flooded[box] == number, seeds[box] == number
        own &= (np.minimum(*(np.abs(values[box] - middle) for values in (image, smooth))) <= reach) | here
        filled = ndimage.binary_fill_holes(ndimage.binary_propagation(here, mask=own))
        target = result[box]
        target[(target == number) & ~filled] = outside
    return result


def _lines(shape: tuple[int, ...], factors: Factors) -> list[npt.NDArray[np.intp]]:
    """Return for each axis which voxel of the coarse grid each voxel lies in."""
    return [np.arange(n) // factor for n, factor in zip(shape, factors, strict=True)]


def _refined(crop: Crop, coarse: Numbers, factors: Factors, monitor: Monitor) -> Numbers:
    """Return the numbers at full resolution: flooded again where surfaces are near, slab by slab."""
    from scipy import ndimage

    near = ndimage.maximum_filter(coarse, 3) != ndimage.minimum_filter(coarse, 3)
    shape, spacing = crop.seeds.shape, np.array(crop.spacing)
    lines = _lines(shape, factors)
    depth = max(4, _SLAB_VOXELS // (shape[1] * shape[2]))
    halo = 2 * factors[0] + 2
    result = np.empty(shape, np.int32)
    monitor.total += -(-shape[0] // depth)
    for start in range(0, shape[0], depth):
        monitor.step("finding the surfaces")
        stop = min(start + depth, shape[0])
        rows = slice(max(0, start - halo), min(shape[0], stop + halo))
        places = np.ix_(lines[0][rows], lines[1], lines[2])
        numbers = coarse[places]
        free = ndimage.binary_dilation(near[places]) & ~crop.walls[rows]
        seeds = np.where(near[places], 0, numbers)
        np.copyto(seeds, crop.seeds[rows], where=crop.seeds[rows] > 0)
        values = np.nan_to_num(np.asarray(crop.values[rows], np.float32), posinf=0.0, neginf=0.0)
        flooded = _flooded(_slope(_smoothed(values, spacing, _FINE_SIGMA), spacing), seeds, free)
        np.copyto(numbers, flooded, where=flooded > 0)
        result[start:stop] = numbers[start - rows.start : stop - rows.start]
    return result
