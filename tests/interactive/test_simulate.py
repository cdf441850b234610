from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label as connected

from grids import SPACING, axial, oblique
from napari_radcnn.errors import GeometryError
from napari_radcnn.interactive.simulate import Click, EnginePlayer, Turn, clicks_to, dice_after, next_click, play
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.metrics import dice
from napari_radcnn.phantom import world_field


def _nearest_outside(piece, voxel, spacing):
    """The distance to the nearest voxel outside, those beyond the border included; by trying all."""
    outside = np.argwhere(~np.pad(piece, 1)) - 1
    return np.sqrt((((outside - voxel) * np.asarray(spacing)) ** 2).sum(axis=1).min())


def _by_hand(truth, current, spacing):
    """The rule once more, with another library for the pieces, and every distance tried."""
    pieces = []
    for error in (truth & ~current, current & ~truth):
        numbered = connected(error, connectivity=1)
        pieces += [numbered == number for number in range(1, numbered.max() + 1)]
    if not pieces:
        return None
    largest = min(pieces, key=lambda piece: (-np.count_nonzero(piece), np.flatnonzero(piece)[0]))
    voxels = [tuple(voxel) for voxel in np.argwhere(largest).tolist()]
    return min(voxels, key=lambda voxel: (-round(_nearest_outside(largest, voxel, spacing), 6), voxel))


@pytest.mark.parametrize("seed", range(30))
def test_the_rule_tried_on_all_voxels(seed):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.random((2, 3, 4)) < 0.5, np.ones((2, 2, 2)))[:, :, :7] > 0
    current = truth ^ (np.kron(rng.random((2, 2, 7)) < 0.3, np.ones((2, 3, 1))) > 0)
    current.flat[0] = True  # not empty: the first click has a rule of its own
    click = next_click(truth, current, SPACING)
    assert (click.index if click else None) == _by_hand(truth, current, SPACING)
    if click:
        assert click.positive == truth[click.index] != current[click.index]


def test_first_click_is_the_most_interior_point_in_millimeters():
    truth = np.zeros((12, 14, 30), bool)
    truth[1:6, 2:5, 0:21] = True  # 5 x 3 x 21 voxels: at most 2 rows deep
    truth[7:10, 5:14, 5:14] = True  # 3 x 9 x 9 voxels: 2 slices deep, fewer voxels
    empty = np.zeros_like(truth)
    # With slices of 3 mm: depths 2 x 1 mm and, at its very middle, min(2 x 3, 5 x 1) = 5 mm.
    assert next_click(truth, empty, (3.0, 1.0, 1.0)) == Click((8, 9, 9), True)
    # With slices of 0.1 mm the larger piece is deeper, along a line; its lowest index counts.
    assert next_click(truth, empty, (0.1, 1.0, 1.0)) == Click((3, 2, 0), True)


def test_the_border_of_the_volume_is_outside():
    truth = np.zeros((9, 9, 9), bool)
    truth[0:5, 2:7, 2:7] = True
    assert next_click(truth, np.zeros_like(truth), (1.0, 1.0, 1.0)) == Click((2, 4, 4), True)


def test_too_much_gets_a_negative_click_where_it_is_larger_than_what_is_missing():
    truth, current = np.zeros((2, 5, 6, 11), bool)
    truth[1:4, 1:4, 1:5] = True
    current[1:4, 1:4, 2:10] = True  # 9 voxels missing, 45 too many
    assert next_click(truth, current, (1.0, 1.0, 1.0)) == Click((2, 2, 6), False)
    assert next_click(current, truth, (1.0, 1.0, 1.0)) == Click((2, 2, 6), True)


def test_pieces_of_one_size_go_by_lowest_index_whatever_their_kind():
    truth, current = np.zeros((2, 3, 4, 9), bool)
    truth[1, 1, 1:3], current[1, 1, 6:8] = True, True
    assert next_click(truth, current, SPACING) == Click((1, 1, 1), True)
    assert next_click(current, truth, SPACING) == Click((1, 1, 1), False)


def test_pieces_touch_by_faces_only():
    truth, current = np.zeros((2, 3, 6, 9), bool)
    current[1, 5, 8] = truth[1, 5, 8] = True
    truth[1, 1, 1:4] = True
    truth[1, 2, 4:6] = True  # touches the others by an edge: 3 and 2 voxels, not 5
    truth[1, 4, 2:6] = True
    assert next_click(truth, current, (1.0, 1.0, 1.0)).index == (1, 4, 2)


def test_no_voxel_is_clicked_twice():
    truth, empty = np.zeros((2, 4, 5, 6), bool)
    truth[1, 2, 1:4] = True
    truth[3, 4, 5] = True
    taken = []
    for _ in range(4):
        taken.append(next_click(truth, empty, SPACING, taken).index)
    assert taken == [(1, 2, 2), (1, 2, 1), (1, 2, 3), (3, 4, 5)]  # 0.8 mm deep, then 0.7, 0.7, then the small piece
    assert next_click(truth, empty, SPACING, taken) is None


