"""The network of `brain-tissue`: a small residual U-Net that works at half resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Background, cerebrospinal fluid, gray matter, white matter.
CLASSES = 4
#: What the network is shown where nothing was scanned or the brain extraction cut away; the rest is 0..1 for most.
OUTSIDE = -0.5
#: Features a level, from half resolution down.
WIDTHS = (32, 64, 80, 96)
#: Sides of a patch must be multiples of this.
MULTIPLE = 2 ** len(WIDTHS)


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 1, k, j, i)`` to logits ``(batch, 4, k, j, i)``; sides are multiples of 16. Every two voxels along
    each axis become eight channels at the beginning and are put back at the end (Shi et al. 2016, CVPR), which makes it
    several times faster than with convolutions at full resolution; one small convolution there evens out what the eight
    disagree about. Batch normalization, so that an answer does not depend on what else the patch holds.
    """
    import torch
    from torch import nn

    from napari_radcnn.networks.pyramid import Pyramid

    class BrainTissueNet(Pyramid):
        def __init__(self) -> None:
            super().__init__(WIDTHS)
            self.stem = nn.Conv3d(8, WIDTHS[0], 3, 1, 1, bias=False)
            self.norm = nn.BatchNorm3d(WIDTHS[0])
            self.answer = nn.Conv3d(WIDTHS[0] + 8, 8 * CLASSES, 1)
            self.even = nn.Conv3d(CLASSES, CLASSES, 3, 1, 1)
            nn.init.zeros_(self.even.weight)
            nn.init.zeros_(self.even.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, _, k, j, i = x.shape
            x = x.reshape(batch, k // 2, 2, j // 2, 2, i // 2, 2).permute(0, 2, 4, 6, 1, 3, 5)
            x = x.reshape(batch, 8, k // 2, j // 2, i // 2).contiguous(memory_format=torch.channels_last_3d)
            y = self.climb(torch.relu(self.norm(self.stem(x))))
            y = self.answer(torch.cat([y, x.to(y.dtype)], 1))
            y = y.reshape(batch, CLASSES, 2, 2, 2, k // 2, j // 2, i // 2).permute(0, 1, 5, 2, 6, 3, 7, 4)
            y = y.reshape(batch, CLASSES, k, j, i)
            return y + self.even(y)

    return BrainTissueNet()
