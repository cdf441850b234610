"""What decides in `few-clicks` is learned from games: a rule that states show is found, and what is written is read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clicked_scan import clicked_scan
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.few_clicks.decision import Decision
from napari_radcnn.interactive.engines.few_clicks.engine import read_decision
from napari_radcnn.interactive.engines.few_clicks.features import NAMES
from napari_radcnn.interactive.engines.few_clicks.network import build_network
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.training.few_clicks import decision
from napari_radcnn.training.few_clicks.decision import State, box_around, fit_decision
from napari_radcnn.training.run import write_weights


def test_a_rule_that_states_show_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "_STEPS", 250)
    rng = np.random.default_rng(2)
    states = []
    for _ in range(6):
        features = rng.normal(size=(6000, len(NAMES))).astype(np.float16)
        states.append(State(features, np.asarray(features[:, 3] - features[:, 7] > 0.4)))
    network = decision._fitted(states, seed=1)
    learned = Decision.of({name: value.numpy() for name, value in network.state_dict().items()}, Path("x"))
    fresh = rng.normal(size=(len(NAMES), 10, 12, 14)).astype(np.float32)
    right = (learned.belief(fresh) > 0.5) == (fresh[3] - fresh[7] > 0.4)
    assert right.mean() > 0.95


def test_a_box_goes_around_the_outer_faces() -> None:
    geometry = Geometry.from_parts((12, 20, 26), (2.5, 0.8, 1.1), (3.0, -7.0, 11.0), np.eye(3)[:, ::-1])
    mask = np.zeros(geometry.shape, bool)
    mask[3:7, 5:12, 8:20] = True
    drawn = rasterize(box_around(mask, geometry), geometry)
    assert drawn is not None
    for extent, low, high in zip(drawn.box, (3, 5, 8), (7, 12, 20), strict=True):
        assert low - 1 <= extent.start <= low
        assert high <= extent.stop <= high + 1


def test_games_are_played_and_what_they_teach_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "load_scans", lambda data, cache: [clicked_scan()])
    monkeypatch.setattr(decision, "_CLICKS", 10)
    monkeypatch.setattr(decision, "_STEPS", 5)
    torch.manual_seed(0)
    out = tmp_path / "few-clicks"
    out.mkdir()
    write_weights(build_network().eval(), out / "few-clicks.safetensors", {})
    path = fit_decision(tmp_path, out, rounds=1)
    assert len(read_decision(path).layers) == 3
    lines = (out / "decision.csv").read_text().splitlines()
    assert lines[0] == "round,clicks_1,clicks_3,clicks_5,clicks_10,harmful"
    assert len(lines) == 2
