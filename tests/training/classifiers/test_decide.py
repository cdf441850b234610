"""What an ensemble decides by: on numbers whose best weights and thresholds are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from napari_radcnn.models.classifiers.calibrated import Calibration
from napari_radcnn.training.classifiers.decide import decisions, mirrored, unseen_logits, varied
from napari_radcnn.training.classifiers.points import choose_points
from napari_radcnn.training.classifiers.shape import fit_joint, fit_shape, logistic

FOLD = np.arange(600) % 3


def drawn(seed=0, n=600, slope=1.5):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, 2))
    share = 1 / (1 + np.exp(-(slope * inputs[:, 0] - 0.5)))
    return inputs, rng.random(n) < share


def test_the_regression_finds_the_weights_that_drew_the_classes():
    inputs, positive = drawn(n=40_000)
    weights, bias = logistic(inputs, positive, 1e-3)
    assert weights == pytest.approx([1.5, 0], abs=0.06)
    assert bias == pytest.approx(-0.5, abs=0.04)


def test_a_case_that_counts_double_is_there_twice():
    inputs, positive = drawn()
    counts = np.where(np.arange(600) < 200, 2.0, 1.0)
    twice = np.concatenate([np.arange(600), np.arange(200)])
    found, bias = logistic(inputs, positive, 0.1, counts)
    expected, other = logistic(inputs[twice], positive[twice], 0.1)
    assert found == pytest.approx(expected, abs=1e-3)
    assert bias == pytest.approx(other, abs=1e-3)


def test_what_tells_nothing_counts_nothing_in_the_joint_answer():
    rng = np.random.default_rng(3)
    inputs, positive = drawn(slope=3)
    features = np.exp(inputs + 5)
    noise = rng.normal(size=(600, 4))
    shape, unseen = fit_joint(noise, features, positive, FOLD)
    assert abs(shape.network) < 0.2
    assert shape.shape == pytest.approx(1, abs=0.15)
    assert np.corrcoef(unseen, inputs[:, 0])[0, 1] > 0.95
    told = np.repeat(inputs[:, :1], 4, 1)
    network, _ = fit_joint(told, rng.random((600, 2)), positive, FOLD)
    assert network.network == pytest.approx(3, abs=0.6)


def test_unseen_answers_do_not_know_the_class_of_their_own_fold():
    rng = np.random.default_rng(5)
    positive = rng.random(600) < 0.4
    features = rng.random((600, 11))
    _, unseen = fit_joint(rng.normal(size=(600, 2)), features, positive, FOLD)
    # features of nothing: a fit that had seen its cases would tell them apart
    assert np.corrcoef(unseen, positive)[0, 1] < 0.1
    assert np.corrcoef(fit_shape(features, positive).logit(features), positive)[0, 1] > 0.1


def test_points_of_a_known_list():
    said = np.array([0.9, 0.8, 0.7, 0.4, 0.1, 0.6, 0.3, 0.2, 0.05, 0.02])
    positive = np.arange(10) < 5
    balanced, eighty, ninety = choose_points(said, positive)
    assert (balanced.sensitivity, balanced.specificity) == (0.8, 0.8)
    assert 0.3 < balanced.threshold < 0.4
    assert (eighty.sensitivity, eighty.specificity) == (0.8, 0.8)
    assert (ninety.sensitivity, ninety.specificity) == (1.0, 0.4)
    assert [point.name for point in (balanced, eighty, ninety)] == ["balanced", "sensitivity 0.8", "sensitivity 0.9"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60))
def test_a_point_does_what_it_says(cases):
    said, positive = np.array([value / 20 for value, _ in cases]), np.array([is_it for _, is_it in cases])
    if positive.all() or not positive.any():
        with pytest.raises(ValueError, match="with the finding and cases without"):
            choose_points(said, positive)
        return
    balanced, eighty, ninety = choose_points(said, positive)
    for point in (balanced, eighty, ninety):
        assert point.sensitivity == pytest.approx((said[positive] >= point.threshold).mean(), abs=1e-4)
        assert point.specificity == pytest.approx((said[~positive] < point.threshold).mean(), abs=1e-4)
        assert balanced.sensitivity + balanced.specificity >= point.sensitivity + point.specificity - 2e-4
    assert eighty.sensitivity >= 0.8
    assert ninety.sensitivity >= 0.9


class Sum(torch.nn.Module):
    """Says a multiple of the first row's sum, so that a mirror image gets another answer."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def forward(self, x):
        first = x[:, 0, 0].sum(-1) * self.times
        return torch.stack([torch.zeros_like(first), first], 1)


def test_each_case_is_shown_to_the_member_of_its_fold():
    inputs = np.random.default_rng(1).random((6, 1, 4, 4)).astype(np.float32)
    fold = np.array([0, 1, 0, 1, 1, 0])
    found = unseen_logits([Sum(1), Sum(10)], inputs, fold, mirrored(((), (0,))))
    assert found.shape == (6, 2, 2)
    times = np.where(fold == 0, 1, 10)
    np.testing.assert_allclose(found[:, 0, 1], inputs[:, 0, 0].sum(-1) * times, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1, 1], inputs[:, 0, -1].sum(-1) * times, rtol=1e-5)


def test_other_looks_begin_with_the_case_and_are_the_same_again():
    looks = varied(lambda x, generator: x + torch.rand(x.shape, generator=generator), 3, 7)
    batch = torch.rand(2, 1, 3, 3)
    first, second = looks(batch), looks(batch)
    assert len(first) == 4
    assert torch.equal(first[0], batch)
    assert not torch.equal(first[1], first[2])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_decisions_hold_points_in_the_units_of_the_answer():
    rng = np.random.default_rng(2)
    classes = (np.arange(90) % 3 == 0).astype(int)
    logits = np.zeros((90, 2, 2), np.float32)
    logits[..., 1] = (classes * 4 - 2)[:, None] + rng.normal(0, 0.1, (90, 2))
    found = decisions(logits, classes, np.arange(90) % 3, Calibration(2.0, (0.0, 0.0)))
    assert set(found) == {"operating_points", "unseen"}
    assert found["unseen"] == {"auc": 1.0, "accuracy": 1.0}
    balanced = found["operating_points"][0]
    assert 1 / (1 + np.e) + 0.05 < balanced["threshold"] < 1 / (1 + 1 / np.e) - 0.05  # between the two answers
    assert (balanced["sensitivity"], balanced["specificity"]) == (1.0, 1.0)
