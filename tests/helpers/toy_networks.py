"""Small networks for the tests of backends, and a `NetworkSource` around them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn


@dataclass
class ToySource:
    """A network in memory; `opened` counts how often its module was asked for."""

    module: nn.Module
    spatial_dims: int = 3
    channels: int = 1
    onnx_path: Path | None = None
    onnx_output: str | int | None = None
    onnx_parts: tuple[int, ...] = ()
    opened: int = field(default=0, init=False)

    @property
    def identity(self) -> str:
        found = hashlib.sha256(repr(self.module).encode())
        for name, tensor in self.module.state_dict().items():
            found.update(name.encode() + tensor.numpy().tobytes())
        return found.hexdigest()

    def torch_module(self) -> nn.Module:
        self.opened += 1
        return self.module


def affine(scale: float = 2.0, shift: float = 1.0, channels: int = 1, spatial_dims: int = 3) -> nn.Module:
    """Return scale * (sum over the channels) + shift as a convolution of one voxel."""
    kind = nn.Conv3d if spatial_dims == 3 else nn.Conv2d
    layer = kind(channels, 1, 1)
    with torch.no_grad():
        layer.weight.fill_(scale)
        layer.bias.fill_(shift)
    return layer.eval().requires_grad_(False)


class UNet(nn.Module):
    """Two levels, instance norms, a skip connection: what matters to a backend, in little."""

    def __init__(self, channels: int = 1, classes: int = 3, width: int = 8, spatial_dims: int = 3) -> None:
        super().__init__()
        conv, norm, up = (
            (nn.Conv3d, nn.InstanceNorm3d, nn.ConvTranspose3d)
            if spatial_dims == 3
            else (nn.Conv2d, nn.InstanceNorm2d, nn.ConvTranspose2d)
        )

        def block(count: int, made: int) -> nn.Sequential:
            return nn.Sequential(conv(count, made, 3, padding=1), norm(made, affine=True), nn.LeakyReLU(0.01))

        self.first = block(channels, width)
        self.down = nn.Sequential(conv(width, 2 * width, 2, stride=2), block(2 * width, 2 * width))
        self.up = up(2 * width, width, 2, stride=2)
        self.last = nn.Sequential(block(2 * width, width), conv(width, classes, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.first(x)
        return self.last(torch.cat([fine, self.up(self.down(fine))], dim=1))


def unet(seed: int = 0, channels: int = 1, classes: int = 3, spatial_dims: int = 3, width: int = 8) -> nn.Module:
    """Return a `UNet` with random weights, whose logits of an image spread over its classes."""
    torch.manual_seed(seed)
    module = UNet(channels, classes, width, spatial_dims)
    for layer in module.modules():
        if isinstance(layer, nn.InstanceNorm3d | nn.InstanceNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return module.eval().requires_grad_(False)


def smooth_noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return (channels, k, j, i) noise with the structure of an image, mean 0 and standard deviation about 1."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, (0, *(2 if n > 1 else 0 for n in shape[1:])))
    return (smooth / smooth.std()).astype(np.float32)
