"""Blocks of voxels: their means, and what is known of blocks on their voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Value = TypeVar("Value", bound=np.generic)


def block_means(array: npt.NDArray[Any], factors: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return the means over blocks of so many voxels along each axis; the last block of an axis repeats the edge.

    Parameters
    ----------
    array : (k, j, i) array
        Of numbers or bool.
    factors : sequence of int
        Voxels along each side of a block, at least 1.
    """
    if max(factors) == 1:
        return array.astype(np.float32)
    # One row of blocks after the other, so that what is added up stays in the processor's cache.
    by_k, by_j, by_i = factors
    n_k, n_j, n_i = array.shape
    out = np.empty([-(-n // factor) for n, factor in zip(array.shape, factors, strict=True)], np.float32)
    total = np.empty((out.shape[1] * by_j, out.shape[2] * by_i), np.float32)
    inner = total[:n_j, :n_i]
    for row in range(len(out)):
        inner[...] = array[row * by_k]
        for k in range(row * by_k + 1, (row + 1) * by_k):
            np.add(inner, array[min(k, n_k - 1)], out=inner, dtype=np.float32, casting="unsafe")
        total[n_j:, :n_i] = inner[-1:]
        total[:, n_i:] = total[:, n_i - 1 : n_i]
        means = total / np.float32(by_k) if by_k > 1 else total
        if by_j > 1:
            means = means.reshape(-1, by_j, means.shape[1]).mean(1)
        out[row] = means.reshape(len(means), -1, by_i).mean(2) if by_i > 1 else means
    return out


def on_voxels(blocks: npt.NDArray[Value], factors: Sequence[int], shape: Sequence[int]) -> npt.NDArray[Value]:
    """Return the value of the block that each voxel of a grid of a shape lies in."""
    for axis, (factor, n) in enumerate(zip(factors, shape, strict=True)):
        blocks = np.repeat(blocks, factor, axis)[(slice(None),) * axis + (slice(0, n),)]
    return blocks
