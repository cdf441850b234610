"""How `few-clicks` was made: ``python -m napari_radcnn.training.few_clicks --data DIR --out DIR``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.interactive.engines.few_clicks.engine import norm_of
from napari_radcnn.interactive.engines.few_clicks.network import FIRST_SIZE, SIZE_BINS, SIZE_STEP, build_network
from napari_radcnn.training.curve import draw_curve
from napari_radcnn.training.few_clicks.crops import Cache
from napari_radcnn.training.few_clicks.games import Game, Games
from napari_radcnn.training.few_clicks.held_out import HeldOut
from napari_radcnn.training.few_clicks.prepare import prepare
from napari_radcnn.training.few_clicks.scans import names
from napari_radcnn.training.run import Schedule, Training, append_row, mixed_precision

if TYPE_CHECKING:
    import torch

#: Weight of the loss of the size beside that of the object.
_SIZE_WEIGHT = 0.15


@dataclass(frozen=True)
class Recipe(Schedule):
    """What the training depends on.

    Attributes
    ----------
    size : int
        Voxels along a side of the cube.
    batch : int
        Samples a step.
    games : int
        Games at once.
    cubes : int
        Cubes that are made before it begins; `prepare` may make more ahead of time, which are used as they come.
    every : int
        Samples between two looks at the held-out scan.
    """

    minutes: float = 1500.0
    rate: float = 2e-3
    samples: int = 160_000
    falling: float = 0.5
    size: int = 40
    batch: int = 4
    games: int = 24
    cubes: int = 1000
    every: int = 5000


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.few_clicks.scans`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv``, ``held_out.csv`` and ``few-clicks.safetensors``; its neighbor
        ``few-clicks-cache`` holds the cubes.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    cubes = out.parent / "few-clicks-cache"
    prepare(data, cubes, recipe.size, recipe.seed, recipe.cubes)
    cache = Cache(cubes)
    run = _Run(recipe, out)
    rng = np.random.default_rng([recipe.seed, run.samples])
    held_out = HeldOut(data, recipe.size)
    games = Games(cache, recipe.size, recipe.games, rng)
    run.begin()
    looked_at = run.samples // recipe.every
    while not run.is_over:
        channels, chosen = games.batch(recipe.batch)
        games.answer(run.put_right(channels, chosen))
        if run.keep(now=False, **games.figures()):
            cache.look()
        if run.samples // recipe.every > looked_at:
            looked_at = run.samples // recipe.every
            run.look_at(held_out)
    run.look_at(held_out)
    run.keep(now=True, **games.figures())
    return run.finish()


class _Run(Training):
    """A training of this network."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        norm = norm_of(Path(recipe.init_from)) if recipe.init_from else "group"
        super().__init__(partial(build_network, norm=norm), out, recipe)
        import torch

        self._folder = out
        for network in (self.network, self.average):
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def put_right(self, channels: np.ndarray, games: list[Game]) -> np.ndarray:
        """Learn from some games, and return the network's answers before it did, as probabilities."""
        import torch

        batch = torch.from_numpy(channels).contiguous(memory_format=torch.channels_last_3d)
        with mixed_precision():
            logits, sizes = self.network(batch)
        logits = logits.float()
        target = torch.from_numpy(np.stack([game.target for game in games]))[:, None].float()
        inside = torch.from_numpy(np.stack([game.inside for game in games]))[:, None].float()
        loss = object_loss(logits, target, inside) + _SIZE_WEIGHT * size_loss(sizes.float(), games)
        self.count(len(games))
        self.learn(loss)
        return torch.sigmoid(logits.detach())[:, 0].numpy()

    def look_at(self, held_out: HeldOut) -> None:
        """Note how far clicks lead on the held-out scan, draw it, and write the weights."""
        figures = held_out.curve(self.average).mean(0)
        row = {"minutes": f"{self.minutes:.2f}", "steps": str(self.steps), "samples": str(self.samples)}
        row |= {f"clicks_{n}": f"{figures[n - 1]:.4f}" for n in (1, 2, 3, 5)}
        append_row(self._folder / "held_out.csv", row)
        draw_curve(self._folder / "held_out.csv", self._folder / "held_out.svg")
        self.finish()

    def finish(self) -> Path:
        """Write the weights as they are."""
        return self.write("few-clicks", names(), samples=self.samples)


def object_loss(logits: torch.Tensor, target: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Return cross entropy plus one minus the soft Dice coefficient, over what lies in the scan.

    Parameters
    ----------
    logits, target, inside : (batch, 1, n, n, n) tensor
        Of the object; what it is; what counts.
    """
    import torch

    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    count = inside.sum((1, 2, 3, 4)).clamp(min=1)
    entropy = (entropy * inside).sum((1, 2, 3, 4)) / count
    probabilities = torch.sigmoid(logits) * inside
    both, all_of_it = (probabilities * target).sum((1, 2, 3, 4)), (target * inside).sum((1, 2, 3, 4))
    soft = (2 * both + 8) / (probabilities.sum((1, 2, 3, 4)) + all_of_it + 8)
    return (1.5 * entropy + 1 - soft).mean()


def size_loss(logits: torch.Tensor, games: list[Game]) -> torch.Tensor:
    """Return the cross entropy of the size, shared between the two nearest bins, of games where nobody told it."""
    import torch

    asked = [n for n, game in enumerate(games) if game.turn == 1 and not game.is_told]
    if not asked:
        return logits.sum() * 0
    place = np.array([(np.log2(games[n].extent) - FIRST_SIZE) / SIZE_STEP for n in asked])
    place = np.clip(place, 0, SIZE_BINS - 1)
    shares = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(SIZE_BINS)))
    wanted = torch.from_numpy((shares / shares.sum(1, keepdims=True)).astype(np.float32))
    return torch.nn.functional.cross_entropy(logits[asked], wanted) * (len(asked) / len(games))
