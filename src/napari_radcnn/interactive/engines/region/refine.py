"""A finer boundary for a coarse region: a random walker that knows gray values and where the boundary roughly is.

Random walker with priors (Grady 2005, Multilabel random walker image segmentation using prior models, CVPR): the field
``x`` minimizes ``sum w (x_a - x_b)^2 + sum p (x - y)^2``, where the first sum is over neighbors and ``w`` falls with
their difference, and the second pulls each block towards object or background. With priors the matrix is well
conditioned, so a few steps of conjugate gradients do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.engines.region.grid import Floats, Window, neighbors, smoothed
from napari_radcnn.interactive.update import Mask
from napari_radcnn.progress import Monitor

#: Width of the band around the boundary where gray values decide, as a part of the region's inner radius.
_BAND = 0.3
#: Weights of the gray values and, at the edge of the band, of the coarse region; of a link across a strong edge.
_GRAY, _PLACE, _LEAST_LINK = 0.3, 0.3, 0.02
#: A difference between neighbors that still links them well, in units of the usual one inside the region.
_USUAL = 2.0
_BINS, _STEPS = 64, 40


def refined(window: Window, coarse: Mask, fixed: Floats, monitor: Monitor) -> Mask:
    """Return the region with its boundary moved to where the image has one.

    Parameters
    ----------
    window : Window
        Around the region.
    coarse : (k, j, i) array of bool
        The region, on the window's voxels.
    fixed : (k, j, i) array of float32
        On the window's blocks: 1 where the object is for certain, 0 where it is not, NaN where the image decides.
    monitor : Monitor
        Asked whether to stop.

    Returns
    -------
    (k, j, i) array of bool
        On the window's voxels.

    Raises
    ------
    CancelledError
        If the user asked to stop.
    """
    from scipy.ndimage import distance_transform_edt

    region = window.reduced(coarse) >= 0.5
    if not region.any() or region.all():
        return coarse
    spacing = window.spacing
    image = smoothed(window.image, spacing)
    inside = distance_transform_edt(region, sampling=spacing)
    outside = distance_transform_edt(~region, sampling=spacing)
    monitor.check()
    band = max(_BAND * float(inside.max()), 2 * float(spacing.min()))
    place = np.minimum(_PLACE * (np.maximum(inside, outside) / band) ** 2, 50).astype(np.float32)
    core = region & (inside > min(1.5 * spacing.min(), 0.5 * inside.max()))
    ring = ~region & (outside > spacing.min()) & (outside <= max(3 * band, 4 * spacing.max()))
    likely = _likelihood(image, core if core.sum() >= 5 else region, ring if ring.sum() >= 5 else ~region)
    gray = np.where(window.is_valid, _GRAY * np.abs(2 * likely - 1), 0).astype(np.float32)
    pull = gray + place + np.float32(1e-4)
    target = (gray * (likely > 0.5) + place * region) / pull
    is_fixed = np.isfinite(fixed)
    pull[is_fixed] = 200
    target[is_fixed] = fixed[is_fixed]
    field = _solved(image, region, target.astype(np.float32), pull, spacing, monitor)
    return window.drawn(field, 0.5)


def _likelihood(image: Floats, inner: Mask, outer: Mask) -> Floats:
    """Return how likely a block of that gray value is one of the inner ones, 0..1, from two histograms."""
    from scipy.ndimage import gaussian_filter1d

    low, high = np.percentile(image[inner | outer], (1, 99))
    scaled = (image - low) * ((_BINS - 1) / max(float(high - low), 1e-6))
    bins = np.clip(scaled, 0, _BINS - 1).astype(np.intp)

    def density(mask: Mask) -> npt.NDArray[np.float64]:
        counts = gaussian_filter1d(np.bincount(bins[mask], minlength=_BINS).astype(float), 1.5, mode="nearest")
        return np.asarray(counts / counts.sum() + 1e-3)

    inner_density, outer_density = density(inner), density(outer)
    return np.asarray((inner_density / (inner_density + outer_density)).astype(np.float32)[bins])


def _solved(
    image: Floats, region: Mask, target: Floats, pull: Floats, spacing: npt.NDArray[np.float64], monitor: Monitor
) -> Floats:
    """Return the field that minimizes the energy, by conjugate gradients with a diagonal preconditioner."""
    steps = [(axis, *neighbors(axis)) for axis in range(3) if image.shape[axis] > 1]
    differences = {axis: image[after] - image[before] for axis, before, after in steps}
    usual = [np.abs(differences[axis][region[before]]) for axis, before, _ in steps]
    span = float(np.subtract(*np.percentile(image, (99, 1))))
    scale = max(_USUAL * float(np.median(np.concatenate(usual))) if usual else 0.0, 0.01 * span, 1e-6)
    diagonal = pull.copy()
    links = {}
    for axis, before, after in steps:
        link = np.exp(-((differences[axis] / np.float32(scale)) ** 2)) + np.float32(_LEAST_LINK)
        link *= np.float32((spacing.min() / spacing[axis]) ** 2)
        links[axis] = link
        diagonal[before] += link
        diagonal[after] += link

    def applied(field: Floats) -> Floats:
        out = diagonal * field
        for axis, before, after in steps:
            out[before] -= links[axis] * field[after]
            out[after] -= links[axis] * field[before]
        return out

    field = target.copy()
    residual = pull * target - applied(field)
    scaled = residual / diagonal
    direction = scaled.copy()
    size = start = float(np.vdot(residual, scaled))
    for step in range(_STEPS):
        if size <= 1e-6 * start or size <= 1e-12:
            break
        if step % 8 == 0:
            monitor.check()
        image_of = applied(direction)
        length = np.float32(size / float(np.vdot(direction, image_of)))
        field += length * direction
        residual -= length * image_of
        scaled = residual / diagonal
        new_size = float(np.vdot(residual, scaled))
        direction = scaled + np.float32(new_size / size) * direction
        size = new_size
    return field
