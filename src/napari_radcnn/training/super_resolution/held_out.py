"""How well a network that is being trained makes thin slices of scans that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.training.physics.thick_slices import Sampler, Scan
from napari_radcnn.training.run import mixed_precision
from napari_radcnn.training.super_resolution.steps import sums_of_steps

if TYPE_CHECKING:
    import torch

#: Planes that are simulated once, and how many of them the network sees at a time.
_PLANES, _AT_ONCE = 60, 6
#: Where the network's input holds the plane itself.
_PLANE = slice(1, 2)


def batch_of(sampler: Sampler, planes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the pieces of some simulated planes: what is shown, and what must be answered."""
    import torch

    pairs = [pair for _ in range(planes) for pair in sampler.draw()]
    shown, answer = zip(*pairs, strict=True)
    return torch.from_numpy(np.stack(shown)), torch.from_numpy(np.stack(answer))


class Pieces:
    """Pieces of scans that are not learned from, always the same.

    Parameters
    ----------
    scans : sequence of Scan
        The scans; none gives no pieces.
    """

    def __init__(self, scans: Sequence[Scan]) -> None:
        sampler = Sampler(scans, 0) if scans else None
        self.batches = [batch_of(sampler, _AT_ONCE) for _ in range(_PLANES // _AT_ONCE)] if sampler else []


def test(network: torch.nn.Module, pieces: Pieces) -> dict[str, float]:
    """Return how much nearer to the truth than the spline the network is, and how large its steps at borders are.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    pieces : Pieces
        What it is tested on.

    Returns
    -------
    dict
        ``gain_db``: the mean over the pieces, dB; ``steps_at_borders``: those between slabs over those within, beside
        the same ratio of the truth, 1 for none. Empty without pieces.
    """
    import torch

    gains: list[torch.Tensor] = []
    ours, true = torch.zeros(2), torch.zeros(2)
    for shown, answer in pieces.batches:
        with torch.inference_mode(), mixed_precision():
            found = network(shown.contiguous(memory_format=torch.channels_last)).float()
        before, after = (answer**2).mean((1, 2, 3)), ((found - answer) ** 2).mean((1, 2, 3))
        gains.append(10 * torch.log10(before.clamp(min=1e-9) / after.clamp(min=1e-9)))
        ours += torch.stack([one.sum() for one in sums_of_steps(shown, shown[:, _PLANE] + found)])
        true += torch.stack([one.sum() for one in sums_of_steps(shown, shown[:, _PLANE] + answer)])
    if not gains:
        return {}
    steps = float(ours[0] / ours[1] / (true[0] / true[1]))
    return {"gain_db": float(torch.cat(gains).mean()), "steps_at_borders": steps}
