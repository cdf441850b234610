"""How `promptable-3d` was made: ``radcnn train promptable-3d --data DIR --out DIR``.

Clicks are simulated while it learns (Sofiiuk et al. 2022, RITM, ICIP; Diaz-Pinto et al. 2022, DeepEdit): the network
segments, a click is put where it is wrong, the region engine proposes what that click may mean, and only the last of
several answers is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.interactive.engines.promptable.network import WIDTHS, build_network
from napari_radcnn.training.pool import Pool
from napari_radcnn.training.promptable.cases import load_cases, names
from napari_radcnn.training.promptable.samples import Mask, Play, Sample, Sampler, crop_around
from napari_radcnn.training.run import Schedule, Training, mixed_precision

if TYPE_CHECKING:
    import torch

#: How likely it is that an answer is learned from after 1, 2, ... clicks.
_CLICKS = (0.3, 0.22, 0.18, 0.12, 0.08, 0.06, 0.04)


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    size : int
        Voxels along a side of the cube.
    batch : int
        Samples a step.
    steady : float
        Share of the time after which the coarsest level normalizes by its running averages: a batch has too few voxels
        there to be normalized by itself.
    capacity : int
        Samples in the pool.
    """

    minutes: float = 74.0
    size: int = 64
    batch: int = 4
    steady: float = 0.25
    capacity: int = 2500


def make_draw(data: str, cache: str, size: int, seed: int) -> Callable[[], list[Sample]]:
    """Return what draws samples from the scans in a folder."""
    return Sampler(load_cases(Path(data), Path(cache)), size, seed).draw


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.promptable.cases`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv`` and ``promptable-3d.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    run = _Run(recipe, out)
    rng = np.random.default_rng(recipe.seed + run.steps)
    drawn_by = (str(data), str(out / "cases"), recipe.size, recipe.seed + 1000 + run.steps)
    with Pool(make_draw, drawn_by, recipe.size, recipe.capacity) as pool:
        pool.wait(200)
        run.begin()
        with ThreadPoolExecutor(1) as player:  # plays one batch's clicks while another one is with the network
            batches = [_Batch(player, pool, rng, recipe) for _ in range(2)]
            while run.share < 1:
                if run.share >= recipe.steady:
                    run.steady()
                for batch in batches:
                    batch.go_on(run)
                run.keep(drawn=pool.drawn)
        run.keep(now=True, drawn=pool.drawn)
    return run.write("promptable-3d", names())


class _Batch:
    """A few objects being segmented at the same time, from their first click to the answer that is learned from."""

    def __init__(self, player: ThreadPoolExecutor, pool: Pool, rng: np.random.Generator, recipe: Recipe) -> None:
        self._player, self._pool, self._rng, self._recipe = player, pool, rng, recipe
        self._begin()

    def _begin(self) -> None:
        self._clicks = int(self._rng.choice(len(_CLICKS), p=_CLICKS))
        seed = int(self._rng.integers(2**63))
        self._ready: Future[list[Play]] = self._player.submit(self._fresh, np.random.default_rng(seed))

    def _fresh(self, rng: np.random.Generator) -> list[Play]:
        samples = [self._pool.take(rng) for _ in range(self._recipe.batch)]
        return [Play(crop_around(rng, sample, self._recipe.size), rng) for sample in samples]

    def go_on(self, run: _Run) -> None:
        """Ask the network once: for the next click, or to learn."""
        plays = self._ready.result()
        if self._clicks == 0:
            run.put_right(plays)
            self._begin()
            return
        self._clicks -= 1
        self._ready = self._player.submit(_stepped, plays, run.answers(plays))


def _stepped(plays: list[Play], answers: Sequence[Mask]) -> list[Play]:
    for play, answer in zip(plays, answers, strict=True):
        play.step(answer)
    return plays


class _Run(Training):
    """A training of this network."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        super().__init__(build_network, out, recipe)
        import torch

        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def answers(self, plays: list[Play]) -> list[Mask]:
        """Return the network's masks, without learning."""
        import torch

        with torch.no_grad():
            return [(answer[0] > 0).numpy() for answer in self._ask(plays)]

    def put_right(self, plays: list[Play]) -> None:
        """Learn from the next answer."""
        import torch

        logits = self._ask(plays)
        target = torch.from_numpy(np.stack([play.target for play in plays]))[:, None].float()
        proposal = torch.from_numpy(np.stack([play.channels[-1:] for play in plays])) > 0.5
        loss, dice = _loss(logits, target)
        self.learn(loss, dice=dice, proposal=float(_dice(proposal, target).mean()))

    def steady(self) -> None:
        """Normalize the coarsest level by its running averages from now on."""
        self.network.get_submodule(f"down.{len(WIDTHS) - 1}").eval()

    def _ask(self, plays: list[Play]) -> torch.Tensor:
        import torch

        batch = torch.from_numpy(np.stack([play.channels for play in plays]))
        batch = batch.contiguous(memory_format=torch.channels_last_3d)
        with mixed_precision():
            answer = self.network(batch)
        return answer.float()


def _loss(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return cross entropy plus one minus the soft Dice coefficient, and the Dice coefficient of the batch."""
    import torch

    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # An object of a hundred voxels must weigh something beside a quarter of a million others.
    share = target.mean((1, 2, 3, 4), keepdim=True).clamp(min=1e-4)
    weight = torch.where(target > 0.5, (0.15 / share).clamp(1, 20), torch.ones_like(target))
    entropy = (entropy * weight).mean((1, 2, 3, 4)) / weight.mean((1, 2, 3, 4))
    probabilities = torch.sigmoid(logits)
    overlap = (probabilities * target).sum((1, 2, 3, 4))
    soft = (2 * overlap + 1) / (probabilities.sum((1, 2, 3, 4)) + target.sum((1, 2, 3, 4)) + 1)
    return (entropy + 1 - soft).mean(), float(_dice(logits.detach() > 0, target).mean())


def _dice(mask: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    both = (mask * target).sum((1, 2, 3, 4))
    return 2 * both / (mask.sum((1, 2, 3, 4)) + target.sum((1, 2, 3, 4))).clamp(min=1)
