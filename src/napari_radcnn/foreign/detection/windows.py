"""The maps of a network of several levels put together from windows, as MONAI's sliding window does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.patches.positions import axis_starts, padded_shape, padding, patch_weights
from napari_radcnn.spec.patches import Sampling

_Floats = npt.NDArray[np.float64]


def starts_of(shape: Shape, sampling: Sampling) -> list[Shape]:
    """Return where windows begin in a scan that is padded to hold one, in the order they are computed."""
    along = axis_starts(shape, sampling)
    return [(k, j, i) for k in along[0] for j in along[1] for i in along[2]]


def stitched(
    answer: Callable[[Shape], Sequence[_Floats]], shape: Shape, sampling: Sampling, shown: str
) -> list[_Floats]:
    """Return the maps of a whole scan.

    Parameters
    ----------
    answer : callable
        Returns the network's maps ``(channels, k, j, i)`` of the window that begins there; any number of them, each
        of a resolution of its own.
    shape : tuple of int
        Of the scan.
    sampling : Sampling
        Where windows lie, and how much each place of one counts.
    shown : str
        The model, for messages.

    Returns
    -------
    list of (channels, k, j, i) array
        Without the padding of a scan smaller than a window.

    Raises
    ------
    ModelError
        If windows do not begin at places of the maps.

    Notes
    -----
    `monai.inferers.sliding_window_inference`: a window's place in a map is its place in the scan times the ratio of
    their sizes, rounded down; of weights the nearest is taken, from map to map.
    """
    patch, whole = sampling.patch, padded_shape(shape, sampling.patch)
    sums: list[_Floats] = []
    counts: list[_Floats] = []
    weights: list[_Floats] = []
    for start in starts_of(shape, sampling):
        maps = answer(start)
        if not sums:
            weight: _Floats = np.asarray(patch_weights(sampling), np.float64)
            for one in maps:
                grid = tuple(int(n * (g / p)) for n, g, p in zip(whole, one.shape[1:], patch, strict=True))
                sums.append(np.zeros((one.shape[0], *grid)))
                counts.append(np.zeros(grid))
                weight = _nearest(weight, one.shape[1:])
                weights.append(weight)
        for one, total, count, weight in zip(maps, sums, counts, weights, strict=True):
            ratio = [g / p for g, p in zip(one.shape[1:], patch, strict=True)]
            box = tuple(slice(int(s * r), int((s + p) * r)) for s, p, r in zip(start, patch, ratio, strict=True))
            if count[box].shape != one.shape[1:]:
                raise ModelError(
                    f"{shown}: windows of {' x '.join(map(str, patch))} voxels are not aligned with the network's "
                    "feature maps: choose an overlap whose step is a multiple of the coarsest stride."
                )
            total[(slice(None), *box)] += one * weight
            count[box] += weight
    before = padding(shape, patch)[0]
    found = []
    for total, count in zip(sums, counts, strict=True):
        full = total / np.where(count > 0, count, 1)
        zoom = [g / n for g, n in zip(count.shape, whole, strict=True)]
        inside = [slice(round(b * z), round((b + n) * z)) for b, n, z in zip(before, shape, zoom, strict=True)]
        found.append(full[(slice(None), *inside)])
    return found


def _nearest(weight: _Floats, grid: Sequence[int]) -> _Floats:
    for axis, count in enumerate(grid):
        places = np.floor(np.arange(count) * weight.shape[axis] / count).astype(np.intp)
        weight = weight.take(places, axis)
    return weight
