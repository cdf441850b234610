"""The network of `brain-structures` and `brain-tissue`: a small residual U-Net that works at half resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: What it tells apart, in the order of its last outputs; the first is fluid around the brain and what is no brain.
CLASSES = (
    "other",
    "white matter",
    "cortex",
    "lateral ventricle",
    "inferior lateral ventricle",
    "cerebellar white matter",
    "cerebellar cortex",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "third ventricle",
    "fourth ventricle",
    "brain stem",
    "hippocampus",
    "amygdala",
    "accumbens",
    "ventral diencephalon",
)
#: Its first outputs: background, cerebrospinal fluid, gray matter, white matter.
TISSUES = 4
#: What the network is shown where nothing was scanned or the brain extraction cut away; the rest is 0..1 for most.
OUTSIDE = -0.5
#: Features a level, from half resolution down.
WIDTHS = (32, 64, 80, 96)
#: Sides of a patch must be multiples of this.
MULTIPLE = 2 ** len(WIDTHS)


def build_network() -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, 1, k, j, i)`` to logits ``(batch, 22, k, j, i)``: those of the four tissues, then those of
    `CLASSES`; sides are multiples of 16. Every two voxels along each axis become eight channels at the beginning and
    are put back at the end (Shi et al. 2016, CVPR), which makes it several times faster than with convolutions at full
    resolution; one small convolution there evens out what the eight disagree about. Batch normalization, so that an
    answer does not depend on what else the patch holds.
    """
    import torch
    from torch import nn

    from napari_radcnn.networks.pyramid import Pyramid, depth_to_space, space_to_depth

    class BrainNet(Pyramid):
        def __init__(self) -> None:
            super().__init__(WIDTHS)
            self.stem = nn.Conv3d(8, WIDTHS[0], 3, 1, 1, bias=False)
            self.norm = nn.BatchNorm3d(WIDTHS[0])
            self.answer, self.even = _last(TISSUES)
            self.other_answer, self.other_even = _last(len(CLASSES))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = space_to_depth(x).contiguous(memory_format=torch.channels_last_3d)
            y = self.climb(torch.relu(self.norm(self.stem(x))))
            y = torch.cat([y, x.to(y.dtype)], 1)
            tissue, structures = depth_to_space(self.answer(y)), depth_to_space(self.other_answer(y))
            return torch.cat([tissue + self.even(tissue), structures + self.other_even(structures)], 1)

    def _last(classes: int) -> tuple[nn.Conv3d, nn.Conv3d]:
        answer, even = nn.Conv3d(WIDTHS[0] + 8, 8 * classes, 1), nn.Conv3d(classes, classes, 3, 1, 1)
        nn.init.zeros_(even.weight)
        if even.bias is not None:
            nn.init.zeros_(even.bias)
        return answer, even

    return BrainNet()
