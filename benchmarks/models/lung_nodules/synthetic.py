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
#: HU of the smoothed scan above which lung is vessel.
_VESSEL = -600.0


@dataclass(frozen=True)
class Put:
    """A nodule that was put in."""

    kind: str
    size: str
    site: str
    detection: Detection


@dataclass(frozen=True, eq=False)
class Lungs:
    """The voxels of the lungs, ``(n, 3)``, how far each lies from what is not lung, and from the next vessel, mm."""

    voxels: npt.NDArray[np.int_]
    depth: npt.NDArray[np.floating]
    vessel: npt.NDArray[np.floating]


def look_at(scan: Volume, lung: npt.NDArray[np.bool_]) -> Lungs:
    """Return where in the lungs of a scan nodules may lie."""
    voxels = np.argwhere(lung)
    low, high = np.maximum(voxels.min(0) - 1, 0), np.minimum(voxels.max(0) + 2, lung.shape)
    box = tuple(slice(first, last) for first, last in zip(low, high, strict=True))
    inside, spacing = lung[box], scan.geometry.spacing
    smooth = ndimage.gaussian_filter(np.asarray(scan.array[box], np.float32), [1.0 / step for step in spacing])
    depth = ndimage.distance_transform_edt(inside, spacing)
    vessel = ndimage.distance_transform_edt(~(inside & (smooth > _VESSEL)), spacing)
    return Lungs(voxels, depth[inside], vessel[inside])


def insert(scan: Volume, lungs: Lungs, count: int, rng: np.random.Generator) -> tuple[Volume, list[Put]]:
    """Return a scan with nodules whose contrast was added, and what they are."""
    hu = np.asarray(scan.array).astype(np.float32)
    put: list[Put] = []
    for number in range(40 * count):
        if len(put) == count:
            break
        kind, site = KINDS[number % 3], SITES[int(rng.integers(3))]
        size = list(SIZES)[len(put) % len(SIZES)]
        diameter = float(rng.uniform(*SIZES[size]))
        where = lungs.voxels[_sites(site, lungs, diameter / 2)]
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


def _sites(site: str, lungs: Lungs, radius: float) -> npt.NDArray[np.bool_]:
    """Return at which voxels a nodule may be centered: freely, touching a vessel, or touching the pleura."""
    depth, vessel = lungs.depth, lungs.vessel
    if site == "free":
        return (depth > radius + 1) & (vessel > radius + 1)
    if site == "vessel":
        return (depth > radius + 1) & (vessel > 0.6 * radius) & (vessel < radius)
    return (depth > 0.5 * radius) & (depth < 0.5 * radius + 2) & (vessel > 0.5 * radius)


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
