"""Lumps painted into scans: lesions with blurred, sharp and textured edges, faint and plain ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.training.promptable.shapes import random_rotation, smooth_field, warped_coordinates

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def paint_lesion(rng: np.random.Generator, picture: Array, extent: float, most: float) -> tuple[Array, Mask]:
    """Return a picture with a lump in it, and the lump.

    Parameters
    ----------
    rng : numpy.random.Generator
        What decides.
    picture : (n, n, n) array of float32
        In units.
    extent : float
        Voxels along the lump's largest side, about.
    most : float
        Largest difference to what is around, in units.
    """
    size = picture.shape[0]
    radius = extent / 2
    where = warped_coordinates(rng, size, float(rng.uniform(0.05, 0.35)) * radius)
    turn = random_rotation(rng)
    squeeze = np.exp(rng.uniform(0, 0.7, 3))
    squeeze /= squeeze.min()
    turned = [sum(np.float32(turn[row, n] * squeeze[row]) * where[n] for n in range(3)) for row in range(3)]
    cells = max(2, min(size // 2, round(size / radius * float(rng.uniform(1, 3)))))
    bays = 1 + np.float32(rng.uniform(0, 0.45)) * smooth_field(rng, size, cells)
    distance = np.sqrt(sum(np.asarray(x) ** 2 for x in turned)) / bays
    if rng.random() < 0.2:  # two that have met
        place = rng.normal(0, radius / 2, 3)
        second = np.sqrt(sum((x - np.float32(p)) ** 2 for x, p in zip(where, place, strict=True))) / bays
        distance = np.minimum(distance, second * np.float32(rng.uniform(1.1, 2)))
    target = np.asarray(distance < radius)
    if not target.any():
        return picture, target
    return _painted(rng, picture, target, radius - distance, most), target


def _painted(rng: np.random.Generator, picture: Array, target: Mask, depth: Array, most: float) -> Array:
    size = picture.shape[0]
    around = float(np.median(picture[target]))
    noise = float(np.median(np.abs(picture[target] - around)))
    least = min(max(25.0, 1.5 * noise), most)
    step = float(rng.choice([-1.0, 1.0])) * float(np.exp(rng.uniform(np.log(least), np.log(most + 1))))
    edge = float(np.exp(rng.uniform(np.log(0.3), np.log(4.0))))  # sharp to blurred
    share = np.clip(depth / np.float32(edge) + 0.5, 0, 1)
    texture = abs(step) * float(rng.uniform(0, 0.6)) ** 1.5 * smooth_field(rng, size, int(rng.integers(4, size // 2)))
    kept = float(rng.uniform(0.1, 1.0))  # how much of the tissue is still seen through it
    inner = np.float32(around + step) + texture + np.float32(kept) * (picture - np.float32(around))
    if rng.random() < 0.25:  # a middle that has died, or a bright rim
        core = np.clip((depth - np.float32(rng.uniform(0.25, 0.6)) * depth.max()) / np.float32(edge) + 0.5, 0, 1)
        inner = inner - core * np.float32(step * rng.uniform(0.4, 1.5))
    return np.asarray(picture * (1 - share) + inner * share, np.float32)
