"""Nodules put into scans by other rules than in training: superellipsoids, their contrast added to the scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.results import Detection
from napari_radcnn.volume import Volume

KINDS = ("solid", "part-solid", "ground-glass")
#: Diameters, mm.
SIZES = {"4-6 mm": (4.0, 6.0), "6-10 mm": (6.0, 10.0), "10-20 mm": (10.0, 20.0), "20-30 mm": (20.0, 30.0)}
SITES = ("free", "vessel", "pleural")
#: How much finer a nodule is drawn than the scan's voxels; mm of its blur; mm between nodules.
_FINER, _BLUR, _APART = 3, 0.5, 12.0


@dataclass(frozen=True)
class Put:
    """A nodule that was put in."""

    kind: str
    size: str
    site: str
    detection: Detection


def insert(scan: Volume, lung: npt.NDArray[np.bool_], count: int, rng: np.random.Generator) -> tuple[Volume, list[Put]]:
    """Return a scan with nodules whose contrast was added, and what they are."""
    hu = np.asarray(scan.array).astype(np.float32)
    smooth = ndimage.gaussian_filter(hu, [1.0 / step for step in scan.geometry.spacing])
    depth = ndimage.distance_transform_edt(np.pad(lung, 1), scan.geometry.spacing)[1:-1, 1:-1, 1:-1]
    put: list[Put] = []
    for number in range(40 * count):
        if len(put) == count:
            break
        kind, site = KINDS[number % 3], SITES[int(rng.integers(3))]
        size = list(SIZES)[len(put) % len(SIZES)]
        diameter = float(rng.uniform(*SIZES[size]))
        where = _sites(site, depth, smooth, lung, diameter)
        if not len(where):
            continue
        center = scan.geometry.to_world(where[int(rng.integers(len(where)))] + rng.uniform(-0.4, 0.4, 3))
        if any(_near(center, diameter, one.detection) for one in put):
            continue
        _add(hu, scan, center, diameter, kind, rng)
        x, y, z = (float(c) for c in center)
        put.append(Put(kind, size, site, Detection("nodule", 1.0, (x, y, z), (diameter,) * 3)))
    return replace(scan, array=np.rint(hu).astype(np.int16)), put


def _near(center: npt.NDArray[np.float64], diameter: float, other: Detection) -> bool:
    return float(np.linalg.norm(center - other.center)) < (diameter + other.size[0]) / 2 + _APART


def _sites(
    site: str,
    depth: npt.NDArray[np.float64],
    smooth: npt.NDArray[np.float32],
    lung: npt.NDArray[np.bool_],
    diameter: float,
) -> npt.NDArray[np.int_]:
    """Return voxels where a nodule may be centered; depth is mm from what is not lung."""
    if site == "free":
        good = (depth > diameter / 2 + 1) & (smooth < -700)
    elif site == "vessel":
        good = (depth > max(4.0, diameter / 2)) & (smooth > -600)
    else:
        good = lung & (depth > 0.25 * diameter) & (depth < 0.25 * diameter + 2) & (smooth < -500)
    return np.argwhere(good)


def _add(
    hu: npt.NDArray[np.float32],
    scan: Volume,
    center: npt.NDArray[np.float64],
    diameter: float,
    kind: str,
    rng: np.random.Generator,
) -> None:
    """Add the contrast of a nodule, in place."""
    geometry = scan.geometry
    middle = geometry.to_index(center)
    reach = np.ceil((0.9 * diameter + 3) / np.asarray(geometry.spacing)).astype(int)
    low = np.maximum(np.round(middle).astype(int) - reach, 0)
    high = np.minimum(np.round(middle).astype(int) + reach + 1, geometry.shape)
    fine = [np.arange(a, b, 1 / _FINER) + (1 / _FINER - 1) / 2 for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*fine, indexing="ij")).reshape(3, -1)
    away = geometry.affine[:3, :3] @ index + geometry.affine[:3, 3:] - center[:, None]
    shape = [len(axis) for axis in fine]
    outer = _outline(away, diameter / 2, rng).reshape(shape)
    level = {"solid": rng.uniform(-20, 80), "part-solid": -630.0, "ground-glass": rng.uniform(-700, -550)}[kind]
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    _raise(hu, box, outer, level, geometry.spacing)
    if kind == "part-solid":
        core = _superellipsoid(away, diameter / 4, rng).reshape(shape)
        _raise(hu, box, core, 20.0, geometry.spacing)


def _raise(
    hu: npt.NDArray[np.float32],
    box: tuple[slice, ...],
    inside: npt.NDArray[np.bool_],
    level: float,
    spacing: tuple[float, float, float],
) -> None:
    blurred = ndimage.gaussian_filter(inside.astype(np.float32), [_FINER * _BLUR / step for step in spacing])
    k, j, i = (n // _FINER for n in blurred.shape)
    share = blurred.reshape(k, _FINER, j, _FINER, i, _FINER).mean((1, 3, 5))
    aerated = hu[box][hu[box] < -600]
    around = float(np.median(aerated)) if aerated.size else -850.0
    added = hu[box] + share * (level - around)
    hu[box] = np.where(hu[box] < level, np.minimum(added, np.maximum(level + 60, hu[box])), hu[box])


def _outline(away: npt.NDArray[np.float64], radius: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return what a nodule fills: smooth, of three lobes, or with strands."""
    form = int(rng.integers(3))
    if form == 1:
        spots = [rng.normal(0, 0.3 * radius, 3) for _ in range(3)]
        parts = [_superellipsoid(away - spot[:, None], 0.72 * radius, rng) for spot in spots]
        return np.any(parts, 0)
    inside = _superellipsoid(away, radius, rng)
    if form == 2 and radius > 3:
        for _ in range(10):
            heading = rng.normal(0, 1, 3)
            heading /= np.linalg.norm(heading)
            along = heading @ away
            across = np.linalg.norm(away - heading[:, None] * along, axis=0)
            inside |= (along > 0) & (along < 1.6 * radius) & (across < 0.6)
    return inside


def _superellipsoid(away: npt.NDArray[np.float64], radius: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    axes = rng.uniform(0.8, 1.25, 3)
    axes *= radius / np.cbrt(axes.prod())
    turn, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    return np.asarray((np.abs(turn @ away / axes[:, None]) ** rng.uniform(2, 3)).sum(0) <= 1)
