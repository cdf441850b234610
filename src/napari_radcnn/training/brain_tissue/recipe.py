"""How `brain-tissue` was made: ``radcnn train brain-tissue --data DIR --out DIR``.

A network learns the tissue of heads whose contrast, shape and flaws are drawn at random (Billot et al. 2023, SynthSeg).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.models.brain_tissue.network import CLASSES, build_network
from napari_radcnn.training.brain_tissue.cases import load_anatomies
from napari_radcnn.training.brain_tissue.samples import Sampler
from napari_radcnn.training.run import Schedule, Training, mixed_precision

if TYPE_CHECKING:
    import torch

    Sample = tuple[torch.Tensor, torch.Tensor]

#: Names of the heads, and how often each is drawn: an average of many has blurred folds.
HEADS = {"mricron ch2": 0.38, "nilearn MNI152": 0.14, "mr_t1_fast": 0.48}


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    size : int
        Voxels along a side of the cube.
    batch : int
        Cubes a step.
    every : int
        In every so manieth step one of them is new; all others were shown before, perhaps mirrored.
    kept : int
        Cubes that are kept to be shown again.
    plain, varied : float
        Shares of the time until which all cubes look like T1, and after which they may look like anything. All
        contrasts at once teach where tissue usually lies for a long time before they teach what it looks like.
    steady : float
        Share of the time after which the norms take their running averages: the contrasts of a batch differ too much
        for its own to be those of the average scan.
    """

    minutes: float = 85.0
    rate: float = 2e-3
    average: float = 0.995
    size: int = 64
    batch: int = 2
    every: int = 2
    kept: int = 150
    plain: float = 0.23
    varied: float = 0.31
    steady: float = 0.8


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.brain_tissue.cases`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv`` and ``brain-tissue.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    heads = load_anatomies(data, out)
    run = _Run(recipe, out)
    odds = [HEADS[head.name] for head in heads]
    sampler = Sampler(heads, odds, recipe.size, recipe.seed + run.steps)
    with ThreadPoolExecutor(1) as drawer:
        batches = _Batches(sampler.draw, drawer, recipe, np.random.default_rng(recipe.seed + run.steps))
        run.begin()
        while run.share < 1:
            sampler.variety = min(1.0, max(0.0, (run.share - recipe.plain) / (recipe.varied - recipe.plain)))
            run.steady(run.share >= recipe.steady)
            run.fit(*batches.take())
            run.keep()
        run.keep(now=True)
    return run.write("brain-tissue", list(HEADS))


class _Batches:
    """Puts new cubes together with some that were shown before; the next is drawn while the network learns."""

    def __init__(
        self, draw: Callable[[], Sample], drawer: ThreadPoolExecutor, recipe: Recipe, rng: np.random.Generator
    ) -> None:
        self._draw, self._drawer, self._rng, self._recipe = draw, drawer, rng, recipe
        self._shown = [draw() for _ in range(2 * recipe.batch)]
        self._next: Future[Sample] = drawer.submit(draw)
        self._taken = 0

    def take(self) -> Sample:
        """Return pictures and labels."""
        import torch

        if self._taken % self._recipe.every == 0:
            self._shown = [*self._shown, self._next.result()][-self._recipe.kept :]
            self._next = self._drawer.submit(self._draw)
            chosen = [self._shown[-1]]
        else:
            chosen = [self._any()]
        self._taken += 1
        chosen += [self._any() for _ in range(self._recipe.batch - 1)]
        pictures, labels = zip(*chosen, strict=True)
        return torch.stack(pictures), torch.stack(labels)

    def _any(self) -> Sample:
        picture, label = self._shown[int(self._rng.integers(len(self._shown)))]
        if self._rng.random() < 0.5:
            return picture.flip(1), label.flip(0)  # the first axis points to the right
        return picture, label


class _Run(Training):
    """A training of this network."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        super().__init__(build_network, out, recipe)
        import torch

        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def steady(self, is_steady: bool) -> None:
        """Normalize by running averages, or by the batch."""
        self.network.train(not is_steady)

    def fit(self, pictures: torch.Tensor, labels: torch.Tensor) -> None:
        """Learn from a batch."""
        import torch

        with mixed_precision():
            logits = self.network(pictures.contiguous(memory_format=torch.channels_last_3d))
        loss, gray, white = _loss(logits.float(), labels)
        self.learn(loss, gray=gray, white=white)


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, float, float]:
    """Return cross entropy plus one minus the mean soft Dice coefficient; with them two Dice coefficients."""
    import torch

    entropy = torch.nn.functional.cross_entropy(logits, labels)
    shares = torch.softmax(logits, 1)
    truth = torch.nn.functional.one_hot(labels, CLASSES).permute(0, 4, 1, 2, 3).float()
    axes = (0, 2, 3, 4)
    dice = (2 * (shares * truth).sum(axes) + 100) / (shares.sum(axes) + truth.sum(axes) + 100)
    return entropy + 1 - dice.mean(), float(dice[2].detach()), float(dice[3].detach())
