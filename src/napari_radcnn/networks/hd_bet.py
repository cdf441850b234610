"""The network of HD-BET (Isensee et al. 2019), so that its weights can be loaded without its package's code.

A residual U-Net with instance normalization before each activation; what it was trained with besides, further answers
at lower resolutions, is left out.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

#: Slope of activations below zero: within the levels, and between and after them.
_LEAK, _LEAK_BETWEEN = 0.01, 0.1


def _norm(channels: int) -> nn.InstanceNorm3d:
    return nn.InstanceNorm3d(channels, affine=True)


def _activated(x: torch.Tensor, leak: float = _LEAK) -> torch.Tensor:
    return functional.leaky_relu(x, leak, inplace=True)


class _Context(nn.Module):
    """Two convolutions, each after normalization and activation, around which the input goes as well."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn_1, self.bn_2 = _norm(channels), _norm(channels)
        self.conv1, self.conv2 = (nn.Conv3d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(_activated(self.bn_1(x)))
        return x + self.conv2(_activated(self.bn_2(y)))


class _Down(nn.Module):
    """Half the sides, twice the channels; what it was made of goes across to the way up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = _norm(channels)
        self.downsample = nn.Conv3d(channels, 2 * channels, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        across = _activated(self.bn(x))
        return across, self.downsample(across)


class _Up(nn.Module):
    """Twice the sides, half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample_conv = nn.Conv3d(channels, channels // 2, 3, padding=1)
        self.bn = _norm(channels // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.interpolate(x, scale_factor=2.0, mode="trilinear", align_corners=True)
        return _activated(self.bn(self.upsample_conv(x)))


class _Localization(nn.Module):
    """What came up and what went across, made into half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn_1 = nn.Conv3d(channels, channels, 3, padding=1), _norm(channels)
        self.conv2, self.bn_2 = nn.Conv3d(channels, channels // 2, 1), _norm(channels // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _activated(self.bn_2(self.conv2(_activated(self.bn_1(self.conv1(x))))))


class HDBET(nn.Module):
    """The network.

    Parameters
    ----------
    width : int
        Features at full resolution; they double with every level.
    """

    def __init__(self, width: int = 21) -> None:
        super().__init__()
        w = [width * 2**level for level in range(5)]
        self.init_conv = nn.Conv3d(1, w[0], 3, padding=1)
        self.context1, self.down1 = _Context(w[0]), _Down(w[0])
        self.context2, self.down2 = _Context(w[1]), _Down(w[1])
        self.context3, self.down3 = _Context(w[2]), _Down(w[2])
        self.context4, self.down4 = _Context(w[3]), _Down(w[3])
        self.context5, self.bn_after_context5 = _Context(w[4]), _norm(w[4])
        self.up1, self.loc1 = _Up(w[4]), _Localization(w[4])
        self.up2, self.loc2 = _Up(w[3]), _Localization(w[3])
        self.up3, self.loc3 = _Up(w[2]), _Localization(w[2])
        self.up4 = _Up(w[1])
        self.end_conv_1, self.end_conv_1_bn = nn.Conv3d(w[1], w[1], 3, padding=1), _norm(w[1])
        self.end_conv_2, self.end_conv_2_bn = nn.Conv3d(w[1], w[1], 3, padding=1), _norm(w[1])
        self.seg_layer = nn.Conv3d(w[1], 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, 1, k, j, i)``, sides multiples of 16, to the logits of background and brain."""
        one, x = self.down1(self.context1(self.init_conv(x)))
        two, x = self.down2(self.context2(x))
        three, x = self.down3(self.context3(x))
        four, x = self.down4(self.context4(x))
        x = self.up1(_activated(self.bn_after_context5(self.context5(x)), _LEAK_BETWEEN))
        x = self.up2(self.loc1(torch.cat([four, x], 1)))
        x = self.up3(self.loc2(torch.cat([three, x], 1)))
        x = torch.cat([one, self.up4(self.loc3(torch.cat([two, x], 1)))], 1)
        x = _activated(self.end_conv_1_bn(self.end_conv_1(x)), _LEAK_BETWEEN)
        return self.seg_layer(_activated(self.end_conv_2_bn(self.end_conv_2(x)), _LEAK_BETWEEN))


def build_hd_bet() -> nn.Module:
    """Return the network with fresh weights, in training mode."""
    return HDBET()
