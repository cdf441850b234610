"""What chooses between sizes is learned from first clicks: a rule that they show is found and written."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clicked_scan import clicked_scan
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.few_clicks.engine import read_choice
from napari_radcnn.interactive.engines.few_clicks.guesses import NAMES, Choice
from napari_radcnn.interactive.engines.few_clicks.network import build_network
from napari_radcnn.training.few_clicks import choice
from napari_radcnn.training.few_clicks.choice import Lesson, fit_choice, learn_choice
from napari_radcnn.training.run import write_weights
from napari_radcnn.volume import Volume


def _lessons(rng: np.random.Generator, count: int) -> list[Lesson]:
    found = []
    for _ in range(count):
        traits = rng.normal(3, 2, size=(int(rng.integers(5, 14)), len(NAMES))).astype(np.float32)
        found.append(Lesson(traits, (1 / (1 + np.exp(-(traits[:, 4] - traits[:, 9])))).astype(np.float32)))
    return found


def test_a_rule_that_clicks_show_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_NETWORKS", 2)
    monkeypatch.setattr(choice, "_STEPS", 400)
    rng = np.random.default_rng(5)
    tensors = {name: value.numpy() for name, value in fit_choice(_lessons(rng, 80)).items()}
    learned = Choice.of(tensors, Path("c.safetensors"))
    fresh = _lessons(rng, 60)
    taken = [lesson.dice[learned.scores(lesson.traits).argmax()] for lesson in fresh]
    best = [lesson.dice.max() for lesson in fresh]
    anyone = [lesson.dice.mean() for lesson in fresh]
    assert np.mean(taken) > np.mean(best) - 0.25 * (np.mean(best) - np.mean(anyone))


def test_first_clicks_are_made_and_what_they_teach_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "load_scans", lambda data, cache: [clicked_scan()])
    monkeypatch.setattr(choice, "_STEPS", 3)
    monkeypatch.setattr(choice, "_NETWORKS", 2)
    monkeypatch.setattr(choice, "_LESIONS", 2)
    torch.manual_seed(0)
    out = tmp_path / "few-clicks"
    out.mkdir()
    write_weights(build_network().eval(), out / "few-clicks.safetensors", {})
    written = learn_choice(tmp_path, out, clicks=2)
    assert len(read_choice(written).layers) == 2
    kept = sorted((tmp_path / "few-clicks-lessons").rglob("*.npz"))
    assert len(kept) >= 3
    monkeypatch.setattr(choice, "lesson_of", lambda *_: pytest.fail("what is kept was made again"))
    begun = written.read_bytes()
    assert learn_choice(tmp_path, out, clicks=2).read_bytes() == begun


def test_clicks_lie_in_the_object_beside_its_middle_but_not_at_its_border() -> None:
    geometry = Geometry.from_parts((30, 60, 50), (2.5, 0.8, 1.1), (3.0, -7.0, 11.0), np.eye(3)[:, ::-1])
    middle = np.array([14, 30, 24])
    apart = np.linalg.norm((np.moveaxis(np.indices(geometry.shape), 0, -1) - middle) * geometry.spacing, axis=-1)
    volume = Volume(np.zeros(geometry.shape, np.float32), geometry)
    rng = np.random.default_rng(1)
    places = {choice._beside(apart < 15, (14, 30, 24), volume, rng) for _ in range(40)}
    assert len(places) > 20
    assert max(apart[place] for place in places) <= 0.45 * 15


def test_a_lump_is_painted_where_it_is_said_to_be_and_nothing_else_is_changed() -> None:
    turn, _ = np.linalg.qr(np.array([[0.9, -0.3, 0.1], [0.28, 0.95, 0.0], [-0.1, 0.05, 0.99]]))
    geometry = Geometry.from_parts((30, 60, 50), (2.5, 0.8, 1.1), (3.0, -7.0, 11.0), turn[:, ::-1])
    rng = np.random.default_rng(3)
    volume = Volume(
        rng.normal(0, 5, geometry.shape).astype(np.float32) - 300 * (rng.random(geometry.shape) < 0.001), geometry
    )
    cases = [case for case in (choice.with_lesion(volume, rng) for _ in range(12)) if case is not None]
    assert len(cases) > 4
    for painted, lump in cases:
        changed = np.abs(painted.array - volume.array)
        far = np.linalg.norm((np.argwhere(changed > 0.1) - np.argwhere(lump).mean(0)) * geometry.spacing, axis=1)
        reach = np.linalg.norm((np.argwhere(lump) - np.argwhere(lump).mean(0)) * geometry.spacing, axis=1).max()
        assert changed[lump].mean() > 10
        assert np.percentile(far, 99) < 2 * reach + 8
