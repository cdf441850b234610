"""RetinaNet for two and three dimensions, with the names that MONAI gives its weights.

MONAI's own constructor needs torchvision to take a backbone apart; the parts themselves, which are used here, do not.
Lin et al. 2017, Focal loss for dense object detection (ICCV); feature pyramid: Lin et al. 2017 (CVPR).
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.apps.detection.networks.retinanet_network import RetinaNetClassificationHead, RetinaNetRegressionHead
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets import resnet
from torch import nn

#: What a backbone may be.
BACKBONES = ("ResNet", "resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")
#: Features of a level of the pyramid, as MONAI's `resnet_fpn_feature_extractor` has it.
_FEATURES = 256
#: Arguments of a backbone that reach for files.
_REFUSED = ("pretrained", "progress")


class RetinaNet(nn.Module):
    """Answers with logits for each level of its pyramid, then with the deltas of boxes for each level.

    Parameters
    ----------
    spatial_dims : int
        2 or 3.
    num_classes, num_anchors : int
        Classes, and anchors at each place.
    backbone : str
        One of `BACKBONES`.
    backbone_arguments : mapping, optional
        Of MONAI's constructor.
    returned_layers : sequence of int
        Stages of the backbone, 1..4, from which the pyramid is made.
    fpn_channels : int
        Features of a level of the pyramid.
    size_divisible, use_list_output
        MONAI's; they change nothing here.

    Raises
    ------
    ValueError
        If the backbone is none of these.
    """

    def __init__(
        self,
        spatial_dims: int,
        num_classes: int,
        num_anchors: int,
        backbone: str = "resnet50",
        backbone_arguments: Mapping[str, Any] | None = None,
        returned_layers: Sequence[int] = (1, 2, 3),
        fpn_channels: int = _FEATURES,
        size_divisible: Sequence[int] | int = 1,  # noqa: ARG002  MONAI's
        use_list_output: bool = False,  # noqa: ARG002  MONAI's
    ) -> None:
        super().__init__()
        made = _backbone(backbone, {"spatial_dims": spatial_dims, **(backbone_arguments or {})})
        self.feature_extractor = Pyramid(made, spatial_dims, list(returned_layers), fpn_channels)
        self.classification_head = RetinaNetClassificationHead(fpn_channels, num_anchors, num_classes, spatial_dims)
        self.regression_head = RetinaNetRegressionHead(fpn_channels, num_anchors, spatial_dims)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return ``(B, anchors * classes, ...)`` for each level, then ``(B, anchors * 2 * spatial_dims, ...)``."""
        levels = self.feature_extractor(x)
        logits, deltas = self.classification_head, self.regression_head
        return (
            *(logits.cls_logits(logits.conv(level)) for level in levels),
            *(deltas.bbox_reg(deltas.conv(level)) for level in levels),
        )


class Pyramid(nn.Module):
    """A backbone up to its last stage that is used, and the pyramid of features over it.

    Parameters
    ----------
    backbone : monai.networks.nets.resnet.ResNet
        Of which the parts are taken.
    spatial_dims : int
        2 or 3.
    stages : list of int
        1..4.
    features : int
        Of a level.
    """

    def __init__(self, backbone: resnet.ResNet, spatial_dims: int, stages: list[int], features: int) -> None:
        super().__init__()
        if not stages or min(stages) < 1 or max(stages) > 4:
            raise ValueError(f"returned_layers={stages} must be numbers from 1 to 4")
        parts = dict(backbone.named_children())
        names = list(parts)
        last = names.index(f"layer{max(stages)}") + 1
        self.body = nn.ModuleDict({name: parts[name] for name in names[:last]})
        self._returned = {f"layer{stage}": str(number) for number, stage in enumerate(stages)}
        width = backbone.in_planes // 8
        self.fpn = FeaturePyramidNetwork(
            spatial_dims, [width * 2 ** (stage - 1) for stage in stages], features, LastLevelMaxPool(spatial_dims)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the levels, the finest first."""
        found: OrderedDict[str, torch.Tensor] = OrderedDict()
        for name, part in self.body.items():
            x = part(x)
            if name in self._returned:
                found[self._returned[name]] = x
        return list(self.fpn(found).values())


def _backbone(name: str, arguments: Mapping[str, Any]) -> resnet.ResNet:
    if name not in BACKBONES:
        raise ValueError(f"the backbone '{str(name)[:40]}' is not one of {', '.join(BACKBONES)}")
    known = set(inspect.signature(resnet.ResNet.__init__).parameters) - {"self"}
    unknown = sorted(set(arguments) - known - set(_REFUSED))
    if unknown:
        raise ValueError(f"the backbone has no argument '{unknown[0][:40]}'")
    given = {key: value for key, value in arguments.items() if key not in _REFUSED}
    if any(arguments.get(key) for key in _REFUSED[:1]):
        raise ValueError("a pretrained backbone would be loaded from elsewhere")
    for key in ("act", "norm"):
        if isinstance(given.get(key), list):
            given[key] = tuple(given[key])
    made: resnet.ResNet = getattr(resnet, name)(**given)
    return made
