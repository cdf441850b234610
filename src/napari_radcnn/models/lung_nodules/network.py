"""The two networks of `lung-nodules`: one that points at what may be a nodule, one that looks at each place again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_radcnn.networks.classifier import ClassifierShape, build_classifier, residual_block

if TYPE_CHECKING:
    import torch

#: mm of a voxel that both networks see, HU that become 0 and 1, and what is outside of the scan.
SPACING, LOWEST, HIGHEST, OUTSIDE = 1.25, -1000.0, 400.0, -1000.0
#: Voxels along each axis that become channels: the finder works on cells of 2.5 mm.
FOLD = 2
#: Features a level, from cells of 2.5 mm down.
WIDTHS = (16, 48, 64, 64)
#: Cells along the sides of a patch must be multiples of this.
MULTIPLE = 2 ** (len(WIDTHS) - 1)
#: What the finder answers for a cell: the logit of a nodule's center, where the center lies from the middle of the cell
#: along k, j and i (cells), and the natural logarithm of the diameter as a multiple of `UNIT`.
ANSWERS = 5
#: mm
UNIT = 8.0
#: Voxels along a side of the two cubes that the second network sees: of `SPACING`, and of twice that.
SIDE = 24
#: The second network: one logit, that of a nodule.
SECOND = ClassifierShape(dims=3, channels=2, widths=(16, 48, 64), step=2, classes=1, dropout=0.2)


def build_finder() -> torch.nn.Module:
    """Return the finder with fresh weights, in training mode: `(B, 8, k, j, i)` to `(B, ANSWERS, k, j, i)`.

    A feature pyramid (Lin et al. 2017, CVPR) of residual blocks that answers at its finest level, in the manner of
    Zhou et al. 2019 (Objects as points): no anchors, every cell may be a center.
    """
    import torch
    from torch import nn

    from napari_radcnn.networks.pyramid import Pyramid

    class Finder(Pyramid):
        def __init__(self) -> None:
            super().__init__(WIDTHS, partial(residual_block, 3), _smoothing)
            self.stem = nn.Conv3d(FOLD**3, WIDTHS[0], 3, 1, 1, bias=False)
            self.norm = nn.BatchNorm3d(WIDTHS[0])
            self.answer = nn.Conv3d(WIDTHS[0], ANSWERS, 1)
            with torch.no_grad():  # nearly all cells hold no center
                self.answer.bias.zero_()
                self.answer.bias[0] = -4.6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answer(self.climb(torch.relu(self.norm(self.stem(x)))))

    return Finder()


def _smoothing(width: int) -> torch.nn.Module:
    from torch import nn

    return nn.Sequential(nn.Conv3d(width, width, 3, 1, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU())


def build_second() -> torch.nn.Module:
    """Return the second network with fresh weights, in training mode: `(B, 2, SIDE, SIDE, SIDE)` to `(B, 1)`."""
    return build_classifier(SECOND)
