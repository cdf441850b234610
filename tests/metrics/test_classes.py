"""Figures of classifications against SciPy, MONAI and by hand."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_roc_auc
from scipy.stats import mannwhitneyu, norm

from napari_radcnn.errors import OptionError
from napari_radcnn.metrics import calibration_error, compare_classes, decisions, roc_auc, roc_curve
from napari_radcnn.metrics.classes import roc_auc_interval


@pytest.fixture
def drawn():
    """Scores of 400 cases with ties; the two classes' means lie one standard deviation apart."""
    rng = np.random.default_rng(5)
    truth = rng.random(400) < 0.3
    return truth, np.round(rng.normal(truth * 1.0, 1.0), 1)


def test_area_against_scipy_and_monai(drawn):
    truth, scores = drawn
    found = roc_auc(truth, scores)
    statistic = mannwhitneyu(scores[truth], scores[~truth]).statistic
    assert found == pytest.approx(statistic / truth.sum() / (~truth).sum())
    assert found == pytest.approx(compute_roc_auc(torch.from_numpy(scores), torch.from_numpy(truth).int()), abs=1e-6)
    assert found == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.05)
    alarms, hits, _ = roc_curve(truth, scores)
    assert np.trapezoid(hits, alarms) == pytest.approx(found)
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)


def test_the_interval_is_that_of_the_normal_approximation(drawn):
    truth, scores = drawn
    area = roc_auc(truth, scores)
    # Hanley and McNeil 1982, Radiology 143, 29.
    many, few = int((~truth).sum()), int(truth.sum())
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + (few - 1) * (q1 - area**2) + (many - 1) * (q2 - area**2)) / (few * many))
    low, high = roc_auc_interval(truth, scores)
    assert low == pytest.approx(area - 1.96 * error, abs=0.012)
    assert high == pytest.approx(area + 1.96 * error, abs=0.012)
    assert roc_auc_interval(truth, scores) == (low, high)


def test_without_both_classes_there_is_no_area():
    assert roc_auc([1, 1], [0.2, 0.4]) is None
    assert roc_auc_interval([0, 0], [0.2, 0.4]) is None
    with pytest.raises(OptionError, match="positive and negative"):
        roc_curve([1, 1], [0.2, 0.4])


def test_decisions_by_hand():
    found = decisions([1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0, 0])
    assert found == pytest.approx({"sensitivity": 2 / 3, "specificity": 4 / 5, "ppv": 2 / 3, "npv": 4 / 5})
    assert decisions([1, 1], [0, 1])["specificity"] is None
    assert decisions([1, 0], [0, 0])["ppv"] is None


def test_calibration_by_hand():
    # Two bins: 0.55 is right in 1 of 2, 0.95 in 2 of 2.
    assert calibration_error([1, 0, 1, 1], [0.55, 0.55, 0.95, 0.95]) == pytest.approx((0.1 + 0.1) / 4)
    rng = np.random.default_rng(0)
    given = rng.uniform(0.5, 1, 20000)
    assert calibration_error(rng.random(20000) < given, given) < 0.02
    assert calibration_error(rng.random(20000) < 0.5, given) == pytest.approx(0.25, abs=0.02)
    assert calibration_error([1], [1.0]) == 0


def test_two_classes_and_one_say_the_same():
    truth = ["ill", "well", "ill", "well", "well"]
    ill = [0.9, 0.2, 0.4, 0.6, 0.1]
    two = compare_classes(truth, {"well": [1 - p for p in ill], "ill": ill})
    one = compare_classes(truth, {"ill": ill})
    assert one["classes"]["ill"] == two["classes"]["ill"]
    assert one["accuracy"] == two["accuracy"] == pytest.approx(3 / 5)
    assert one["calibration_error"] == pytest.approx(two["calibration_error"])
    row = two["classes"]["ill"]
    assert row["auc"] == pytest.approx(5 / 6)
    assert (row["sensitivity"], row["specificity"]) == (pytest.approx(1 / 2), pytest.approx(2 / 3))


def test_three_classes_are_held_against_the_others():
    truth = ["a", "b", "c", "c"]
    found = compare_classes(truth, {"a": [0.7, 0.2, 0.1, 0.5], "b": [0.2, 0.5, 0.2, 0.3], "c": [0.1, 0.3, 0.7, 0.2]})
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["classes"]["a"]["ppv"] == pytest.approx(1 / 2)
    assert found["classes"]["c"]["auc"] == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("truth", "given", "said"),
    [
        ([], {"a": []}, "0 cases"),
        (["a"], {"a": [0.5, 0.5]}, "1 cases and 2 probabilities"),
        (["a"], {"a": [1.5], "b": [0.0]}, "between 0 and 1"),
        (["a"], {"a": [np.nan], "b": [0.0]}, "between 0 and 1"),
        (["x"], {"a": [0.5], "b": [0.5]}, "the class 'x'; the classes are: a, b"),
        (["1"], {"ill": [0.5]}, "There are probabilities of the class 'ill'"),
    ],
)
def test_what_makes_no_sense_is_refused(truth, given, said):
    with pytest.raises(OptionError, match=said):
        compare_classes(truth, given)
