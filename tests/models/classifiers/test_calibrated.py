"""Calibration: known temperatures are found again, and ensembles average probabilities."""

import numpy as np
import pytest

from napari_radcnn.models.classifiers.calibrated import Calibration, calibrate, probabilities


def softmax(values):
    shares = np.exp(values)
    return shares / shares.sum(-1, keepdims=True)


def drawn(temperature, shift, count=40_000):
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (count, 2))
    said = softmax(logits / temperature + [0, shift])
    return logits, (rng.random(count) < said[:, 1]).astype(np.int64)


def test_probabilities_are_the_mean_of_the_members_softmax():
    logits = np.array([[[0.0, 2.0], [3.0, -1.0]], [[1000.0, 0.0], [0.0, -1000.0]]])
    found = probabilities(logits, Calibration(2.0, (0.0, 0.5)))
    expected = softmax(logits[0] / 2 + [0, 0.5]).mean(0)
    assert found[0] == pytest.approx(expected)
    assert found[1] == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize(("temperature", "shift"), [(1.0, 0.0), (2.5, -0.7), (0.6, 1.1)])
def test_a_known_temperature_and_shift_are_found(temperature, shift):
    logits, classes = drawn(temperature, shift)
    found = calibrate(logits, classes, balanced=False)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.shift == pytest.approx((0.0, shift), abs=0.06)


def test_balanced_puts_the_operating_point_where_both_classes_weigh_the_same():
    rng = np.random.default_rng(0)
    classes = (rng.random(60_000) < 0.9).astype(np.int64)
    score = rng.normal(np.where(classes == 1, 1.0, -1.0))
    logits = np.stack([np.zeros_like(score), score + 0.8], 1)  # a network that says yes too easily
    found = calibrate(logits, classes, balanced=True)
    # two Gaussians of variance 1 at -1 and 1, equally likely: the log odds are 2 x, whose zero is at x = 0
    assert found.temperature == pytest.approx(0.5, rel=0.05)
    assert found.shift[1] == pytest.approx(-1.6, abs=0.08)
    natural = calibrate(logits, classes, balanced=False)
    assert natural.shift[1] == pytest.approx(-1.6 + np.log(9), abs=0.1)


def test_logits_that_say_nothing_stay_within_bounds():
    rng = np.random.default_rng(1)
    found = calibrate(rng.normal(size=(400, 2)), rng.integers(0, 2, 400), balanced=True)
    assert 0.05 <= found.temperature <= 20.001
    assert abs(found.shift[1]) <= 10
