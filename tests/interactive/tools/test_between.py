from __future__ import annotations

from threading import Event

import numpy as np
import pytest

import grids
from napari_radcnn.errors import CancelledError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import FillBetweenSlices
from napari_radcnn.progress import Monitor
from tool_states import applied, state_of

SHAPE = (13, 60, 70)
GRID = Geometry(SHAPE, grids.oblique().affine)
SPACING = GRID.spacing
AXES = ("k", "j", "i")


def _disk(center, radius, shape=SHAPE[1:]):
    """A disk in mm, its center in voxels."""
    j, i = np.indices(shape)
    return np.hypot((j - center[0]) * SPACING[1], (i - center[1]) * SPACING[2]) <= radius


def _drawn(slices):
    labels = np.zeros(SHAPE, np.uint16)
    for number, flat in slices.items():
        labels[number] = flat
    return labels


def _filled(labels, axis="k", geometry=GRID):
    return applied(FillBetweenSlices(axis), state_of(labels, geometry))


def _center(flat):
    return np.argwhere(flat).mean(axis=0)


def test_a_cone_between_two_disks():
    filled = _filled(_drawn({2: _disk((30, 35), 6), 10: _disk((30, 35), 14)}))
    for number in range(2, 11):
        radius = 6 + 8 * (number - 2) / 8
        wrong = filled[number] != _disk((30, 35), radius)
        near = np.abs(np.hypot((np.indices(SHAPE[1:])[0] - 30) * 0.8, (np.indices(SHAPE[1:])[1] - 35) * 0.7) - radius)
        assert near[wrong].max(initial=0) < 0.8  # never off by more than a voxel
        assert np.count_nonzero(filled[number]) == pytest.approx(np.count_nonzero(_disk((30, 35), radius)), rel=0.05)
    assert not filled[:2].any()
    assert not filled[11:].any()


def test_an_oblique_tube_keeps_its_shape_on_the_way():
    """Also where the two disks do not lie over each other, so that their plain interpolation would be empty."""
    start, stop = np.array([14, 15]), np.array([42, 51])
    filled = _filled(_drawn({1: _disk(start, 6), 9: _disk(stop, 6)}))
    for number in range(1, 10):
        part = (number - 1) / 8
        np.testing.assert_allclose(_center(filled[number]), start + part * (stop - start), atol=0.501)
        assert np.count_nonzero(filled[number]) == np.count_nonzero(_disk(start, 6))


def test_a_wall_stays_where_it_is_while_the_ring_opens():
    """The center of a ring moves where a piece of it is missing; the rest must not follow it."""
    ring = _disk((30, 35), 18) & ~_disk((30, 35), 14)
    opened = ring.copy()
    opened[:, 45:] = False
    filled = _filled(_drawn({2: ring, 6: opened}))
    for number in (3, 4, 5):
        np.testing.assert_array_equal(filled[number][:, :40], ring[:, :40])


def test_two_tubes_are_paired_with_the_nearest():
    first = _disk((12, 12), 4) | _disk((45, 50), 6)
    last = _disk((12, 25), 4) | _disk((45, 36), 6)
    filled = _filled(_drawn({3: first, 7: last}))
    middle = filled[5]
    assert middle[12, 18]
    assert middle[45, 43]
    assert np.count_nonzero(middle) == np.count_nonzero(first)


def test_a_trunk_divides():
    """One part below, two above: both arms hang together with the trunk, and no slice is empty."""
    from skimage.measure import label

    trunk, arms = _disk((30, 35), 12), _disk((30, 21), 6) | _disk((30, 49), 6)
    filled = _filled(_drawn({2: trunk, 10: arms}))
    assert filled[2:11].any(axis=(1, 2)).all()
    assert label(filled).max() == 1
    assert label(filled[9]).max() == 2
    for flat in filled:
        np.testing.assert_array_equal(flat[:, 1:], flat[:, :0:-1])  # symmetric about column 35, as the drawing is


def test_what_has_no_partner_ends_on_its_slice():
    first = _disk((15, 15), 4) | _disk((45, 50), 6)
    filled = _filled(_drawn({3: first, 7: _disk((45, 50), 6)}))
    assert not filled[4:8, :30, :30].any()
    for number in (4, 5, 6):
        np.testing.assert_array_equal(filled[number], _disk((45, 50), 6))


