"""Our own network of `brain-extraction`: a small residual U-Net that sees a whole head of any contrast at 2 mm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: mm between the voxels that it sees.
SPACING = 2.0
#: Features at 4, 8, 16 and 32 mm.
WIDTHS = (16, 32, 48, 48)
#: Sides of what it is shown must be multiples of this.
MULTIPLE = 16
#: What it is shown beside the scan; the head's 0.5th percentile is 0, its 99.5th 1.
OUTSIDE = 0.0


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 1, k, j, i)``, sides multiples of 16, to the logit of how much of each voxel is brain, of the
    same shape. Half brain is 0, so that a border lies between voxels.
    """
    import torch
    from torch import nn

    from napari_radcnn.networks.pyramid import Pyramid, depth_to_space, space_to_depth

    class BrainExtractionNet(Pyramid):
        def __init__(self) -> None:
            super().__init__(WIDTHS)
            self.stem = nn.Conv3d(8, WIDTHS[0], 3, 1, 1, bias=False)
            self.norm = nn.BatchNorm3d(WIDTHS[0])
            self.answer = nn.Conv3d(WIDTHS[0] + 8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = space_to_depth(x).contiguous(memory_format=torch.channels_last_3d)
            y = self.climb(torch.relu(self.norm(self.stem(x))))
            return depth_to_space(self.answer(torch.cat([y, x.to(y.dtype)], 1)))

    return BrainExtractionNet()
