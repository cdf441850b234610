"""Cubes of lung with nodules put into them, as other scanners, kernels and doses would show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.lung_nodules.network import OUTSIDE, SPACING
from napari_radcnn.training.lung_nodules.scans import AROUND_LUNG, NOWHERE, STEP, Chest
from napari_radcnn.training.lung_nodules.shapes import (
    KINDS,
    Shape,
    draw_diameter,
    draw_nodule,
    draw_plate,
    draw_tubes,
)
from napari_radcnn.training.physics.thick_slices import slice_profile
from napari_radcnn.training.promptable.shapes import random_rotation, smooth_field

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator

#: How often a nodule lies freely, on a vessel, at the pleura.
_SITES = (0.36, 0.27, 0.37)
#: HU by which a nodule must differ from what was there, on average; else nobody is asked about it.
_SEEN = 90.0
#: How often a place is tried for a nodule.
_TRIES = 12


@dataclass(frozen=True, eq=False)
class Nodule:
    """One that was put in: its center (voxels along k, j, i), diameter (mm), kind, and whether it is to be found."""

    center: npt.NDArray[np.float64]
    diameter: float
    kind: int
    counts: bool


@dataclass(frozen=True, eq=False)
class Sample:
    """A cube.

    Attributes
    ----------
    hu : (n, n, n) array of float32
        At `SPACING`.
    depth : (n, n, n) array of float32
        mm from the surface of the lungs; see `Chest`.
    nodules : tuple of Nodule
        What was put in.
    """

    hu: Floats
    depth: Floats
    nodules: tuple[Nodule, ...]


class Sampler:
    """Draws cubes.

    Parameters
    ----------
    chests : sequence of Chest
        What to draw from.
    size : int
        Voxels along a side.
    seed : int
        Of everything random.
    """

    def __init__(self, chests: Sequence[Chest], size: int, seed: int) -> None:
        import torch

        self._rng, self._size, self._chests = np.random.default_rng(seed), size, chests
        weights = np.array([chest.weight for chest in chests])
        self._odds = weights / weights.sum()
        self._stacks = [  # what lies outside is sampled as 0
            torch.from_numpy(np.stack([chest.hu - OUTSIDE, chest.depth - NOWHERE])[None]) for chest in chests
        ]
        self._inside = [np.argwhere(chest.depth[::4, ::4, ::4] > AROUND_LUNG) * 4 for chest in chests]

    def draw(self) -> Sample:
        """Return a cube with up to six nodules, and with vessels and scars that were there or put in."""
        rng = self._rng
        hu, depth = self._crop()
        hu = _other_lung(rng, hu)
        nodules: list[Nodule] = []
        taken = np.zeros(hu.shape, bool)
        for _ in range(int(rng.choice(4, p=(0.35, 0.3, 0.2, 0.15)))):
            _put_lookalike(rng, hu, depth, taken)
        for _ in range(int(rng.choice(7, p=(0.1, 0.2, 0.22, 0.2, 0.14, 0.09, 0.05)))):
            nodule = put_nodule(rng, hu, depth, taken, draw_nodule(rng, draw_diameter(rng), SPACING))
            nodules += [nodule] if nodule is not None else []
        return Sample(_scanned(rng, hu), depth, tuple(nodules))

    def _crop(self) -> tuple[Floats, Floats]:
        """Return a piece of a chest, turned, mirrored and stretched."""
        import torch

        rng, size = self._rng, self._size
        number = int(rng.choice(len(self._chests), p=self._odds))
        stack, inside = self._stacks[number], self._inside[number]
        center = inside[rng.integers(len(inside))] + rng.uniform(-12, 12, 3)
        matrix = _turn(rng) * (SPACING / STEP)
        corners = np.abs(matrix).sum(1) * (size - 1) / 2 + 2
        low = np.clip(np.floor(center - corners), 0, None).astype(int)
        high = np.minimum(np.ceil(center + corners).astype(int) + 1, stack.shape[2:])
        box = stack[(slice(None), slice(None), *(slice(a, max(a + 1, b)) for a, b in zip(low, high, strict=True)))]
        line = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        grid = torch.stack(torch.meshgrid(line, line, line, indexing="ij"))
        places = torch.einsum("ab,bkji->akji", torch.from_numpy(matrix.astype(np.float32)), grid)
        places += torch.from_numpy((center - low).astype(np.float32)).view(3, 1, 1, 1)
        ends = torch.tensor(box.shape[2:], dtype=torch.float32).view(3, 1, 1, 1)
        where = ((2 * places + 1) / ends - 1).flip(0).permute(1, 2, 3, 0)[None]
        hu, depth = torch.nn.functional.grid_sample(box, where, mode="bilinear", align_corners=False)[0].numpy()
        return hu + np.float32(OUTSIDE), depth + np.float32(NOWHERE)


def _turn(rng: Rng) -> npt.NDArray[np.float64]:
    """Return a matrix: any order and direction of axes, or any rotation, and other sizes."""
    upright = np.eye(3)[rng.permutation(3)] * rng.choice((-1.0, 1.0), 3)
    matrix = upright if rng.random() < 0.5 else random_rotation(rng)
    return np.asarray(matrix * (rng.uniform(0.85, 1.2) * np.exp(rng.normal(0, 0.05, 3))))


def _other_lung(rng: Rng, hu: Floats) -> Floats:
    """Return values of a lung that holds more or less air and blood, in a scanner that is a little off."""
    air = rng.uniform(-25, 25)
    known = np.array([-1100, -1000, -870, -750, -500, -100, 60, 400, 3000], float)
    shifts = (air, air, rng.uniform(-45, 70), rng.uniform(-40, 60), rng.uniform(-60, 60), rng.uniform(-50, 40), 0, 0, 0)
    told = known + np.array(shifts)
    if rng.random() < 0.5:  # less contrast medium, or none
        told[7] = rng.uniform(90, 400)
    bent = np.interp(hu, known, np.maximum.accumulate(told)).astype(np.float32)
    if rng.random() < 0.5:
        shade = smooth_field(rng, hu.shape[0], int(rng.integers(1, 4))) * np.float32(rng.uniform(0, 60))
        bent += np.where(bent < -500, shade, 0)
    return bent


def _box(center: npt.NDArray[np.int_], side: int, size: int) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Return where a cube of `side` voxels lies in one of `size`, and which part of it that is."""
    first = center - side // 2
    low, high = np.maximum(first, 0), np.minimum(first + side, size)
    if np.any(low >= high):
        return None
    whole = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return whole, tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))


