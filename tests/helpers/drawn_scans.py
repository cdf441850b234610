"""Drawn scans that look enough like patients to be taken for them: a chest in a CT, a head and a brain in an MR."""

from __future__ import annotations

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume


def _positions(shape, spacing, origin):
    geometry = Geometry.from_parts(shape, spacing, origin)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return geometry, np.moveaxis(geometry.to_world(index), -1, 0)


def _within(position, center, radii):
    return sum(((p - c) / r) ** 2 for p, c, r in zip(position, center, radii, strict=True)) <= 1


def chest_ct(noise: float = 15.0, lungs: bool = True) -> Volume:
    """Return a trunk of 34 x 22 cm with fat, a spine behind, and two lungs; HU, axes towards S, P, L."""
    geometry, at = _positions((50, 70, 84), (5.0, 4.0, 4.5), (-189.0, -138.0, -122.5))
    x, y, z = at
    hu = np.full(geometry.shape, -1000.0)
    hu[(x / 170) ** 2 + (y / 112) ** 2 <= 1] = -100
    hu[(x / 150) ** 2 + (y / 94) ** 2 <= 1] = 45
    if lungs:
        for side in (-80, 75):
            hu[_within(at, (side, -5, 10), (52, 72, 105))] = -850
    hu[((x - 2) / 20) ** 2 + ((y - 75) / 17) ** 2 <= 1] = 350
    hu[((x / 160) ** 2 + (y / 104) ** 2 <= 1) & ((x / 154) ** 2 + (y / 98) ** 2 > 1) & (np.abs(z) % 20 < 6)] = 400
    hu += np.random.default_rng(3).normal(0, noise, hu.shape)
    return Volume(np.clip(hu, -1024, 3071).astype(np.int16), geometry)


def head_mr(stripped: bool = False) -> Volume:
    """Return a head like a T1: scalp, skull, gray and white matter, fluid, a neck; without the first two a brain."""
    geometry, at = _positions((56, 64, 52), (3.5, 3.6, 3.8), (-98.0, -118.0, -100.0))
    value = np.zeros(geometry.shape)
    if not stripped:
        value[_within(at, (0, 0, 10), (80, 100, 84))] = 420
        value[(at[2] < 10) & ((at[0] / 66) ** 2 + ((at[1] - 8) / 84) ** 2 <= 1)] = 400
        value[_within(at, (0, 2, 14), (72, 90, 74))] = 60
    brain = _within(at, (0, 4, 14), (66, 84, 66)) & ~((at[2] < -25) & (at[1] < 20))
    value[brain] = 380
    value[brain & _within(at, (0, 4, 16), (54, 70, 52))] = 640
    value[_within(at, (6, 6, 20), (9, 30, 12))] = 120
    value += np.abs(np.random.default_rng(4).normal(0, 6, value.shape)) * (value > 0 if stripped else 1)
    return Volume(value.astype(np.int16), geometry)
