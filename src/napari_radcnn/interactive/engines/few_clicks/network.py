"""The network of `few-clicks`: a residual U-Net at half resolution with a thin layer at full resolution.

Most of its work is done where two voxels along each axis have become one: a convolution with 32 features at full
resolution would cost more than all others together. What is lost by that is put back by the last layer, which sees the
picture once more.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: What the network is shown, in this order; `napari_radcnn.interactive.engines.few_clicks.channels` fills them.
CHANNELS = (
    "scan",  # the picture in the scan's own scale
    "narrow",  # in a narrow window around the value that was clicked first
    "middle",  # in a wider one
    "newest_value",  # in a window around the value that was clicked last
    "mask",  # the answer before the newest prompt
    "proposal",  # what another engine made of the first prompt
    "positive",  # clicks
    "negative",
    "newest",  # the last click, wide, with its sign
    "box",
    "scribble",  # with its sign
    "size",  # how far the object is likely to reach, where its size is known
    "zoom",
    "outside",  # of the scan
    "near",  # how near a place is to what belongs to the object, along ways of its values
    "against",  # how near to what does not
)
#: How many of them, from the first one on, the last layer sees again.
_SEEN_AGAIN = 6
#: Where among them the two masks are that an answer begins from, and what a mask and nothing count as at first.
_MASKS, _TRUST, _DOUBT = slice(4, 6), 3.0, -2.0
#: Features at half, a quarter and an eighth of the resolution, blocks on the way down and up, features at the end.
_WIDTHS, _DOWN, _UP, _LAST = (32, 64, 128), (1, 2, 2), (1, 1), 4
#: Features of a cube that are scaled together where that is done by groups.
_GROUP = 8
#: Sides of a cube must be multiples of this.
MULTIPLE = 8
#: The object's largest side as a share of the cube's is told in bins of half an octave, from this exponent of 2 on.
SIZE_BINS, FIRST_SIZE, SIZE_STEP = 13, -3.0, 0.5


def build_network(*, joined: bool = False, norm: str = "group") -> torch.nn.Module:
    """Return the network with fresh weights, in training mode.

    It maps ``(batch, channels, n, n, n)``, n a multiple of 8, to logits ``(batch, 1, n, n, n)`` of the object and
    logits ``(batch, SIZE_BINS)`` of its size. The answer so far and the proposal are added to the former.

    Parameters
    ----------
    joined : bool
        Return one output, as backends want it: the logits of the size follow those of the object as further channels,
        the same in every voxel.
    norm : str
        How features are scaled: ``"group"``, in each cube by itself, or ``"batch"``, by the statistics of a batch, as
        in the weights that ship. Between 25,000 and 45,000 samples five clicks led to a Dice of 0.67 and 0.64 on
        average on held-out objects (``benchmarks/interactive/few_clicks``).
    """
    import torch
    from torch import nn
    from torch.nn import functional

    def scale(features: int) -> nn.Module:
        return nn.BatchNorm3d(features) if norm == "batch" else nn.GroupNorm(features // _GROUP, features)

    class Block(nn.Module):
        def __init__(self, features: int) -> None:
            super().__init__()
            self.first = nn.Conv3d(features, features, 3, padding=1, bias=False)
            self.second = nn.Conv3d(features, features, 3, padding=1, bias=False)
            self.first_norm, self.second_norm = scale(features), scale(features)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.first_norm(self.first(x)))
            return torch.relu(x + self.second_norm(self.second(y)))

    def blocks(features: int, count: int) -> nn.Module:
        return nn.Sequential(*(Block(features) for _ in range(count)))

    class FewClicksNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = list(pairwise(_WIDTHS))
            self.stem = nn.Conv3d(len(CHANNELS), _WIDTHS[0], 2, 2, bias=False)
            self.stem_norm = scale(_WIDTHS[0])
            self.down = nn.ModuleList(blocks(w, n) for w, n in zip(_WIDTHS, _DOWN, strict=True))
            self.halve = nn.ModuleList(nn.Conv3d(a, b, 2, 2, bias=False) for a, b in pairs)
            self.halve_norm = nn.ModuleList(scale(b) for _, b in pairs)
            self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairs)
            self.up = nn.ModuleList(blocks(w, n) for w, n in zip(_WIDTHS, _UP, strict=False))
            self.spread = nn.Conv3d(_WIDTHS[0], 8 * _LAST, 1)
            self.last = nn.Conv3d(_LAST + _SEEN_AGAIN, 2 * _LAST, 3, padding=1)
            self.answer = nn.Conv3d(2 * _LAST, 1, 1)
            nn.init.constant_(self.answer.bias, _DOUBT)
            self.trust = nn.Parameter(torch.full((2,), _TRUST))
            self.size = nn.Linear(2 * _WIDTHS[-1], SIZE_BINS)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | torch.Tensor:
            y = torch.relu(self.stem_norm(self.stem(x)))
            kept = []
            for level, block in enumerate(self.down):
                y = block(y)
                if level < len(self.halve):
                    kept.append(y)
                    y = torch.relu(self.halve_norm[level](self.halve[level](y)))
            size = self.size(torch.cat([y.mean((2, 3, 4)), y.amax((2, 3, 4))], 1))
            for level in reversed(range(len(self.up))):
                wide = functional.interpolate(self.narrow[level](y), scale_factor=2.0, mode="nearest")
                y = self.up[level](kept[level] + wide)
            y = _depth_to_space(self.spread(y))
            y = torch.relu(self.last(torch.cat([y, x[:, :_SEEN_AGAIN]], 1)))
            begun = (self.trust.view(2, 1, 1, 1) * x[:, _MASKS]).sum(
                1, keepdim=True
            )  # what is learned is how to put them right
            answer = self.answer(y) + begun
            if not joined:
                return answer, size
            return torch.cat([answer, size[:, :, None, None, None].expand(-1, -1, *answer.shape[2:])], 1)

    def _depth_to_space(x: torch.Tensor) -> torch.Tensor:
        """Return eight channels as one with twice the voxels along each axis (Shi et al. 2016, CVPR)."""
        batch, channels, k, j, i = x.shape
        x = x.reshape(batch, channels // 8, 2, 2, 2, k, j, i).permute(0, 1, 5, 2, 6, 3, 7, 4)
        return x.reshape(batch, channels // 8, 2 * k, 2 * j, 2 * i)

    return FewClicksNet()


def count_gflop(network: torch.nn.Module, size: int) -> float:
    """Return the work of learning from one cube, in 10^9 multiplications and additions: three times the way forward."""
    import torch

    total = 0

    def count(module: torch.nn.Module, _: tuple, output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, torch.nn.Conv3d)]
    is_training = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, len(CHANNELS), size, size, size))
    network.train(is_training)
    for hook in hooks:
        hook.remove()
    return 3 * total / 1e9
