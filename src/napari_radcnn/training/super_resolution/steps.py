"""How much larger the steps between thin slices are where one thick slice ends and the next begins.

A network that answers of each thin slice what is likeliest answers noise with the mean over the thick slice, and so
leaves a staircase. In the scans that it learns from, steps at those places are no larger than others.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Where the network's input holds the plane itself, the factor, and cosine and sine of the place between thick slices.
_PLANE, _FACTOR, _COSINE, _SINE = 1, 4, 5, 6
#: The highest factor, whose channel is 1; what rows of a mirrored piece may be off from those of a scan, radians.
_HIGHEST, _OFF = 6.0, 0.05
#: Added to sums of steps, in the network's units, so that a piece without any does not rule.
_LITTLE = 0.5


def unevenness(shown: torch.Tensor, found: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    """Return by how much steps at borders of slabs are larger or smaller than others, beside those of the truth.

    Parameters
    ----------
    shown : (batch, 7, row, column) tensor of float32
        What the network was shown; rows run through the slices.
    found, answer : (batch, 1, row, column) tensor of float32
        What it adds to the middle plane, and what it should.

    Returns
    -------
    tensor of float32
        The mean over the pieces of the absolute logarithm of the ratio; 0 for none.
    """
    import torch

    at_border, within = sums_of_steps(shown, shown[:, _PLANE : _PLANE + 1] + found)
    true_at_border, true_within = sums_of_steps(shown, shown[:, _PLANE : _PLANE + 1] + answer)
    ratio = (at_border + _LITTLE) / (true_at_border + _LITTLE) * (true_within + _LITTLE) / (within + _LITTLE)
    return torch.log(ratio).abs().mean()


def sums_of_steps(shown: torch.Tensor, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sums of the absolute differences of neighboring rows, at borders of slabs and within slabs.

    Parameters
    ----------
    shown : (batch, 7, row, column) tensor of float32
        What the network was shown.
    planes : (batch, 1, row, column) tensor of float32
        Of whose rows.

    Returns
    -------
    at_border, within : (batch,) tensor of float32
        The sums.
    """
    import torch

    phase = torch.atan2(shown[:, _SINE, :, 0], shown[:, _COSINE, :, 0])
    turned = phase[:, 1:] - phase[:, :-1]
    expected = 2 * math.pi / torch.exp(shown[:, _FACTOR, 1:, 0] * math.log(_HIGHEST))
    off = torch.remainder(turned - expected + math.pi, 2 * math.pi) - math.pi
    is_scan = off.abs() < _OFF  # rows that mirror the end of a small scan are none
    is_border = turned < 0
    steps = (planes[:, 0, 1:] - planes[:, 0, :-1]).abs().sum(-1)
    return (steps * (is_scan & is_border)).sum(-1), (steps * (is_scan & ~is_border)).sum(-1)
