"""What the networks of lung-nodules see and say, against closed forms."""

import math

import numpy as np
import pytest

from napari_radcnn.models.lung_nodules.network import ANSWERS, FOLD, SIDE, SPACING, UNIT
from napari_radcnn.models.lung_nodules.places import Places, cubes, find_places, fold, fused, in_lung, shown

CELLS = (10, 12, 14)


def _answer(*peaks):
    """An answer with peaks ((cell), logit, (offset), diameter)."""
    answer = np.zeros((ANSWERS, *CELLS), np.float32)
    answer[0] = -12.0
    for cell, logit, offset, diameter in peaks:
        answer[(0, *cell)] = logit
        answer[(slice(1, 4), *cell)] = offset
        answer[(4, *cell)] = math.log(diameter / UNIT)
    return answer


def test_hu_become_0_to_1():
    assert shown(np.array([-2000, -1000, -300, 400, 3000])).tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_cells_keep_the_voxels_of_their_corner_in_order():
    voxels = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)
    cells = fold(voxels)
    assert cells.shape == (8, 2, 3, 4)
    for channel in range(8):
        a, b, c = np.unravel_index(channel, (2, 2, 2))
        assert np.array_equal(cells[channel], voxels[a::2, b::2, c::2])


def test_a_peak_becomes_a_place_in_voxels():
    places = find_places(_answer(((2, 7, 11), 3.0, (0.25, -0.5, 0.0), 12.0)), np.ones(CELLS, bool), 5)
    assert places.logits.tolist() == [3.0]
    # the middle of cell n is voxel 2 n + 0.5
    assert places.centers[0] == pytest.approx([2 * 2.25 + 0.5, 2 * 6.5 + 0.5, 2 * 11 + 0.5])
    assert places.diameters[0] == pytest.approx(12.0, rel=1e-5)


def test_places_come_best_first_and_near_ones_once():
    answer = _answer(
        ((2, 2, 2), 1.0, (0, 0, 0), 6.0),
        ((2, 5, 2), 2.0, (0, 0, 0), 20.0),  # 7.5 mm from the first, which is part of it
        ((8, 9, 12), 1.5, (0, 0, 0), 6.0),
        ((8, 9, 8), 1.4, (0, 0, 0), 6.0),  # 10 mm from the one before, which is small
    )
    places = find_places(answer, np.ones(CELLS, bool), 5)
    assert places.logits.tolist() == pytest.approx([2.0, 1.5, 1.4])
    assert find_places(answer, np.ones(CELLS, bool), 2).logits.tolist() == pytest.approx([2.0, 1.5])


def test_what_is_outside_of_the_region_or_too_unlikely_is_no_place():
    answer = _answer(((2, 2, 2), 4.0, (0, 0, 0), 6.0), ((7, 7, 7), -9.0, (0, 0, 0), 6.0))
    where = np.ones(CELLS, bool)
    where[2, 2, 2] = False
    assert len(find_places(answer, where, 5).logits) == 0


def test_cubes_show_the_voxels_around_a_place_and_wide_ones_means():
    rng = np.random.default_rng(2)
    voxels = rng.random((70, 64, 60)).astype(np.float32)
    center = np.array([35.2, 30.4, 29.6])  # between voxels 35 and 36, 30 and 31, 29 and 30
    first = np.array([36, 31, 30]) - SIDE // 2
    (seen,) = cubes(voxels, center[None])
    narrow = voxels[tuple(slice(n, n + SIDE) for n in first)]
    assert np.array_equal(seen[0], narrow)
    wide = voxels[tuple(slice(n - SIDE // 2, n + SIDE + SIDE // 2) for n in first)]
    assert np.allclose(seen[1, 5, 6, 7], wide[10:12, 12:14, 14:16].mean())


def test_cubes_at_the_edge_are_filled_with_air():
    (seen,) = cubes(np.ones((40, 40, 40), np.float32), np.array([[0.0, 20.0, 39.0]]))
    assert seen[0, : SIDE // 2 - 1].max() == 0
    assert seen[0, -1, SIDE // 2, 0] == 1
    assert seen[0, -1, SIDE // 2, -1] == 0


def test_places_need_some_lung_around_them():
    hu = np.full((48, 44, 40), 40.0)
    hu[:, :, 20:] = -850  # flesh on one side, lung on the other
    k, j, i = np.indices(hu.shape)
    hu[(k - 24) ** 2 + (j - 22) ** 2 + (i - 20) ** 2 < (5 / SPACING) ** 2] = 40  # a ball of 10 mm, half within the lung
    centers = np.array([[24.0, 22, 20], [24, 22, 8], [24, 22, 34], [0, 0, 39]])
    places = Places(centers, np.full(4, 10.0), np.array([3.0, 2.0, 1.0, 0.0]))
    assert in_lung(shown(hu), places).logits.tolist() == [3.0, 1.0, 0.0]
    assert in_lung(shown(hu), places.only(np.zeros(4, bool))).logits.tolist() == []


def test_scores_are_a_logistic_sum():
    scores = fused(np.array([0.0, 2.0]), np.array([0.0, -1.0]), {"finder": 0.5, "second": 2.0, "shift": -1.0})
    assert scores == pytest.approx([1 / (1 + math.exp(1)), 1 / (1 + math.exp(2))])


def test_a_cell_is_as_large_as_the_card_says():
    assert FOLD * SPACING == 2.5
