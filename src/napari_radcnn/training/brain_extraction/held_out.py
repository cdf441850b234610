"""How well our own network of `brain-extraction` does on heads that it does not learn from, in three contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.metrics import dice
from napari_radcnn.models.brain_extraction.network import MULTIPLE, SPACING
from napari_radcnn.training.brain_extraction.heads import Array, Head, scaled
from napari_radcnn.training.run import mixed_precision

if TYPE_CHECKING:
    import torch

#: Gray values of a T1 at which its curves bend, and those of contrasts like T2 and FLAIR: within the brain, around it.
_AT = (0.0, 0.2, 0.55, 0.8, 1.0, 1.5)
CONTRASTS = {
    "T2": ((0.9, 1.0, 0.55, 0.35, 0.3, 0.3), (0.0, 0.2, 0.35, 0.5, 0.7, 0.8)),
    "FLAIR": ((0.1, 0.15, 0.7, 0.55, 0.5, 0.5), (0.0, 0.1, 0.4, 0.5, 0.5, 0.6)),
}


def like(contrast: str, t1: Array, distance: Array) -> Array:
    """Return a T1 with the gray values that another sequence would give, about; a head whose brain is known."""
    within, around = CONTRASTS[contrast]
    edge = 1 / (1 + np.exp(-distance / 0.7))
    return np.asarray(np.interp(t1, _AT, within) * (1 - edge) + np.interp(t1, _AT, around) * edge, np.float32)


def test(network: torch.nn.Module, heads: Sequence[Head]) -> dict[str, float]:
    """Return the Dice of each head in each contrast with what the teacher says of its T1.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    heads : sequence of Head
        Whole ones.
    """
    figures = {}
    for head in heads:
        if head.is_whole:
            brain = head.distance < 0
            figures[f"{head.name} T1"] = dice(find_brain(network, head.t1), brain)
            for contrast in CONTRASTS:
                shown = scaled(like(contrast, head.t1, head.distance))
                figures[f"{head.name} {contrast}"] = dice(find_brain(network, shown), brain)
    return figures


def find_brain(network: torch.nn.Module, image: Array) -> npt.NDArray[np.bool_]:
    """Return the brain in a head at 1 mm, axes to R, A, S."""
    import torch
    from torch.nn import functional

    x = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    step = int(SPACING)
    pads = [p for n in reversed(image.shape) for p in (0, -n % (step * MULTIPLE))]
    x = functional.avg_pool3d(functional.pad(x, pads), step)
    with torch.inference_mode(), mixed_precision():
        logits = network(x).float()
    fine = functional.interpolate(logits, scale_factor=step, mode="trilinear")[0, 0]
    i, j, k = image.shape
    return np.asarray(fine[:i, :j, :k].numpy() > 0)
