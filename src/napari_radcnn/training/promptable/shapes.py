"""Made-up anatomy: random regions with random values, so that a network learns edges and clicks instead of organs.

In the manner of SynthSeg (Billot et al. 2023, Medical Image Analysis 86, 102789): shapes are drawn at random, each gets
a value, a texture and a blur, and the picture gets noise and a slow change of brightness.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint16]


def smooth_field(rng: np.random.Generator, size: int, cells: int) -> Array:
    """Return a random field with values of -1..1 that changes over about ``size / cells`` voxels."""
    coarse = rng.standard_normal((cells + 2,) * 3).astype(np.float32)
    positions = rng.random() + np.arange(size) * (cells / size)
    matrix = np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(cells + 2)[None, :])).astype(np.float32)
    field = coarse
    for _ in range(3):  # each product moves the axis it works on to the end
        field = np.tensordot(field, matrix, axes=(0, 1))
    peak = float(np.abs(field).max())
    return np.asarray(field / np.float32(peak) if peak > 0 else field, np.float32)


def warped_coordinates(rng: np.random.Generator, size: int, strength: float) -> list[Array]:
    """Return the three coordinates of every voxel, in voxels from the middle, bent by up to `strength` voxels."""
    line = np.arange(size, dtype=np.float32) - (size - 1) / 2
    cells = int(rng.integers(2, 7))
    return [
        np.asarray(axis + strength * smooth_field(rng, size, cells), np.float32)
        for axis in np.meshgrid(line, line, line, indexing="ij")
    ]


def random_rotation(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a rotation, uniform over all of them."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return q


def draw_labels(rng: np.random.Generator, size: int) -> tuple[Labels, list[int]]:
    """Return a label map of a cube full of regions, and the labels of the shapes drawn on top of them."""
    labels = _cells(rng, size)
    top = int(labels.max())
    drawn = []
    for _ in range(int(rng.integers(1, 6))):
        shape = _DRAWERS[int(rng.integers(len(_DRAWERS)))](rng, size)
        if np.count_nonzero(shape) < 30:
            continue
        top += 1
        labels[shape] = top
        drawn.append(top)
        if rng.random() < 0.2:  # a wall, or a hollow
            depth = int(rng.integers(1, 4))
            inner = ndimage.binary_erosion(shape, iterations=depth)
            if np.count_nonzero(inner) >= 30:
                top += 1
                labels[inner] = top
                drawn.append(top)
    return labels, [value for value in drawn if np.count_nonzero(labels == value) >= 30]


def _cells(rng: np.random.Generator, size: int) -> Labels:
    """Return warped Voronoi cells: what surrounds the shapes."""
    count = int(rng.integers(2, 14))
    seeds = (rng.random((count, 3)) - 0.5) * size * 1.2
    stretch = rng.uniform(0.5, 2.0, (count, 1))
    where = warped_coordinates(rng, size, rng.uniform(0, size / 6))
    nearest: Array = np.full((size,) * 3, np.inf, np.float32)
    labels = np.zeros((size,) * 3, np.uint16)
    for n, (seed, weight) in enumerate(zip(seeds, stretch[:, 0], strict=True)):
        moved = [axis - np.float32(at) for axis, at in zip(where, seed, strict=True)]
        distance = (moved[0] ** 2 + moved[1] ** 2 + moved[2] ** 2) * np.float32(weight)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        labels[closer] = n + 1
    return labels


def _placed(rng: np.random.Generator, size: int, bend: float) -> list[Array]:
    """Return warped, rotated coordinates around a random place."""
    where = warped_coordinates(rng, size, bend)
    rotation = random_rotation(rng)
    middle = rng.normal(0, size / 8, 3)
    moved = [axis - np.float32(at) for axis, at in zip(where, middle, strict=True)]
    return [sum(np.float32(rotation[row, n]) * moved[n] for n in range(3)) for row in range(3)]  # type: ignore[misc]


def _radius(rng: np.random.Generator, size: int) -> float:
    return float(np.exp(rng.uniform(np.log(5.0), np.log(0.55 * size))))


def _ellipsoid(rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
    radius = _radius(rng, size)
    axes = radius * np.exp(rng.uniform(-0.7, 0.3, 3))
    where = _placed(rng, size, min(0.5 * radius, size / 10))
    return np.asarray(sum((x / np.float32(a)) ** 2 for x, a in zip(where, axes, strict=True)) < 1)


def _blob(rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
    """Return a lump with bays and spikes."""
    radius = _radius(rng, size)
    where = _placed(rng, size, 0.2 * radius)
    distance = np.sqrt(sum(x * x for x in where))
    rough = smooth_field(rng, size, max(2, min(size // 2, int(size / radius * rng.uniform(1, 3)))))
    return np.asarray(distance < radius * (1 + rng.uniform(0.2, 0.6) * rough))


def _tube(rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
    """Return a bent tube, perhaps with a branch: vessels, airways, cords, gut."""
    width = float(np.exp(rng.uniform(np.log(2.5), np.log(size / 8))))
    where = _placed(rng, size, size / 5)
    result = np.asarray(where[0] ** 2 + where[1] ** 2 < width * width)
    if rng.random() < 0.4:
        branch = _placed(rng, size, size / 5)
        thinner = width * rng.uniform(0.5, 1.0)
        result |= (branch[0] ** 2 + branch[1] ** 2 < thinner * thinner) & (branch[2] > 0)
    length = rng.uniform(0.2, 1.0) * size
    return np.asarray(result & (np.abs(where[2]) < length))


def _plate(rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
    """Return a bent plate: walls, muscles, ribs."""
    where = _placed(rng, size, size / 6)
    thick = rng.uniform(2.0, size / 12)
    sides = rng.uniform(0.15, 0.8, 2) * size / 2
    return np.asarray((np.abs(where[0]) < thick) & (np.abs(where[1]) < sides[0]) & (np.abs(where[2]) < sides[1]))


def _bone(rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
    """Return a body with arms: something like a vertebra."""
    radius = float(np.exp(rng.uniform(np.log(7), np.log(size / 4))))
    where = _placed(rng, size, 0.2 * radius)
    body = (where[1] / radius) ** 2 + (where[2] / radius) ** 2 < 1
    body &= np.abs(where[0]) < radius * rng.uniform(0.4, 0.9)
    ring_at = rng.uniform(1.2, 1.7) * radius
    ring = np.sqrt(where[1] ** 2 + (where[2] - ring_at) ** 2)
    arch = (np.abs(ring - rng.uniform(0.5, 0.8) * radius) < rng.uniform(0.12, 0.25) * radius) & (
        np.abs(where[0]) < radius * rng.uniform(0.2, 0.5)
    )
    spine = (np.abs(where[1]) < 0.2 * radius) & (where[2] > ring_at) & (where[2] < ring_at + 1.6 * radius)
    arms = (np.abs(where[2] - ring_at) < 0.25 * radius) & (np.abs(where[1]) < rng.uniform(1.2, 2.2) * radius)
    reach = np.abs(where[0]) < 0.25 * radius
    return np.asarray(body | arch | (spine & reach) | (arms & reach & (np.abs(where[1]) > 0.5 * radius)))


_DRAWERS = (_ellipsoid, _blob, _blob, _tube, _plate, _bone)


def paint(rng: np.random.Generator, labels: Labels) -> Array:
    """Return a picture of a label map: each label gets a value, a texture, and the whole the faults of a scanner."""
    size = labels.shape[0]
    count = int(labels.max()) + 1
    means = rng.random(count).astype(np.float32)
    if rng.random() < 0.3:  # many tissues look nearly alike, a few stand out: as on CT
        means = (0.5 + 0.12 * rng.standard_normal(count)).astype(np.float32)
        means[rng.random(count) < 0.25] = rng.random()
    image = means[labels]
    texture = rng.random(count).astype(np.float32) ** 2 * np.float32(rng.uniform(0, 0.2))
    image += texture[labels] * smooth_field(rng, size, int(rng.integers(4, max(5, size // 3))))
    if rng.random() < 0.7:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.2))
    return spoil(rng, image)


def spoil(rng: np.random.Generator, image: Array) -> Array:
    """Return a picture with noise, of a random grain, and a slow change of brightness."""
    size = image.shape[0]
    extent = float(np.ptp(image)) or 1.0
    noise = rng.standard_normal(image.shape).astype(np.float32)
    if rng.random() < 0.5:
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.4, 1.0))
        noise /= max(float(noise.std()), 1e-6)
    image = image + noise * np.float32(extent * rng.uniform(0, 1) ** 2 * 0.12)
    if rng.random() < 0.4:
        image = image * (1 + np.float32(rng.uniform(0, 0.3)) * smooth_field(rng, size, 2))
    return np.asarray(image, np.float32)
