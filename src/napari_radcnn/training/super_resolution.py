"""How the network of `ct-super-resolution` and `mr-super-resolution` was made: it learns what a cubic spline misses.

``radcnn train ct-super-resolution --data DIR --out DIR``; there is one network for both, so either name will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.models.super_resolution_net import build_network
from napari_radcnn.training.run import Schedule, Training
from napari_radcnn.training.super_resolution_scans import load_ct, load_mr
from napari_radcnn.training.thick_slices import Sampler, Scan

if TYPE_CHECKING:
    import torch

__all__ = ["Recipe", "learn", "train"]

#: Of the weights, and of their file.
NAME = "super-resolution"
#: Part of the time for CT alone.
_FIRST = 2 / 3
#: How often MR is drawn the second time, relative to CT; it was not seen the first time.
_MR = 2.0
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

    minutes: float = 30.0
    rate: float = 6e-4
    decay: float = 1e-4
    batch: int = 2
    smooth: float = 0.1
    pointwise: float = 0.5


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoints in `out` if there are some, and return the file of weights.

    First with CT alone, small differences counting more, which learns fast; then with CT and MR, large differences
    counting more, as in the error that is reported.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.super_resolution_scans`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv`` and the weights; ``first`` in it is of the first part.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    ct, mr = load_ct(data), load_mr(data)
    first = replace(recipe, minutes=_FIRST * recipe.minutes, smooth=0.02, pointwise=0.0)
    begin = learn(ct, out / "first", first, threads)
    second = replace(recipe, minutes=(1 - _FIRST) * recipe.minutes, init_from=str(begin))
    return learn([*ct, *(replace(scan, weight=_MR * scan.weight) for scan in mr)], out, second, threads)


def learn(scans: Sequence[Scan], out: Path, recipe: Recipe, threads: int) -> Path:
    """Train with some scans and return the file of weights.

    Parameters
    ----------
    scans : sequence of Scan
        To learn from.
    out, recipe, threads
        As in `train`.
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
            with torch.autocast("cpu", torch.bfloat16):
                found = training.network(shown.contiguous(memory_format=torch.channels_last)).float()
            loss = torch.sqrt((found - answer) ** 2 + recipe.smooth**2).mean() - recipe.smooth
            training.learn(loss, gain_db=_gain(found.detach(), answer))
            training.keep()
    training.keep(now=True)
    return training.write(NAME, [scan.name for scan in scans])


def _batch(sampler: Sampler, planes: int) -> Batch:
    import torch

    pairs = [pair for _ in range(planes) for pair in sampler.draw()]
    shown, answer = zip(*pairs, strict=True)
    return torch.from_numpy(np.stack(shown)), torch.from_numpy(np.stack(answer))


def _gain(found: torch.Tensor, answer: torch.Tensor) -> float:
    """Return by how much the network is nearer to the truth than the spline, dB, the median of the pieces."""
    import torch

    before, after = (answer**2).mean((1, 2, 3)), ((found - answer) ** 2).mean((1, 2, 3))
    return float((10 * torch.log10(before.clamp(min=1e-9) / after.clamp(min=1e-9))).median())
