"""Things whose outline any threshold between inside and outside draws alike: found by value, without a network.

What is connected to a click within a tolerance grows with the tolerance. Where it stays the same, but for the voxels at
its border, while the tolerance becomes several times as large, there is an object with a clear outline: a maximally
stable extremal region (Matas et al. 2004, Image and Vision Computing 22, 761) of the difference from the value that was
pointed at. The outline is drawn where the value is halfway between inside and outside, so that partial volume counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.region.grid import (
    Floats,
    Indices,
    Window,
    bounds,
    connected,
    smoothed,
    voxels_of,
)
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Margins around the click, mm, blocks along a window's side, and blocks of the outline's window, were it a cube.
_MARGINS, _BLOCKS, _FINE_BLOCKS = (12.0, 25.0, 50.0, 100.0, 180.0), 56, 88
#: Tolerances that are tried, and the least one as a part of the range of values in the window.
_LEVELS, _LEAST = 22, 0.004
#: How many times as large the tolerance becomes at least, while no more than this part of the region is new beyond one
#: block from its border; and its largest value, at least, in standard deviations of the noise.
_STEADY, _NEW, _ABOVE_NOISE = 3.0, 0.02, 6.0
#: Blocks of a region, at least, and its part of the window, at most.
_FEWEST, _LARGEST = 8, 0.45
#: Width of the shell outside whose values draw the outline, in blocks, and of the blur of them.
_SHELL, _BLUR = 3, 2.0
#: Noise up to this part of the contrast is not smoothed away before the outline is drawn.
_QUIET = 0.06


@dataclass(frozen=True, eq=False)
class _Plateau:
    """A region that stays the same between two tolerances, on the blocks of a window."""

    window: Window
    inner: Mask
    outer: Mask
    least: float
    most: float
    value: float


def clear_object(request: EngineRequest, monitor: Monitor) -> MaskUpdate | None:
    """Return what a first click or line points at, if it has a clear outline; None for all other requests.

    Parameters
    ----------
    request : EngineRequest
        What the engine was asked.
    monitor : Monitor
        Asked whether to stop.
    """
    prompts = request.prompts
    if len(prompts) != 1 or not prompts[0].positive or prompts[0].kind not in ("point", "scribble"):
        return None
    if request.forbidden is not None or request.current.any():
        return None
    drawn = rasterize(prompts[0], request.volume.geometry)
    if drawn is None:
        return None
    return stable_region(request.volume, voxels_of(drawn.mask, [e.start for e in drawn.box]), monitor)


def stable_region(volume: Volume, seeds: Indices, monitor: Monitor) -> MaskUpdate | None:
    """Return what lies around some voxels, if it has a clear outline.

    Parameters
    ----------
    volume : Volume
        The scan.
    seeds : (n, 3) array of int
        Voxels that belong to the object.
    monitor : Monitor
        Asked whether to stop.

    Returns
    -------
    MaskUpdate or None
        The object; None where there is no such outline, or none within 180 mm.

    Raises
    ------
    CancelledError
        If the user asked to stop.
    """
    for margin in _MARGINS:
        monitor.check()
        window = Window.around(volume, *bounds(seeds), margin, _BLOCKS)
        plateau = _plateau(window, seeds)
        if plateau is not None:
            return _outlined(plateau, seeds)
        if not any(any(ends) for ends in window.is_open):
            break
    return None


def _plateau(window: Window, seeds: Indices) -> _Plateau | None:
    """Return the steadiest region around the seeds that does not reach the window's open border."""
    from scipy.ndimage import binary_dilation

    image = smoothed(window.image, window.spacing)
    marked = window.marked(seeds) & window.is_valid
    if not marked.any():
        return None
    value = float(np.median(image[marked]))
    away = np.where(window.is_valid, np.abs(image - value), np.inf)
    span = float(image.max() - image.min())
    noise = _noise(image)
    start = max(noise, _LEAST * span, 1e-6)
    if not span > _STEADY * start:
        return None
    tolerances = np.geomspace(start, span, _LEVELS)
    regions: list[Mask] = []
    for tolerance in tolerances:
        region = connected(away <= tolerance, marked)
        if region.sum() > _LARGEST * region.size or _reaches_border(region, window):
            break
        regions.append(region)
    best: tuple[float, int, int] | None = None
    for first, region in enumerate(regions):
        if region.sum() < _FEWEST:
            continue
        around = binary_dilation(region)
        last = first
        while last + 1 < len(regions) and _new(regions[last + 1], around) <= _NEW:
            last += 1
        gain = float(tolerances[last] / tolerances[first])
        if gain >= _STEADY and tolerances[last] >= _ABOVE_NOISE * noise and (best is None or gain > 1.2 * best[0]):
            best = gain, first, last
    if best is None:
        return None
    _, first, last = best
    return _Plateau(window, regions[first], regions[last], float(tolerances[first]), float(tolerances[last]), value)