def test_nothing_is_left_to_say():
    truth = np.zeros((3, 4, 5), bool)
    assert next_click(truth, truth, SPACING) is None
    truth[1, 2, 3] = True
    assert next_click(truth, truth.copy(), SPACING) is None


def test_masks_on_two_grids_are_refused():
    with pytest.raises(GeometryError, match=r"\(3, 4, 5\) and \(3, 5, 4\)"):
        next_click(np.ones((3, 4, 5), bool), np.ones((3, 5, 4), bool), SPACING)
    with pytest.raises(GeometryError, match=r"of \(3, 5, 4\)"):
        play(_Deaf(), np.ones((3, 5, 4), bool), world_field(axial()))
    with pytest.raises(GeometryError, match="object"):
        play(_Deaf(), np.zeros((3, 4, 5), bool), world_field(axial()))


class _Deaf:
    """Takes prompts and does nothing."""

    def __init__(self):
        self.prompts = []
        self.mask = np.zeros(axial().shape, bool)

    def add(self, prompt):
        self.prompts.append(prompt)


class _Slices:
    """Finds the slice of every positive click."""

    name = "slices"

    def __init__(self, truth):
        self.truth = truth
        self.requests = []

    def predict(self, request, monitor):
        self.requests.append(request)
        k, _, _ = np.rint(request.volume.geometry.to_index(request.prompts[-1].points[0])).astype(int)
        box = (slice(k, k + 1), slice(0, request.current.shape[1]), slice(0, request.current.shape[2]))
        return MaskUpdate(box, self.truth[box].copy())


def test_an_engine_is_played_on_an_oblique_grid_until_the_object_is_found():
    volume = world_field(oblique())
    truth = np.zeros(volume.geometry.shape, bool)
    truth[:, 1:3, 1:4] = True
    engine = _Slices(truth)
    seconds = iter([10.0, 10.5, 20.0, 20.25, 30.0, 30.125])
    turns = play(EnginePlayer(engine, volume), truth, volume, clock=lambda: next(seconds))
    assert [turn.dice for turn in turns] == pytest.approx([2 * 1 / 4, 2 * 2 / 5, 1.0])
    assert [turn.seconds for turn in turns] == [0.5, 0.25, 0.125]
    assert sorted(turn.click.index[0] for turn in turns) == [0, 1, 2]
    assert [len(request.prompts) for request in engine.requests] == [1, 2, 3]
    last = engine.requests[-1]
    assert all(prompt.kind == "point" and prompt.positive for prompt in last.prompts)
    placed = volume.geometry.to_index([prompt.points[0] for prompt in last.prompts])
    assert placed == pytest.approx(np.array([turn.click.index for turn in turns]), abs=1e-9)
    assert not last.current.flags.writeable
    assert dice(truth, last.current) == 1  # the player's own mask, after the last answer


def test_a_click_says_which_patient_space_it_is_in():
    prompt = Click((2, 1, 3), False).prompt(oblique(), "1.2.3")
    assert not prompt.positive
    assert prompt.frame_of_reference_uid == "1.2.3"
    assert prompt.points[0] == pytest.approx(oblique().to_world((2, 1, 3)))


def test_a_deaf_engine_gets_all_clicks_each_elsewhere():
    truth = np.ones(axial().shape, bool)
    turns = play(_Deaf(), truth, world_field(axial()), clicks=12)
    assert len(turns) == len({turn.click.index for turn in turns}) == 12
    assert {turn.dice for turn in turns} == {0.0}
    assert clicks_to(turns, 0.85) == 20


class _Nearly(_Deaf):
    """Is good from the second click on, but never perfect; from the fourth on worse again."""

    def add(self, prompt):
        super().add(prompt)
        missed = 2 if len(self.prompts) in (2, 3) else 15
        self.mask = np.ones(axial().shape, bool)
        self.mask.flat[:missed] = False


@pytest.mark.parametrize(("at_least", "expected"), [(1, 2), (2, 2), (6, 6), (30, 9)])
def test_a_game_ends_with_the_goal_and_enough_clicks(at_least, expected):
    turns = play(_Nearly(), np.ones(axial().shape, bool), world_field(axial()), clicks=9, goal=0.9, at_least=at_least)
    assert len(turns) == expected
    assert clicks_to(turns, 0.9) == 2


def test_counts_are_of_the_clicks_that_were_made():
    turns = tuple(Turn(Click((0, 0, n), True), value, 0.0) for n, value in enumerate((0.5, 0.85, 0.7, 0.9)))
    assert [dice_after(turns, n) for n in (0, 1, 3, 4, 10)] == [0.0, 0.5, 0.7, 0.9, 0.9]
    assert [clicks_to(turns, goal) for goal in (0.4, 0.85, 0.86, 0.95)] == [1, 2, 4, 20]
    assert clicks_to(turns, 0.9, cap=3) == 3
    assert dice_after((), 3) == 0.0
    assert clicks_to((), 0.5, cap=7) == 7
