"""Attention of a classifier where findings can be: what its last features say elsewhere costs while it learns.

Grad-CAM shows the last features, weighted as the answer weighs them (Selvaraju et al. 2017). Where that is all over a
picture, the network may have learned marks and the way a picture was taken instead of what it shows (Ross et al. 2017,
IJCAI, Right for the right reasons, had explanations in the loss first).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

if TYPE_CHECKING:
    import torch

    #: Changes a batch and fields on it alike.
    ViewsWith = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]

#: Added to the sum of what features say, so that an empty map is none of a division.
_LITTLE = 1e-3
#: How much it counts that the map as a whole says the class, beside the share outside.
_SAYS = 0.5
#: Pixels at the border of a picture that lungs do not reach, pixels over which it is made even, and the share of
#: normal pictures in which a place is dark that is lung.
_BORDER, _EVEN, _OFTEN = 3, 0.7, 0.4


@dataclass(frozen=True, eq=False)
class Attention:
    """What is asked of the attention of a network with two classes.

    Attributes
    ----------
    field : (h, w) array of float32
        Where findings can be, 0..1, in every case.
    weight : float
        How much it counts, beside the cross entropy.
    views : callable
        Changes cases as they differ from each other, and the field with them.
    """

    field: npt.NDArray[np.float32]
    weight: float
    views: ViewsWith


def lung_field(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return where most normal radiographs `(N, h, w)` of chests are dark within the body, 0 or 1."""
    within = np.zeros(pictures.shape[1:], bool)
    within[_BORDER:-_BORDER, _BORDER - 1 : 1 - _BORDER] = True
    often = np.zeros(within.shape)
    for picture in pictures:
        even = ndimage.gaussian_filter(picture.astype(np.float32), _EVEN)
        often += within & (even < np.median(even[within]))
    return np.asarray(often > _OFTEN * len(pictures), np.float32)


def attention_map(network: torch.nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """Return what features `(B, K, ...)` say for the second class rather than the first, place by place, `(B, ...)`.

    Half of the Grad-CAM of the second class, before its negative part is left out, once a network is `centered`.
    """
    import torch

    weight = network.head.weight
    between = weight[1] - weight[0]  # type: ignore[index]
    count = maps.shape[1]
    each = between[:count] + between[count:]
    return torch.einsum("k,bk...->b...", each, maps.float())


def loss_of_attention(
    network: torch.nn.Module, maps: torch.Tensor, fields: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """Return what is to be added to a loss for the attention of a network, and the share of it that lies outside.

    The share alone would be made small by maps that say nothing, while maxima of features decide. So the map as a whole
    must say the class, too.

    Parameters
    ----------
    network : torch.nn.Module
        Of two classes.
    maps : (B, K, ...) tensor
        Its features.
    fields : (B, 1, h, w) tensor of float32
        Where findings can be, 0..1.
    target : (B, 2) tensor of float32
        The share of each class.
    """
    import torch

    outside = share_outside(network, maps, fields)
    whole = attention_map(network, maps).flatten(1).mean(1) / 2
    says = torch.nn.functional.cross_entropy(torch.stack([-whole, whole], 1), target)
    return outside + _SAYS * says, float(outside.detach())


def share_outside(network: torch.nn.Module, maps: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
    """Return the share of the attention outside of fields `(B, 1, h, w)`, 0..1, the mean over a batch."""
    import torch

    said = attention_map(network, maps).abs()
    inside = torch.nn.functional.adaptive_avg_pool2d(fields, said.shape[1:])[:, 0]
    outside = (said * (1 - inside)).sum((1, 2)) / (said.sum((1, 2)) + _LITTLE)
    return outside.mean()


def centered(network: torch.nn.Module) -> None:
    """Take what the classes have in common off the last layer, in place: probabilities stay as they are.

    Then what speaks for one class speaks against the other, in logits and in evidence maps.
    """
    import torch

    with torch.no_grad():
        for values in (network.head.weight, network.head.bias):
            values -= values.mean(0, keepdim=True)  # type: ignore[union-attr,operator]
