"""The network of `ct-denoise`: a small residual U-Net without biases that works at half resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Neighboring slices, the one to be denoised in the middle.
SLICES = 5
#: The slices and the noise level.
CHANNELS = SLICES + 1
#: Features a level: at a half, a quarter and an eighth of the resolution.
WIDTHS = (32, 64, 128)
#: Sides of a patch must be multiples of this.
MULTIPLE = 8
#: How far a pixel of the answer looks, rounded up to a multiple of `MULTIPLE`.
REACH = 96
#: HU that become 0 and that become 1.
CENTER, UNIT = 40.0, 100.0


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 6, j, i)`` to the noise of the middle slice, ``(batch, 1, j, i)``; sides: multiples of 8. Without
    biases and normalization an image that is twice as strong gives noise that is twice as strong, so that it holds for
    noise stronger or weaker than any it was trained with (Mohan et al. 2020, ICLR). Two by two pixels become four
    channels at the beginning and are put back at the end (Zhang et al. 2018, FFDNet, IEEE TIP), as is the map of the
    noise level.
    """
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
            with torch.no_grad():  # a deep sum of blocks begins close to the identity
                self.conv2.weight.mul_(0.1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.add(x, self.conv2(torch.relu(self.conv1(x))))

    class DenoiseNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            fine, middle, coarse = WIDTHS
            self.stem = nn.Conv2d(4 * CHANNELS, fine, 3, 1, 1, bias=False)
            self.down_fine = nn.Sequential(Block(fine), Block(fine))
            self.to_middle = nn.Conv2d(fine, middle, 2, 2, bias=False)
            self.down_middle = nn.Sequential(Block(middle), Block(middle))
            self.to_coarse = nn.Conv2d(middle, coarse, 2, 2, bias=False)
            self.coarse = nn.Sequential(Block(coarse), Block(coarse))
            self.from_coarse = nn.ConvTranspose2d(coarse, middle, 2, 2, bias=False)
            self.up_middle = nn.Sequential(Block(middle), Block(middle))
            self.from_middle = nn.ConvTranspose2d(middle, fine, 2, 2, bias=False)
            self.up_fine = nn.Sequential(Block(fine), Block(fine))
            self.answer = nn.Conv2d(fine, 4, 3, 1, 1, bias=False)
            nn.init.zeros_(self.answer.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            fine = self.down_fine(self.stem(nn.functional.pixel_unshuffle(x, 2)))
            middle = self.down_middle(self.to_middle(fine))
            coarse = self.coarse(self.to_coarse(middle))
            middle = self.up_middle(self.from_coarse(coarse) + middle)
            fine = self.up_fine(self.from_middle(middle) + fine)
            return nn.functional.pixel_shuffle(self.answer(fine), 2)

    return DenoiseNet()
