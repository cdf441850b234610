"""How networks learn what a cubic spline misses between thick slices; see the recipes of the two models."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.models.super_resolution.network import build_network
from napari_radcnn.training.curve import draw_curve
from napari_radcnn.training.physics.thick_slices import Sampler, Scan
from napari_radcnn.training.run import Schedule, Training, append_row, mixed_precision
from napari_radcnn.training.super_resolution.held_out import Pieces, batch_of, test
from napari_radcnn.training.super_resolution.steps import unevenness

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
    even : float
        How much it counts that steps between planes are larger at the borders of slabs than within them.
    every : int
        Pieces between two looks at the held-out scans.
    """

    minutes: float = 60.0
    rate: float = 4e-4
    decay: float = 1e-4
    batch: int = 2
    smooth: float = 0.04
    pointwise: float = 0.0
    even: float = 0.003
    every: int = 10_000


def learn(scans: Sequence[Scan], held_out: Sequence[Scan], name: str, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train with some scans and return the file of weights.

    Parameters
    ----------
    scans : sequence of Scan
        To learn from.
    held_out : sequence of Scan
        What the curve in ``held_out.csv`` is measured on.
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
    pieces = Pieces(held_out)
    sampler = Sampler(scans, recipe.seed + training.steps, recipe.pointwise)
    looked_at = training.samples // recipe.every
    with ThreadPoolExecutor(1) as drawer:  # draws one batch while another one is with the network
        training.begin()
        drawn: Future[Batch] = drawer.submit(batch_of, sampler, recipe.batch)
        while training.share < 1:
            shown, answer = drawn.result()
            drawn = drawer.submit(batch_of, sampler, recipe.batch)
            with mixed_precision():
                found = training.network(shown.contiguous(memory_format=torch.channels_last)).float()
            error = torch.sqrt((found - answer) ** 2 + recipe.smooth**2).mean() - recipe.smooth
            uneven = unevenness(shown, found, answer)
            training.count(len(shown))
            training.learn(
                error + recipe.even * uneven, gain_db=_gain(found.detach(), answer), uneven=float(uneven.detach())
            )
            training.keep()
            if training.samples // recipe.every > looked_at:
                looked_at = training.samples // recipe.every
                _look(training, pieces, out)
    _look(training, pieces, out)
    training.keep(now=True)
    return training.write(name, [scan.name for scan in scans], samples=training.samples)


def _look(training: Training, pieces: Pieces, out: Path) -> None:
    """Note how far the held-out pieces are from the truth, and draw it."""
    row = {"minutes": f"{training.minutes:.2f}", "steps": str(training.steps), "samples": str(training.samples)}
    row |= {name: f"{value:.4f}" for name, value in test(training.average, pieces).items()}
    append_row(out / "held_out.csv", row)
    draw_curve(out / "held_out.csv", out / "held_out.svg")


def _gain(output: torch.Tensor, answer: torch.Tensor) -> float:
    """Return by how much the network is nearer to the truth than the spline, dB, the median of the pieces."""
    import torch

    before, after = (answer**2).mean((1, 2, 3)), ((output - answer) ** 2).mean((1, 2, 3))
    return float((10 * torch.log10(before.clamp(min=1e-9) / after.clamp(min=1e-9))).median())
