"""Operating points of lung-nodules: which scores they are, and what they are chosen with."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.metrics.findings import Hits
from napari_radcnn.models.lung_nodules.spec import POINTS
from napari_radcnn.training.lung_nodules import points as nodule_points
from napari_radcnn.training.lung_nodules.points import choose, copies_of
from trunk import trunk


def hits(text, present):
    """Return findings in order of their score, 0.95 and down by 0.1: + on a nodule, - on none."""
    scores = 0.95 - 0.1 * np.arange(len(text))
    return Hits(scores, np.array([sign == "+" for sign in text]), present, 2)


def test_points_have_one_false_finding_a_chest_and_enough_nodules():
    balanced, some, most = choose(hits("++-+-+-+-+", 6), 2.0)
    assert [point.name for point in (balanced, some, most)] == list(POINTS)
    assert (balanced.threshold, balanced.sensitivity, balanced.false_per_chest) == (
        0.4,
        pytest.approx(4 / 6, abs=1e-4),
        1.0,
    )
    assert (some.threshold, some.sensitivity, some.false_per_chest) == (0.2, pytest.approx(5 / 6, abs=1e-4), 1.5)
    assert (most.threshold, most.sensitivity, most.false_per_chest) == (0.025, 1.0, 2.0)


def test_equal_scores_come_in_at_once():
    given = Hits(np.array([0.9, 0.6, 0.6, 0.2]), np.array([True, True, False, True]), 3, 1)
    balanced = choose(given, 0.5)[0]
    assert balanced.threshold == 0.75  # with the next two there would be two false ones a chest
    assert balanced.sensitivity == pytest.approx(1 / 3, abs=1e-4)


def test_where_too_few_are_found_the_point_finds_all_that_can_be():
    assert choose(hits("+-+-", 10), 1.0)[1].sensitivity == 0.2


@pytest.mark.parametrize(("given", "match"), [(hits("", 3), "nodules and findings"), (hits("--+", 1), "false one")])
def test_nothing_is_chosen_from_nothing(given, match):
    with pytest.raises(ValueError, match=match):
        choose(given, 0.4)


def test_nodules_are_put_into_lung_that_is_kept_out_and_are_denser_than_it(monkeypatch):
    monkeypatch.setattr(nodule_points, "STEP", 2.0)  # an eighth of the voxels
    monkeypatch.setattr("napari_radcnn.training.lung_nodules.scans.STEP", 2.0)
    scan, _ = trunk()
    box = ((0.0, 400.0), (-400.0, 400.0), (-400.0, 400.0))  # the left side
    monkeypatch.setitem(nodule_points.KEPT_OUT, "a trunk", box)
    (copy, put, liters), (other, _, _) = copies_of(scan, "a trunk", 2, 6)
    plain = scan.reoriented("SPL")
    assert len(put) >= 3
    assert 0.2 < liters < 1.2
    assert not np.array_equal(copy.array, other.array)
    for nodule in put:
        assert nodule.center[0] > 0
        before = plain.array[tuple(np.rint(plain.geometry.to_index(nodule.center)).astype(int))]
        after = copy.array[tuple(np.rint(copy.geometry.to_index(nodule.center)).astype(int))]
        assert after > before + 40
