"""How networks learn what a cubic spline misses between thick slices; see the recipes of the two models."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.models.super_resolution.network import build_network
from napari_radcnn.training.physics.thick_slices import Sampler, Scan
from napari_radcnn.training.run import Schedule, Training, mixed_precision

if TYPE_CHECKING:
    import torch

Batch = tuple["torch.Tensor", "torch.Tensor"]


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    batch : int
        Simulated planes a step; several pieces of each are shown.
    smooth : float
        Differences above this count by their size, below by their square; in the network's units.
    pointwise : float
        How often a scan that is made coarser is resampled without smoothing, as many scans in circulation were.
    """

    minutes: float = 20.0
    rate: float = 6e-4
    decay: float = 1e-4
    batch: int = 2
    smooth: float = 0.02
    pointwise: float = 0.0


def learn(scans: Sequence[Scan], name: str, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train with some scans and return the file of weights.

    Parameters
    ----------
    scans : sequence of Scan
        To learn from.
    name : str
        Of the model.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv`` and the weights; a checkpoint in it is gone on from.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    training = Training(build_network, out, recipe)
    training.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    sampler = Sampler(scans, recipe.seed + training.steps, recipe.pointwise)
    with ThreadPoolExecutor(1) as drawer:  # draws one batch while another one is with the network
        training.begin()
        drawn: Future[Batch] = drawer.submit(_batch, sampler, recipe.batch)
        while training.share < 1:
            shown, answer = drawn.result()
            drawn = drawer.submit(_batch, sampler, recipe.batch)
            with mixed_precision():
                found = training.network(shown.contiguous(memory_format=torch.channels_last)).float()
            loss = torch.sqrt((found - answer) ** 2 + recipe.smooth**2).mean() - recipe.smooth
            training.learn(loss, gain_db=_gain(found.detach(), answer))
            training.keep()
    training.keep(now=True)
    return training.write(name, [scan.name for scan in scans])


def _batch(sampler: Sampler, planes: int) -> Batch:
    import torch

    pairs = [pair for _ in range(planes) for pair in sampler.draw()]
    shown, answer = zip(*pairs, strict=True)
    return torch.from_numpy(np.stack(shown)), torch.from_numpy(np.stack(answer))


def _gain(output: torch.Tensor, answer: torch.Tensor) -> float:
    """Return by how much the network is nearer to the truth than the spline, dB, the median of the pieces."""
    import torch

    before, after = (answer**2).mean((1, 2, 3)), ((output - answer) ** 2).mean((1, 2, 3))
    return float((10 * torch.log10(before.clamp(min=1e-9) / after.clamp(min=1e-9))).median())