def test_drawn_slices_stay_and_all_gaps_are_filled():
    drawn = {1: _disk((20, 20), 5), 4: _disk((24, 26), 7), 5: _disk((24, 26), 3), 9: _disk((30, 40), 5)}
    filled = _filled(_drawn(drawn))
    for number, flat in drawn.items():
        np.testing.assert_array_equal(filled[number], flat)
    assert filled[1:10].any(axis=(1, 2)).all()


@pytest.mark.parametrize("axis", [1, 2])
def test_slices_along_the_other_axes(axis):
    """The same drawing, turned: a coronal one must give the turned answer where its spacing is turned as well."""
    labels = _drawn({1: _disk((20, 20), 5), 7: _disk((30, 40), 8)})
    expected = _filled(labels)
    turned = np.moveaxis(labels, 0, axis)
    affine = GRID.affine.copy()
    order = [1, 2]
    order.insert(axis, 0)
    affine[:, :3] = GRID.affine[:, order]
    grid = Geometry(turned.shape, affine)
    np.testing.assert_array_equal(_filled(turned, AXES[axis], grid), np.moveaxis(expected, 0, axis))


def test_distances_are_those_in_the_patient():
    """Between a wide and a high ellipse the middle one is as the mm say, not as the voxels say."""
    affine = np.diag([4.0, 1.0, 2.5, 1.0])[:, [2, 1, 0, 3]]
    grid = Geometry((5, 60, 40), affine)  # rows 1 mm, columns 4 mm
    labels = np.zeros(grid.shape, np.uint16)
    j, i = np.indices(grid.shape[1:])
    labels[0] = np.hypot((j - 30) * 1.0, (i - 20) * 4.0) <= 24
    labels[4] = np.hypot((j - 30) * 1.0, (i - 20) * 4.0) <= 8
    middle = _filled(labels, geometry=grid)[2]
    far = np.hypot((j - 30) * 1.0, (i - 20) * 4.0)
    assert far[middle].max() <= 16 + 2
    assert far[~middle].min() >= 16 - 2


def test_other_objects_do_not_count():
    labels = _drawn({2: _disk((30, 35), 6), 6: _disk((30, 35), 6)})
    labels[4][_disk((30, 35), 3)] = 2
    np.testing.assert_array_equal(_filled(labels)[4], _disk((30, 35), 6))


@pytest.mark.parametrize(
    "labels",
    [
        _drawn({}),
        _drawn({4: _disk((30, 35), 6)}),
        _drawn({4: _disk((30, 35), 6), 5: _disk((30, 35), 9)}),
    ],
)
def test_without_an_empty_slice_in_between_nothing_changes(labels):
    assert FillBetweenSlices().apply(state_of(labels, GRID), Monitor(1)) is None


def test_an_object_up_to_the_border_of_the_slice():
    labels = _drawn({2: np.ones(SHAPE[1:]), 6: np.ones(SHAPE[1:])})
    assert _filled(labels)[2:7].all()
    single = _drawn({2: np.zeros(SHAPE[1:]), 6: np.zeros(SHAPE[1:])})
    single[2, 0, 0] = single[6, 59, 69] = 1
    assert np.count_nonzero(_filled(single)[3:6].any(axis=(1, 2))) == 3


@pytest.mark.parametrize("axis", ["x", 0, None, ""])
def test_an_unknown_axis_is_refused(axis):
    with pytest.raises(OptionError, match="axis"):
        FillBetweenSlices(axis)


def test_filling_tells_how_far_it_is_and_can_be_stopped():
    labels, said, stop = _drawn({2: _disk((30, 35), 6), 5: _disk((30, 35), 6), 9: _disk((30, 35), 6)}), [], Event()
    FillBetweenSlices().apply(state_of(labels, GRID), Monitor(1, lambda done, total, text: said.append((done, total))))
    assert said == [(1, 2), (2, 2)]
    stop.set()
    with pytest.raises(CancelledError):
        FillBetweenSlices().apply(state_of(labels, GRID), Monitor(1, None, stop))
