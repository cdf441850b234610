"""Fewer patches than the model's own runtime takes: another function of the scan, so only where it is asked for."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from napari_radcnn.inference.tiles import Shape
from napari_radcnn.models.network import Sampling

#: A patch may grow by this along an axis: with instance normalization what a network says depends on what it sees.
_MOST_GROWTH = 1.25
#: Least overlap, as a fraction of the patch: seams are blended over it.
_LEAST_OVERLAP = 0.1
#: Networks halve their patches up to this often; a size that divides by less than the model's own patch does not fit.
_MOST_HALVINGS = 5


def fast_sampling(sampling: Sampling, shape: Shape) -> Sampling:
    """Return patches about as large as the model's own that cover a volume with the fewest voxels computed.

    Along each axis the patch is the model's, or up to a quarter larger, whichever covers the axis with less to compute;
    neighbors overlap by at least a tenth; nothing is mirrored. A patch of one voxel (slices of a network of two
    dimensions) stays, and so does an axis that is shorter than the patch.

    Parameters
    ----------
    sampling : Sampling
        How the model's own runtime takes patches.
    shape : tuple of int
        Of the volume, in the order of the network's axes.

    Examples
    --------
    >>> fast_sampling(Sampling((128, 128, 128)), (160, 256, 256)).patch
    (160, 160, 160)
    >>> fast_sampling(Sampling((96, 96, 96)), (160, 256, 256)).patch
    (96, 96, 96)
    """
    k, j, i = (_fitted(patch, size) for patch, size in zip(sampling.patch, shape, strict=True))
    return replace(sampling, patch=(k, j, i), overlap=_LEAST_OVERLAP, positions="nnunet", mirror_axes=())


def _fitted(patch: int, size: int) -> int:
    """Return the size of patch that computes least along an axis; the model's own where they are equal."""
    if patch == 1 or size <= patch:
        return patch
    halvings = 0
    while halvings < _MOST_HALVINGS and patch % 2 ** (halvings + 1) == 0:
        halvings += 1
    candidates = range(patch, int(_MOST_GROWTH * patch) + 1, 2**halvings)
    return min(candidates, key=lambda one: (one * _count(one, size), one))


def _count(patch: int, size: int) -> int:
    return ceil(max(size - patch, 0) / (patch * (1 - _LEAST_OVERLAP))) + 1
