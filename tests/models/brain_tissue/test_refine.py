"""Borders by gray values: on a phantom whose tissue is known, with what a network would say blurred."""

import numpy as np
import pytest
from scipy import ndimage

from napari_radcnn.metrics import dice
from napari_radcnn.models.brain_structures.network import TISSUES
from napari_radcnn.models.brain_tissue.refine import refined, separation
from napari_radcnn.models.brain_tissue.tissues import FLUID, GRAY, WHITE

SHAPE = (58, 75, 66)


@pytest.fixture(scope="module")
def folds():
    """Labels of a ball with folds, the brain, and what a network says that draws borders too smooth."""
    index = np.indices(SHAPE, np.float32)
    off = [index[axis] - SHAPE[axis] / 2 + (3, -2, 1)[axis] for axis in range(3)]
    radius = np.sqrt(sum(one**2 for one in off))
    wavy = radius + 2.2 * np.sin(off[0] / 1.6) * np.cos(off[1] / 1.9)
    labels = np.full(SHAPE, FLUID, np.uint8)
    labels[wavy < 22] = GRAY
    labels[wavy < 15] = WHITE
    brain = radius < 25
    shares = np.stack([ndimage.gaussian_filter((labels == n).astype(np.float32), 1.6) for n in range(TISSUES)])
    shares[0], shares[1:] = ~brain, np.where(brain, shares[1:] / shares[1:].sum(0), 0)
    return labels, brain, shares


def _scan(labels, levels, noise, uneven=0.0):
    rng = np.random.default_rng(4)
    field = 1 + uneven * np.linspace(-1, 1, SHAPE[1])[None, :, None]
    return (np.array([0, *levels])[labels] * field + rng.normal(0, noise, SHAPE)).astype(np.float32)


def _quality(shares, labels, brain):
    found = shares.argmax(0)
    return [dice((labels == n) & brain, (found == n) & brain) for n in (GRAY, WHITE)]


@pytest.mark.parametrize("uneven", [0.0, 0.2])
@pytest.mark.parametrize("levels", [(0.2, 0.55, 0.85), (0.9, 0.5, 0.25)])
def test_borders_become_those_of_the_gray_values(folds, levels, uneven):
    labels, brain, shares = folds
    plain = _quality(shares, labels, brain)
    found = refined(shares, _scan(labels, levels, 0.04, uneven), np.zeros(SHAPE, bool), brain)
    assert max(plain) < 0.96
    assert min(_quality(found, labels, brain)) > 0.995
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-3)
    assert (found[:, ~brain] == shares[:, ~brain]).all()


@pytest.mark.parametrize(("levels", "noise"), [((0.2, 0.6, 0.62), 0.05), ((0.2, 0.55, 0.85), 0.4)])
def test_a_scan_that_does_not_tell_them_apart_changes_nothing(folds, levels, noise):
    labels, brain, shares = folds
    values = _scan(labels, levels, noise)
    assert separation(shares, values, brain) < 1.8
    assert np.array_equal(refined(shares, values, np.zeros(SHAPE, bool), brain), shares)


def test_what_anatomy_decides_stays(folds):
    labels, brain, shares = folds
    fixed = np.zeros(SHAPE, bool)
    fixed[20:35, 30:50, 20:30] = True
    found = refined(shares, _scan(labels, (0.2, 0.55, 0.85), 0.04), fixed, brain)
    assert np.array_equal(found[:, fixed], shares[:, fixed])
    free = brain & ~fixed
    assert not np.array_equal(found[:, free], shares[:, free])


def test_a_tissue_that_is_missing_stays_missing(folds):
    labels, brain, shares = folds
    inner = brain & (ndimage.distance_transform_edt(labels != FLUID) > 6)  # no fluid anywhere near
    alone = np.where(inner, shares, 0)
    alone[FLUID], alone[0] = 0, ~inner
    found = refined(alone, _scan(labels, (0.2, 0.55, 0.85), 0.04), np.zeros(SHAPE, bool), inner)
    assert not (found.argmax(0) == FLUID).any()


def test_the_separation_is_the_distance_of_means_in_standard_deviations(folds):
    labels, brain, _ = folds
    sharp = np.stack([(labels == n) & brain for n in range(TISSUES)]).astype(np.float32)
    assert separation(sharp, _scan(labels, (0.2, 0.5, 0.8), 0.1), brain) == pytest.approx(3.0, rel=0.05)
    assert separation(np.zeros_like(sharp), _scan(labels, (0.2, 0.5, 0.8), 0.1), brain) == 0
