"""A network that is trained for a time or a number of samples: learning rate, average, log, checkpoint, weights."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.backends.hardware import cpu_computes_bfloat16
from napari_radcnn.networks.checkpoints import DAMAGE

if TYPE_CHECKING:
    import torch

#: Seconds between lines of the log and between checkpoints, steps over which the learning rate rises.
_LOG_SECONDS, _KEEP_SECONDS, _WARM_STEPS = 30.0, 120.0, 200


@dataclass(frozen=True)
class Schedule:
    """What every training depends on; recipes add settings of their own.

    Attributes
    ----------
    minutes : float
        How long it trains; the learning rate falls along a half cosine over this time. With `samples`, how long it
        trains at most.
    samples : int
        How many samples it learns from, at a constant learning rate that falls along a half cosine at the end; 0 goes
        by the time alone.
    falling : float
        Share of the samples, or of the minutes where these come first, over which the rate falls; only with `samples`.
    rate : float
        Highest learning rate (AdamW).
    decay : float
        Of the weights.
    average : float
        How much of the running average of the weights is kept at each step; the average is what ships.
    seed : int
        Of everything random.
    init_from : str
        Weights (``.safetensors``) to begin with, where names and shapes of tensors are the same; empty for fresh ones.
    frozen : tuple of str
        Beginnings of the names of parameters that stay as they are: ``"down."``.
    patience : float
        Minutes without a better figure on held-out cases after which the training ends early, with the weights of the
        best one; 0 always goes to the end. Only for recipes that hold out cases.
    """

    #: Whether cases are held out from the network while it learns, by which it can be seen to get no better.
    holds_out: ClassVar[bool] = False

    minutes: float = 60.0
    samples: int = 0
    falling: float = 0.1
    rate: float = 1e-3
    decay: float = 1e-2
    average: float = 0.999
    seed: int = 1
    init_from: str = ""
    frozen: tuple[str, ...] = ()
    patience: float = 0.0


class Training:
    """The state of a training; goes on from ``checkpoint.pt`` in its folder if there is one.

    Parameters
    ----------
    build : callable
        Returns the network with fresh weights, in training mode.
    out : Path
        Folder for ``checkpoint.pt``, ``log.csv`` and the weights.
    schedule : Schedule
        Settings; all its fields are written beside the weights.

    Raises
    ------
    ModelError
        If the checkpoint is of another network, the weights to begin with do not fit, or nothing would be frozen.
    """

    def __init__(self, build: Callable[[], torch.nn.Module], out: Path, schedule: Schedule) -> None:
        import torch

        torch.manual_seed(schedule.seed)
        out.mkdir(parents=True, exist_ok=True)
        self.network, self.average = build(), build()
        if schedule.init_from:
            _begin_with(self.network, Path(schedule.init_from))
        for beginning in schedule.frozen:
            _freeze(self.network, beginning)
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval()
        self.steps, self.samples, self.skipped = 0, 0, 0
        self._schedule, self._out, self._spent = schedule, out, 0.0
        parameters = [value for value in self.network.parameters() if value.requires_grad]
        self._optimizer = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=schedule.decay)
        self._steps_since_log: list[dict[str, float]] = []
        self._best, self._best_at, self._best_weights = -math.inf, 0.0, self.average.state_dict()
        self.begin()
        path = out / "checkpoint.pt"
        if path.exists():
            state = _checkpoint_in(path)
            try:
                self.network.load_state_dict(state["network"])
                self.average.load_state_dict(state["average"])
                self._optimizer.load_state_dict(state["optimizer"])
            except (RuntimeError, ValueError) as error:
                raise ModelError(f"{path} belongs to another network: train in an empty folder.") from error
            self.steps, self._spent = state["steps"], state["spent"]
            self.samples = state.get("samples", 0)  # checkpoints of before samples were counted have none
            if "best" in state:
                self._best, self._best_at, self._best_weights = state["best"], state["best_at"], state["best_weights"]

    def begin(self) -> None:
        """Start the clock; what came before, such as drawing the first samples, does not count."""
        self._began = self._kept = self._logged = time.monotonic()

    @property
    def minutes(self) -> float:
        """How long it has trained, in all."""
        return self._seconds() / 60

    @property
    def share(self) -> float:
        """How much of the time, or of the samples where these are further, is spent: 0..1 and a little more."""
        of_time = self._seconds() / (60 * self._schedule.minutes)
        return max(of_time, self.samples / self._schedule.samples) if self._schedule.samples else of_time

    @property
    def is_over(self) -> bool:
        """Whether time or samples are spent, or nothing has become better for as long as the schedule's patience."""
        waited = self._seconds() - self._best_at
        is_stuck = 0 < self._schedule.patience < waited / 60 and math.isfinite(self._best)
        return self.share >= 1 or is_stuck

    def watch(self, figure: float) -> None:
        """Note a figure of the averaged weights on held-out cases, more is better; keep the weights of the best."""
        if figure > self._best:
            self._best, self._best_at = figure, self._seconds()
            self._best_weights = {name: value.clone() for name, value in self.average.state_dict().items()}

    def settle(self) -> None:
        """Return to the best weights that were watched, where the schedule ends early."""
        if self._schedule.patience and math.isfinite(self._best):
            self.average.load_state_dict(self._best_weights)

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._began

    def count(self, samples: int) -> None:
        """Note that the next step learns from so many samples, where the schedule counts them."""
        self.samples += samples

    def learn(self, loss: torch.Tensor, **figures: float) -> None:
        """Take a step down a loss; `figures` go into the log, averaged. A loss that is not finite is skipped."""
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if torch.isfinite(norm):
            self._optimizer.step()
        else:
            self.skipped += 1
        self.steps += 1
        self._follow()
        self._steps_since_log.append({"loss": float(loss.detach()), **figures})

    def _rate(self) -> float:
        rising = min(1.0, (self.steps + 1) / _WARM_STEPS)
        fallen = min(1.0, self.share)
        if self._schedule.samples:  # constant until the last part
            fallen = max(0.0, 1 - (1 - fallen) / self._schedule.falling) if self._schedule.falling > 0 else 0.0
        return self._schedule.rate * rising * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fallen)))

    def _follow(self) -> None:
        import torch

        keep = min(self._schedule.average, (1 + self.steps) / (10 + self.steps))
        theirs = self.network.state_dict()
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(theirs[name], 1 - keep)
                else:
                    value.copy_(theirs[name])

    def keep(self, *, now: bool = False, **columns: float) -> bool:
        """Log about twice a minute and write a checkpoint every two; return whether a line was logged.

        Parameters
        ----------
        now : bool
            Do both now.
        columns
            Further columns of the log.
        """
        is_logged = time.monotonic() - self._logged > _LOG_SECONDS or now
        if is_logged:
            if self._steps_since_log:  # one that only goes on to its end has nothing to add
                self._log(columns)
            self._logged = time.monotonic()
        if time.monotonic() - self._kept > _KEEP_SECONDS or now:
            self._checkpoint()
            self._kept = time.monotonic()
        return is_logged

    def _log(self, columns: dict[str, float]) -> None:
        means = {name: np.mean([row[name] for row in self._steps_since_log]) for name in self._steps_since_log[0]}
        self._steps_since_log = []
        counted = {"samples": self.samples} if self.samples else {}
        row = {
            "minutes": self._seconds() / 60,
            "steps": self.steps,
            **counted,
            **means,
            **columns,
            "skipped": self.skipped,
        }
        told = {name: f"{value:.4f}" if isinstance(value, float) else str(value) for name, value in row.items()}
        append_row(self._out / "log.csv", told)

    def _checkpoint(self) -> None:
        import torch

        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
            "samples": self.samples,
            "spent": self._seconds(),
        }
        if math.isfinite(self._best):
            state |= {"best": self._best, "best_at": self._best_at, "best_weights": self._best_weights}
        temporary = self._out / "checkpoint.tmp"
        torch.save(state, temporary)
        temporary.replace(self._out / "checkpoint.pt")

    def write(self, name: str, trained_on: Sequence[str], **about: Any) -> Path:
        """Write the averaged weights as ``NAME.safetensors`` and what is known of them as ``NAME.json``.

        Where the training began with other weights, what is known of those goes in as ``begun_with``. The learning
        curve is drawn beside them as ``NAME.svg``, once there is a log.
        """
        from napari_radcnn.training.curve import draw_curve

        if (self._out / "log.csv").exists():
            draw_curve(self._out / "log.csv", self._out / f"{name}.svg")
        recipe = asdict(self._schedule)
        if self._schedule.init_from:  # not the folders of whoever trained it
            recipe["init_from"] = Path(self._schedule.init_from).name
        facts = {"recipe": recipe, "steps": self.steps, "trained_on": list(trained_on), **about}
        if self._schedule.init_from:
            facts |= _begun_with(Path(self._schedule.init_from))
        return write_weights(self.average, self._out / f"{name}.safetensors", facts)


