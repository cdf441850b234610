"""The network of `promptable-3d`: a small residual U-Net that works at half resolution and puts a proposal right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: image (wide), image (around the clicked value), previous mask, positive, negative, drawn area, proposal
CHANNELS = 7
#: Features a level, from half resolution down.
WIDTHS = (16, 32, 64, 128, 128)
#: Sides of a patch must be multiples of this.
MULTIPLE = 2 ** len(WIDTHS)


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 7, k, j, i)`` to logits ``(batch, 1, k, j, i)``; sides are multiples of 32. The last channel, the
    proposal, is added to the logits, so that what is learned is how to put it right. Every two voxels along each axis
    become eight channels at the beginning and are put back at the end (Shi et al. 2016, CVPR), since
    convolutions with few channels at full resolution would take more than half of the time. Batch normalization rather
    than instance normalization, so that an answer does not depend on how much of the scan the patch holds and so that
    it can be folded into the convolutions.
    """
    import torch
    from torch import nn

    from napari_radcnn.networks.pyramid import Pyramid

    class PromptableNet(Pyramid):
        def __init__(self) -> None:
            super().__init__(WIDTHS)
            self.stem = nn.Conv3d(8 * CHANNELS, WIDTHS[0], 3, 1, 1, bias=False)
            self.norm = nn.BatchNorm3d(WIDTHS[0])
            self.last = nn.Conv3d(2 * WIDTHS[0], WIDTHS[0], 3, 1, 1)
            self.answer = nn.Conv3d(WIDTHS[0], 8, 1)
            self.trust = nn.Parameter(torch.full((1,), 1.5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, channels, k, j, i = x.shape
            proposed = self.trust * (2 * x[:, -1:] - 1)
            x = x.reshape(batch, channels, k // 2, 2, j // 2, 2, i // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
            x = x.reshape(batch, 8 * channels, k // 2, j // 2, i // 2)
            stem = torch.relu(self.norm(self.stem(x.contiguous(memory_format=torch.channels_last_3d))))
            y = self.climb(stem)
            y = self.answer(torch.relu(self.last(torch.cat([y, stem], 1))))
            y = y.reshape(batch, 2, 2, 2, k // 2, j // 2, i // 2).permute(0, 4, 1, 5, 2, 6, 3)
            return y.reshape(batch, 1, k, j, i) + proposed

    return PromptableNet()
