"""The trivial rivals find an easy object, and take what negative clicks say."""

import numpy as np
import pytest
from benchmarks.interactive.rivals import RIVALS

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

GEOMETRY = Geometry.from_parts((30, 52, 44), (2.0, 0.9, 1.1), (4.0, -9.0, 2.0), np.eye(3)[:, ::-1])


def _ball(at: tuple[int, int, int], radius: float) -> np.ndarray:
    grid = np.moveaxis(np.indices(GEOMETRY.shape), 0, -1) - np.array(at)
    return ((grid * GEOMETRY.spacing) ** 2).sum(-1) <= radius**2


def _click(at: tuple[int, int, int], *, positive: bool = True) -> Prompt:
    return Prompt.point(GEOMETRY.to_world(at), positive=positive)


def _answer(name: str, volume: Volume, *prompts: Prompt) -> np.ndarray:
    update = RIVALS[name]().predict(EngineRequest(volume, prompts, np.zeros(GEOMETRY.shape, bool)), Monitor(1))
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[update.box] = update.mask
    return mask


def _scan(mask: np.ndarray) -> Volume:
    noise = np.random.default_rng(0).normal(0, 10, mask.shape)
    return Volume((np.where(mask, 200, 0) + noise).astype(np.float32), GEOMETRY)


@pytest.mark.parametrize("name", list(RIVALS))
def test_a_bright_ball_is_found(name: str) -> None:
    ball = _ball((14, 25, 20), 13.0)
    assert dice(ball, _answer(name, _scan(ball), _click((14, 25, 20)), _click((14, 44, 20), positive=False))) > 0.8


@pytest.mark.parametrize("name", list(RIVALS))
def test_of_two_touching_balls_the_other_can_be_refused(name: str) -> None:
    one, other = _ball((14, 16, 20), 11.0), _ball((14, 36, 20), 11.0)
    volume = _scan(one | other)
    found = _answer(name, volume, _click((14, 16, 20)), _click((14, 36, 20), positive=False))
    assert np.count_nonzero(found & one) > 5 * np.count_nonzero(found & other)