def _begin_with(network: torch.nn.Module, path: Path) -> None:
    """Take over the tensors of a file that have the name and shape of one of the network's."""
    from napari_radcnn.networks.safetensors import load_safetensors

    if not path.is_file():
        raise ModelError(f"{path} does not exist: enter a .safetensors file with initial weights.")
    own = network.state_dict()
    given = {
        name: value.to(own[name].dtype)
        for name, value in load_safetensors(path).items()
        if name in own and own[name].shape == value.shape
    }
    if not given:
        raise ModelError(f"{path} contains no tensor that matches one of this network in name and shape.")
    network.load_state_dict(given, strict=False)


def _begun_with(path: Path) -> dict[str, Any]:
    """Return what is known of weights that a training began with, empty where nothing stands beside them."""
    known = path.with_suffix(".json")
    if not known.is_file():
        return {}
    about = json.loads(known.read_text(encoding="utf-8"))
    return {"begun_with": {key: about[key] for key in ("sha256", "steps", "recipe", "begun_with") if key in about}}


def _freeze(network: torch.nn.Module, beginning: str) -> None:
    """Let the parameters whose names begin so stay as they are, and the running averages of their norms."""
    found = [value for name, value in network.named_parameters() if name.startswith(beginning)]
    if not beginning or not found:
        known = ", ".join(sorted({name.split(".")[0] for name, _ in network.named_parameters()}))
        raise ModelError(f"No parameter name begins with '{beginning}'; names begin with: {known}.")
    for value in found:
        value.requires_grad_(False)
    for name, module in network.named_modules():
        if name and f"{name}.".startswith(beginning):
            module.eval()