def put_nodule(rng: Rng, hu: Floats, depth: Floats, taken: npt.NDArray[np.bool_], shape: Shape) -> Nodule | None:
    """Put a nodule into a cube, in place, and return it; None where no place was found.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    hu, depth : (n, n, n) array of float32
        See `Sample`.
    taken : (n, n, n) array of bool
        Where something was put in before; changed in place.
    shape : Shape
        What to put in.
    """
    place = _find_site(rng, hu, depth, taken, shape.diameter / 2)
    if place is None:
        return None
    found = _box(place, shape.filled.shape[0], hu.shape[0])
    if found is None:
        return None
    box, part = found
    filled, core = shape.filled[part], None if shape.core is None else shape.core[part]
    before = hu[box].copy()
    hu[box] = _with(rng, before, filled, core, shape.kind)
    taken[box] |= filled > 0.1
    seen = filled * (np.abs(hu[box] - before) > 40)
    weight = float(seen.sum())
    if weight <= 0:
        return Nodule(place.astype(float), shape.diameter, shape.kind, False)
    center = np.array([np.average(axis, weights=seen) for axis in np.mgrid[box]])
    strength = float((np.abs(hu[box] - before) * filled).sum() / filled.sum())
    counts = strength > _SEEN and weight > 0.3 * float(shape.filled.sum())
    return Nodule(center, shape.diameter, shape.kind, bool(counts))


def _find_site(
    rng: Rng, hu: Floats, depth: Floats, taken: npt.NDArray[np.bool_], radius: float
) -> npt.NDArray[np.int_] | None:
    """Return a voxel where a nodule may lie: freely, on a vessel or at the surface."""
    size = hu.shape[0]
    for _ in range(_TRIES):
        site = int(rng.choice(3, p=_SITES))
        places = rng.integers(2, size - 2, (400, 3))
        deep, value = depth[tuple(places.T)], hu[tuple(places.T)]
        if site == 0:
            good = (deep > radius) & (value < -600)
        elif site == 1:
            good = (deep > max(3.0, 0.6 * radius)) & (value > -550)
        else:
            at = rng.uniform(-0.25, 0.95) * radius
            good = np.abs(deep - at) < 1.0
        good &= ~taken[tuple(places.T)]
        if good.any():
            return np.asarray(places[int(np.argmax(good))])
    return None


def _with(rng: Rng, before: Floats, filled: Floats, core: Floats | None, kind: int) -> Floats:
    """Return values with a nodule in them: what is denser stays, the noise goes on in it."""
    from scipy import ndimage

    smooth = ndimage.uniform_filter(before, 3, mode="nearest")
    if KINDS[kind] == "solid":
        level: float | Floats = rng.uniform(150, 700) if rng.random() < 0.07 else rng.uniform(-80, 130)
    else:
        level = rng.uniform(-750, -400)
        uneven = smooth_field(rng, max(filled.shape), int(rng.integers(3, 9))) * np.float32(rng.uniform(0, 90))
        level = level + uneven[tuple(slice(n) for n in filled.shape)]
    result = _blend(rng, before, smooth, filled, level)
    if core is not None:
        result = _blend(rng, result, smooth, core, rng.uniform(-200, 90))
    return result


