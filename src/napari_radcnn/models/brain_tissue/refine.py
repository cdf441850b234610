"""Borders between tissues where gray values show them better than the network does.

The network learned from a few heads of any contrast, and draws borders smoother than they are. In a scan that tells
gray from white matter, gray values know more: each tissue has a normal distribution around a mean that changes slowly
over the brain, as uneven coils make it (Ashburner and Friston 2005, unified segmentation), what the network said is the
prior, and the two are fitted in turns. In a scan that hardly tells them apart, as most FLAIR, what the network says
stays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.models.brain_tissue.tissues import FLUID, GRAY, WHITE

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Standard deviations between gray and white matter from which on gray values count, and count in full.
_SEPARATED = (1.8, 2.6)
#: Voxels over which a tissue's mean changes, voxels along a side of what it is computed on, and the weight, in voxels,
#: of its mean over the brain where there is little of it.
_EVEN, _BLOCK, _LITTLE = 25.0, 4, 0.002
#: Turns of the fit.
_TURNS = 4
#: Probability from which on a voxel shows what a tissue looks like; fewest voxels for that.
_SURE, _FEWEST = 0.9, 500
#: Least standard deviation of a tissue, in gray values of 0..1: an even tissue in a scan without noise.
_LEAST_SPREAD = 0.04
#: What the network holds impossible may still be this probable.
_POSSIBLE = np.float32(1e-4)


def refined(shares: Array, values: Array, fixed: Mask, brain: Mask) -> Array:
    """Return probabilities of the tissues with what gray values say.

    Parameters
    ----------
    shares : (4, k, j, i) array of float32
        Of `tissue_shares`.
    values : (k, j, i) array of float32
        Gray values, 0..1 for most of the brain, in voxels of about 1 mm.
    fixed : (k, j, i) array of bool
        Where anatomy decides and gray values do not: deep nuclei, the brain stem.
    brain : (k, j, i) array of bool
        What was scanned of the brain.

    Returns
    -------
    (4, k, j, i) array of float32
        The same outside `brain` and in `fixed`, and everywhere in a scan that does not tell gray from white matter.
    """
    low, high = _SEPARATED
    strength = np.float32(np.clip((separation(shares, values, brain) - low) / (high - low), 0, 1))
    free = brain & ~fixed
    if strength == 0 or not free.any():
        return shares
    prior = shares[FLUID:] / np.maximum(shares[FLUID:].sum(0), _POSSIBLE) + _POSSIBLE
    now = prior * free
    for _ in range(_TURNS):
        now = np.stack([_fit(values, share * free) for share in now])
        now *= strength
        now += np.log(prior)
        now -= now.max(0)
        np.exp(now, out=now)
        now /= now.sum(0)
    found = shares.copy()
    found[:, free] = 0
    found[FLUID:, free] = now[:, free]
    return found


def separation(shares: Array, values: Array, brain: Mask) -> float:
    """Return how far gray and white matter are apart in gray value, in standard deviations; 0 where too little is sure.

    Parameters
    ----------
    shares, values, brain
        As in `refined`.
    """
    seen = [values[(shares[tissue] > _SURE) & brain] for tissue in (GRAY, WHITE)]
    if min(map(len, seen)) < _FEWEST:
        return 0.0
    low, middle, high = np.array([np.quantile(one, (0.16, 0.5, 0.84)) for one in seen]).T
    spread = np.sqrt((((high - low) / 2) ** 2).mean())
    return float(abs(middle[1] - middle[0]) / max(float(spread), 1e-6))


def _fit(values: Array, weight: Array) -> Array:
    """Return the logarithm of a normal density, up to a constant, fitted to gray values with weights."""
    total = float(weight.sum())
    if total < _FEWEST:
        return np.full(values.shape, -1e4, np.float32)  # there is none of it
    mean = float((weight * values).sum()) / total
    local = (_even(weight * values) + _LITTLE * mean) / (_even(weight) + _LITTLE)
    off = values - _as_fine(local, values.shape)
    variance = max(float((weight * off * off).sum()) / total, _LEAST_SPREAD**2)
    return np.asarray(-off * off / (2 * variance) - np.log(variance) / 2, np.float32)


def _even(values: Array) -> Array:
    """Return the means of blocks of an array, made even."""
    pads = [(0, -n % _BLOCK) for n in values.shape]
    k, j, i = (n // _BLOCK for n in np.pad(values, pads).shape)
    blocks = np.pad(values, pads).reshape(k, _BLOCK, j, _BLOCK, i, _BLOCK).mean((1, 3, 5))
    return np.asarray(ndimage.gaussian_filter(blocks, _EVEN / _BLOCK, mode="constant", truncate=3.0), np.float32)


def _as_fine(blocks: Array, shape: tuple[int, ...]) -> Array:
    """Return an array of blocks as one of voxels, linearly in between."""
    fine = ndimage.zoom(blocks, _BLOCK, order=1, mode="nearest", grid_mode=True)
    k, j, i = shape
    return np.asarray(fine[:k, :j, :i])
