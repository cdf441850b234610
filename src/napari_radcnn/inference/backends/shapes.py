"""Patches as a network takes them. Imports no torch."""

from __future__ import annotations

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.base import Patch


def batched(patch: Patch, spatial_dims: int) -> Patch:
    """Return a ``(channels, k, j, i)`` patch as a batch of one, without k for a network of two dimensions.

    Raises
    ------
    ModelError
        If a network of two dimensions is given more than one slice.
    """
    patch = np.require(patch, np.float32, ["C", "W"])  # torch warns of memory that it may not write to
    if spatial_dims == 3:
        return patch[None]
    if patch.shape[1] != 1:
        raise ModelError(f"A 2-D network takes one slice at a time, got {patch.shape[1]}.")
    return patch[:, 0][None]
