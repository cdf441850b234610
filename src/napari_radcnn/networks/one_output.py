"""A torch network of several outputs as one of a single output. Imported only where a network is built."""

from __future__ import annotations

import torch
from torch import nn

from napari_radcnn.networks.outputs import OutputChoice, choose_output


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
