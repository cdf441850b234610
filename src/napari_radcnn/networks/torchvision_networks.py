"""Residual and densely connected networks whose weights have the names that torchvision gives them.

Built after He et al. 2016 (CVPR) and Huang et al. 2017 (CVPR): torchvision itself is not needed for a state dict that
was trained with it. What a stage is called, such as ``layer1.0.conv1``, is torchvision's.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Blocks a stage, and whether a block narrows its features in between (three convolutions instead of two).
RESNETS: dict[str, tuple[tuple[int, int, int, int], bool]] = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}
#: Layers a block, features of the stem, features that each layer adds.
DENSENETS: dict[str, tuple[tuple[int, int, int, int], int, int]] = {
    "densenet121": ((6, 12, 24, 16), 64, 32),
    "densenet161": ((6, 12, 36, 24), 96, 48),
    "densenet169": ((6, 12, 32, 32), 64, 32),
    "densenet201": ((6, 12, 48, 32), 64, 32),
}
#: By how much the inner convolutions of a narrowing block are narrower, and those of a dense layer wider.
_NARROW = 4


def build(name: str, num_classes: int = 1000, in_channels: int = 3) -> torch.nn.Module:
    """Return a network of two dimensions with fresh weights: `(B, in_channels, rows, columns)` in, logits out.

    Parameters
    ----------
    name : str
        One of `RESNETS` or `DENSENETS`.
    num_classes, in_channels : int
        Of its last and its first layer.
    """
    if name in RESNETS:
        return _resnet(*RESNETS[name], num_classes, in_channels)
    return _densenet(*DENSENETS[name], num_classes, in_channels)


def _resnet(depths: tuple[int, ...], is_narrow: bool, num_classes: int, in_channels: int) -> torch.nn.Module:
    from torch import nn

    stages: list[tuple[str, nn.Module]] = []
    before = 64
    for number, depth in enumerate(depths):
        width = 64 * 2**number
        blocks = []
        for position in range(depth):
            stride = 2 if number > 0 and position == 0 else 1
            blocks.append(_residual(before, width, stride, is_narrow))
            before = width * (_NARROW if is_narrow else 1)
        stages.append((f"layer{number + 1}", nn.Sequential(*blocks)))
    stem: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)),
        ("bn1", nn.BatchNorm2d(64)),
        ("relu", nn.ReLU()),
        ("maxpool", nn.MaxPool2d(3, 2, 1)),
    ]
    end: list[tuple[str, nn.Module]] = [
        ("avgpool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(before, num_classes)),
    ]
    return nn.Sequential(OrderedDict([*stem, *stages, *end]))


def _residual(before: int, width: int, stride: int, is_narrow: bool) -> torch.nn.Module:
    """Return a block around which its input goes as well."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            after = width * (_NARROW if is_narrow else 1)
            # of a narrowing block the middle convolution takes the step, not the first (torchvision's "v1.5")
            sides = (1, 3, 1) if is_narrow else (3, 3)
            widths = (before, width, width, after) if is_narrow else (before, width, width)
            self.count = len(sides)
            for number, side in enumerate(sides, 1):
                step = stride if number == (2 if is_narrow else 1) else 1
                conv = nn.Conv2d(widths[number - 1], widths[number], side, step, side // 2, bias=False)
                self.add_module(f"conv{number}", conv)
                self.add_module(f"bn{number}", nn.BatchNorm2d(widths[number]))
            self.downsample: nn.Module | None = None
            if stride != 1 or before != after:
                self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            from torch.nn.functional import relu

            y = x
            for number in range(1, self.count + 1):
                y = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(y))
                y = relu(y) if number < self.count else y
            return relu(y + (x if self.downsample is None else self.downsample(x)))

    return Residual()


def _densenet(depths: tuple[int, ...], stem: int, growth: int, num_classes: int, in_channels: int) -> torch.nn.Module:
    from torch import nn

    parts: list[tuple[str, nn.Module]] = [
        ("conv0", nn.Conv2d(in_channels, stem, 7, 2, 3, bias=False)),
        ("norm0", nn.BatchNorm2d(stem)),
        ("relu0", nn.ReLU()),
        ("pool0", nn.MaxPool2d(3, 2, 1)),
    ]
    width = stem
    for number, depth in enumerate(depths, 1):
        layers = [(f"denselayer{n + 1}", _dense(width + n * growth, growth)) for n in range(depth)]
        parts.append((f"denseblock{number}", nn.Sequential(OrderedDict(layers))))
        width += depth * growth
        if number < len(depths):
            halved: list[tuple[str, nn.Module]] = [
                ("norm", nn.BatchNorm2d(width)),
                ("relu", nn.ReLU()),
                ("conv", nn.Conv2d(width, width // 2, 1, bias=False)),
                ("pool", nn.AvgPool2d(2, 2)),
            ]
            parts.append((f"transition{number}", nn.Sequential(OrderedDict(halved))))
            width //= 2
    parts.append(("norm5", nn.BatchNorm2d(width)))
    whole: list[tuple[str, nn.Module]] = [
        ("features", nn.Sequential(OrderedDict(parts))),
        ("relu", nn.ReLU()),
        ("avgpool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("classifier", nn.Linear(width, num_classes)),
    ]
    return nn.Sequential(OrderedDict(whole))


def _dense(before: int, growth: int) -> torch.nn.Module:
    """Return a layer that adds features to those it is given."""
    import torch
    from torch import nn

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, _NARROW * growth, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(_NARROW * growth)
            self.conv2 = nn.Conv2d(_NARROW * growth, growth, 3, 1, 1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            from torch.nn.functional import relu

            y = self.conv1(relu(self.norm1(x)))
            return torch.cat([x, self.conv2(relu(self.norm2(y)))], 1)

    return Dense()
