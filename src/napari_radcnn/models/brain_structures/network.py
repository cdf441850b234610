"""The network of `brain-structures`: that of `brain-tissue`, which tells structures apart as well.

It begins with what that network knows about brains of any contrast, and sees the same picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_radcnn.models.brain_tissue.network import build_pyramid

if TYPE_CHECKING:
    import torch

#: What it tells apart, in the order of its outputs; the first is fluid around the brain and what is no brain.
CLASSES = (
    "other",
    "white matter",
    "cortex",
    "lateral ventricle",
    "inferior lateral ventricle",
    "cerebellar white matter",
    "cerebellar cortex",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "third ventricle",
    "fourth ventricle",
    "brain stem",
    "hippocampus",
    "amygdala",
    "accumbens",
    "ventral diencephalon",
)


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 1, k, j, i)`` to logits ``(batch, 22, k, j, i)``: those of the four tissues, then `CLASSES`.
    """
    return build_pyramid(len(CLASSES))
