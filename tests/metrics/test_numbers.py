"""Agreement of values: published figures, SciPy, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_radcnn.errors import OptionError
from napari_radcnn.metrics import compare_classes, compare_numbers, compare_present, icc, kappa, pearson

#: Table 2 of Shrout and Fleiss 1979: six targets, four judges.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_the_intraclass_correlation_of_shrout_and_fleiss():
    """ICC(2,1) is .29 in their table 4; its interval is that of McGraw and Wong, as R's psych prints it."""
    found, (low, high) = icc(JUDGES)
    assert found == pytest.approx(0.29, abs=0.005)
    assert (low, high) == pytest.approx((0.019, 0.761), abs=0.002)


def test_the_intraclass_correlation_sees_what_correlation_does_not():
    values = np.array([3.0, 5.0, 9.0, 14.0, 20.0])
    assert icc(np.stack([values, values], 1)) == (pytest.approx(1.0), None)
    shifted, _ = icc(np.stack([values, values + 6], 1))
    assert pearson(values, values + 6)[0] == pytest.approx(1.0)
    variance = values.var(ddof=1)  # between cases; the shift of 6 is the judges' variance of 18
    assert shifted == pytest.approx(variance / (variance + 18))
    assert icc(np.ones((4, 2))) == (None, None)
    assert icc([[1.0, 2.0]]) == (None, None)


def test_values_against_closed_forms_and_scipy():
    rng = np.random.default_rng(4)
    truth = rng.uniform(20, 200, 40)
    values = truth + rng.normal(3, 5, 40)
    error = values - truth
    found = compare_numbers(truth, values, [(value - 9, value + 9) for value in values])
    assert found["n"] == 40
    assert found["mae"] == pytest.approx(np.abs(error).mean())
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert found["bias"] == pytest.approx(error.mean())
    interval = stats.ttest_1samp(error, 0).confidence_interval(0.95)
    assert found["bias_interval"] == pytest.approx([interval.low, interval.high])
    reach = 1.959964 * error.std(ddof=1)
    assert found["limits_of_agreement"] == pytest.approx([error.mean() - reach, error.mean() + reach], abs=1e-5)
    r = stats.pearsonr(truth, values)
    assert found["correlation"] == pytest.approx(r.statistic)
    assert found["correlation_interval"] == pytest.approx(list(r.confidence_interval(0.95)))
    assert found["coverage"] == np.mean(np.abs(error) <= 9)


def test_what_cannot_be_told_is_none():
    one = compare_numbers([3.0], [4.0])
    assert (one["mae"], one["bias"]) == (1.0, 1.0)
    assert [one[key] for key in ("bias_interval", "limits_of_agreement", "correlation", "icc")] == [None] * 4
    assert compare_numbers([3.0, 3.0, 3.0], [1.0, 2.0, 3.0])["correlation"] is None
    for truth, values in (([], []), ([1.0], [1.0, 2.0]), ([1.0], [float("nan")])):
        with pytest.raises(OptionError):
            compare_numbers(truth, values)


# -- classes ----------------------------------------------------------------------------------------------------------


def test_kappa_of_a_table_and_weighted():
    """Two readers, 50 cases: both yes 20, both no 15, one of them 5 and 10: (0.7 - 0.5) / (1 - 0.5)."""
    truth = [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15
    decided = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert kappa(truth, decided, 2) == pytest.approx(0.4)
    assert kappa(truth, decided, 2, is_quadratic=True) == pytest.approx(0.4)  # of two classes it is the same
    assert kappa([0, 1, 2, 2], [0, 1, 2, 2], 3) == 1.0
    assert kappa([1, 1], [1, 1], 3) is None
    # 0,1,2 taken for 0,1,0: the one error counts 4 of an expected (0+1+0 + 1+0+1 + 4+1+4)... of the margins 2,1,0
    truth, decided = [0, 1, 2], [0, 1, 0]
    expected = sum((i - j) ** 2 * a * b / 3 for i, a in enumerate((1, 1, 1)) for j, b in enumerate((2, 1, 0)))
    assert kappa(truth, decided, 3, is_quadratic=True) == pytest.approx(1 - 4 / expected)


def test_classes_have_kappa_and_the_share_of_two():
    probabilities = {"a": [0.6, 0.1, 0.5, 0.3], "b": [0.3, 0.5, 0.3, 0.4], "c": [0.1, 0.4, 0.2, 0.3]}
    found = compare_classes(["a", "c", "c", "b"], probabilities)
    assert found["top_2"] == 0.75
    assert found["kappa"] == pytest.approx(kappa([0, 2, 2, 1], [0, 1, 0, 1], 3))
    assert found["quadratic_kappa"] == pytest.approx(kappa([0, 2, 2, 1], [0, 1, 0, 1], 3, is_quadratic=True))
    assert "quadratic_kappa" not in compare_classes(["a", "b"], {"a": [0.6, 0.1], "b": [0.4, 0.9]})


def test_findings_that_may_stand_together_are_judged_one_by_one(tmp_path):
    truth = {"effusion": [1, 0, 1, 0], "mass": [0, 0, 0, 0]}
    said = {"effusion": [0.9, 0.2, 0.6, 0.7], "mass": [0.1, 0.6, 0.2, 0.3]}
    found = compare_present(truth, said)
    assert found["classes"]["effusion"]["auc"] == 0.75
    assert (found["mean_auc"], found["all_right"], found["n"]) == (0.75, 0.5, 4)
    assert found["classes"]["effusion"]["specificity"] == 0.5
    assert found["classes"]["mass"]["auc"] is None
    from napari_radcnn.operations import evaluate

    for name, columns in (("truth", truth), ("said", said)):
        rows = "".join(f"case{n},{columns['effusion'][n]},{columns['mass'][n]}\n" for n in range(4))
        (tmp_path / f"{name}.csv").write_text(f"case,effusion,mass\n{rows}")
    assert evaluate(tmp_path / "truth.csv", tmp_path / "said.csv") == {"classification": found}
    with pytest.raises(OptionError, match="'other' is in only one"):
        compare_present({"other": [True]}, {})
