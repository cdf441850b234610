"""Which of several answers is taken: what their traits are, on a picture whose object is known, and what is chosen."""

from pathlib import Path

import numpy as np
import pytest

from alike_engine import by_network
from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.channels import SIZE as TOLD
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine
from napari_radcnn.interactive.engines.few_clicks.guesses import (
    NAMES,
    OWN,
    SHARED,
    SIDES,
    Choice,
    Guess,
    agreements,
    traits,
)
from napari_radcnn.interactive.engines.few_clicks.network import SIZE_BINS
from napari_radcnn.interactive.engines.lattice import Lattice
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

SIZE = 40
FAR = np.sqrt(((np.moveaxis(np.indices((SIZE,) * 3), 0, -1) - 19.5) ** 2).sum(-1))
NOISE = 9.0
PICTURE = (np.where(FAR < 8, 180, 0) + np.random.default_rng(0).normal(0, NOISE, FAR.shape)).astype(np.float32)


def trait(
    radius: float, *, zoom: float = 2.0, side: float = 30.0, proposal: float = 8.0, at: tuple = (19, 20, 20)
) -> dict:
    """Return the traits of a ball as an answer."""
    guess = Guess(side, zoom, 1, np.where(radius > FAR, 4, -4).astype(np.float32))
    row = traits(guess, PICTURE, 180.0, (proposal > FAR).astype(np.float32), -1.5, at)
    assert row is not None
    return dict(zip(OWN, row.tolist(), strict=True))


def test_the_right_answer_has_the_strongest_edge_and_is_alike_within_and_unlike_outside() -> None:
    right, small, large = trait(8.0), trait(5.0), trait(13.0)
    for wrong in (small, large):
        assert right["edge"] > wrong["edge"]
        assert right["separation"] > wrong["separation"]
    assert right["alike_outside"] < 0.05 < small["alike_outside"]
    assert large["spread"] > right["spread"] + 1


def test_sizes_are_measured() -> None:
    found = trait(8.0, zoom=2.0, side=30.0, proposal=5.0)
    inside = int(np.count_nonzero(FAR < 8))
    assert found["voxels"] == pytest.approx(np.log(inside), abs=1e-4)
    assert np.exp(found["side"]) == pytest.approx(16, abs=0.1)
    assert np.exp(found["side_mm"]) == pytest.approx(32, rel=0.05)
    assert np.exp(found["side_of_told"]) == pytest.approx(32 / 30, rel=0.05)
    assert found["filling"] == pytest.approx(inside / 16**3, abs=1e-4)
    shared = np.count_nonzero(FAR < 5)
    assert found["proposal"] == pytest.approx(2 * shared / (shared + inside), abs=1e-4)
    assert found["likelihood"] == -1.5
    assert found["at_faces"] == 0
    assert trait(24.0)["at_faces"] > 0


def test_a_click_in_the_middle_and_one_at_the_border_are_told_apart() -> None:
    assert trait(8.0)["middleness"] > 0.9
    assert trait(8.0, at=(19, 20, 26))["middleness"] < 0.3
    assert trait(8.0, at=(19, 20, 33))["middleness"] == 0


def test_a_border_is_as_clear_as_where_it_is_weakest() -> None:
    right, leaking = trait(8.0), trait(9.5)
    assert right["weakest_edge"] > leaking["weakest_edge"] + 0.5
    assert right["weakest_edge"] < right["usual_edge"] < right["strongest_edge"]
    assert right["beyond"] > 0.95
    assert right["one_side"] > 0.95
    assert trait(5.0)["beyond"] < 0.4


def ball(middle: tuple[float, float, float], radius: float, zoom: float, side: float, closer: int = 1) -> tuple:
    """Return a ball, places in mm, as an answer in a cube around the origin of a scan of 2 x 1 x 0.5 mm."""
    steps = (zoom / 2.0, zoom / 1.0, zoom / 0.5)
    first = tuple(-(SIZE - 1) / 2 * step for step in steps)
    where = (np.moveaxis(np.indices((SIZE,) * 3), 0, -1) - (SIZE - 1) / 2) * zoom
    inside = np.linalg.norm(where - middle, axis=-1) < radius
    guess = Guess(side, zoom, closer, np.where(inside, 3, -3).astype(np.float32))
    return guess, Lattice(first, steps, (SIZE,) * 3)


def test_answers_in_cubes_of_different_zoom_agree_as_much_as_their_dice_says() -> None:
    answers = [
        ball((1.0, -2.0, 3.0), 9.0, 1.0, SIDES[1]),
        ball((1.0, -2.0, 3.0), 9.0, 0.7, SIDES[1], closer=3),
        ball((1.0, -2.0, 7.0), 9.0, 1.6, SIDES[2]),
        ball((1.0, -2.0, 3.0), 2.0, 0.5, SIDES[0]),
    ]
    rows = agreements([guess for guess, _ in answers], [lattice for _, lattice in answers])
    found = [dict(zip(SHARED, row.tolist(), strict=True)) for row in rows]
    # Of two balls of radius 9 whose middles are 4 apart: 1 - 3/4 t + t^3 / 16 with t = 4 / 9.
    apart = 1 - 0.75 * 4 / 9 + (4 / 9) ** 3 / 16
    assert found[0]["agrees_best"] == found[0]["agrees_closer"] == pytest.approx(1, abs=0.03)
    assert found[0]["agrees_second"] == found[0]["agrees_larger"] == pytest.approx(apart, abs=0.03)
    assert found[2]["agrees_smaller"] == pytest.approx(apart, abs=0.03)
    assert found[0]["agrees_smaller"] == found[0]["agrees_fourth"] == 0
    assert found[0]["agrees_mean"] == pytest.approx((1 + apart) / 3, abs=0.03)
    assert not rows[3].any()


