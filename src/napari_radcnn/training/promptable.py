"""How `promptable-3d` was made: ``python -m napari_radcnn.training.promptable --data DIR --out DIR``.

Clicks are simulated while it learns (Sofiiuk et al. 2022, RITM, ICIP; Diaz-Pinto et al. 2022, DeepEdit): the network
segments, a click is put where it is wrong, and only the last of several answers is learned from.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_radcnn.interactive.engines.promptable_net import WIDTHS, build_network
from napari_radcnn.training.pool import Pool
from napari_radcnn.training.promptable_cases import load_cases, names
from napari_radcnn.training.promptable_samples import Play, Sample, Sampler, crop_around

if TYPE_CHECKING:
    import torch

#: How likely it is that an answer is learned from after 1, 2, ... clicks.
_CLICKS = (0.3, 0.22, 0.18, 0.12, 0.08, 0.06, 0.04)


@dataclass(frozen=True)
class Recipe:
    """What the training depends on.

    Attributes
    ----------
    minutes : float
        How long it trains; the learning rate falls along a half cosine over this time.
    late : float
        Share of the time after which whole cubes are shown instead of parts of them.
    size, part : int
        Voxels along a side of the cube, and of the parts shown at first.
    batch, late_batch : int
        Samples a step.
    steady : float
        Share of the time after which the coarsest level normalizes by its running averages: a batch has too few voxels
        there to be normalized by itself.
    rate : float
        Highest learning rate (AdamW).
    decay : float
        Of the weights.
    average : float
        How much of the running average of the weights is kept at each step; the average is what ships.
    capacity : int
        Samples in the pool.
    seed : int
        Of everything random.
    """

    minutes: float = 90.0
    late: float = 0.75
    size: int = 96
    part: int = 64
    batch: int = 4
    late_batch: int = 2
    steady: float = 0.25
    rate: float = 1e-3
    decay: float = 1e-2
    average: float = 0.999
    capacity: int = 1500
    seed: int = 1


def make_draw(data: str, cache: str, size: int, seed: int) -> Callable[[], list[Sample]]:
    """Return what draws samples from the scans in a folder."""
    return Sampler(load_cases(Path(data), Path(cache)), size, seed).draw


def train(data: Path, out: Path, recipe: Recipe, threads: int) -> Path:
    """Train, going on from the checkpoint in `out` if there is one, and return the file of weights.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.promptable_cases`.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv`` and ``promptable-3d.safetensors``.
    recipe : Recipe
        Settings.
    threads : int
        Of torch.
    """
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(recipe, out)
    rng = np.random.default_rng(recipe.seed + run.steps)
    drawn_by = (str(data), str(out / "cases"), recipe.size, recipe.seed + 1000 + run.steps)
    with Pool(make_draw, drawn_by, recipe.size, recipe.capacity) as pool:
        pool.wait(200)
        run.begin()
        while run.share < 1:
            if run.share >= recipe.steady:
                run.steady()
            late = run.share >= recipe.late
            batch, size = (recipe.late_batch, recipe.size) if late else (recipe.batch, recipe.part)
            plays = [Play(crop_around(rng, pool.take(rng), size), rng) for _ in range(batch)]
            run.learn(plays, int(rng.choice(len(_CLICKS), p=_CLICKS)))
            run.keep(pool.drawn)
        run.keep(pool.drawn, last=True)
    return run.write()


class _Run:
    """The state of a training: network, average, optimizer, time spent."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        import torch

        self.recipe, self._out = recipe, out
        self.network = build_network().to(memory_format=torch.channels_last_3d)
        self.average = build_network()
        self.average.load_state_dict(self.network.state_dict())
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
        self.steps, self._spent, self._skipped = 0, 0.0, 0
        self._seen: list[tuple[float, float]] = []
        self._began = self._kept = self._logged = time.monotonic()
        path = out / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.steps, self._spent = state["steps"], state["spent"]

    def begin(self) -> None:
        """Start the clock."""
        self._began = self._kept = self._logged = time.monotonic()

    @property
    def share(self) -> float:
        """How much of the time is spent, 0..1."""
        return (self._spent + time.monotonic() - self._began) / (60 * self.recipe.minutes)

    def learn(self, plays: list[Play], clicks: int) -> None:
        """Play `clicks` clicks without learning, then learn from the next answer."""
        import torch

        share = min(1.0, self.share)
        rate = (
            self.recipe.rate * min(1.0, (self.steps + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        for _ in range(clicks):
            with torch.no_grad():
                answers = self._ask(plays)
            for play, answer in zip(plays, answers, strict=True):
                play.step((answer[0] > 0).numpy())
        logits = self._ask(plays)
        target = torch.from_numpy(np.stack([play.target for play in plays]))[:, None].float()
        loss, dice = _loss(logits, target)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if torch.isfinite(norm):
            self._optimizer.step()
        else:
            self._skipped += 1
        self.steps += 1
        self._follow()
        self._seen.append((float(loss.detach()), dice))

    def steady(self) -> None:
        """Normalize the coarsest level by its running averages from now on."""
        self.network.get_submodule(f"down.{len(WIDTHS) - 1}").eval()

    def _ask(self, plays: list[Play]) -> torch.Tensor:
        import torch

        batch = torch.from_numpy(np.stack([play.channels for play in plays]))
        batch = batch.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", torch.bfloat16):
            answer = self.network(batch)
        return answer.float()

    def _follow(self) -> None:
        import torch

        keep = min(self.recipe.average, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            theirs = self.network.state_dict()
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(theirs[name], 1 - keep)
                else:
                    value.copy_(theirs[name])

    def keep(self, drawn: int, *, last: bool = False) -> None:
        """Log about twice a minute and write a checkpoint every three, or now."""
        import torch

        now = time.monotonic()
        if now - self._logged > 30 or last:
            self._logged = now
            loss, dice = np.mean(self._seen, axis=0) if self._seen else (math.nan, math.nan)
            self._seen = []
            spent = (self._spent + now - self._began) / 60
            with (self._out / "log.csv").open("a", newline="") as file:
                csv.writer(file).writerow(
                    [f"{spent:.2f}", self.steps, f"{loss:.4f}", f"{dice:.4f}", drawn, self._skipped]
                )
        if now - self._kept > 180 or last:
            self._kept = now
            state = {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "steps": self.steps,
                "spent": self._spent + now - self._began,
            }
            temporary = self._out / "checkpoint.tmp"
            torch.save(state, temporary)
            temporary.replace(self._out / "checkpoint.pt")

    def write(self) -> Path:
        """Write the averaged weights in float16, and what they were made with."""
        return write_weights(self.average, self._out, self.recipe, self.steps)


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
    hard = logits.detach() > 0
    dice = 2 * (hard * target).sum((1, 2, 3, 4)) / (hard.sum((1, 2, 3, 4)) + target.sum((1, 2, 3, 4))).clamp(min=1)
    return (entropy + 1 - soft).mean(), float(dice.mean())


def write_weights(network: torch.nn.Module, out: Path, recipe: Recipe, steps: int) -> Path:
    """Write ``promptable-3d.safetensors`` and, beside it, what is known of it as JSON."""
    import hashlib

    import torch

    from napari_radcnn.models.safetensors import write_safetensors

    path = out / "promptable-3d.safetensors"
    tensors = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }
    write_safetensors(tensors, path)
    about: dict[str, Any] = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "recipe": asdict(recipe),
        "steps": steps,
        "trained_on": names(),
    }
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    return path


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train promptable-3d.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the scans")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and weights")
    parser.add_argument("--minutes", type=float, default=Recipe.minutes)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    train(arguments.data, arguments.out, Recipe(minutes=arguments.minutes), arguments.threads)


if __name__ == "__main__":
    main()
