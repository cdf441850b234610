"""The network of `promptable-3d`: a small residual U-Net that works at half resolution and answers at full."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: image (wide), image (around the clicked value), previous mask, positive, negative, region
CHANNELS = 6
#: Features a level, from half resolution down.
WIDTHS = (16, 32, 64, 128, 128)
#: Features at full resolution.
HEAD = 8
#: Sides of a patch must be multiples of this.
MULTIPLE = 2 ** len(WIDTHS)


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 6, k, j, i)`` to logits ``(batch, 1, k, j, i)``; sides are multiples of 32. Batch normalization
    rather than instance normalization, so that an answer does not depend on how much of the scan the patch holds and
    so that it can be folded into the convolutions.
    """
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
            super().__init__()
            self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm3d(outputs)
            self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm3d(outputs)
            self.skip: nn.Module = nn.Identity()
            if inputs != outputs or stride != 1:
                self.skip = nn.Conv3d(inputs, outputs, 1, stride, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.norm1(self.conv1(x)))
            return torch.relu(self.norm2(self.conv2(y)) + self.skip(x))

    class PromptableNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv3d(CHANNELS, WIDTHS[0], 3, 2, 1)
            pairs = list(itertools.pairwise(WIDTHS))
            self.down = nn.ModuleList([Block(WIDTHS[0], WIDTHS[0]), *(Block(a, b, 2) for a, b in pairs)])
            self.lateral = nn.ModuleList([nn.Conv3d(b, a, 1) for a, b in pairs])
            self.up = nn.ModuleList([Block(a, a) for a, _ in pairs])
            self.reduce = nn.Conv3d(WIDTHS[0], HEAD, 1)
            self.full = nn.Conv3d(HEAD + CHANNELS, HEAD, 3, 1, 1)
            self.answer = nn.Conv3d(HEAD, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.stem(x)
            levels = []
            for block in self.down:
                y = block(y)
                levels.append(y)
            for lateral, block, skip in zip(
                reversed(self.lateral), reversed(self.up), reversed(levels[:-1]), strict=True
            ):
                y = block(nn.functional.interpolate(lateral(y), scale_factor=2.0, mode="nearest") + skip)
            y = nn.functional.interpolate(self.reduce(y), scale_factor=2.0, mode="nearest")
            return self.answer(torch.relu(self.full(torch.cat([y, x], 1))))

    return PromptableNet()
