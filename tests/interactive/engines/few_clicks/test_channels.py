"""What the network of `few-clicks` is shown: ways that keep to a value, boxes that are high in their middle."""

import numpy as np
import pytest

from napari_radcnn.interactive.engines.few_clicks.channels import AGAINST, BOX, NEAR, Board, arrival

SIZE = 24


def _board(picture: np.ndarray) -> Board:
    return Board(picture.astype(np.float32), -100.0, 300.0, 1.5, np.ones(picture.shape, bool))


def _two_rooms() -> np.ndarray:
    """Return two rooms of one value with a wall of another between them, open at one end."""
    picture = np.full((SIZE, SIZE, SIZE), 40.0)
    picture[:, 10:14, :18] = 240.0
    return picture


def test_ways_along_one_value_are_as_long_as_they_are() -> None:
    cost = np.full((9, 11, 13), 0.5, np.float32)
    far = arrival(cost, np.array([[4, 5, 1]]))
    assert far.shape == cost.shape
    assert far[4, 5, 9] == pytest.approx(8 * 0.5, rel=0.02)
    assert far[4, 5, 1] == 0


def test_nothing_is_farther_than_a_limit_where_walls_are_thick() -> None:
    cost = np.full((9, 9, 9), 0.5, np.float32)
    cost[:, :, 4] = 1e4
    far = arrival(cost, np.array([[4, 4, 1]]))
    assert np.isfinite(far).all()
    assert far[:, :, 6:].min() == far.max()


def test_a_place_behind_a_wall_is_farther_than_one_at_the_same_distance_before_it() -> None:
    board = _board(_two_rooms())
    board.click((12, 5, 4), positive=True)
    near = board.channels[NEAR]
    assert near[12, 5, 16] > 2 * near[12, 17, 4]  # both are 12 voxels away, the latter behind the wall
    assert near[12, 12, 4] < near[12, 8, 4] / 3  # in the wall itself


def test_negative_prompts_have_ways_of_their_own_and_more_prompts_only_come_nearer() -> None:
    board = _board(_two_rooms())
    board.click((12, 5, 4), positive=True)
    first = board.channels[NEAR].copy()
    assert not board.channels[AGAINST].any()
    board.click((12, 17, 4), positive=False)
    assert board.channels[AGAINST][12, 17, 4] > 0.9
    np.testing.assert_array_equal(board.channels[NEAR], first)
    board.scribble(np.array([[12, 18, i] for i in range(5, 15)]), positive=True)
    assert (board.channels[NEAR] >= first).all()
    assert board.channels[NEAR][12, 18, 12] > first[12, 18, 12]


def test_a_click_outside_of_the_cube_has_no_ways() -> None:
    board = _board(_two_rooms())
    board.click((-2.5, 5, 4), positive=True)
    assert not board.channels[NEAR].any()


def test_a_box_is_highest_in_its_middle_and_ends_at_its_faces() -> None:
    board = _board(_two_rooms())
    board.box(np.array([4, 6, 2]), np.array([13, 11, 20]))
    box = board.channels[BOX]
    assert np.argwhere(box > 0).min(0).tolist() == [4, 6, 2]
    assert np.argwhere(box > 0).max(0).tolist() == [12, 10, 19]
    assert box[8, 8, 10] == box.max()
    assert box[4, 6, 2] < 0.3 < box[4, 8, 10] < box[6, 8, 10]
