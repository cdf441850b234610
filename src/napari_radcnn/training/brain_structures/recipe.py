"""How `brain-structures` was made: ``radcnn train brain-structures --data DIR --out DIR``.

The network of `brain-tissue` goes on learning from heads of random contrast, shape and flaws, with the structures that
several teachers see in them (see `napari_radcnn.training.brain_structures.teacher`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.models.brain_structures.network import TISSUES, build_network
from napari_radcnn.training.brain_structures.heads import load_heads
from napari_radcnn.training.brain_structures.held_out import Case, load_cases, test
from napari_radcnn.training.brain_structures.samples import StructureSampler
from napari_radcnn.training.brains.cases import HEADS
from napari_radcnn.training.curve import draw_curve
from napari_radcnn.training.run import Schedule, Training, append_row, mixed_precision

if TYPE_CHECKING:
    import torch

    Sample = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]

#: Voxels that each sum of a Dice coefficient has besides, so that a structure of a few voxels does not rule.
_SMOOTH = 50.0


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    size : int
        Voxels along a side of the cube, a multiple of 16.
    fresh, batch : int
        New cubes a step, and all cubes of it; the others were shown before, and may be mirrored.
    kept : int
        Cubes that are kept to be shown again.
    variety : float
        Share of the cubes that may look like anything; the others look like T1.
    steady : float
        Share of the time after which the norms take their running averages.
    every : int
        Samples between two looks at the held-out heads.
    """

    minutes: float = 120.0
    rate: float = 1e-3
    samples: int = 30_000
    falling: float = 0.4
    average: float = 0.995
    size: int = 64
    fresh: int = 1
    batch: int = 2
    kept: int = 60
    variety: float = 0.8
    steady: float = 0.7
    every: int = 800


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans and teachers; see `napari_radcnn.training.brain_structures.heads`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv``, ``held_out.csv`` and ``brain-structures.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    heads = load_heads(data, out, threads)
    run = _Run(recipe, out, load_cases(data, out, threads))
    seed = recipe.seed + run.samples
    sampler = StructureSampler(heads, [HEADS[anatomy.name] for anatomy, _ in heads], recipe.size, seed)
    sampler.variety = recipe.variety
    rng = np.random.default_rng(seed)
    shown: deque[Sample] = deque(maxlen=recipe.kept)
    run.begin()
    looked_at = run.samples // recipe.every
    while not run.is_over:
        run.steady(run.share >= recipe.steady)
        shown.extend(sampler.draw_structures() for _ in range(recipe.fresh))
        again = [shown[int(rng.integers(len(shown)))] for _ in range(recipe.batch - recipe.fresh)]
        run.fit([*list(shown)[-recipe.fresh :], *(_mirrored(sample) for sample in again)])
        run.keep()
        if run.samples // recipe.every > looked_at:
            looked_at = run.samples // recipe.every
            run.look_at()
    run.look_at()
    run.keep(now=True)
    return run.finish()


def _mirrored(sample: Sample) -> Sample:
    """Return a sample with left for right: the first axis points to the right."""
    picture, *others = sample
    tissue, structures, counts = (one.flip(0) for one in others)
    return picture.flip(1), tissue, structures, counts


class _Run(Training):
    """A training of this network."""

    def __init__(self, recipe: Recipe, out: Path, cases: Sequence[Case]) -> None:
        super().__init__(build_network, out, recipe)
        import torch

        self._folder, self._cases = out, cases
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def steady(self, is_steady: bool) -> None:
        """Normalize by running averages, or by the batch."""
        self.network.train(not is_steady)

    def fit(self, samples: Sequence[Sample]) -> None:
        """Learn from a batch."""
        import torch

        pictures, tissues, structures, counts = (torch.stack(each) for each in zip(*samples, strict=True))
        with mixed_precision():
            logits = self.network(pictures.contiguous(memory_format=torch.channels_last_3d)).float()
        of_tissues, _ = loss(logits[:, :TISSUES], tissues, torch.ones_like(counts))
        of_structures, overlap = loss(logits[:, TISSUES:], structures, counts)
        self.count(len(samples))
        self.learn(0.6 * of_tissues + of_structures, dice=overlap)

    def look_at(self) -> None:
        """Note the Dice on the held-out heads, draw it, and write the weights."""
        row = {"minutes": f"{self.minutes:.2f}", "steps": str(self.steps), "samples": str(self.samples)}
        for name, value in test(self.average, self._cases).items():
            row[name] = f"{value:.4f}"
        append_row(self._folder / "held_out.csv", row)
        draw_curve(self._folder / "held_out.csv", self._folder / "held_out.svg")
        self.finish()

    def finish(self) -> Path:
        """Write the weights as they are."""
        return self.write("brain-structures", list(HEADS), samples=self.samples)


def loss(logits: torch.Tensor, labels: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return cross entropy plus one minus the mean soft Dice of the classes that are shown; and that mean.

    Parameters
    ----------
    logits : (batch, classes, k, j, i) tensor of float32
        Of each voxel.
    labels : (batch, k, j, i) tensor of int64
        Its class.
    counts : (batch, k, j, i) tensor of float32
        How much it counts.
    """
    import torch

    entropy = (torch.nn.functional.cross_entropy(logits, labels, reduction="none") * counts).sum() / counts.sum()
    shares = torch.softmax(logits, 1).transpose(0, 1).flatten(1) * counts.flatten()
    truth = torch.nn.functional.one_hot(labels, logits.shape[1]).flatten(0, 3).T * counts.flatten()
    dice = (2 * (shares * truth).sum(1) + _SMOOTH) / (shares.sum(1) + truth.sum(1) + _SMOOTH)
    dice = dice[truth.sum(1) > 0]
    return entropy + 1 - dice.mean(), float(dice.mean().detach())
