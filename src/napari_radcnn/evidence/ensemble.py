"""The evidence of a classifier's answer: maps of all methods, averaged over the members of an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.evidence import Map, grad_cam, occlusion, prediction_difference, saliency
from napari_radcnn.progress import Monitor

if TYPE_CHECKING:
    import torch

#: What the maps are called, in the order they are made.
KINDS = ("Grad-CAM", "saliency", "occlusion", "prediction difference")
#: Side of a patch, step, reach and samples, by the number of dimensions: in 3-D each costs more.
_PATCHES = {2: (4, 2, 4, 8), 3: (8, 4, 8, 3)}


def explain(
    members: Sequence[torch.nn.Module],
    network_input: torch.Tensor,
    index: int,
    monitor: Monitor | None = None,
    patches: tuple[int, int, int, int] | None = None,
) -> dict[str, Map]:
    """Return a map `(...)` of each kind for a class, the mean over the members.

    Parameters
    ----------
    members : sequence of torch.nn.Module
        Each with a submodule ``features``; `(B, C, ...)` in, logits out.
    network_input : (1, C, ...) tensor
        What they see.
    index : int
        The class.
    monitor : Monitor, optional
        Takes one step a kind; looked at between batches.
    patches : tuple of int, optional
        Side of a patch, step between patches, reach and samples; otherwise as the dimensions have it.
    """
    patch, stride, reach, samples = _PATCHES[network_input.ndim - 2] if patches is None else patches
    check = (lambda: None) if monitor is None else monitor.check
    ways: tuple[Callable[[torch.nn.Module], Map], ...] = (
        lambda member: grad_cam(member, network_input, index),
        lambda member: saliency(member, network_input, index),
        lambda member: occlusion(member, network_input, index, patch=patch, stride=stride, check=check),
        lambda member: prediction_difference(
            member, network_input, index, patch=patch, stride=stride, reach=reach, samples=samples, check=check
        ),
    )
    found = {}
    for kind, way in zip(KINDS, ways, strict=True):
        found[kind] = np.mean([way(member) for member in members], 0).astype(np.float32)
        if monitor is not None:
            monitor.step(f"evidence: {kind}")
    return found
