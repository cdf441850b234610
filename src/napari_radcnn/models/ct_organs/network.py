"""The network of `ct-organs`: a residual U-Net at 6 mm with a thin layer at 3 mm.

Most of its work is done where two voxels along each axis have become one; a thin layer at 3 mm sees the scan once more
and puts the borders back.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: mm between the voxels that it sees.
SPACING = 3.0
#: What the network is shown, in this order; `napari_radcnn.models.ct_organs.channels` fills them.
CHANNELS = (
    "wide",  # HU / 1000
    "soft",  # a window around soft tissue
    "inside",  # of the scan
    "left",  # how far to the left of the body's middle
    "back",  # how far behind it
)
#: How many of them, from the first one on, the last layer sees again.
_SEEN_AGAIN = 2
#: What it tells apart, in the order of its outputs; the first is everything else, outside and within the body.
CLASSES = (
    "other",
    "lung upper lobe left",
    "lung lower lobe left",
    "lung upper lobe right",
    "lung middle lobe right",
    "lung lower lobe right",
    "trachea",
    "heart",
    "aorta",
    "arteries and veins of the upper chest",
    "vena cava",
    "portal and splenic vein",
    "iliac vessels",
    "liver",
    "gallbladder",
    "spleen",
    "pancreas",
    "kidneys",
    "stomach",
    "esophagus",
    "bowel",
    "urinary bladder",
    "vertebrae",
    "sacrum",
    "ribs",
    "costal cartilage",
    "sternum",
    "scapulae",
    "clavicles",
    "humeri",
    "hips",
    "femurs",
    "spinal cord",
    "erector spinae",
    "iliopsoas",
    "gluteal muscles",
)
#: Features at 6, 12, 24 and 48 mm, blocks on the way down and up; at 3 mm: from below, from the scan, together.
_WIDTHS, _DOWN, _UP, _BELOW, _SCAN, _LAST = (16, 64, 96, 96), (1, 1, 2, 2), (1, 1, 1), 12, 8, 32
#: Numbers of voxels along each side must be multiples of this.
MULTIPLE = 16


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, channels, k, j, i)``, sides multiples of 16, axes towards S, P, L, to logits ``(batch, classes,
    k, j, i)``. Its method ``at`` returns them for some voxels only, which takes a fraction of the
    thin layer's memory and time.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    from napari_radcnn.networks.pyramid import depth_to_space, space_to_depth

    class Block(nn.Module):
        def __init__(self, features: int) -> None:
            super().__init__()
            self.first = nn.Conv3d(features, features, 3, padding=1, bias=False)
            self.second = nn.Conv3d(features, features, 3, padding=1, bias=False)
            self.first_norm, self.second_norm = nn.BatchNorm3d(features), nn.BatchNorm3d(features)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.first_norm(self.first(x)))
            return torch.relu(x + self.second_norm(self.second(y)))

    def blocks(features: int, count: int) -> nn.Module:
        return nn.Sequential(*(Block(features) for _ in range(count)))

    class OrganNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = list(pairwise(_WIDTHS))
            self.stem = nn.Conv3d(len(CHANNELS), _WIDTHS[0], 2, 2, bias=False)
            self.stem_norm = nn.BatchNorm3d(_WIDTHS[0])
            self.down = nn.ModuleList(blocks(w, n) for w, n in zip(_WIDTHS, _DOWN, strict=True))
            self.halve = nn.ModuleList(nn.Conv3d(a, b, 2, 2, bias=False) for a, b in pairs)
            self.halve_norm = nn.ModuleList(nn.BatchNorm3d(b) for _, b in pairs)
            self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairs)
            self.up = nn.ModuleList(blocks(w, n) for w, n in zip(_WIDTHS, _UP, strict=False))
            self.spread = nn.Conv3d(_WIDTHS[0], 8 * _BELOW, 1)
            self.again = nn.Conv3d(_SEEN_AGAIN, _SCAN, 3, padding=1)
            self.last = nn.Conv3d(_BELOW + _SCAN, _LAST, 1)
            self.answer = nn.Conv3d(_LAST, len(CLASSES), 1)

        def trunk(self, x: torch.Tensor) -> torch.Tensor:
            """Return the features at 6 mm."""
            y = torch.relu(self.stem_norm(self.stem(x)))
            kept = []
            for level, block in enumerate(self.down):
                y = block(y)
                if level < len(self.halve):
                    kept.append(y)
                    y = torch.relu(self.halve_norm[level](self.halve[level](y)))
            for level in reversed(range(len(self.up))):
                wide = functional.interpolate(self.narrow[level](y), scale_factor=2.0, mode="nearest")
                y = self.up[level](kept[level] + wide)
            return y

        def at(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            """Return the logits of the eight voxels of some at 6 mm: (chosen, 8, classes)."""
            y = self.trunk(x).permute(0, 2, 3, 4, 1)
            below = self.spread(y.reshape(-1, y.shape[-1])[chosen].T[None, :, :, None, None])[0, :, :, 0, 0].T
            again = space_to_depth(self.again(x[:, :_SEEN_AGAIN])).permute(0, 2, 3, 4, 1)
            again = again.reshape(-1, again.shape[-1])[chosen]
            both = [below.reshape(-1, _BELOW, 8), again.reshape(-1, _SCAN, 8)]
            rows = torch.relu(torch.cat(both, 1)).permute(0, 2, 1).reshape(-1, _BELOW + _SCAN)
            rows = torch.relu(functional.linear(rows, self.last.weight.flatten(1), self.last.bias))
            return functional.linear(rows, self.answer.weight.flatten(1), self.answer.bias).reshape(-1, 8, len(CLASSES))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            below = depth_to_space(self.spread(self.trunk(x)))
            again = self.again(x[:, :_SEEN_AGAIN])
            return self.answer(torch.relu(self.last(torch.relu(torch.cat([below, again], 1)))))

    return OrganNet()
