"""The second guard of classifiers: distances by a closed form, and a limit that holds for cases that were not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_radcnn.models import get_model
from napari_radcnn.models.classifiers.guard import Guard, fit, guard_of, nearest, write_guard
from napari_radcnn.networks.classifier import ClassifierShape, build_classifier
from napari_radcnn.training.classifiers.learn import Cases, fit_guard


def test_the_distance_is_mahalanobis_s_to_the_nearest_class():
    rng = np.random.default_rng(0)
    spread = np.array([0.5, 2.0, 4.0])
    classes = np.repeat([0, 1], 4000)
    features = rng.normal(size=(8000, 3)) * spread + np.array([[0.0, 0.0, 0.0], [10.0, -20.0, 30.0]])[classes]
    centers, whitening = fit(features, classes)
    for away in ([1.0, 0.0, 0.0], [0.0, 3.0, -2.0]):
        expected = np.sqrt(np.mean((np.array(away) / spread) ** 2))
        for number in (0, 1):
            assert nearest(centers[number] + away, centers, whitening) == pytest.approx(expected, rel=0.3)


def test_the_mean_over_members_is_1_at_their_limits():
    centers, whitening = np.zeros((2, 1, 3)), np.stack([np.eye(3), 2 * np.eye(3)])
    guard = Guard(centers, whitening, np.array([2.0, 4.0]), "")
    assert guard.distance(np.full((2, 3), 2.0)) == pytest.approx(1.0)
    assert guard.distance(np.zeros((2, 3))) == 0


def test_few_unseen_cases_lie_beyond_and_others_do():
    import torch

    torch.manual_seed(0)
    shape = ClassifierShape(dims=2, channels=1, widths=(4, 8))
    members = [build_classifier(shape).eval() for _ in range(2)]
    rng = np.random.default_rng(1)
    pictures = rng.normal(size=(400, 1, 12, 14)).astype(np.float32)
    cases = Cases(pictures, np.arange(400) % 2)
    guard = fit_guard(members, cases, np.arange(400) // 2 % 2, "abc")
    assert guard.weights == "abc"
    from napari_radcnn.models.classifiers.guard import features_of

    with torch.inference_mode():
        usual = features_of(members, torch.from_numpy(rng.normal(size=(200, 1, 12, 14)).astype(np.float32)))
        other = features_of(members, torch.from_numpy(5 + 4 * pictures[:20]))
    assert np.mean([guard.distance(usual[:, n]) > 1 for n in range(200)]) < 0.05
    assert all(guard.distance(other[:, n]) > 1 for n in range(20))


@pytest.mark.parametrize("name", ["cxr-pneumonia", "adrenal-mass"])
def test_the_classifiers_that_ship_have_one_that_belongs_to_their_weights(name):
    spec = get_model(name)
    assert guard_of(spec).weights == spec.weights[0].sha256
    others = replace(spec, weights=(replace(spec.weights[0], sha256="0" * 64),))
    assert guard_of(others) is None
    assert guard_of(replace(spec, weights=())) is None


def test_a_guard_that_was_written_is_read_as_it_was(tmp_path):
    guard = Guard(np.ones((2, 2, 3)), np.stack([np.eye(3)] * 2), np.array([1.0, 2.0]), "ab")
    write_guard(guard, tmp_path / "x.guard.npz")
    with np.load(tmp_path / "x.guard.npz", allow_pickle=False) as stored:
        assert str(stored["weights"]) == "ab"
        assert stored["centers"].shape == (2, 2, 3)
        assert stored["limits"].tolist() == [1.0, 2.0]
