"""Where patches lie and how much each voxel of one counts: as the runtimes that the models come from do it.

A network with instance normalization gives another answer at another place, so positions are part of a model.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Shape
from napari_radcnn.spec.patches import Sampling

#: nnU-Net keeps its weights in float16, with this peak.
_NNUNET_PEAK = 10.0
#: `scipy.ndimage.gaussian_filter`, by which nnU-Net makes them, cuts the bell off here (standard deviations).
_NNUNET_TRUNCATION = 4.0
#: MONAI's weights are at least this (peak 1).
_MONAI_LEAST = 1e-3


def padding(shape: Shape, patch: Shape) -> tuple[Shape, Shape]:
    """Return how many voxels are missing to hold one patch, before and after the volume; the odd one goes after."""
    missing = [max(p - n, 0) for n, p in zip(shape, patch, strict=True)]
    k, j, i = (n // 2 for n in missing)
    return (k, j, i), (missing[0] - k, missing[1] - j, missing[2] - i)


def padded_shape(shape: Shape, patch: Shape) -> Shape:
    """Return the shape that holds at least one patch."""
    k, j, i = (max(n, p) for n, p in zip(shape, patch, strict=True))
    return k, j, i


def axis_starts(shape: Shape, sampling: Sampling) -> tuple[list[int], list[int], list[int]]:
    """Return where patches begin along each axis of the padded volume, in rising order.

    Parameters
    ----------
    shape : tuple of int
        Of the volume, without padding.
    sampling : Sampling
        Patch, overlap and whose positions.

    Notes
    -----
    nnU-Net: ``compute_steps_for_sliding_window``; slices one by one for a network of two dimensions. MONAI:
    ``_get_scan_interval`` and ``dense_patch_slices``.
    """
    place = _nnunet_starts if sampling.positions == "nnunet" else _monai_starts
    sizes = padded_shape(shape, sampling.patch)
    k, j, i = (place(size, patch, sampling.overlap) for size, patch in zip(sizes, sampling.patch, strict=True))
    return k, j, i


def _nnunet_starts(size: int, patch: int, overlap: float) -> list[int]:
    if patch == 1:
        return list(range(size))
    # 1 - 0.9 is not 0.1 in binary, and one more step may hang on it: nnU-Net's own setting is the step.
    step = round(1 - overlap, 12)
    count = ceil((size - patch) / (patch * step)) + 1
    spread = (size - patch) / (count - 1) if count > 1 else 0.0
    return [round(spread * n) for n in range(count)]


def _monai_starts(size: int, patch: int, overlap: float) -> list[int]:
    step = max(1, int(patch * (1 - overlap)))
    count = ceil((size - patch) / step) + 1
    return [min(n * step, size - patch) for n in range(count)]


def patch_count(shape: Shape, sampling: Sampling, first_plane: int = 0) -> int:
    """Return how many patches are computed for the planes from `first_plane` on: the steps a monitor gets."""
    k, j, i = axis_starts(shape, sampling)
    before = padding(shape, sampling.patch)[0][0]
    return sum(start + sampling.patch[0] - before > first_plane for start in k) * len(j) * len(i)


def patch_box(start: Shape, shape: Shape, patch: Shape) -> Box:
    """Return a patch in voxels of the volume, given its start in the padded one; it may reach outside."""
    before = padding(shape, patch)[0]
    k, j, i = (slice(s - b, s - b + p) for s, b, p in zip(start, before, patch, strict=True))
    return k, j, i


def clipped(box: Box, shape: Shape) -> Box:
    """Return the part of a box that lies in a volume of `shape`."""
    k, j, i = (slice(max(0, side.start), min(side.stop, n)) for side, n in zip(box, shape, strict=True))
    return k, j, i


def patch_weights(sampling: Sampling) -> npt.NDArray[np.float32]:
    """Return how much each voxel of a patch counts where patches overlap; positive everywhere.

    Returns
    -------
    (k, j, i) array of float32
        Only ratios matter: the peak is 1, or 10 for nnU-Net's.

    Notes
    -----
    MONAI: ``compute_importance_map``. nnU-Net: ``compute_gaussian`` with its float16 and its peak of 10, so that the
    same tails underflow and are lifted to the same smallest value.
    """
    patch, sigma = sampling.patch, sampling.sigma
    if sampling.weights == "constant":
        return np.ones(patch, np.float32)
    if sampling.weights == "monai":
        bell = _outer([_bell(np.arange(n) - (n - 1) / 2, sigma * n) for n in patch])
        return np.maximum(bell, max(float(bell.min()), _MONAI_LEAST)).astype(np.float32)
    axes = []
    for size in patch:
        distance = np.arange(size) - size // 2
        inside = np.abs(distance) <= int(_NNUNET_TRUNCATION * sigma * size + 0.5)
        axes.append(_bell(distance, sigma * size) * inside)
    halves = (_NNUNET_PEAK * _outer(axes)).astype(np.float16)
    weights = halves.astype(np.float32)
    weights[halves == 0] = weights[halves > 0].min()
    return weights


def _bell(distance: npt.NDArray[Any], sigma: float) -> npt.NDArray[np.float64]:
    return np.exp(-0.5 * (np.asarray(distance, np.float64) / sigma) ** 2)


def _outer(axes: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    return axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
