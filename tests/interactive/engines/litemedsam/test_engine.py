"""The engine around a stand-in network whose answers are known: what is followed, where it ends, what prompts mean."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from box_network import BrightInBox
from napari_radcnn.errors import CancelledError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.litemedsam import engine as litemedsam
from napari_radcnn.interactive.engines.litemedsam.engine import LiteMedSamEngine
from napari_radcnn.interactive.engines.litemedsam.prompts import plane_axis
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.phantom import rotation
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE = (28, 64, 48)
#: Rows and columns of the bar, and its slices.
BAR = (slice(5, 21), slice(20, 36), slice(12, 24))


def _volume(array, *, tilted=True, **metadata):
    direction = rotation(8.0, -6.0, 11.0) @ np.eye(3)[:, ::-1] if tilted else None
    grid = Geometry.from_parts(array.shape[:3], (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25), direction)
    return Volume(array, grid, VolumeMetadata(**metadata))


def _bar(*gaps):
    array = np.zeros(SHAPE, np.int16)
    array[BAR] = 100
    for gap in gaps:
        array[gap] = 0
    return array


def _box(volume, axis, index, low, high, *, positive=True):
    """Return a flat box from voxel `low` to voxel `high` (both within) of a slice."""
    row, column = (n for n in range(3) if n != axis)
    corners = []
    for r, c in ((low[0], low[1]), (high[0], low[1]), (low[0], high[1])):
        place = [0.0, 0.0, 0.0]
        place[axis], place[row], place[column] = index, r, c
        corners.append(volume.geometry.to_world(place))
    return Prompt.box(*corners, positive=positive)


def _at(volume, index):
    return volume.geometry.to_world(index)


class Session:
    """Asks an engine, and keeps the object as a session does."""

    def __init__(self, volume, forbidden=None):
        self.volume, self.prompts = volume, []
        self.mask = np.zeros(volume.geometry.shape, bool)
        self.forbidden = forbidden
        self.network = BrightInBox()
        self.engine = LiteMedSamEngine(RunSettings(), self.network)

    def add(self, prompt, monitor=None):
        self.prompts.append(prompt)
        current = self.mask.copy()
        current.setflags(write=False)
        request = EngineRequest(self.volume, tuple(self.prompts), current, self.forbidden)
        update = self.engine.predict(request, monitor or Monitor(1))
        self.mask[update.box] = update.mask
        return update

    def follow(self, prompt, monitor=None):
        """Add a flat box, and another one across it that lets the object go through all slices."""
        self.add(prompt, monitor)
        axis = plane_axis(prompt, self.volume.geometry)
        other = (axis + 1) % 3
        row, column = (n for n in range(3) if n != other)
        ends = (SHAPE[row] - 1, SHAPE[column] - 1)
        return self.add(_box(self.volume, other, SHAPE[other] // 2, (0, 0), ends), monitor)


def _expected(*gaps):
    return _bar(*gaps) > 0


def _slice_of_it(index):
    truth = np.zeros(SHAPE, bool)
    truth[index] = _expected()[index]
    return truth


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_bar_is_followed_to_both_ends_along_any_axis_of_a_tilted_scan(axis):
    volume = _volume(_bar())
    before = volume.array.copy()
    row, column = (n for n in range(3) if n != axis)
    low = (BAR[row].start - 2, BAR[column].start - 1)
    high = (BAR[row].stop + 1, BAR[column].stop)
    session = Session(volume)
    update = session.follow(_box(volume, axis, BAR[axis].start + 4, low, high))
    np.testing.assert_array_equal(session.mask, _expected())
    assert update.box == BAR  # the smallest box that holds it
    np.testing.assert_array_equal(volume.array, before)


def test_a_round_cylinder_is_followed_and_nothing_else_is_taken():
    _, row, column = np.indices(SHAPE)
    disk = (row - 30) ** 2 * 0.64 + (column - 18) ** 2 * 0.49 <= 49
    array = (disk * 80).astype(np.float32)
    array[:4] = array[22:] = 0
    array[:, 50:60, 38:46] = 80  # a second bright bar apart from it
    session = Session(_volume(array))
    session.follow(_box(session.volume, 0, 9, (20, 7), (40, 29)))
    truth = array > 0
    truth[:, 50:60, 38:46] = False
    assert 2 * (session.mask & truth).sum() / (session.mask.sum() + truth.sum()) > 0.99
    assert not session.mask[:, 50:].any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flat_box_is_answered_in_its_own_slice_at_the_cost_of_one(axis):
    volume = _volume(_bar())
    session = Session(volume)
    session.mask[2, 3:5, 4:7] = session.mask[24, 50:52, 40:44] = True
    stroked = session.mask.copy()
    row, column = (n for n in range(3) if n != axis)
    index = BAR[axis].start + 4
    low, high = (BAR[row].start - 2, BAR[column].start - 1), (BAR[row].stop + 1, BAR[column].stop)
    session.add(_box(volume, axis, index, low, high))
    truth, plane = stroked.copy(), [slice(None)] * 3
    plane[axis] = index
    truth[tuple(plane)] = _expected()[tuple(plane)]
    np.testing.assert_array_equal(session.mask, truth)
    assert session.network.embedded == 1


def test_a_further_flat_box_or_click_changes_its_own_slice_alone():
    volume = _volume(_bar())
    session = Session(volume)
    session.add(_box(volume, 0, 8, (18, 10), (37, 25)))
    session.mask[9, 28, 18] = session.mask[13, 28, 18] = True  # strokes
    session.add(_box(volume, 0, 14, (18, 10), (37, 25)))
    session.add(Prompt.point(_at(volume, (11, 28, 18))))
    truth = _slice_of_it(8) | _slice_of_it(11) | _slice_of_it(14)
    truth[9, 28, 18] = truth[13, 28, 18] = True
    np.testing.assert_array_equal(session.mask, truth)
    session.add(Prompt.point(_at(volume, (13, 28, 18)), positive=False))
    truth[13, 28, 18] = False
    np.testing.assert_array_equal(session.mask, truth)
    session.add(Prompt.point(_at(volume, (14, 34, 18)), positive=False))
    assert not session.mask[14, 34].any()
    assert session.mask[14, 20:30, 12:24].all()
    session.mask[14] = truth[14]
    np.testing.assert_array_equal(session.mask, truth)


def test_a_box_with_depth_after_a_flat_one_lets_the_object_go_on_from_both():
    volume = _volume(_bar())
    session = Session(volume)
    session.add(_box(volume, 0, 8, (18, 10), (37, 25)))
    ends = ((6, 18, 10), (16, 18, 10), (6, 37, 10), (6, 18, 25))
    session.add(Prompt.box(*(_at(volume, end) for end in ends)))
    truth = _expected()
    truth[:6] = truth[17:] = False
    np.testing.assert_array_equal(session.mask, truth)
    session.add(_box(volume, 0, 14, (18, 10), (37, 17)))  # narrower, and followed within the depth
    assert session.mask[14:17].sum() < truth[14:17].sum()
    np.testing.assert_array_equal(session.mask[:11], truth[:11])
    assert not session.mask[17:].any()


def test_it_stops_at_a_gap_and_a_second_box_goes_on_behind_it():
    session = Session(_volume(_bar(13)))
    session.follow(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    first = _expected(13)
    first[13:] = False
    np.testing.assert_array_equal(session.mask, first)
    session.add(_box(session.volume, 0, 17, (18, 10), (37, 25)))
    np.testing.assert_array_equal(session.mask, _expected(13))


def test_it_stops_where_the_next_slice_shows_something_else():
    array = _bar()
    array[14:] = 0
    array[14:21, 31:40, 20:28] = 100  # overlaps the bar by a quarter of what it would take
    session = Session(_volume(array))
    session.follow(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    assert session.mask[13].any()
    assert not session.mask[14:].any()


def test_strokes_near_another_box_are_kept():
    session = Session(_volume(_bar()))
    session.follow(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    session.mask[7, 30:34, 14:18] = False  # an eraser, near the first box
    stroked = session.mask.copy()
    session.add(_box(session.volume, 0, 16, (18, 10), (37, 25)))
    np.testing.assert_array_equal(session.mask, stroked)


def test_a_box_drawn_in_an_oblique_plane_means_the_nearest_slice():
    volume = _volume(_bar(), tilted=False)
    tilt = np.tan(np.radians(12)) * 0.7 / 2.5  # slices a column rises
    ends = [(9 + tilt * (c - 18), r, c) for r, c in ((18, 10), (37, 10), (18, 25))]
    session = Session(volume)
    session.add(Prompt.box(*(_at(volume, end) for end in ends)))
    np.testing.assert_array_equal(session.mask, _slice_of_it(9))


def test_a_box_with_depth_bounds_the_slices():
    volume = _volume(_bar())
    session = Session(volume)
    corner, *rest = ((8, 18, 10), (14, 18, 10), (8, 37, 10), (8, 18, 25))
    session.add(Prompt.box(_at(volume, corner), *(_at(volume, end) for end in rest)))
    truth = _expected()
    truth[:8] = truth[15:] = False
    np.testing.assert_array_equal(session.mask, truth)


def test_a_box_in_another_plane_bounds_slices_and_rows():
    session = Session(_volume(_bar()))
    session.add(_box(session.volume, 0, 12, (18, 10), (37, 25)))
    session.add(_box(session.volume, 2, 18, (9, 24), (16, 33)))  # slices 9..16, rows 24..33 of a sagittal slice
    truth = _expected()
    truth[:9] = truth[17:] = False
    truth[:, :24] = truth[:, 34:] = False
    # The box within the bounds is the prompt; the answer may reach the bounds, and no farther.
    np.testing.assert_array_equal(session.mask, truth)


def test_a_second_part_in_one_slice_is_added_and_a_better_box_replaces():
    array = _bar()
    array[BAR[0], 44:56, 30:42] = 100
    session = Session(_volume(array))
    session.add(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    session.add(_box(session.volume, 0, 8, (42, 28), (57, 43)))
    assert (session.mask[8] == (array[8] > 0)).all()
    session.add(_box(session.volume, 0, 8, (50, 36), (57, 43)))  # instead of the second
    assert not session.mask[8, 44:48, 30:34].any()
    assert session.mask[8, 52:56, 38:42].all()
    assert session.mask[8, BAR[1], BAR[2]].all()


def test_a_negative_lasso_over_the_object_ends_it_there():
    volume = _volume(_bar())
    session = Session(volume)
    session.follow(_box(volume, 0, 8, (18, 10), (37, 25)))
    session.add(
        Prompt.lasso([_at(volume, (16, r, c)) for r, c in ((17, 9), (17, 27), (39, 27), (39, 9))], positive=False)
    )
    truth = _expected()
    truth[16:] = False
    np.testing.assert_array_equal(session.mask, truth)


def test_a_negative_lasso_over_a_part_takes_the_part():
    volume = _volume(_bar())
    session = Session(volume)
    session.add(_box(volume, 0, 8, (18, 10), (37, 25)))
    corners = ((24, 16), (24, 19), (28, 19), (28, 16))
    session.add(Prompt.lasso([_at(volume, (8, r, c)) for r, c in corners], positive=False))
    assert not session.mask[8, 24:29, 16:20].any()
    assert session.mask[8].sum() == _expected()[8].sum() - 20


def test_a_negative_click_draws_the_box_in_from_there_on():
    volume = _volume(_bar())
    session = Session(volume)
    session.follow(_box(volume, 0, 8, (18, 10), (37, 25)))
    session.add(Prompt.point(_at(volume, (14, 34, 18)), positive=False))
    assert session.mask[:14].sum() == _expected()[:14].sum()
    assert not session.mask[14, 34].any()
    assert session.mask[14, 20:30, 12:24].all()
    assert session.mask[15, 20:30, 12:24].all()


def test_a_negative_box_with_depth_takes_its_voxels_and_nothing_else():
    volume = _volume(_bar())
    session = Session(volume)
    session.follow(_box(volume, 0, 8, (18, 10), (37, 25)))
    ends = ((6, 22, 14), (10, 22, 14), (6, 26, 14), (6, 22, 17))
    session.add(Prompt.box(*(_at(volume, end) for end in ends), positive=False))
    truth = _expected()
    truth[6:11, 22:27, 14:18] = False
    np.testing.assert_array_equal(session.mask, truth)


@pytest.mark.parametrize(
    "prompt",
    [
        lambda v: Prompt.point(_at(v, (8, 28, 18))),
        lambda v: Prompt.scribble([_at(v, (8, 24, 15)), _at(v, (8, 31, 20))]),
        lambda v: Prompt.lasso([_at(v, (8, r, c)) for r, c in ((18, 10), (17, 26), (38, 26), (37, 10))]),
    ],
    ids=["point", "scribble", "lasso"],
)
def test_other_prompts_become_boxes(prompt):
    session = Session(_volume(_bar()))
    session.add(prompt(session.volume))
    np.testing.assert_array_equal(session.mask, _slice_of_it(8))


def test_a_click_beside_what_was_found_reaches_there():
    array = _bar()
    array[BAR[0], 20:36, 24:40] = 100
    session = Session(_volume(array))
    session.add(_box(session.volume, 0, 8, (18, 10), (37, 23)))
    found = session.mask[8].sum()
    session.add(Prompt.point(_at(session.volume, (8, 28, 39))))
    assert session.mask[8].sum() == (array[8] > 0).sum() > found


def test_locked_voxels_are_never_taken():
    forbidden = np.zeros(SHAPE, bool)
    forbidden[10:12, 20:36, 12:16] = True
    forbidden[18] = True
    session = Session(_volume(_bar()), forbidden)
    session.follow(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    assert not session.mask[forbidden].any()
    assert not session.mask[18:].any()
    np.testing.assert_array_equal(session.mask[14:18], _expected()[14:18])  # two slices on, the box is wide again
    np.testing.assert_array_equal(session.mask[:10], _expected()[:10])


def test_nothing_in_the_box_is_an_empty_answer():
    session = Session(_volume(_bar()))
    update = session.add(_box(session.volume, 0, 24, (2, 2), (12, 9)))
    assert not update.mask.any()


def test_a_first_negative_prompt_takes_from_strokes():
    session = Session(_volume(_bar()))
    session.mask[8, 20:30, 12:20] = True
    session.add(_box(session.volume, 0, 8, (20, 12), (24, 19), positive=False))
    assert not session.mask[8, 20:25].any()
    assert session.mask[8, 25:30, 12:20].all()


def test_it_is_asked_once_a_slice_and_stops_between_two():
    session = Session(_volume(_bar()))
    session.add(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    cancel, told = threading.Event(), []

    def progress(done, total, message):
        told.append(message)
        if len(told) == 4:
            cancel.set()

    depth = [_at(session.volume, end) for end in ((0, 18, 10), (16, 18, 10), (0, 37, 10), (0, 18, 25))]
    with pytest.raises(CancelledError):
        session.add(Prompt.box(*depth), Monitor(1, progress, cancel))
    assert session.network.embedded == 4  # the one under way is finished; one was known
    assert "slice 9" in told[0]
    session.prompts.pop()
    session.add(Prompt.box(*depth))
    assert session.network.embedded == 13  # slices 5 to 16, and one where nothing is
    session.add(_box(session.volume, 0, 9, (18, 10), (37, 25)))
    assert session.network.embedded == 13


def test_embeddings_are_given_up_where_they_are_too_many(monkeypatch):
    monkeypatch.setattr(litemedsam, "_MOST_MB", 1)  # eight of the stand-in's
    session = Session(_volume(_bar()))
    session.follow(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    kept = session.engine._embeddings
    assert 0 < sum(one.nbytes for one in kept._kept.values()) == kept._size <= 1 << 20
    session.engine.close()
    assert session.network.is_closed
    assert not kept._kept


def test_another_scan_is_not_answered_from_the_last_one():
    session = Session(_volume(_bar()))
    session.follow(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    other = np.roll(_bar(), 3, axis=0)
    session.volume, session.prompts, session.mask = _volume(other), [], np.zeros(SHAPE, bool)
    session.follow(_box(session.volume, 0, 10, (18, 10), (37, 25)))
    np.testing.assert_array_equal(session.mask, other > 0)


@pytest.mark.parametrize(("low", "high"), [(-1000, -750), (30, 110), (400, 1200)], ids=["lung", "soft", "bone"])
def test_a_ct_is_shown_in_the_window_of_what_is_boxed(low, high):
    array = np.full(SHAPE, low, np.int16)
    array[BAR] = high
    session = Session(_volume(array, modality="CT", units="HU"))
    session.add(_box(session.volume, 0, 8, (20, 12), (35, 23)))
    np.testing.assert_array_equal(session.mask, _slice_of_it(8))


def test_colors_and_values_that_are_no_numbers_are_taken():
    colors = np.repeat((_bar() > 0)[..., None], 3, axis=3).astype(np.uint8) * 200
    session = Session(_volume(colors))
    session.add(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    np.testing.assert_array_equal(session.mask, _slice_of_it(8))
    holes = _bar().astype(np.float32)
    holes[:, 50:] = np.nan
    session = Session(_volume(holes))
    session.add(_box(session.volume, 0, 8, (18, 10), (37, 25)))
    np.testing.assert_array_equal(session.mask, _slice_of_it(8))
