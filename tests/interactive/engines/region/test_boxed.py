"""Objects that fill a box drawn around them: bent ones, dark ones, beside others; on an oblique, anisotropic grid."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine
from napari_radcnn.interactive.engines.region.boxed import boxed_object
from napari_radcnn.interactive.engines.region.engine import RegionEngine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.simulate import EnginePlayer, next_click
from napari_radcnn.metrics import dice
from napari_radcnn.phantom import rotation
from napari_radcnn.progress import Monitor
from napari_radcnn.training.few_clicks.decision import box_around
from napari_radcnn.volume import Volume

GRID = Geometry.from_parts(
    (26, 66, 74), (2.5, 1.1, 0.9), (-31.0, 17.5, 40.25), rotation(12.0, -9.0, 17.0) @ np.eye(3)[:, ::-1]
)
AXES = np.meshgrid(
    *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(GRID.shape, GRID.spacing, strict=True)), indexing="ij"
)


def horseshoe() -> np.ndarray:
    """Return two thirds of a ring, whose box has its middle outside of it."""
    k, j, i = AXES
    around = np.hypot(j, i)
    return (np.hypot(around - 20, k) <= 6) & (np.abs(np.arctan2(j, i)) <= 2.1)


def scene(truth: np.ndarray, noise: float, contrast: float) -> Volume:
    """Return an object beside another one of the same value, in a background that slopes."""
    k, j, i = AXES
    other = np.hypot(j, np.hypot(i + 4, k)) <= 7
    values = contrast * (truth | other) + 0.8 * j + 0.5 * k
    return Volume((values + np.random.default_rng(2).normal(0, noise, truth.shape)).astype(np.float32), GRID)


def filled(volume: Volume, truth: np.ndarray) -> np.ndarray | None:
    nothing = np.zeros(truth.shape, bool)
    update = boxed_object(EngineRequest(volume, (box_around(truth, GRID),), nothing), Monitor(1))
    if update is None:
        return None
    nothing[update.box] = update.mask
    return nothing


@pytest.mark.parametrize("contrast", [400.0, -250.0])
@pytest.mark.parametrize("noise", [0.0, 40.0])
def test_a_bent_thing_is_found_in_its_box(noise: float, contrast: float) -> None:
    truth = horseshoe()
    low, high = np.argwhere(truth).min(0), np.argwhere(truth).max(0)
    assert not truth[tuple((low + high) // 2)]
    mask = filled(scene(truth, noise, contrast), truth)
    assert mask is not None
    assert dice(mask, truth) > 0.9


@pytest.mark.parametrize("engine", [RegionEngine, FewClicksEngine])
def test_engines_begin_with_what_fills_the_box_and_a_click_makes_it_no_worse(engine) -> None:
    truth = horseshoe()
    volume = scene(truth, 30.0, 400.0)
    player = EnginePlayer(engine(), volume)
    player.add(box_around(truth, GRID))
    first = dice(player.mask, truth)
    assert first > 0.85
    click = next_click(truth, player.mask, GRID.spacing)
    assert click is not None
    player.add(click.prompt(GRID))
    assert dice(player.mask, truth) > first - 0.02


def test_an_exclude_click_after_a_box_leaves_the_object() -> None:
    truth = horseshoe()
    player = EnginePlayer(FewClicksEngine(), scene(truth, 30.0, 400.0))
    player.add(box_around(truth, GRID))
    player.add(Prompt.point(GRID.to_world((13, 33, 37)), positive=False))  # in the middle of the ring
    assert not player.mask[13, 33, 37]
    assert dice(player.mask, truth) > 0.8


def test_nothing_fills_a_box_in_noise() -> None:
    values = np.random.default_rng(4).normal(0, 20, GRID.shape).astype(np.float32)
    assert filled(Volume(values, GRID), horseshoe()) is None


def test_boxes_on_a_slice_and_around_what_is_begun_or_locked_are_left_to_the_engine() -> None:
    truth = horseshoe()
    volume, nothing = scene(truth, 0.0, 400.0), np.zeros(truth.shape, bool)
    box = box_around(truth, GRID)
    flat = truth.copy()
    flat[:13] = flat[14:] = False
    asked = {
        "box": EngineRequest(volume, (box,), nothing),
        "flat": EngineRequest(volume, (box_around(flat, GRID),), nothing),
        "begun": EngineRequest(volume, (box,), truth),
        "locked": EngineRequest(volume, (box,), nothing, truth),
        "second": EngineRequest(volume, (box, box), nothing),
    }
    assert {name for name, request in asked.items() if boxed_object(request, Monitor(1)) is not None} == {"box"}
