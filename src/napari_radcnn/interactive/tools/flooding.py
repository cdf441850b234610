"""Seeds flood a crop of a scan until they meet: coarse first, then once more at full resolution along the surfaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box
from napari_radcnn.interactive.blocks import block_means, on_voxels
from napari_radcnn.interactive.update import Mask
from napari_radcnn.progress import Monitor

Numbers = npt.NDArray[np.int32]
Array = npt.NDArray[np.float32]
Factors = tuple[int, int, int]

#: Voxels that are flooded at once: of the coarse grid, and of a slab of the fine one.
_COARSE_VOXELS, _SLAB_VOXELS = 1_000_000, 1_500_000
#: Connected parts of the surfaces that are flooded by themselves, at most, and voxels beside them that are smoothed.
_MOST_PARTS, _BESIDE = 40, 5
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
        numbers = on_voxels(flooded, factors, crop.seeds.shape)
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
    values = crop.values
    if not np.issubdtype(values.dtype, np.integer):
        finite = np.isfinite(values)
        if not finite.all():
            values = np.where(finite, values, np.median(values[finite]) if finite.any() else 0)
    image = block_means(values, factors)
    if max(factors) == 1:
        return image, crop.seeds, crop.walls, np.array(crop.spacing)
    seeds = np.zeros(image.shape, np.int32)
    at = np.nonzero(crop.seeds)
    np.maximum.at(seeds, tuple(of // factor for of, factor in zip(at, factors, strict=True)), crop.seeds[at])
    walls = block_means(crop.walls, factors) == 1 if crop.walls.any() else np.zeros(image.shape, bool)
    return image, seeds, walls, np.array(crop.spacing) * factors


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


def _refined(crop: Crop, coarse: Numbers, factors: Factors, monitor: Monitor) -> Numbers:
    """Return the numbers at full resolution: flooded again where surfaces are near, slab by slab."""
    from scipy import ndimage

    near = ndimage.maximum_filter(coarse, 3) != ndimage.minimum_filter(coarse, 3)
    # Parts so far apart do not meet, though each is flooded one voxel beyond its blocks.
    parts, count = ndimage.label(ndimage.binary_dilation(near, np.ones((3, 3, 3))))
    if count > _MOST_PARTS:
        parts, count = np.ones(near.shape, np.int32), 1
    parts[~near] = 0
    places = list(enumerate(ndimage.find_objects(parts), 1))
    slabs = [(number, *slab) for number, place in places for slab in _slabs(place, near.shape, factors)]
    result = on_voxels(coarse, factors, crop.seeds.shape)
    monitor.total += len(slabs)
    for number, around, rows in slabs:
        monitor.step("finding the surfaces")
        flooded, box = _near_surfaces(crop, coarse[around], parts[around] == number, around, factors)
        into = (slice(rows.start * factors[0], min(rows.stop * factors[0], crop.seeds.shape[0])), *box[1:])
        own = flooded[into[0].start - box[0].start : into[0].stop - box[0].start]
        np.copyto(result[into], own, where=own > 0)
    return result


def _slabs(place: Box, shape: tuple[int, ...], factors: Factors) -> Iterator[tuple[Box, slice]]:
    """Yield the blocks of one slab after the other of those around a place, with its halo, and its rows without."""
    rows, j, i = (slice(max(0, e.start - 1), min(n, e.stop + 1)) for e, n in zip(place, shape, strict=True))
    block_row = (j.stop - j.start) * (i.stop - i.start) * int(np.prod(factors))
    depth, halo = max(2, _SLAB_VOXELS // block_row), 2 + -(-2 // factors[0])
    for start in range(rows.start, rows.stop, depth):
        stop = min(start + depth, rows.stop)
        yield (slice(max(rows.start, start - halo), min(rows.stop, stop + halo)), j, i), slice(start, stop)


def _near_surfaces(crop: Crop, coarse: Numbers, near: Mask, around: Box, factors: Factors) -> tuple[Numbers, Box]:
    """Return the numbers of voxels in and beside the blocks near a surface, 0 elsewhere, and the box they lie in."""
    k, j, i = (
        slice(e.start * f, min(e.stop * f, n)) for e, f, n in zip(around, factors, crop.seeds.shape, strict=True)
    )
    box = k, j, i
    inner = on_voxels(near, factors, crop.seeds[box].shape)
    seeds = np.where(inner, 0, on_voxels(coarse, factors, inner.shape))
    np.copyto(seeds, crop.seeds[box], where=crop.seeds[box] > 0)
    wide = tuple(slice(max(0, e.start - _BESIDE), e.stop + _BESIDE) for e in box)
    values = np.nan_to_num(np.asarray(crop.values[wide], np.float32), posinf=0.0, neginf=0.0)
    spacing = np.array(crop.spacing)
    slope = _slope(_smoothed(values, spacing, _FINE_SIGMA), spacing)
    slope = slope[tuple(slice(e.start - w.start, e.stop - w.start) for e, w in zip(box, wide, strict=True))]
    return _flooded(slope, seeds, _with_neighbors(inner) & ~crop.walls[box]), box


def _with_neighbors(mask: Mask) -> Mask:
    """Return a mask with the voxels beside it."""
    grown = mask.copy()
    for axis in range(3):
        before, after = ((slice(None),) * axis + (some,) for some in (slice(0, -1), slice(1, None)))
        grown[before] |= mask[after]
        grown[after] |= mask[before]
    return grown
