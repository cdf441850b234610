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
    return build_pyramid()


def build_pyramid(others: int = 0) -> torch.nn.Module:
    """Return the network with `others` further classes, whose logits follow those of the tissues.

    They have a last layer of their own, so that weights of a network without them can be taken over.
    """
    import torch
    from torch import nn

    from napari_radcnn.networks.pyramid import Pyramid, depth_to_space, space_to_depth

    class BrainTissueNet(Pyramid):
        def __init__(self) -> None:
            super().__init__(WIDTHS)
            self.stem = nn.Conv3d(8, WIDTHS[0], 3, 1, 1, bias=False)
            self.norm = nn.BatchNorm3d(WIDTHS[0])
            self.answer, self.even = _last(CLASSES)
            if others:
                self.other_answer, self.other_even = _last(others)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = space_to_depth(x).contiguous(memory_format=torch.channels_last_3d)
            y = self.climb(torch.relu(self.norm(self.stem(x))))
            y = torch.cat([y, x.to(y.dtype)], 1)
            tissue = depth_to_space(self.answer(y))
            tissue = tissue + self.even(tissue)
            if not others:
                return tissue
            further = depth_to_space(self.other_answer(y))
            return torch.cat([tissue, further + self.other_even(further)], 1)

    def _last(classes: int) -> tuple[nn.Conv3d, nn.Conv3d]:
        answer, even = nn.Conv3d(WIDTHS[0] + 8, 8 * classes, 1), nn.Conv3d(classes, classes, 3, 1, 1)
        nn.init.zeros_(even.weight)
        if even.bias is not None:
            nn.init.zeros_(even.bias)
        return answer, even

    return BrainTissueNet()
