"""FROC and average precision against MONAI and by hand."""

import numpy as np
import pytest
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score

from napari_radcnn.errors import OptionError
from napari_radcnn.metrics import average_precision, compare_findings, froc, match, sensitivity_at
from napari_radcnn.metrics.findings import intersection_over_union
from napari_radcnn.results import Detection


def _box(center, size=(10.0, 10.0, 10.0), score=float("nan")):
    return Detection("nodule", score, tuple(map(float, center)), tuple(map(float, size)))


@pytest.fixture
def scans():
    """References and findings of 30 scans: most are found, shifted a little, and there are false ones."""
    rng = np.random.default_rng(3)
    references, findings = [], []
    for _ in range(30):
        there = [_box(rng.uniform(0, 400, 3), rng.uniform(5, 25, 3)) for _ in range(rng.integers(0, 4))]
        found = []
        for one in there:
            if rng.random() < 0.8:
                shifted = np.add(one.center, rng.uniform(-0.2, 0.2, 3) * one.size)
                found.append(_box(shifted, np.multiply(one.size, rng.uniform(0.8, 1.2, 3)), rng.beta(4, 2)))
        found += [_box(rng.uniform(500, 900, 3), (9, 8, 7), rng.beta(2, 4)) for _ in range(rng.poisson(2))]
        references.append(there)
        findings.append([found[n] for n in rng.permutation(len(found))])
    return references, findings


def test_froc_against_monai(scans):
    hits = match(*scans)
    alarms, found = compute_froc_curve_data(
        hits.scores[~hits.is_hit], hits.scores[hits.is_hit], num_targets=hits.present, num_images=hits.scans
    )
    ours = froc(hits)
    for limit in (0.25, 0.5, 1, 1.5):
        expected = found[alarms <= limit].max(initial=0)
        assert sensitivity_at(hits, limit) == pytest.approx(expected), limit
    # Theirs leaves the lowest score out, so that the end of the curve is counted by hand.
    assert (ours[0][-1], ours[1][-1]) == (np.sum(~hits.is_hit) / 30, np.sum(hits.is_hit) / hits.present)
    points = (0.25, 0.5, 1, 2)
    mean = np.mean([sensitivity_at(hits, limit) for limit in points])
    # Theirs draws straight lines between the steps.
    assert mean == pytest.approx(compute_froc_score(alarms, found, eval_thresholds=points), abs=0.02)


def test_average_precision_against_monai(scans):
    def corners(boxes):
        return np.array(
            [[*np.subtract(b.center, np.divide(b.size, 2)), *np.add(b.center, np.divide(b.size, 2))] for b in boxes]
        ).reshape(-1, 6)

    references, findings = scans
    metric = COCOMetric(["nodule"], iou_list=[0.1], iou_range=(0.1, 0.5, 0.05), max_detection=[100], verbose=False)
    matched = matching_batch(
        iou_fn=box_iou,
        iou_thresholds=metric.get_iou_thresholds(),
        pred_boxes=[corners(one) for one in findings],
        pred_classes=[np.zeros(len(one), int) for one in findings],
        pred_scores=[np.array([box.score for box in one]) for one in findings],
        gt_boxes=[corners(one) for one in references],
        gt_classes=[np.zeros(len(one), int) for one in references],
    )
    expected = metric(matched)[0]["AP_IoU_0.10_MaxDet_100"]  # at 101 recalls
    assert average_precision(match(references, findings, rule="overlap")) == pytest.approx(expected, abs=0.01)
    assert 0.3 < expected < 0.95


def test_by_hand():
    there = [_box((0, 0, 0), (10, 20, 30)), _box((100, 0, 0))]
    found = [
        _box((4, 0, 0), score=0.9),  # in the first
        _box((0, 8, 3), score=0.8),  # again in the first: does not count
        _box((6, 0, 0), score=0.7),  # beside it: half of 10 mm are 5
        _box((101, 1, 0), score=0.2),
    ]
    hits = match([there], [found])
    assert hits.scores.tolist() == [0.9, 0.7, 0.2]
    assert hits.is_hit.tolist() == [True, False, True]
    assert sensitivity_at(hits, 0.5) == 0.5
    assert sensitivity_at(hits, 1) == 1
    assert average_precision(hits) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    told = compare_findings([there, []], [found, []])
    assert told["false_positives_per_scan"] == 0.5
    assert told["froc"]["0.25"] == 0.5
    assert told["froc"]["0.5"] == 1
    assert told["froc_score"] == pytest.approx((2 * 0.5 + 5) / 7)


def test_each_finding_takes_the_nearest_that_is_free():
    there = [_box((0, 0, 0), (40, 40, 40)), _box((10, 0, 0), (40, 40, 40))]
    hits = match([there], [[_box((8, 0, 0), score=0.9), _box((9, 0, 0), score=0.8)]])
    assert hits.is_hit.tolist() == [True, True]


def test_overlap_counts_a_second_finding_as_false():
    there, twice = [_box((0, 0, 0))], [_box((1, 0, 0), score=0.5), _box((0, 0, 0), score=0.9)]
    assert match([there], [twice], rule="overlap").is_hit.tolist() == [True, False]
    assert match([there], [twice], rule="center").is_hit.tolist() == [True]
    assert intersection_over_union(_box((0, 0, 0)), _box((5, 0, 0))) == pytest.approx(1 / 3)
    assert intersection_over_union(_box((0, 0, 0)), _box((50, 0, 0))) == 0
    assert not match([there], [[_box((5, 0, 0), score=1)]], rule="overlap", overlap=0.4).is_hit.any()


def test_equal_scores_come_in_at_once():
    there = [_box((0, 0, 0))]
    hits = match([there], [[_box((0, 0, 0), score=0.5), _box((300, 0, 0), score=0.5)]])
    assert sensitivity_at(hits, 0.5) == 0
    assert sensitivity_at(hits, 1) == 1


def test_nothing_to_find_and_nothing_found():
    told = compare_findings([[]], [[_box((0, 0, 0), score=0.5)]])
    assert told["false_positives_per_scan"] == 1
    assert told["sensitivity"] is None
    assert told["average_precision"] is None
    told = compare_findings([[_box((0, 0, 0))]], [[]])
    assert (told["sensitivity"], told["froc_score"], told["average_precision"]) == (0, 0, 0)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(OptionError, match="1 scans have references, but 2"):
        match([[]], [[], []])
    with pytest.raises(OptionError, match="without a score"):
        match([[]], [[_box((0, 0, 0))]])
    with pytest.raises(OptionError, match="overlap is 0"):
        match([[]], [[]], overlap=0)
