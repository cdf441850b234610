"""The estimate before the first run: another computer's figure, by how fast this one is."""

from dataclasses import replace

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.cost import first
from napari_radcnn.inference.cost.first import REFERENCE_SPEED, REFERENCE_THREADS, first_seconds, speed
from napari_radcnn.inference.plan import Plan
from napari_radcnn.models import models
from napari_radcnn.phantom import head
from napari_radcnn.tasks import TASKS
from napari_radcnn.volume import Volume


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_it_scales_with_the_work_the_speed_and_the_threads(monkeypatch):
    monkeypatch.setattr(first, "measured_speed", lambda: REFERENCE_SPEED / 2)
    assert first_seconds(3.0, 4.0, REFERENCE_THREADS) == pytest.approx(24.0)
    assert first_seconds(3.0, 8.0, 2 * REFERENCE_THREADS) == pytest.approx(24.0)
    assert first_seconds(3.0, 4.0, 0) == pytest.approx(48.0)
    assert first_seconds(3.0, 4.0, 64) == first_seconds(3.0, 4.0, 8)


def test_the_speed_is_measured_once(monkeypatch):
    turns = iter([100.0, 50.0])
    monkeypatch.setattr(first, "measured_speed", lambda: next(turns))
    assert speed() == 100.0
    assert speed() == 100.0


def test_a_measured_speed_is_one():
    assert 0.5 < first.measured_speed() < 2000


def test_plans_say_an_estimate_until_there_is_a_figure():
    rough = Plan("m", 4, (64, 70, 80), 3 * 2**30, first_seconds=40.0)
    assert "roughly 40 s (estimated until the first run here)" in rough.summary()
    assert "about 20 s" in replace(rough, seconds=20.0).summary()


def test_every_model_that_ships_has_an_estimate_but_not_on_a_graphics_card():
    scan = head(Geometry.from_parts((24, 60, 56), (7.0, 3.0, 3.2), (-80.0, -90.0, -88.0)))
    runnable = [spec for spec in models() if TASKS[spec.task].build and spec.package is None and spec.origin is None]
    assert len(runnable) >= 9
    film = Volume(np.zeros((1, 40, 50), np.uint16), Geometry.from_parts((1, 40, 50), (1.0, 0.4, 0.4)))
    for spec in runnable:
        volume = film if spec.name == "cxr-pneumonia" else scan
        plan = radcnn.plan(volume, spec)
        assert plan.seconds is None
        assert 0 < plan.first_seconds < 3600, spec.name
        assert radcnn.plan(volume, spec, device="cuda").first_seconds is None