def mixed_precision() -> AbstractContextManager[Any]:
    """Return the context in which networks compute in bfloat16 where this processor has instructions for it.

    On others torch would compute it by loops that take many times as long as float32.
    """
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=cpu_computes_bfloat16("torch"))


def append_row(path: Path, row: dict[str, str]) -> None:
    """Add a line to a CSV file; one with a new column writes the file anew, so that every line has all columns."""
    lines: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file, restval=""))
    names = list(dict.fromkeys([*(name for line in lines for name in line), *row]))
    is_same = bool(lines) and names == list(lines[0])
    with path.open("a" if is_same else "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        if not is_same:
            writer.writeheader()
            writer.writerows(lines)
        writer.writerow(row)


def write_weights(network: torch.nn.Module, path: Path, about: dict[str, Any]) -> Path:
    """Write a network's floating-point values in float16, and beside them `about` with their SHA-256 as JSON."""
    return write_tensors(network.state_dict(), path, about)


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path, about: dict[str, Any]) -> Path:
    """Write the floating-point ones among named tensors; see `write_weights`."""
    import torch

    from napari_radcnn.networks.safetensors import write_safetensors

    halved = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in tensors.items()
        if value.is_floating_point()
    }
    write_safetensors(halved, path)
    described = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **about}
    path.with_suffix(".json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return path


def _checkpoint_in(path: Path) -> dict[str, Any]:
    """Return the state of a training.

    Raises
    ------
    ModelError
        If the file is damaged, or holds anything else.
    """
    import torch

    try:
        state = torch.load(path, weights_only=True)
        if {"network", "average", "optimizer", "steps", "spent"} <= set(state):
            return dict(state)
    except DAMAGE as error:
        brief = " ".join(str(error).split())[:100] or type(error).__name__
        raise ModelError(
            f"{path} is damaged ({brief}): remove it to start over, or train in an empty folder."
        ) from error
    raise ModelError(f"{path} is no checkpoint of a training: train in an empty folder.")