def test_one_answer_agrees_with_nothing() -> None:
    guess, lattice = ball((0.0, 0.0, 0.0), 5.0, 1.0, SIDES[0])
    assert not agreements([guess], [lattice]).any()
    assert agreements([], []).shape == (0, len(SHARED))


def test_an_empty_answer_has_none() -> None:
    guess = Guess(30.0, 2.0, 1, np.full(FAR.shape, -3, np.float32))
    assert traits(guess, PICTURE, 0.0, np.zeros(FAR.shape, np.float32), 0.0, (20, 20, 20)) is None


@pytest.mark.parametrize("level", [0.0, 1e9])
def test_where_all_values_are_alike_nothing_can_be_said(level: float) -> None:
    everywhere = Guess(30.0, 2.0, 3, np.full(FAR.shape, 3, np.float32))
    flat, proposal = np.full_like(PICTURE, level), np.ones(FAR.shape, np.float32)
    assert traits(everywhere, flat, level, proposal, 0.0, (3, 4, 5)) is None
    flat[3, 4, 5] += 200
    row = traits(everywhere, flat, level, proposal, 0.0, (3, 4, 5))
    assert row is not None
    assert np.isfinite(row).all()


def by(name: str, slope: float = 1.0) -> Choice:
    """Return a choice by one trait: the larger the better, or the smaller."""
    weight = np.zeros((2, len(NAMES)), np.float32)
    weight[0, NAMES.index(name)], weight[1, NAMES.index(name)] = 1, -1
    tensors = {
        "mean": np.zeros(len(NAMES)),
        "spread": np.ones(len(NAMES)),
        "0.weight": weight,
        "0.bias": np.zeros(2),
        "0.last": np.array([slope, -slope]),
        "0.level": np.zeros(1),
    }
    return Choice.of(tensors, Path("c.safetensors"))


def test_scores_are_the_mean_of_its_networks() -> None:
    rng = np.random.default_rng(2)
    tensors = {"mean": rng.normal(size=len(NAMES)), "spread": rng.uniform(0.5, 2, len(NAMES))}
    for n in range(3):
        tensors |= {f"{n}.weight": rng.normal(size=(5, len(NAMES))), f"{n}.bias": rng.normal(size=5)}
        tensors |= {f"{n}.last": rng.normal(size=5), f"{n}.level": rng.normal(size=1)}
    rows = rng.normal(size=(4, len(NAMES))).astype(np.float32)
    x = (rows - tensors["mean"]) / tensors["spread"]
    wanted = [
        np.maximum(x @ tensors[f"{n}.weight"].T + tensors[f"{n}.bias"], 0) @ tensors[f"{n}.last"]
        + tensors[f"{n}.level"]
        for n in range(3)
    ]
    np.testing.assert_allclose(Choice.of(tensors, Path("c")).scores(rows), np.mean(wanted, 0), atol=1e-4)


@pytest.mark.parametrize("change", [{"mean": np.zeros(3)}, {"0.bias": np.zeros(3)}, {"more": np.zeros(1)}])
def test_weights_that_do_not_fit_are_refused(change: dict[str, np.ndarray]) -> None:
    tensors = {
        "mean": np.zeros(len(NAMES)),
        "spread": np.ones(len(NAMES)),
        "0.weight": np.zeros((2, len(NAMES))),
        "0.bias": np.zeros(2),
        "0.last": np.zeros(2),
        "0.level": np.zeros(1),
    }
    Choice.of(tensors, Path("c"))
    with pytest.raises(ModelError, match="do not match this version"):
        Choice.of(tensors | change, Path("c"))


class ToldEngine(FewClicksEngine):
    """Its network answers with a ball as large as it is told that the object is."""

    def __init__(self, choice: Choice | None) -> None:
        super().__init__(RunSettings(), decision=by_network(), choice=choice or False)

    def ask(self, channels, monitor):
        monitor.check()
        told = channels[TOLD]
        return np.where(told > np.exp(-9 / 8), np.float32(4), np.float32(-4)), np.zeros(SIZE_BINS, np.float32)


GEOMETRY = Geometry.from_parts((60, 110, 100), (2.0, 0.9, 1.1), (-31.0, 12.0, 5.0), np.eye(3)[:, ::-1])
MIDDLE = (29, 53, 48)
APART = np.sqrt((((np.moveaxis(np.indices(GEOMETRY.shape), 0, -1) - MIDDLE) * GEOMETRY.spacing) ** 2).sum(-1))


@pytest.mark.parametrize("radius", [12.0, 32.0])
def test_the_size_is_found_by_the_edge(radius: float) -> None:
    image = np.where(radius > APART, 180, 0) + np.random.default_rng(0).normal(0, NOISE, GEOMETRY.shape)
    volume = Volume(image.astype(np.float32), GEOMETRY)
    prompt = Prompt.point(GEOMETRY.to_world(MIDDLE))
    request = EngineRequest(volume, (prompt,), np.zeros(GEOMETRY.shape, bool))
    looks = ToldEngine(None).looks_at(request, Monitor(1))
    found = [(guess.side, row) for guess, _, row in looks.guesses()]
    assert {side for side, _ in found} == set(SIDES)
    scores = by("separation").scores(np.stack([row for _, row in found]))
    side = found[int(scores.argmax())][0]
    assert 2 * radius / 1.6 < side < 2 * radius * 1.6
    update = ToldEngine(by("separation")).predict(request, Monitor(1))
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[update.box] = update.mask
    assert dice(mask, radius > APART) > 0.8
