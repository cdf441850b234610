"""Random views of pictures and volumes in torch: turned, scaled, moved, mirrored, in other gray values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def _between(low: float, high: float, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    import torch

    return low + (high - low) * torch.rand(tuple(shape), generator=generator)


def radiograph_views(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return radiographs `(B, 1, 28, 28)` as other machines and positions would show them, standardized again."""
    return radiograph_views_with(x, x[:, :0], generator)[0]


def radiograph_views_with(
    x: torch.Tensor, fields: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return views as `radiograph_views` does, and where they have what fields `(B, n, 28, 28)` mark in `x`."""
    import torch

    count = len(x)
    angle = _between(-0.2, 0.2, [count], generator)
    scale = _between(0.8, 1.15, [count, 2], generator)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = mirror * angle.cos() * scale[:, 0], -angle.sin() * scale[:, 1]
    theta[:, 1, 0], theta[:, 1, 1] = mirror * angle.sin() * scale[:, 0], angle.cos() * scale[:, 1]
    theta[:, :, 2] = _between(-0.2, 0.2, [count, 2], generator)
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    if fields.shape[1]:
        fields = torch.nn.functional.grid_sample(fields, grid, "bilinear", "zeros", align_corners=False)
    x = torch.nn.functional.grid_sample(x, grid, "bilinear", "border", align_corners=False)
    x = _other_grays(x, generator)
    x = x + _between(0.0, 0.12, [count, 1, 1, 1], generator) * torch.randn(x.shape, generator=generator)
    return (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True).clamp(min=1e-3), fields


def _other_grays(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Bend gray values, light one side more than the other, and sharpen or blur."""
    import torch

    count, size = len(x), x.shape[-1]
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    unit = ((x - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)
    bent = unit ** torch.exp(_between(-0.5, 0.5, [count, 1, 1, 1], generator))
    ramp = torch.linspace(-1, 1, size)
    tilt = _between(-0.12, 0.12, [count, 1, 2, 1], generator)
    bent = bent + tilt[:, :, :1] * ramp[:, None] + tilt[:, :, 1:] * ramp
    smooth = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(bent, (1, 1, 1, 1), "replicate"), 3, 1)
    bent = bent + _between(-0.6, 0.6, [count, 1, 1, 1], generator) * (bent - smooth)
    return bent * 4


def gland_views(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return cubes `(B, 2, n, n, n)` turned any way and mirrored, a little scaled and moved; depths scale along."""
    import torch

    count = len(x)
    axes = torch.randperm(3, generator=generator).tolist()
    x = x.permute(0, 1, *(2 + axis for axis in axes))
    flips = [2 + axis for axis in range(3) if torch.rand((), generator=generator) < 0.5]
    x = x.flip(flips) if flips else x
    if torch.rand((), generator=generator) < 0.6:  # most batches stay sharp, and cost little
        return x
    scale = torch.exp(_between(-0.08, 0.08, [count], generator))
    theta = torch.zeros(count, 3, 4)
    theta[:, :, :3] = _turns(count, generator) / scale[:, None, None]
    theta[:, :, 3] = _between(-0.08, 0.08, [count, 3], generator)
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = torch.nn.functional.grid_sample(x, grid, "bilinear", "zeros", align_corners=False)
    return torch.cat([x[:, :1], x[:, 1:] * scale.reshape(-1, 1, 1, 1, 1)], 1)


def _turns(count: int, generator: torch.Generator) -> torch.Tensor:
    """Return rotations `(count, 3, 3)` by up to 30 degrees about random axes; every third is none."""
    import torch

    axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    angle = _between(-math.pi / 6, math.pi / 6, [count], generator)
    angle = angle * (torch.rand(count, generator=generator) > 1 / 3)
    cross = torch.zeros(count, 3, 3)
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    cross = cross - cross.transpose(1, 2)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
