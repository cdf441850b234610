"""What is kept of each prompt, and the shares and spreads made of it."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.interactive.clicks import Watched, clicks_beside, flat_box
from benchmarks.interactive.summary import figures

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.simulate import next_click, play
from napari_radcnn.volume import Volume

GEOMETRY = Geometry.from_parts((9, 30, 26), (3.0, 0.9, 1.4), (4.0, -9.0, 2.0), np.eye(3)[:, ::-1])
VOLUME = Volume(np.zeros(GEOMETRY.shape, np.int16), GEOMETRY)


class Deaf:
    """Answers the first prompt with a box and no other one."""

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer
        self.mask = np.zeros_like(answer)

    def add(self, prompt: Prompt) -> None:
        self.mask = self.answer


def _box(*extents: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[tuple(slice(*extent) for extent in extents)] = True
    return mask


def test_a_player_is_watched_without_being_changed() -> None:
    truth, answer = _box((3, 6), (10, 20), (8, 18)), _box((3, 6), (10, 20), (8, 12))
    player = Watched(Deaf(answer))
    turns = play(player, truth, VOLUME, clicks=3)
    alone = play(Deaf(answer), truth, VOLUME, clicks=3)
    assert [(turn.click, turn.dice) for turn in turns] == [(turn.click, turn.dice) for turn in alone]
    alone = play(Deaf(answer), truth, VOLUME, clicks=3)
    assert [(turn.click, turn.dice) for turn in turns] == [(turn.click, turn.dice) for turn in alone]
    assert player.left == [120, 120, 120]
    assert player.changed == [120, 0, 0]


def test_clicks_beside_lie_in_the_object_and_so_far_from_its_middle() -> None:
    flat = _box((4, 5), (10, 21), (8, 19))
    click = next_click(flat, np.zeros_like(flat), GEOMETRY.spacing)
    assert click is not None
    middle = GEOMETRY.to_world(click.index)
    moves = np.array([prompt.points[0] for prompt in clicks_beside(flat, VOLUME)]) - middle
    # Half a voxel up and down is rounded to the even slice, the object's own; the others stay inside anyway.
    assert len(moves) == 6
    np.testing.assert_allclose(np.linalg.norm(moves, axis=1), 1.5)
    narrow = _box((2, 7), (10, 21), (13, 14))
    # Its first deepest voxel is the second of its rows; one row back, and both columns beside it, are outside.
    assert len(clicks_beside(narrow, VOLUME)) == 3


def test_a_flat_box_holds_the_object_in_the_slice_of_its_middle() -> None:
    truth = _box((2, 7), (10, 21), (6, 14))
    truth[3] = _box((3, 4), (8, 24), (5, 19))[3]
    truth[4] = _box((4, 5), (6, 25), (3, 20))[4]
    drawn = rasterize(flat_box(truth, GEOMETRY), GEOMETRY)
    assert drawn is not None
    whole = np.zeros(GEOMETRY.shape, bool)
    whole[drawn.box] = drawn.mask
    np.testing.assert_array_equal(whole, truth & _box((4, 5), (0, 30), (0, 26)))


def _record(**changes: object) -> dict[str, object]:
    return {
        "voxels": 100,
        "clicks_at_most": 20,
        "dice": [0.5, 0.4, 0.9],
        "seconds": [1.0, 1.0, 1.0],
        "positive": [True, False, True],
        "left": [501, 700, 120],
        "changed": [501, 199, 0],
        "box": 0.7,
        "box_left": 900,
        "scribble": 0.8,
        "scribble_left": 500,
        "beside": [0.3, 0.6],
        "beside_left": [600, 90],
        **changes,
    }


def test_only_prompts_inside_can_be_answered_far_too_large() -> None:
    found = figures([_record()])
    assert found["far_too_large"] == pytest.approx(2 / 5)  # of two positive clicks, the scribble and two beside
    assert found["no_change"] == pytest.approx(1 / 3)
    assert found["beside"][0] == pytest.approx(0.3)


def test_records_that_were_kept_before_have_no_such_figures() -> None:
    old = {key: value for key, value in _record().items() if "left" not in key and key not in ("changed", "beside")}
    assert not {"far_too_large", "no_change", "beside"} & set(figures([old, _record()]))
