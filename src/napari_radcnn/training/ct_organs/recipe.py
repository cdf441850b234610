"""How `ct-organs` was made: ``radcnn train ct-organs --data DIR --out DIR``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.errors import OptionError
from napari_radcnn.models.ct_organs.network import CLASSES, build_network
from napari_radcnn.training.ct_organs.held_out import test
from napari_radcnn.training.ct_organs.samples import Sample, Sampler
from napari_radcnn.training.ct_organs.scans import FOLDS, Scan, load_scans
from napari_radcnn.training.curve import draw_curve
from napari_radcnn.training.run import Schedule, Training, append_row, mixed_precision

if TYPE_CHECKING:
    import torch

#: How much likelier a block of a named structure is learned from than others, and one of air.
_NAMED, _AIR = 2.0, 0.05
#: HU / 1000 below which a block of no structure is air.
_EMPTY = -0.9


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    fold : str
        Which scans are held out; see `napari_radcnn.training.ct_organs.scans.FOLDS`.
    shape : tuple of int
        Voxels along the sides of a crop, at 3 mm.
    batch : int
        Crops a step.
    blocks : int
        Blocks of eight voxels a step whose classes are learned from.
    every : int
        Samples between two looks at the held-out scans.
    """

    minutes: float = 120.0
    rate: float = 2e-3
    samples: int = 20_000
    falling: float = 0.4
    average: float = 0.995
    fold: str = "none"
    shape: tuple[int, int, int] = (48, 64, 96)
    batch: int = 2
    blocks: int = 7_000
    every: int = 500


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.ct_organs.scans`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv``, ``held_out.csv`` and ``ct-organs.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.

    Raises
    ------
    OptionError
        If there is no such fold.
    """
    import torch

    if recipe.fold not in FOLDS:
        raise OptionError(f"There is no fold '{recipe.fold}'; there are: {', '.join(FOLDS)}.")
    torch.set_num_threads(threads)
    scans = load_scans(data)
    learned = [scan for scan in scans if scan.name not in FOLDS[recipe.fold]]
    held_out = [scan for scan in scans if scan.name in FOLDS[recipe.fold]]
    run = _Run(recipe, out, learned, held_out)
    sampler = Sampler(learned, recipe.shape, np.random.default_rng([recipe.seed, run.samples]))
    run.begin()
    looked_at = run.samples // recipe.every
    while not run.is_over:
        run.step([sampler.make() for _ in range(recipe.batch)])
        run.keep()
        if run.samples // recipe.every > looked_at:
            looked_at = run.samples // recipe.every
            run.look_at()
    run.look_at()
    run.keep(now=True)
    return run.finish()


class _Run(Training):
    """A training of this network."""

    def __init__(self, recipe: Recipe, out: Path, learned: Sequence[Scan], held_out: Sequence[Scan]) -> None:
        super().__init__(build_network, out, recipe)
        import torch

        self._folder, self._blocks = out, recipe.blocks
        self._learned, self._held_out = learned, held_out
        self._random = torch.Generator().manual_seed(recipe.seed + self.samples)
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def step(self, samples: list[Sample]) -> None:
        """Learn from some samples."""
        import torch

        shown = torch.stack([sample.shown for sample in samples]).contiguous(memory_format=torch.channels_last_3d)
        chosen = torch.multinomial(_importance(samples), self._blocks, replacement=False, generator=self._random)
        with mixed_precision():
            logits = self.network.at(shown, chosen)
        allowed = _allowed(samples, chosen)
        counts = torch.cat([_in_blocks(sample.counts) for sample in samples])[chosen]
        entropy, overlap = set_loss(logits.float().flatten(0, 1), allowed.flatten(0, 1), counts.flatten())
        self.count(len(samples))
        self.learn(entropy + overlap, entropy=float(entropy.detach()), overlap=float(overlap.detach()))

    def look_at(self) -> None:
        """Note the Dice on the held-out scans, draw it, and write the weights."""
        found = test(self.average, self._held_out)
        if found:
            row = {"minutes": f"{self.minutes:.2f}", "steps": str(self.steps), "samples": str(self.samples)}
            row |= {"mean": f"{np.mean(list(found.values())):.4f}"}
            row |= {name: f"{value:.4f}" for name, value in found.items()}
            append_row(self._folder / "held_out.csv", row)
            draw_curve(self._folder / "held_out.csv", self._folder / "held_out.svg")
        self.finish()

    def finish(self) -> Path:
        """Write the weights as they are."""
        return self.write("ct-organs", [scan.name for scan in self._learned], samples=self.samples)


def _in_blocks(labels: torch.Tensor) -> torch.Tensor:
    """Return the values of a crop as rows of eight, one row for two voxels along each axis."""
    k, j, i = labels.shape
    return labels.reshape(k // 2, 2, j // 2, 2, i // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, 8)


def _allowed(samples: list[Sample], chosen: torch.Tensor) -> torch.Tensor:
    """Return the classes that the voxels of some blocks may have: (chosen, 8, classes)."""
    import torch

    firsts = np.cumsum([0, *(len(sample.sets) for sample in samples)])
    rows = [_in_blocks(sample.labels) + int(first) for sample, first in zip(samples, firsts, strict=False)]
    return torch.cat([sample.sets for sample in samples])[torch.cat(rows)[chosen]]


def _importance(samples: list[Sample]) -> torch.Tensor:
    """Return how likely each block of the samples is learned from."""
    import torch

    found = []
    for sample in samples:
        named = ~sample.sets[:, 0]
        weights = torch.where(named[_in_blocks(sample.labels)].any(1), _NAMED, 1.0)
        is_air = (_in_blocks(sample.shown[0]) < _EMPTY).all(1) & (weights == 1)
        weights[is_air] = _AIR
        found.append(weights * (_in_blocks(sample.counts).any(1).float() + 1e-6))
    return torch.cat(found)


def set_loss(logits: torch.Tensor, allowed: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross entropy of sets of classes, and one minus the soft Dice of the classes that are known.

    Parameters
    ----------
    logits : (n, classes) tensor of float32
        Of each voxel.
    allowed : (n, classes) tensor of bool
        The classes that it may have; with one, the first term is the usual cross entropy.
    counts : (n,) tensor of bool
        Which voxels count.
    """
    import torch

    log = torch.log_softmax(logits, 1)
    each = -torch.logsumexp(log.masked_fill(~allowed, -1e4), 1)
    entropy = (each * counts).sum() / counts.sum().clamp(min=1)
    known = (counts & (allowed.sum(1) == 1)).float()[:, None]
    target, probability = allowed.float() * known, log.exp() * known
    both, size = (probability * target).sum(0), target.sum(0)
    soft = (2 * both + 20) / (probability.sum(0) + size + 20)
    present = size[: len(CLASSES)] > 0
    overlap = 1 - soft[present].mean() if bool(present.any()) else entropy * 0
    return entropy, overlap