def _blend(rng: Rng, before: Floats, smooth: Floats, filled: Floats, level: float | Floats) -> Floats:
    """Return values that are `level` where all of a voxel is filled."""
    texture = rng.standard_normal(filled.shape, np.float32) * np.float32(rng.uniform(0, 30))
    value = np.asarray(level, np.float32)
    share = filled * np.clip((value - smooth) / 120 + 0.3, 0, 1)
    rough = (before - smooth) * (1 - np.float32(rng.uniform(0.2, 0.9)) * share)
    return np.asarray(smooth * (1 - share) + (value + texture) * share + rough, np.float32)


def _put_lookalike(rng: Rng, hu: Floats, depth: Floats, taken: npt.NDArray[np.bool_]) -> None:
    """Put a vessel or a scar into the lung, in place, that is no nodule."""
    places = rng.integers(0, hu.shape[0], (200, 3))
    good = depth[tuple(places.T)] > 2
    if not good.any():
        return
    place = places[int(np.argmax(good))]
    if rng.random() < 0.75:
        box: tuple[slice, ...] = (slice(None),) * 3
        filled, level = draw_tubes(rng, hu.shape[0], SPACING, place.astype(float)), rng.uniform(-100, 250)
        near = np.argwhere(filled > 0)
        if len(near) == 0:
            return
        box = tuple(slice(a, b) for a, b in zip(near.min(0), near.max(0) + 1, strict=True))
        filled = filled[box]
    else:
        plate = draw_plate(rng, SPACING)
        found = _box(place, plate.shape[0], hu.shape[0])
        if found is None:
            return
        box, part = found
        filled, level = plate[part], rng.uniform(-600, 30)
    before = hu[box]
    filled = filled * (depth[box] > 0)
    from scipy import ndimage

    hu[box] = _blend(rng, before, ndimage.uniform_filter(before, 3, mode="nearest"), filled, level)
    taken[box] |= filled > 0.3


def _scanned(rng: Rng, hu: Floats) -> Floats:
    """Return what another scanner makes of it: kernel, thick slices, noise."""
    from scipy import ndimage

    kernel = rng.random()
    if kernel < 0.45:
        hu = ndimage.gaussian_filter(hu, rng.uniform(0.25, 0.85), truncate=2.5)
    elif kernel < 0.6:
        hu = hu + np.float32(rng.uniform(0.2, 0.9)) * (hu - ndimage.gaussian_filter(hu, 0.8, truncate=2.5))
    noise = float(rng.choice((0.0, 1.0, 2.0), p=(0.25, 0.6, 0.15))) * rng.uniform(5, 40)
    if rng.random() < 0.5:
        return _thick(rng, hu, noise)
    return hu + _noise(rng, hu.shape, noise)


def _noise(rng: Rng, shape: tuple[int, ...], spread: float) -> Floats:
    """Return noise of a standard deviation, coarser or finer."""
    from scipy import ndimage

    if spread == 0:
        return np.zeros(shape, np.float32)
    drawn = rng.standard_normal(shape, np.float32)
    if rng.random() < 0.6:
        drawn = ndimage.gaussian_filter(drawn, rng.uniform(0.3, 0.8), truncate=2.5)
    return drawn * np.float32(spread / max(float(drawn[::3, ::3, ::3].std()), 1e-6))


def _thick(rng: Rng, hu: Floats, noise: float) -> Floats:
    """Return slices of 1.5 to 4 mm along any axis, brought back; most are below 3 mm."""
    axis = int(rng.integers(3))
    spacing = float(np.exp(rng.uniform(math.log(1.5), math.log(3.2 if rng.random() < 0.85 else 5.0)))) / SPACING
    count = hu.shape[axis]
    centers = np.arange(rng.uniform(0, spacing) - 0.5, count - 0.5, spacing)
    width = max(1.0, spacing * rng.uniform(0.7, 1.3))
    taken = slice_profile(count, centers, width, "box" if rng.random() < 0.5 else "gaussian").astype(np.float32)
    slices = np.tensordot(taken, hu, (1, axis))
    slices = slices + _noise(rng, slices.shape, noise)
    at = np.arange(count)
    low = np.clip(np.searchsorted(centers, at, side="right") - 1, 0, len(centers) - 2)
    share = np.clip((at - centers[low]) / spacing, 0, 1)
    back = np.zeros((count, len(centers)), np.float32)
    back[at, low], back[at, low + 1] = 1 - share, share
    return np.ascontiguousarray(np.moveaxis(np.tensordot(back, slices, 1), 0, axis))
