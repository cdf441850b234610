"""The network of `ct-super-resolution` and `mr-super-resolution`: what a cubic spline misses between thick slices."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: The plane before, the plane, the plane after; thickness, factor, and where a row lies between slices (two).
CHANNELS = 7
#: Features a level, from half resolution down.
WIDTHS = (48, 80, 112)
#: Sides of a picture must be multiples of this.
MULTIPLE = 2 ** len(WIDTHS)
#: How large what is added is, about, where the picture is about 1; without it, learning starts with large mistakes.
_SMALL = 0.05


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 7, row, column)`` to ``(batch, 1, row, column)``, what is to be added to the middle plane; rows
    run through the slices, sides are multiples of 8. A residual U-Net without normalization, so that an answer does
    not depend on how much of a plane it sees (Lim et al. 2017, EDSR, CVPR workshops). Every two by two pixels become
    channels at the beginning and are put back at the end (Shi et al. 2016, CVPR).
    """
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(width, width, 3, 1, 1)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1)
            nn.init.zeros_(self.conv2.weight)
            nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.conv2(torch.relu(self.conv1(x)))

    class SuperResolutionNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = list(itertools.pairwise(WIDTHS))
            self.stem = nn.Conv2d(4 * CHANNELS, WIDTHS[0], 3, 1, 1)
            self.encode = nn.ModuleList(
                [nn.Sequential(Block(WIDTHS[0]), Block(WIDTHS[0])), Block(WIDTHS[1]), Block(WIDTHS[2])]
            )
            self.down = nn.ModuleList([nn.Conv2d(a, b, 2, 2) for a, b in pairs])
            self.lateral = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in pairs])
            self.decode = nn.ModuleList([nn.Sequential(Block(WIDTHS[0]), Block(WIDTHS[0])), Block(WIDTHS[1])])
            self.answer = nn.Conv2d(WIDTHS[0], 4, 3, 1, 1)
            nn.init.zeros_(self.answer.weight)
            nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.stem(nn.functional.pixel_unshuffle(x, 2))
            levels = []
            for level, encode in enumerate(self.encode):
                y = encode(y)
                levels.append(y)
                if level < len(self.down):
                    y = self.down[level](y)
            for level in reversed(range(len(self.down))):
                coarse = nn.functional.interpolate(self.lateral[level](y), scale_factor=2.0, mode="nearest")
                y = self.decode[level](coarse + levels[level])
            return _SMALL * nn.functional.pixel_shuffle(self.answer(y), 2)

    return SuperResolutionNet()
