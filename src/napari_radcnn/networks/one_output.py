"""Torch networks of several outputs as networks of a single one. Imported only where a network is built."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from napari_radcnn.networks.outputs import OutputChoice, choose_output, choose_several


class OneOutput(nn.Module):
    """Returns one output of a network.

    Parameters
    ----------
    network : torch.nn.Module
        Of one input.
    output : str or int
        Which one; see `napari_radcnn.networks.outputs.choose_output`.
    """

    def __init__(self, network: nn.Module, output: OutputChoice) -> None:
        super().__init__()
        self.network, self.output = network, output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the chosen output for ``(batch, channels, ...)``."""
        return choose_output(self.network(x), self.output)


class SplitInput(nn.Module):
    """Gives a network of several inputs parts of one: its images, and then a row of numbers.

    Parameters
    ----------
    network : torch.nn.Module
        Of several inputs.
    parts : sequence of int
        Channels of each image; channels after those are one number each.
    """

    def __init__(self, network: nn.Module, parts: Sequence[int]) -> None:
        super().__init__()
        self.network, self.parts = network, tuple(parts)

    def forward(self, x: torch.Tensor) -> object:
        """Return what the network says of ``(batch, channels, ...)``."""
        images = list(torch.split(x[:, : sum(self.parts)], list(self.parts), 1))
        rest = x[:, sum(self.parts) :]
        return self.network(*images, *([rest.flatten(2)[..., 0]] if rest.shape[1] else []))


class PackedOutputs(nn.Module):
    """Returns several outputs of a network as a batch of one row of numbers, see `napari_radcnn.networks.outputs.pack`.

    Parameters
    ----------
    network : torch.nn.Module
        Of one input.
    outputs : sequence of str or int
        Which, in this order; empty for all.
    """

    def __init__(self, network: nn.Module, outputs: Sequence[OutputChoice]) -> None:
        super().__init__()
        self.network, self.outputs = network, tuple(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(1, numbers)`` for a batch of one."""
        found = choose_several(self.network(x), self.outputs)
        head = [len(found), *(number for one in found for number in (one.ndim, *one.shape))]
        parts = [torch.tensor(head, dtype=torch.float32, device=x.device)]
        return torch.cat([*parts, *(one.float().reshape(-1) for one in found)])[None]
