"""Growing a region from seeds, and where to stop: the cheapest cut for its size.

Growth follows the geodesic distance from the seeds, in which edges and foreign gray values are far (Criminisi, Sharp
and Blake 2008, GeoS: geodesic image segmentation, ECCV), by Dijkstra's algorithm as in scikit-image's `MCP_Geometric`.
Every level of that distance is a candidate. The one taken has a boundary that is weak for its volume (the isoperimetric
ratio of Grady and Schwartz 2006, IEEE Transactions on Pattern Analysis and Machine Intelligence 28, 469, with the
surface's exponent, so that it does not depend on size), lies in a valley between worse ones, and is not far from the
size that is expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.engines.region.grid import Floats, Window, gradient, neighbors, smoothed
from napari_radcnn.interactive.update import Mask, box_of

Doubles = npt.NDArray[np.float64]

#: Noise gradients and deviations that still cost nothing much, in units of what is seen at the seeds.
_GRADIENTS, _DEVIATIONS = 2.0, 2.5
#: Least gradient and deviation that count, as parts of the range of gray values in the window.
_LEAST_GRADIENT, _LEAST_DEVIATION = 0.01, 0.02
#: Weight of the squared deviation beside the squared gradient, its weight in a cut, and the highest cost of a step.
_DEVIATION_COST, _DEVIATION_CUT, _HIGHEST_COST = 0.8, 0.2, 60.0
#: A region larger than this part of its window is better looked at in a larger one.
_LARGEST_PART = 0.45
#: Depth of a valley (logarithm of the ratio) from which what lies around it is another, larger object.
_DEEP = 2.0
#: Volume of a ball of radius 1 in as many dimensions.
_UNIT_BALL = (1.0, 2.0, np.pi, 4 / 3 * np.pi)


@dataclass(frozen=True)
class Expected:
    """What is known of the size of a region before it is grown.

    Attributes
    ----------
    radius : float
        mm, of a ball of its size.
    strength : float
        How much a size that is off by a factor weighs: half of it times the square of the factor's logarithm.
    is_correction : bool
        Whether it is a part that is missing from an object or too much, which has no boundary all around it.
    most : float
        Largest volume, mm^3.
    """

    radius: float
    strength: float
    is_correction: bool = False
    most: float = np.inf


@dataclass(frozen=True, eq=False)
class Grown:
    """A region.

    Attributes
    ----------
    window : Window
        Where it was grown.
    mask : array of bool
        On the window's blocks; holds the seeds.
    score : float
        How convincing it is; for comparing windows.
    valley : float
        Logarithm of how much worse smaller and larger regions are.
    touching : float
        Part of its surface that lies on the window's border where the scan goes on.
    """

    window: Window
    mask: Mask
    score: float
    valley: float
    touching: float


@dataclass(frozen=True)
class Tone:
    """Gray value of the seeds and the deviation from it that is usual; kept from window to window."""

    value: float
    deviation: float


@dataclass(frozen=True, eq=False)
class Landscape:
    """What a path costs in a window.

    Attributes
    ----------
    cost : (k, j, i) array of float64
        Of a step through a block, at least 1; infinite where no path may go.
    weight : (k, j, i) array of float32
        Of a cut through a block, 0..1; 1 where nothing suggests a boundary.
    tone : Tone
        Of the seeds.
    """

    cost: Doubles
    weight: Floats
    tone: Tone


def landscape(window: Window, seeds: Mask, allowed: Mask, tone: Tone | None) -> Landscape:
    """Return what a path from the seeds costs.

    Parameters
    ----------
    window : Window
        Where to grow.
    seeds, allowed : (k, j, i) array of bool
        On its blocks.
    tone : Tone, optional
        Of the same seeds in a finer window; measured here where there is none.
    """
    from scipy.ndimage import binary_dilation

    image = smoothed(window.image, window.spacing)
    slope = gradient(image, window.spacing)
    near = _within(seeds, window.spacing, 2.5 * float(window.spacing.min())) & allowed
    if near.sum() < 5:
        near = binary_dilation(seeds)
    span = float(np.subtract(*np.percentile(window.image[::2, ::2, ::2], (95, 5))))
    if tone is None:
        value = float(np.median(image[near]))
        spread = 1.4826 * float(np.median(np.abs(image[near] - value)))
        tone = Tone(value, _DEVIATIONS * max(spread, _LEAST_DEVIATION * span, 1e-6))
    usual = _GRADIENTS * max(float(np.median(slope[near])), _LEAST_GRADIENT * span, 1e-6)
    edges = (slope / np.float32(usual)) ** 2
    deviations = ((image - np.float32(tone.value)) / np.float32(tone.deviation)) ** 2
    cost = np.minimum(1 + edges + _DEVIATION_COST * deviations, _HIGHEST_COST).astype(np.float64)
    cost[~(allowed | seeds)] = np.inf
    weight = 1 / ((1 + edges) * (1 + _DEVIATION_CUT * deviations))
    return Landscape(cost, weight.astype(np.float32), tone)


def _within(seeds: Mask, spacing: Doubles, reach: float) -> Mask:
    """Return the blocks that are no farther than `reach` mm from one of the seeds."""
    from scipy.ndimage import distance_transform_edt

    near = np.zeros(seeds.shape, bool)
    box = box_of(seeds)
    if box is not None:
        pad = np.ceil(reach / spacing).astype(int)
        k, j, i = (slice(max(0, e.start - n), e.stop + n) for e, n in zip(box, pad.tolist(), strict=True))
        near[k, j, i] = distance_transform_edt(~seeds[k, j, i], sampling=spacing) <= reach
    return near


def distance(cost: Doubles, seeds: Mask, spacing: Doubles) -> Doubles:
    """Return the geodesic distance of every block from the seeds, mm times cost; infinite where no path leads."""
    from skimage.graph import MCP_Geometric

    sampling = tuple(float(step) for step in spacing)
    paths = MCP_Geometric(cost, fully_connected=False, sampling=sampling)
    found, _ = paths.find_costs([tuple(int(n) for n in seed) for seed in np.argwhere(seeds)])
    return np.asarray(found)


def grow(
    window: Window,
    seeds: Mask,
    against: Mask,
    allowed: Mask,
    inert: Mask | None,
    expected: Expected,
    tone: Tone | None = None,
) -> tuple[Grown, Tone]:
    """Return the most convincing region around seeds.

    Parameters
    ----------
    window : Window
        Where to grow.
    seeds, against : (k, j, i) array of bool
        Blocks that belong to it, and that do not: what is nearer to these is left to them.
    allowed : (k, j, i) array of bool
        Where it may grow.
    inert : (k, j, i) array of bool, optional
        Blocks towards which a boundary is free, since the region is added there, or ends there anyway.
    expected : Expected
        Its size.
    tone : Tone, optional
        Of the same seeds in a finer window.

    Returns
    -------
    region : Grown
    tone : Tone
        Of the seeds.
    """
    land = landscape(window, seeds, allowed, tone)
    far = distance(land.cost, seeds, window.spacing)
    rivals = against & allowed & ~seeds
    if rivals.any():
        far = np.where(far <= distance(land.cost, rivals, window.spacing), far, np.inf)
        far[seeds] = 0
    order, cut = _cuts(far, land.weight, window, inert)
    dimensions = sum(n > 1 for n in window.shape)
    volume = np.arange(1, len(order) + 1) * float(window.spacing.prod())
    ratio = cut / volume ** ((dimensions - 1) / dimensions if dimensions else 1)
    flat = float(np.prod([step for step, n in zip(window.spacing, window.shape, strict=True) if n == 1]))
    likely = _UNIT_BALL[dimensions] * expected.radius**dimensions * flat
    last, score, valley = _chosen(
        np.asarray(ratio, np.float64), np.asarray(volume, np.float64), int(seeds.sum()), likely, far.size, expected
    )
    mask = np.zeros(far.size, bool)
    mask[order[: last + 1]] = True
    mask = mask.reshape(far.shape) | seeds
    return Grown(window, mask, score, valley, _touching(mask, window)), land.tone


def _cuts(far: Doubles, weight: Floats, window: Window, inert: Mask | None) -> tuple[npt.NDArray[np.intp], Doubles]:
    """Return the reachable blocks from near to far, and the weighed surface (mm^2) of the first 1, 2, 3, ... of them.

    A face between two blocks is cut by all levels that hold the nearer block only, so one sum over faces gives all.
    """
    order = np.argsort(far, axis=None, kind="stable")
    order = order[: int(np.isfinite(far).sum())]
    n = len(order)
    rank = np.full(far.shape, n, np.intp)
    rank.flat[order] = np.arange(n)
    change = np.zeros(n + 1)
    for axis in range(3):
        area = float(window.spacing.prod() / window.spacing[axis])
        before, after = neighbors(axis)
        one, other = rank[before].ravel(), rank[after].ravel()
        faces = np.minimum(weight[before], weight[after]).ravel() * area
        if inert is not None:
            faces[(inert[before] | inert[after]).ravel()] = 0
        change += np.bincount(np.minimum(one, other), faces, n + 1)
        change -= np.bincount(np.maximum(one, other), faces, n + 1)
        for end, is_open in zip((0, -1), window.is_open[axis], strict=True):
            if is_open:  # what lies beyond is not known
                change += area * np.bincount(np.take(rank, end, axis).ravel(), minlength=n + 1)
    return order, np.maximum(np.cumsum(change)[:n], 0)


def _chosen(
    ratio: Doubles, volume: Doubles, n_seeds: int, likely: float, n_blocks: int, expected: Expected
) -> tuple[int, float, float]:
    """Return the last block of the best region, its score and the depth of its valley."""
    least, most = max(n_seeds, min(30, len(ratio) // 4 + 1)) - 1, len(ratio) - 1
    if most <= least:
        return most, -np.inf, 0.0
    levels = np.unique(np.geomspace(least + 1, most + 1, 240).astype(np.intp)) - 1
    surprise = expected.strength / 2 * np.log(volume[levels] / likely) ** 2
    fits = volume[levels] <= expected.most
    if not expected.is_correction:
        fits &= levels < _LARGEST_PART * n_blocks
    fits[0] = True
    values = np.maximum(ratio[levels], 0.02 if expected.is_correction else 1e-3)
    if expected.is_correction:
        score = np.where(fits, -np.log(values) - surprise, -np.inf)
        best = int(np.argmax(score))
        return int(levels[best]), float(score[best]), 0.0
    before = np.log(np.maximum.accumulate(values) / values)
    behind = np.log(np.maximum.accumulate(values[::-1])[::-1] / values)
    valley = np.minimum(before, 2 * behind)
    score = np.where(fits, 3 * (1 - np.exp(-valley / 2)) - surprise, -np.inf)
    deep = np.flatnonzero(fits & (valley >= _DEEP))
    if deep.size:
        out_of_it = np.flatnonzero(valley[deep[0] :] < 0.6 * _DEEP)
        if out_of_it.size:  # around an object lies another one; the inner is meant
            score[deep[0] + out_of_it[0] :] = -np.inf
    best = int(np.argmax(score))
    return int(levels[best]), float(score[best]), float(valley[best])


def _touching(mask: Mask, window: Window) -> float:
    """Return how much of the window's open border a region covers, as a part of the surface of a cube of its size."""
    count = sum(
        int(np.take(mask, end, axis).sum())
        for axis in range(3)
        for end, is_open in zip((0, -1), window.is_open[axis], strict=True)
        if is_open
    )
    return count / (6 * max(1, int(mask.sum())) ** (2 / 3))
