"""How our own network of `brain-extraction` was made: ``radcnn train brain-extraction --data DIR --out DIR``."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.errors import OptionError
from napari_radcnn.models.brain_extraction.network import build_network
from napari_radcnn.training.brain_extraction.heads import FOLDS, Head, load_heads
from napari_radcnn.training.brain_extraction.held_out import test
from napari_radcnn.training.brain_extraction.samples import Sampler
from napari_radcnn.training.curve import draw_curve
from napari_radcnn.training.run import Schedule, Training, append_row, mixed_precision

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    fold : str
        Which heads are held out; see `napari_radcnn.training.brain_extraction.heads.FOLDS`.
    size : int
        Voxels of 2 mm along a side of the cube, a multiple of 16.
    batch, kept : int
        Cubes a step, of which one is new; cubes that are kept to be shown again, mirrored.
    plain, varied : float
        Shares of the time until which all cubes look like T1, and after which they may look like anything: all
        contrasts at once teach where a brain usually lies for a long time before they teach what it looks like.
    steady : float
        Share of the time after which the norms take their running averages.
    every : int
        Samples between two looks at the held-out heads.
    """

    minutes: float = 60.0
    rate: float = 2e-3
    samples: int = 6_000
    falling: float = 0.5
    average: float = 0.99
    fold: str = "none"
    size: int = 96
    batch: int = 2
    kept: int = 40
    plain: float = 0.2
    varied: float = 0.35
    steady: float = 0.75
    every: int = 400


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.brain_extraction.heads`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv``, ``held_out.csv`` and ``brain-extraction.safetensors``.
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
    heads = load_heads(data, out)
    learned = [head for head in heads if head.name not in FOLDS[recipe.fold]]
    run = _Run(recipe, out, learned, [head for head in heads if head.name in FOLDS[recipe.fold]])
    sampler = Sampler(learned, recipe.size, recipe.seed + run.samples)
    rng = np.random.default_rng(recipe.seed + run.samples)
    shown: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=recipe.kept)
    run.begin()
    looked_at = run.samples // recipe.every
    while not run.is_over:
        sampler.variety = min(1.0, max(0.0, (run.share - recipe.plain) / (recipe.varied - recipe.plain)))
        run.steady(run.share >= recipe.steady)
        shown.append(sampler.draw())
        again = [shown[int(rng.integers(len(shown)))] for _ in range(recipe.batch - 1)]
        run.fit([shown[-1], *((picture.flip(1), share.flip(1)) for picture, share in again)])
        run.keep()
        if run.samples // recipe.every > looked_at:
            looked_at = run.samples // recipe.every
            run.look_at()
    run.look_at()
    run.keep(now=True)
    return run.finish()


class _Run(Training):
    """A training of this network."""

    def __init__(self, recipe: Recipe, out: Path, learned: Sequence[Head], held_out: Sequence[Head]) -> None:
        super().__init__(build_network, out, recipe)
        import torch

        self._folder, self._learned, self._held_out = out, learned, held_out
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def steady(self, is_steady: bool) -> None:
        """Normalize by running averages, or by the batch."""
        self.network.train(not is_steady)

    def fit(self, samples: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Learn from a batch."""
        import torch

        pictures, shares = (torch.stack(each) for each in zip(*samples, strict=True))
        with mixed_precision():
            logits = self.network(pictures).float()
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, shares)
        answer = torch.sigmoid(logits)
        dice = (2 * (answer * shares).sum() + 100) / (answer.square().sum() + shares.square().sum() + 100)
        self.count(len(samples))
        self.learn(entropy + 1 - dice, dice=float(dice.detach()))

    def look_at(self) -> None:
        """Note the Dice on the held-out heads, draw it, and write the weights."""
        figures = test(self.average, self._held_out)
        if figures:
            row = {"minutes": f"{self.minutes:.2f}", "steps": str(self.steps), "samples": str(self.samples)}
            append_row(self._folder / "held_out.csv", row | {name: f"{value:.4f}" for name, value in figures.items()})
            draw_curve(self._folder / "held_out.csv", self._folder / "held_out.svg")
        self.finish()

    def finish(self) -> Path:
        """Write the weights as they are."""
        return self.write("brain-extraction", [head.name for head in self._learned], samples=self.samples)
