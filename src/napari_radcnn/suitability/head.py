"""Heads and brains in MR: whether a scan shows one, whole or stripped of its skull, which way up, and its contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.suitability.sample import Sample

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """What lies on the background of a scan.

    Attributes
    ----------
    is_inverted : bool
        Whether the background is brighter than what lies in it.
    background : float
        The share of the scan that has the background's very value.
    level : float
        The background's value, in parts of the range of what lies on it.
    liters : float
        Its holes filled.
    extent : tuple of float
        mm towards S, P, L.
    faces : tuple of float
        The share of each face of the scan that it touches: I, S, A, P, R, L.
    symmetry : tuple of float
        How far it is its own mirror image along S, P, L, 0 to 1.
    fill : float
        Its share of the ellipsoid in the box around it.
    areas : tuple of float
        cm2 of ten layers across it from I to S.
    centers : tuple of float
        Where the middle of its lowest and of its highest fifth lies, 0 in front, 1 behind.
    unevenness : float
        How much more the values of its lower half vary in front, where a face is, than behind.
    core, shell, rim : float
        The values deep in it, below its surface and at it, in parts of its range.
    tail : float
        How far the bright values lie from the middle one, in parts of its range.
    """

    is_inverted: bool
    background: float
    level: float
    liters: float
    extent: tuple[float, float, float]
    faces: tuple[float, float, float, float, float, float]
    symmetry: tuple[float, float, float]
    fill: float
    areas: tuple[float, ...]
    centers: tuple[float, float]
    unevenness: float
    core: float
    shell: float
    rim: float
    tail: float


def find_shape(sample: Sample) -> Shape | None:
    """Return what lies on the background of a scan; None where it has none, or nothing on it."""
    from scipy import ndimage

    values, spacing = sample.small
    if min(values.shape) < 4:
        return None
    border = np.concatenate(
        [np.take(values, at, axis).ravel() for axis in (1, 2) for at in (0, -1)] + [values[-1].ravel()]
    )
    ground = float(np.median(border))
    away = np.abs(values - ground)
    high = float(np.quantile(away, 0.99))
    if high <= 0:
        return None
    on_it = ndimage.binary_opening(away > _otsu(away[away < high]), iterations=1)
    parts, count = ndimage.label(on_it)
    if not count:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body = parts == sizes.argmax()
    body = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(body, 2), iterations=2)[2:-2, 2:-2, 2:-2] | body)
    if body.sum() < 100:
        return None
    return _measure(sample, values, spacing, body, ground)


def _otsu(values: Floats) -> float:
    """Return the threshold between dark and bright (Otsu 1979), halved: the rim of a head is faint."""
    counts, edges = np.histogram(values, 128)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts).astype(float)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[int(np.nanargmax(between))]) * 0.5


def _measure(sample: Sample, values: Floats, spacing: tuple[float, float, float], body: Mask, ground: float) -> Shape:
    from scipy import ndimage

    spans = [np.flatnonzero(body.any(tuple(n for n in range(3) if n != axis))) for axis in range(3)]
    box = tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    inside, seen = body[box], values[box]
    extent = [n * s for n, s in zip(inside.shape, spacing, strict=True)]
    faces = [float(np.take(body, at, axis).mean()) for axis in range(3) for at in (0, -1)]
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), spacing)[1:-1, 1:-1, 1:-1]
    low, high = (float(q) for q in np.quantile(seen[inside], (0.02, 0.98)))
    unit = (high - low) or 1.0
    part = lambda mask: float((np.median(seen[mask]) - low) / unit) if mask.any() else 0.5  # noqa: E731
    flat = np.abs(sample.finite - sample.finite[np.argmin(np.abs(sample.finite - ground))]) == 0
    layers = np.array_split(np.arange(len(inside)), 10)
    areas = [float(inside[at].sum((1, 2)).mean()) * spacing[1] * spacing[2] / 100 if len(at) else 0.0 for at in layers]
    return Shape(
        is_inverted=bool(np.median(seen[inside]) < ground),
        background=float(flat.mean()),
        level=(ground - low) / unit,
        liters=float(inside.sum()) * float(np.prod(spacing)) / 1e6,
        extent=(extent[0], extent[1], extent[2]),
        faces=tuple(faces),  # type: ignore[arg-type]
        symmetry=tuple(_symmetry(seen, inside, axis) for axis in range(3)),  # type: ignore[arg-type]
        fill=float(inside.mean()) / (np.pi / 6),
        areas=tuple(areas),
        centers=_centers(inside),
        unevenness=_unevenness(np.abs(seen - ground), inside),
        core=part(inside & (depth > 22)),
        rim=part(inside & (depth <= 6)),
        shell=part(inside & (depth > 6) & (depth <= 14)),
        tail=float((high - np.median(seen[inside])) / unit),
    )


def _centers(inside: Mask) -> tuple[float, float]:
    """Return where the middle of the lowest and of the highest fifth lies, 0 in front, 1 behind."""
    fifth = max(1, len(inside) // 5)
    low, top = (float(np.nonzero(part)[1].mean()) if part.any() else 0.0 for part in (inside[:fifth], inside[-fifth:]))
    depth = max(1, inside.shape[1] - 1)
    return low / depth, top / depth


def _unevenness(away: Floats, inside: Mask) -> float:
    """Return how much more values vary in front than behind in the lower half, its surface left out."""
    from scipy import ndimage

    low, half = len(inside) // 2, inside.shape[1] // 2
    core = ndimage.binary_erosion(inside, iterations=2)[:low]
    front, behind = away[:low, :half][core[:, :half]], away[:low, -half:][core[:, -half:]]
    if min(front.size, behind.size) < 50 or behind.std() == 0:
        return 1.0
    return float(front.std() / behind.std())


def _symmetry(values: Floats, mask: Mask, axis: int) -> float:
    """Return the correlation of what is shown with its mirror image along an axis, the better of both."""
    shown = np.where(mask, values, 0.0)
    mirrored = np.flip(shown, axis)
    both = np.corrcoef(shown.ravel(), mirrored.ravel())[0, 1]
    return float(both)
