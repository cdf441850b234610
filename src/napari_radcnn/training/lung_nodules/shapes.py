"""Nodules of the lung and what looks like them, drawn at random: how much of each voxel they fill."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.training.promptable.shapes import random_rotation, smooth_field

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator

KINDS = ("solid", "part-solid", "ground-glass")
#: How often each.
_ODDS = (0.36, 0.2, 0.44)
#: Of what is solid: smooth, lobulated, spiculated.
_OUTLINES = (0.4, 0.33, 0.27)


@dataclass(frozen=True, eq=False)
class Shape:
    """What fills the voxels of a cube around its middle.

    Attributes
    ----------
    kind : int
        Index into `KINDS`.
    filled : (n, n, n) array of float32
        Share of each voxel, 0..1.
    core : (n, n, n) array of float32 or None
        Share of each voxel that the solid core fills, of a part-solid nodule.
    diameter : float
        Of the ball of the same volume, mm.
    """

    kind: int
    filled: Floats
    core: Floats | None
    diameter: float


def draw_diameter(rng: Rng) -> float:
    """Return a diameter of 3.5 to 32 mm, half of them below 6.6 mm."""
    return float(3.5 * (32.0 / 3.5) ** (rng.random() ** 1.8))


def draw_nodule(rng: Rng, diameter: float, step: float) -> Shape:
    """Return a nodule.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    diameter : float
        Of the ball of about the same volume, mm; that of the result differs by some percent.
    step : float
        mm of a voxel.
    """
    kind = int(rng.choice(3, p=_ODDS))
    outline = int(rng.choice(3, p=_OUTLINES)) if kind == 0 else int(rng.choice(3, p=(0.55, 0.38, 0.07)))
    radius = diameter / 2
    spikes = outline == 2 and diameter > 6
    reach = radius * (1.75 if outline else 1.35) + (0.8 * radius if spikes else 0) + 2.5
    places = _places(2 * math.ceil(reach / step) + 1, step)
    edge = step * rng.uniform(1.0, 1.8) if kind == 0 else step * rng.uniform(1.0, 3.0)
    distance = _lobes(rng, places, radius) if outline == 1 else _ball(rng, places, radius)
    distance = _scaled_to(distance, radius, step)
    if outline != 1 or rng.random() < 0.5:
        wavy = smooth_field(rng, places.shape[1], int(rng.integers(3, 7)))
        distance = distance + radius * rng.uniform(0.0, 0.2) * wavy
    filled = _share(distance, edge)
    size = 2 * float(np.cbrt(filled.sum() * step**3 * 0.75 / math.pi))
    core = None
    if kind == 1:
        off = rng.normal(0, 0.2 * radius, 3)
        inner = _ball(rng, places - off.astype(np.float32)[:, None, None, None], radius * rng.uniform(0.3, 0.7))
        core = np.minimum(_share(inner, step * 1.2), filled)
    if spikes:
        filled = np.maximum(filled, _share(_spikes(rng, places, radius), edge))
    return Shape(kind, filled, core, size)


def _places(count: int, step: float) -> Floats:
    """Return the place of each voxel from the middle, mm, ``(3, n, n, n)``."""
    line = ((np.arange(count) - (count - 1) / 2) * step).astype(np.float32)
    return np.stack(np.meshgrid(line, line, line, indexing="ij"))


def _share(distance: Floats, edge: float) -> Floats:
    """Return how much of a voxel lies inside, where the distance from the surface is known, mm."""
    return np.clip(0.5 - distance / np.float32(edge), 0, 1)


def _scaled_to(distance: Floats, radius: float, step: float) -> Floats:
    """Return a distance moved so that as many voxels lie inside as in a ball."""
    wanted = int(4 / 3 * math.pi * (radius / step) ** 3)
    flat = distance.ravel()
    wanted = min(max(wanted, 1), flat.size - 1)
    return distance - np.partition(flat, wanted)[wanted]


def _ball(rng: Rng, places: Floats, radius: float) -> Floats:
    """Return the distance from an ellipsoid, nearly; mm."""
    axes = np.exp(rng.normal(0, 0.16, 3))
    axes = np.clip(axes / np.cbrt(axes.prod()), 0.65, 1.45)
    turned = np.tensordot((random_rotation(rng) / axes[:, None]).astype(np.float32), places, 1)
    return np.sqrt(np.square(turned).sum(0)) - np.float32(radius)


def _lobes(rng: Rng, places: Floats, radius: float) -> Floats:
    """Return the distance from balls that have grown into each other."""
    nearest = np.full(places.shape[1:], np.inf, np.float32)
    for _ in range(int(rng.integers(2, 6))):
        center = _direction(rng) * radius * rng.uniform(0.25, 0.65)
        one = _ball(rng, places - center.astype(np.float32)[:, None, None, None], radius * rng.uniform(0.45, 0.8))
        np.minimum(nearest, one, out=nearest)
    return nearest


def _spikes(rng: Rng, places: Floats, radius: float) -> Floats:
    """Return the distance from thin cones that stand on the surface."""
    nearest = np.full(places.shape[1:], np.inf, np.float32)
    squared = np.square(places).sum(0)
    for _ in range(int(rng.integers(6, 22))):
        along = np.tensordot(_direction(rng).astype(np.float32), places, 1)
        length, wide = radius * rng.uniform(1.25, 1.8), max(0.7, radius * rng.uniform(0.1, 0.25))
        across = np.sqrt(np.maximum(squared - np.square(along), 0))
        cone = across - np.float32(wide) * (1 - along / np.float32(length))
        cone[(along < 0) | (along > length)] = np.inf
        np.minimum(nearest, cone, out=nearest)
    return nearest


def draw_tubes(rng: Rng, size: int, step: float, start: npt.NDArray[np.float64]) -> Floats:
    """Return a vessel with branches: the share of each voxel of a cube of `size` voxels.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size : int
        Voxels along a side.
    step : float
        mm of a voxel.
    start : (3,) array
        Where it begins, voxels.
    """
    filled = np.zeros((size,) * 3, np.float32)
    radius = float(np.exp(rng.uniform(math.log(0.8), math.log(4.0))))
    way = _direction(rng)
    branches = [(np.asarray(start, float), way, radius, rng.uniform(15, 45))]
    for _ in range(int(rng.integers(0, 3))):
        branches.append(
            (np.asarray(start, float), _direction(rng), radius * rng.uniform(0.5, 0.9), rng.uniform(10, 30))
        )
    for place, heading, wide, length in branches:
        bend = rng.normal(0, 0.025, 3)
        for at in np.arange(0, length, max(0.6, 0.5 * wide)):
            _stamp(filled, place, max(0.5, wide * (1 - 0.5 * at / length)), step)
            heading = heading + bend * max(0.6, 0.5 * wide)
            heading = heading / np.linalg.norm(heading)
            place = place + heading * (max(0.6, 0.5 * wide) / step)
    return filled


def _direction(rng: Rng) -> npt.NDArray[np.float64]:
    away = rng.normal(0, 1, 3)
    return np.asarray(away / np.linalg.norm(away))


def _stamp(filled: Floats, place: npt.NDArray[np.float64], radius: float, step: float) -> None:
    """Fill a ball, in place; parts outside are left out."""
    reach = radius / step + 1.5
    low = np.maximum(np.floor(place - reach).astype(int), 0)
    high = np.minimum(np.ceil(place + reach).astype(int) + 1, filled.shape)
    if np.any(low >= high):
        return
    k, j, i = (np.arange(a, b, dtype=np.float32) - np.float32(p) for a, b, p in zip(low, high, place, strict=True))
    away = np.sqrt(k[:, None, None] ** 2 + j[None, :, None] ** 2 + i[None, None, :] ** 2) * np.float32(step)
    part = filled[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    np.maximum(part, _share(away - np.float32(radius), 1.3 * step), out=part)


def draw_plate(rng: Rng, step: float) -> Floats:
    """Return a scar, a strand or a bit of collapsed lung: a bent plate, the share of each voxel of a cube."""
    wide, length, thick = rng.uniform(3, 12), rng.uniform(8, 22), rng.uniform(0.6, 1.8)
    places = _places(2 * math.ceil((max(wide, length) + 3) / step) + 1, step)
    k, j, i = np.tensordot(random_rotation(rng).astype(np.float32), places, 1)
    bent = k + np.float32(rng.uniform(-0.02, 0.02)) * np.square(i) + 1.5 * smooth_field(rng, places.shape[1], 3)
    return np.minimum(_share(np.abs(bent) - thick, 1.3 * step), _share(np.hypot(j / wide, i / length) - 1, 0.25))
