"""What becomes of prompts, with a network that does a known thing: scans and prompts of every awkward kind."""

from threading import Event

import numpy as np
import pytest

from alike_engine import AlikeEngine
from napari_radcnn.errors import CancelledError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.engine import FewClicksEngine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.training.few_clicks.decision import box_around
from napari_radcnn.volume import Volume


def oblique(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Geometry:
    turn, _ = np.linalg.qr(np.array([[0.9, -0.3, 0.1], [0.28, 0.95, 0.0], [-0.1, 0.05, 0.99]]))
    return Geometry.from_parts(shape, spacing, (-31.0, 12.0, 5.0), (turn * np.sign(np.diag(turn)))[:, ::-1])


GEOMETRY = oblique((40, 70, 64), (2.0, 0.9, 1.1))
MIDDLE = (19, 33, 30)


def ball(geometry: Geometry, at: tuple[int, int, int], radius: float) -> np.ndarray:
    """Return a ball around a voxel, radius in mm."""
    grid = np.moveaxis(np.indices(geometry.shape), 0, -1) - np.array(at)
    return np.asarray(((grid * geometry.spacing) ** 2).sum(-1) <= radius**2)


def scan(mask: np.ndarray, geometry: Geometry = GEOMETRY, noise: float = 8.0) -> Volume:
    image = np.where(mask, 180, -60) + np.random.default_rng(0).normal(0, noise, mask.shape)
    image[:, :4] += 240  # something else that is as bright: what is bright is not rare
    return Volume(image.astype(np.float32), geometry)


def click(at: tuple[float, ...], *, positive: bool = True, geometry: Geometry = GEOMETRY) -> Prompt:
    return Prompt.point(geometry.to_world(at), positive=positive)


def predict(engine: FewClicksEngine, volume: Volume, *prompts: Prompt, current: np.ndarray | None = None) -> np.ndarray:
    current = np.zeros(volume.geometry.shape, bool) if current is None else current
    update = engine.predict(EngineRequest(volume, prompts, current), Monitor(1))
    mask = current.copy()
    mask[update.box] = update.mask
    return mask


@pytest.mark.parametrize("radius", [9.0, 16.0])
def test_a_ball_is_found_where_it_lies(radius: float) -> None:
    mask = ball(GEOMETRY, MIDDLE, radius)
    assert dice(mask, predict(AlikeEngine(), scan(mask), click((18, 34, 31)))) > 0.9


def test_a_box_and_a_line_find_it_as_well() -> None:
    mask = ball(GEOMETRY, MIDDLE, 13.0)
    line = Prompt.scribble([GEOMETRY.to_world((19, j, 30)) for j in (28, 33, 39)])
    assert (
        dice(mask, predict(AlikeEngine(), scan(mask), box_around(mask, GEOMETRY))) > 0.85
    )  # no way from a click limits it
    assert dice(mask, predict(AlikeEngine(), scan(mask), line)) > 0.9


def test_the_same_request_has_the_same_answer_whatever_came_before() -> None:
    mask = ball(GEOMETRY, MIDDLE, 12.0)
    volume = scan(mask)
    engine = AlikeEngine()
    prompts = (click(MIDDLE), click((19, 50, 30), positive=False))
    current = ball(GEOMETRY, MIDDLE, 10.0)
    first = predict(engine, volume, *prompts, current=current)
    predict(engine, volume, click((10, 20, 20)))
    np.testing.assert_array_equal(predict(engine, volume, *prompts, current=current), first)
    np.testing.assert_array_equal(predict(AlikeEngine(), volume, *prompts, current=current), first)


def test_clicks_are_obeyed_and_a_second_ball_is_not_taken() -> None:
    near, far = ball(GEOMETRY, (19, 18, 30), 10.0), ball(GEOMETRY, (19, 52, 30), 10.0)
    volume = scan(near | far)
    found = predict(
        AlikeEngine(), volume, click((19, 18, 30)), click((19, 33, 30)), click((19, 20, 33), positive=False)
    )
    assert found[19, 18, 30]
    assert found[19, 33, 30]
    assert not found[19, 20, 33]
    assert not found[far].any()


def test_a_close_look_follows_a_correction_of_a_large_object() -> None:
    geometry = oblique((60, 100, 100), (2.0, 1.5, 1.5))
    mask = ball(geometry, (30, 50, 50), 50.0)
    engine = AlikeEngine()
    predict(engine, scan(mask, geometry), click((30, 50, 50), geometry=geometry), current=mask)
    assert len(engine.zooms) == 2
    assert engine.zooms[1] < 0.8 * engine.zooms[0]


def test_strokes_far_away_from_what_is_seen_stay() -> None:
    geometry = oblique((40, 300, 64), (2.0, 2.5, 1.1))
    mask = ball(geometry, (19, 40, 30), 10.0)
    current = np.zeros(geometry.shape, bool)
    update = AlikeEngine().predict(
        EngineRequest(scan(mask, geometry), (click((19, 40, 30), geometry=geometry),), current), Monitor(1)
    )
    assert update.box[1].stop < 100


def test_a_negative_prompt_alone_asks_for_a_positive_one() -> None:
    mask = ball(GEOMETRY, MIDDLE, 9.0)
    with pytest.raises(ModelError, match="Mark the object first"):
        predict(AlikeEngine(), scan(mask), click(MIDDLE, positive=False))


def test_a_negative_prompt_corrects_an_object_that_was_painted() -> None:
    mask = ball(GEOMETRY, MIDDLE, 12.0)
    found = predict(AlikeEngine(), scan(mask), click((19, 33, 38), positive=False), current=mask)
    assert not found[19, 33, 38]
    assert found.any()


def test_it_can_be_cancelled() -> None:
    cancelled = Event()
    cancelled.set()
    mask = ball(GEOMETRY, MIDDLE, 9.0)
    request = EngineRequest(scan(mask), (click(MIDDLE),), np.zeros(GEOMETRY.shape, bool))
    with pytest.raises(CancelledError):
        AlikeEngine().predict(request, Monitor(1, cancel=cancelled))


def awkward() -> dict[str, Volume]:
    """Return scans that nobody should have to expect."""
    shape = (12, 26, 22)
    mask = np.zeros(shape, bool)
    mask[4:9, 8:18, 7:15] = True
    geometry = oblique(shape, (2.0, 0.9, 1.1))
    image = np.where(mask, 180, -60) + np.random.default_rng(1).normal(0, 8, shape)
    nan = image.astype(np.float32)
    nan[::3, ::2] = np.nan
    infinite = image.astype(np.float32)
    infinite[2] = np.inf
    return {
        "constant": Volume(np.full(shape, 7, np.int16), geometry),
        "NaN": Volume(nan, geometry),
        "only NaN": Volume(np.full(shape, np.nan, np.float32), geometry),
        "infinite": Volume(infinite, geometry),
        "two slices": Volume(image[5:7].astype(np.float32), oblique((2, *shape[1:]), (5.0, 0.9, 1.1))),
        "one slice": Volume(image[5:6].astype(np.float32), oblique((1, *shape[1:]), (5.0, 0.9, 1.1))),
        "one column": Volume(image[:, :1, :1].astype(np.float32), oblique((12, 1, 1), (2.0, 0.9, 1.1))),
        "0.05 mm": Volume(image.astype(np.float32), oblique(shape, (0.05, 0.05, 0.05))),
        "20 mm": Volume(image.astype(np.float32), oblique(shape, (20.0, 20.0, 20.0))),
        "uint8": Volume(((image + 100) / 2).clip(0, 255).astype(np.uint8), geometry),
        "0..1": Volume(((image + 100) / 400).astype(np.float32), geometry),
        "inverted": Volume(-image.astype(np.float32), geometry),
        "huge values": Volume((image * 1e10).astype(np.float32), geometry),
    }


@pytest.mark.parametrize("kind", list(awkward()))
def test_awkward_scans_have_an_answer_that_obeys(kind: str) -> None:
    volume = awkward()[kind]
    geometry = volume.geometry
    k, j, i = (n // 2 for n in geometry.shape)
    corner = (geometry.shape[0] - 1, geometry.shape[1] - 1, geometry.shape[2] - 1)
    one = np.zeros(geometry.shape, bool)
    one[k, j, i] = True
    engine = AlikeEngine()
    middle = click((k, j, i), geometry=geometry)
    assert predict(engine, volume, middle)[k, j, i]
    found = predict(
        engine, volume, click(corner, geometry=geometry), click((0, 0, 0), positive=False, geometry=geometry)
    )
    assert found[corner]
    assert not found[0, 0, 0]
    faces_are_rounded = 4**3  # to two voxels along each axis, and one more on each side
    assert np.count_nonzero(predict(engine, volume, box_around(one, geometry))) <= faces_are_rounded
    contradiction = predict(engine, volume, middle, click((k, j, i), positive=False, geometry=geometry))
    assert not contradiction[k, j, i]
