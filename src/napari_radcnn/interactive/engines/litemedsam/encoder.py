"""LiteMedSAM's image encoder: TinyViT (Wu et al. 2022) without a stem that shrinks, as its weights want it.

It is built for inference alone. The names of submodules are those of the published weights.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

#: Channels of the stages, and how often each repeats its block.
_WIDTHS, _DEPTHS = (64, 128, 160, 320), (2, 2, 6, 2)
#: Attention heads and the side of the windows that attention works in; the first stage is convolutional.
_HEADS, _WINDOWS = (0, 4, 5, 10), (0, 7, 14, 7)
#: Whether the map is halved on the way to the next stage.
_STRIDES = (2, 2, 1)
#: Channels of the embedding.
EMBEDDING = 256


class ConvNorm(nn.Module):
    """A convolution followed by a batch norm, which `fuse` makes one convolution of."""

    def __init__(self, given: int, made: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(given, made, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(made)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, made, rows, columns)``."""
        return self.bn(self.c(image))

    def fuse(self) -> None:
        """Fold the norm into the convolution: the same numbers up to rounding, one pass over memory less."""
        norm = self.bn
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
            return
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.c.weight = nn.Parameter(self.c.weight * scale[:, None, None, None])
        self.c.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.bn = nn.Identity()


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return a map of the same shape."""
        return super().forward(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Inverted(nn.Module):
    """An inverted bottleneck: widen, convolve each channel, narrow, add."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, 4 * width)
        self.conv2 = ConvNorm(4 * width, 4 * width, 3, groups=4 * width)
        self.conv3 = ConvNorm(4 * width, width)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        wide = functional.gelu(self.conv2(functional.gelu(self.conv1(image))))
        return functional.gelu(self.conv3(wide) + image)


class _Merging(nn.Module):
    """The way to the next stage."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(given, made)
        self.conv2 = ConvNorm(made, made, 3, stride, groups=made)
        self.conv3 = ConvNorm(made, made)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(image)))))


class _Attention(nn.Module):
    """Attention among the positions of a square window, with a learned bias for each distance."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        row, column = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        row, column = row.flatten(), column.flatten()
        apart = (row[:, None] - row).abs() * window + (column[:, None] - column).abs()
        self.register_buffer("_apart", apart, persistent=False)
        self._heads = heads

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        windows, count, width = tokens.shape
        parts = self.qkv(self.norm(tokens)).view(windows, count, self._heads, 3, width // self._heads)
        query, key, value = parts.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self._apart]
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        return self.proj(found.transpose(1, 2).reshape(windows, count, width))


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(self.norm(tokens))))


class _Windowed(nn.Module):
    """Attention within windows, a convolution that lets them see each other, a perceptron."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.attn = _Attention(width, heads, window)
        self.mlp = _Perceptron(width)
        self.local_conv = ConvNorm(width, width, 3, groups=width)
        self._window = window

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = self.local_conv(image + self._attended(image))
        tokens = image.permute(0, 2, 3, 1)
        return image + self.mlp(tokens).permute(0, 3, 1, 2)

    def _attended(self, image: torch.Tensor) -> torch.Tensor:
        """Return what attention says; the border is filled up with zeros to whole windows."""
        side = self._window
        batch, width, rows, columns = image.shape
        high, wide = -(-rows // side), -(-columns // side)
        padded = functional.pad(image, (0, wide * side - columns, 0, high * side - rows))
        cut = padded.view(batch, width, high, side, wide, side).permute(0, 2, 4, 3, 5, 1)
        found = self.attn(cut.reshape(batch * high * wide, side * side, width))
        joined = found.view(batch, high, wide, side, side, width).permute(0, 5, 1, 3, 2, 4)
        return joined.reshape(batch, width, high * side, wide * side)[:, :, :rows, :columns]


class _Stage(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        width, heads = _WIDTHS[number], _HEADS[number]
        self.blocks = nn.Sequential(
            *(_Windowed(width, heads, _WINDOWS[number]) if heads else _Inverted(width) for _ in range(_DEPTHS[number]))
        )
        if number < len(_STRIDES):
            self.downsample: nn.Module = _Merging(width, _WIDTHS[number + 1], _STRIDES[number])
        else:
            self.downsample = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.downsample(self.blocks(image))


class _Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        half = _WIDTHS[0] // 2
        self.seq = nn.Sequential(ConvNorm(3, half), nn.GELU(), ConvNorm(half, _WIDTHS[0]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.seq(image)


class ImageEncoder(nn.Module):
    """Turns a picture ``(batch, 3, 256, 256)`` with values of 0 to 1 into an embedding ``(batch, 256, 64, 64)``."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = _Embedding()
        self.layers = nn.Sequential(*(_Stage(number) for number in range(len(_WIDTHS))))
        self.neck = nn.Sequential(
            nn.Conv2d(_WIDTHS[-1], EMBEDDING, 1, bias=False),
            ChannelNorm(EMBEDDING),
            nn.Conv2d(EMBEDDING, EMBEDDING, 3, padding=1, bias=False),
            ChannelNorm(EMBEDDING),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the embedding."""
        return self.neck(self.layers(self.patch_embed(image)))

    def fuse(self) -> None:
        """Fold all batch norms into their convolutions, once the weights are in."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fuse()