def _reaches_border(region: Mask, window: Window) -> bool:
    return any(
        bool(np.take(region, end, axis).any())
        for axis in range(3)
        for end, is_open in zip((0, -1), window.is_open[axis], strict=True)
        if is_open
    )


def _new(region: Mask, around: Mask) -> float:
    """Return the part of a region that lies outside of another one."""
    return int((region & ~around).sum()) / max(1, int(region.sum()))


def _noise(image: Floats) -> float:
    """Return about the standard deviation of the noise of an image that is mostly flat."""
    steps = [np.abs(np.diff(image, axis=axis)).ravel() for axis in range(3) if image.shape[axis] > 1]
    return 1.4826 / np.sqrt(2) * float(np.median(np.concatenate(steps))) if steps else 0.0


def _outlined(plateau: _Plateau, seeds: Indices) -> MaskUpdate:
    """Return the region with its border halfway between the values inside and outside of it."""
    from scipy.ndimage import binary_dilation, gaussian_filter

    coarse = plateau.window
    where = np.argwhere(plateau.outer)
    low = coarse.low + where.min(0) * coarse.factors
    high = np.minimum(coarse.low + (where.max(0) + 1) * coarse.factors, coarse.high)
    margin = (_SHELL + 1) * float(coarse.spacing.max())
    window = Window.filled(coarse.volume, low, high, margin, _FINE_BLOCKS)
    noise = _noise(window.image)
    image = window.image if noise < _QUIET * plateau.most else smoothed(window.image, window.spacing)
    away = np.where(window.is_valid, np.abs(image - np.float32(plateau.value)), np.inf)
    marked = window.marked(seeds)
    inner = connected((away <= plateau.least) | marked, marked)
    reached = connected((away <= plateau.most) | marked, marked)
    shell = binary_dilation(reached | inner, iterations=_SHELL) & ~binary_dilation(reached | inner) & np.isfinite(away)
    if not shell.any():
        shell = ~reached & np.isfinite(away)
    blur = _BLUR * window.spacing.min() / window.spacing
    weight = gaussian_filter(shell.astype(np.float32), blur)
    outside = gaussian_filter(np.where(shell, away, 0).astype(np.float32), blur) / np.maximum(weight, 1e-6)
    typical = float(np.median(away[shell])) if shell.any() else plateau.most
    outside = np.where(weight > 1e-3, outside, typical)
    limit = np.maximum(outside / 2, plateau.least)
    near = binary_dilation(reached | inner, iterations=2) & np.isfinite(away)
    field = np.where(near, np.minimum(limit - away, typical), -typical / 2).astype(np.float32)
    mask = window.drawn(field, 0)
    at = tuple((seeds - window.low).T)
    mask[at] = True
    marks = np.zeros(mask.shape, bool)
    marks[at] = True
    return MaskUpdate(window.box, connected(mask, marks))
