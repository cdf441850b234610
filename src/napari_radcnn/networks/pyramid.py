"""A feature pyramid of convolutions in 3-D, which several of the networks that ship are built on.

Imported only where a network is built, since it needs torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import nn


class Residual(nn.Module):
    """Two convolutions with batch normalization, around which the input goes as well (He et al. 2016, CVPR)."""

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
        """Map ``(batch, inputs, k, j, i)`` to ``(batch, outputs, k, j, i)``, sides divided by the stride."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.skip(x))


class Pyramid(nn.Module):
    """Features at ever coarser levels, brought back to the finest one (Lin et al. 2017, CVPR).

    Parameters
    ----------
    widths : sequence of int
        Features a level, the finest first; every level halves the sides.
    block : callable
        ``block(inputs, outputs, stride)`` makes the module of a level on the way down.
    up : callable
        ``up(width)`` makes the module of a level on the way up.
    """

    def __init__(
        self,
        widths: Sequence[int],
        block: Callable[[int, int, int], nn.Module] = Residual,
        up: Callable[[int], nn.Module] = lambda width: Residual(width, width),
    ) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList([block(widths[0], widths[0], 1), *(block(a, b, 2) for a, b in pairs)])
        self.lateral = nn.ModuleList([nn.Conv3d(b, a, 1) for a, b in pairs])
        self.up = nn.ModuleList([up(a) for a, _ in pairs])

    def climb(self, y: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, widths[0], k, j, i)`` to features of the same shape that know of what is around."""
        levels = []
        for block in self.down:
            y = block(y)
            levels.append(y)
        steps = zip(reversed(self.lateral), reversed(self.up), reversed(levels[:-1]), strict=True)
        for lateral, block, skip in steps:
            y = block(nn.functional.interpolate(lateral(y), scale_factor=2.0, mode="nearest") + skip)
        return y


def depth_to_space(x: torch.Tensor) -> torch.Tensor:
    """Return eight channels as one with twice the voxels along each axis (Shi et al. 2016, CVPR)."""
    batch, channels, k, j, i = x.shape
    x = x.reshape(batch, channels // 8, 2, 2, 2, k, j, i).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(batch, channels // 8, 2 * k, 2 * j, 2 * i)


def space_to_depth(x: torch.Tensor) -> torch.Tensor:
    """Return the inverse of `depth_to_space`: every two voxels along each axis become eight channels."""
    batch, channels, k, j, i = x.shape
    x = x.reshape(batch, channels, k // 2, 2, j // 2, 2, i // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(batch, 8 * channels, k // 2, j // 2, i // 2)
