"""Small residual networks that classify a picture in two or three dimensions, and ensembles of them.

Residual blocks after He et al. 2016 (CVPR) with batch normalization. Averages and maxima of the last features are both
looked at: an average knows how much there is of something, a maximum whether it is anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ClassifierShape:
    """What a member of an ensemble is built from.

    Attributes
    ----------
    dims : {2, 3}
        Spatial dimensions.
    channels : int
        Channels of its input.
    widths : tuple of int
        Features at each level; a level has half the resolution of the one before.
    stride : int
        Of the first convolution.
    step : int
        Of the first block.
    classes : int
        Number of logits.
    dropout : float
        Share of the features that is left out while training.
    """

    dims: Literal[2, 3]
    channels: int
    widths: tuple[int, ...]
    stride: int = 1
    step: int = 1
    classes: int = 2
    dropout: float = 0.3


def build_classifier(shape: ClassifierShape) -> torch.nn.Module:
    """Return one network with fresh weights: `(B, channels, ...)` in, logits `(B, classes)` out.

    Its submodule ``features`` returns the last feature maps, which is where Grad-CAM looks.
    """
    from torch import nn

    conv = nn.Conv2d if shape.dims == 2 else nn.Conv3d
    norm = nn.BatchNorm2d if shape.dims == 2 else nn.BatchNorm3d
    stem = [conv(shape.channels, shape.widths[0], 3, shape.stride, 1, bias=False), norm(shape.widths[0]), nn.ReLU()]
    blocks, before = [], shape.widths[0]
    for level, width in enumerate(shape.widths):
        blocks.append(residual_block(shape.dims, before, width, stride=shape.step if level == 0 else 2))
        before = width
    return _classifier(nn.Sequential(*stem, *blocks), before, shape)


def build_ensemble(shape: ClassifierShape, members: int) -> torch.nn.Module:
    """Return networks that are asked together: logits `(members, B, classes)` as one tensor `(B, members * classes)`.

    The logits of a member lie beside each other, so that an engine sees a network with one output.
    """
    import torch
    from torch import nn

    class Ensemble(nn.Module):
        def __init__(self, networks: Sequence[nn.Module]) -> None:
            super().__init__()
            self.members = nn.ModuleList(networks)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([member(x) for member in self.members], 1)

    return Ensemble([build_classifier(shape) for _ in range(members)])


def _classifier(features: torch.nn.Module, width: int, shape: ClassifierShape) -> torch.nn.Module:
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = features
            self.dropout = nn.Dropout(shape.dropout)
            self.head = nn.Linear(2 * width, shape.classes)

        def answer(self, maps: torch.Tensor) -> torch.Tensor:
            """Return the logits of feature maps."""
            maps = maps.flatten(2)
            return self.head(self.dropout(torch.cat([maps.mean(2), maps.amax(2)], 1)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answer(self.features(x))

    return Classifier()


def residual_block(dims: Literal[2, 3], before: int, width: int, stride: int = 1) -> torch.nn.Module:
    """Return two convolutions with batch normalization, around which the input goes as well."""
    from torch import nn

    conv = nn.Conv2d if dims == 2 else nn.Conv3d
    norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                conv(before, width, 3, stride, 1, bias=False),
                norm(width),
                nn.ReLU(),
                conv(width, width, 3, 1, 1, bias=False),
                norm(width),
            )
            is_same = stride == 1 and before == width
            self.skip = (
                nn.Identity() if is_same else nn.Sequential(conv(before, width, 1, stride, bias=False), norm(width))
            )
            self.last = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.body(x) + self.skip(x))

    return Residual()
