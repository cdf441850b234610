"""What a click may change of an object: on grids of unlike spacing, against distances that are computed otherwise."""

import numpy as np
import pytest
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.few_clicks.changes import limited
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.prompts import Prompt

SHAPE, SPACING = (24, 40, 44), np.array([2.5, 0.8, 1.1])
GEOMETRY = Geometry.from_parts(SHAPE, SPACING.tolist(), (3.0, -7.0, 11.0), np.eye(3)[:, ::-1])
#: Where the arrays begin in the scan.
START = (3, 5, 2)
INNER = tuple(slice(s, s + n) for s, n in zip(START, (18, 30, 36), strict=True))


def part(low: tuple[int, int, int], high: tuple[int, int, int]) -> np.ndarray:
    """Return a block, from the first voxel to the one past the last, in the scan."""
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def after(*prompts: Prompt, before: np.ndarray, new: np.ndarray, chance: np.ndarray, number: int = 9) -> np.ndarray:
    mark = Marks.of(prompts, GEOMETRY).newest
    assert mark is not None
    likely = chance[INNER].astype(np.float32)
    found = limited(new[INNER], before[INNER], likely, mark, START, SPACING, number=number)
    whole = np.zeros(SHAPE, bool)
    whole[INNER] = found
    return whole


def click(at: tuple[int, int, int], *, positive: bool) -> Prompt:
    return Prompt.point(GEOMETRY.to_world(at), positive=positive)


BEFORE = part((5, 8, 5), (15, 30, 35))
UNSURE, SURELY = np.full(SHAPE, 0.45), np.full(SHAPE, 0.05)


def test_a_positive_click_adds_and_takes_nothing_away() -> None:
    new = part((8, 12, 4), (18, 34, 20))
    found = after(click((16, 30, 10), positive=True), before=BEFORE, new=new, chance=SURELY)
    np.testing.assert_array_equal(found, BEFORE | new)


def test_what_would_make_it_many_times_as_large_is_added_near_the_click_alone() -> None:
    small, at = part((8, 12, 8), (11, 17, 14)), (9, 20, 11)
    new = part((5, 8, 5), (15, 30, 35))
    assert np.count_nonzero(new) > 20 * np.count_nonzero(small)
    found = after(click(at, positive=True), before=small, new=new, chance=SURELY)
    lone = np.ones(SHAPE, bool)
    lone[at] = False
    far = ndimage.distance_transform_edt(lone, SPACING)
    reach = 2.5 * far[small].min()
    is_clear = np.abs(far - reach) > 1e-3
    np.testing.assert_array_equal(found[is_clear], (small | (new & (far < reach)))[is_clear])
    assert np.count_nonzero(small) < np.count_nonzero(found) < 0.5 * np.count_nonzero(new)
    within = after(click((9, 14, 11), positive=True), before=small, new=new, chance=SURELY)
    np.testing.assert_array_equal(within, new)  # the click says nothing of how far it reaches


@pytest.mark.parametrize("at", [(10, 12, 8), (7, 10, 30), (13, 27, 6)])
def test_what_is_doubtful_goes_within_a_few_ways_to_the_border(at: tuple[int, int, int]) -> None:
    found = after(click(at, positive=False), before=BEFORE, new=np.zeros(SHAPE, bool), chance=UNSURE)
    lone = np.ones(SHAPE, bool)
    lone[at] = False
    far = ndimage.distance_transform_edt(lone, SPACING)
    way = far[~BEFORE].min()
    np.testing.assert_array_equal(found, BEFORE & (far > 2.0 * way))
    assert 0 < np.count_nonzero(BEFORE & ~found) < 0.5 * np.count_nonzero(BEFORE)


def test_what_is_rough_still_may_be_taken_back_by_a_positive_click_and_farther_by_a_negative_one() -> None:
    new = part((8, 12, 4), (18, 34, 20))
    kinds = {"before": BEFORE, "chance": UNSURE}
    found = after(click((16, 30, 10), positive=True), new=new, number=1, **kinds)
    np.testing.assert_array_equal(found, new)
    negative, nothing = click((10, 12, 8), positive=False), np.zeros(SHAPE, bool)
    gone = [np.count_nonzero(BEFORE & ~after(negative, new=nothing, number=n, **kinds)) for n in (2, 3)]
    assert gone[0] > 2 * gone[1] > 0


def test_what_surely_is_no_part_goes_where_it_is_connected_with_that() -> None:
    at = (10, 12, 8)
    chance = UNSURE.copy()
    chance[:, :, :20] = 0.05
    chance[:, :, 28:] = 0.05  # as sure, behind what is not
    kept = part((0, 0, 20), (24, 40, 22))
    found = after(click(at, positive=False), before=BEFORE, new=kept, chance=chance)
    assert not found[:, :, :20].any()
    np.testing.assert_array_equal(found[:, :, 22:], BEFORE[:, :, 22:])


def test_a_negative_click_adds_nothing_and_may_change_nothing() -> None:
    found = after(click((10, 12, 8), positive=False), before=BEFORE, new=part((3, 5, 2), (21, 35, 38)), chance=UNSURE)
    np.testing.assert_array_equal(found, BEFORE)


def test_a_line_reaches_as_far_as_its_deepest_place() -> None:
    shallow = click((10, 9, 20), positive=False)
    line = Prompt.scribble([GEOMETRY.to_world((10, j, 20)) for j in (9, 14, 19)], positive=False)
    gone = [
        np.count_nonzero(BEFORE & ~after(prompt, before=BEFORE, new=np.zeros(SHAPE, bool), chance=UNSURE))
        for prompt in (shallow, line)
    ]
    assert gone[1] > 20 * gone[0] > 0


def test_where_all_of_a_small_scan_was_the_object_its_faces_are_the_border() -> None:
    whole = np.ones(SHAPE, bool)
    at = (12, 8, 20)
    found = after(click(at, positive=False), before=whole, new=np.zeros(SHAPE, bool), chance=UNSURE)
    assert not found[at]
    assert found[INNER][-1, -1, -1]
