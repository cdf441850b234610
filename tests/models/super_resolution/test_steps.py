"""Steps between thin slices: as large where a slab ends as within it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.models.super_resolution.steps import even_share, evened, mean_steps
from napari_radcnn.models.super_resolution.through_plane import ThroughPlane


def staircase(slabs, spread=0.2, seed=0):
    """Return thin slices that repeat the thick ones, with a little noise; and the thick ones."""
    rng = np.random.default_rng(seed)
    thick = rng.normal(size=(slabs.count, 6, 7)).astype(np.float32)
    nearest = np.floor(slabs.positions() + 0.5 + 1e-9).astype(int)
    thin = thick[nearest] + spread * rng.normal(size=(slabs.thin_count, 6, 7)).astype(np.float32)
    return thin, thick


@pytest.mark.parametrize(("factor", "begins"), [(2.0, [2, 4, 6]), (3.0, [3, 6, 9]), (2.5, [2, 5, 7]), (1.6, [2, 3, 5])])
def test_slabs_begin_where_the_next_center_is_nearer(factor, begins):
    assert ThroughPlane(4, factor).begins().tolist() == begins


def test_a_share_of_each_step_between_slabs_goes_and_what_is_within_stays():
    slabs = ThroughPlane(3, 4.0)
    thin = np.repeat(np.array([0.0, 8.0, 2.0], np.float32), 4)[:, None, None] * np.ones((1, 2, 3), np.float32)
    found = evened(slabs, thin, 0.25, None)
    np.testing.assert_allclose(found[:, 1, 2], [0, 0, 0, 1, 7, 8, 8, 7.25, 2.75, 2, 2, 2])
    assert thin[3, 0, 0] == 0  # the given ones are left as they are


def test_the_means_of_slabs_stay():
    slabs = ThroughPlane(9, 3.0)
    thin, _ = staircase(slabs)
    thick = thin.reshape(9, 3, 6, 7).mean(1)
    found = evened(slabs, thin, 0.4, thick)
    np.testing.assert_allclose(found.reshape(9, 3, 6, 7).mean(1), thick, atol=1e-6)
    assert np.abs(found - thin).max() > 0.1


@pytest.mark.parametrize("factor", [2.0, 3.0, 2.6, 5.0])
@pytest.mark.parametrize("with_means", [True, False])
def test_the_share_makes_steps_alike(factor, with_means):
    slabs = ThroughPlane(24, factor)
    thin, thick = staircase(slabs, spread=1.2)
    if slabs.divides_evenly and with_means:
        thin = slabs.with_means(thin, thick)
    means = thick if slabs.divides_evenly and with_means else None
    before = mean_steps(slabs, thin)
    assert before[0] > 1.02 * before[1]
    share = even_share(slabs, thin, means)
    assert 0 < share < 0.9
    after = mean_steps(slabs, evened(slabs, thin, share, means))
    assert after[0] / after[1] == pytest.approx(1, abs=0.02)


def test_most_of_a_step_is_taken_where_the_means_keep_it_large():
    slabs = ThroughPlane(24, 2.0)
    thin, thick = staircase(slabs, spread=0.001)
    assert even_share(slabs, thin, thick) == pytest.approx(0.9, abs=0.002)


@pytest.mark.parametrize("slabs", [ThroughPlane(20, 3.0), ThroughPlane(20, 1.4), ThroughPlane(6, 3.0)])
def test_nothing_is_taken_where_steps_are_alike_or_too_few_to_tell(slabs):
    ramp = np.linspace(0, 1, slabs.thin_count, dtype=np.float32)[:, None, None] * np.ones((1, 4, 5), np.float32)
    assert even_share(slabs, ramp, None) == 0.0
    if slabs.count < 7:
        assert even_share(slabs, staircase(slabs)[0], None) == 0.0


def test_smaller_steps_between_slabs_are_left():
    slabs = ThroughPlane(20, 3.0)
    thin, _ = staircase(slabs)
    shifted = np.roll(thin, 1, axis=0)  # the large steps lie within slabs now
    assert even_share(slabs, shifted, None) == 0.0


def test_voxels_that_are_no_number_do_not_count():
    slabs = ThroughPlane(24, 3.0)
    thin, _ = staircase(slabs, spread=0.6)
    known = even_share(slabs, thin, None)
    thin[:, 0] = np.nan
    assert even_share(slabs, thin, None) == pytest.approx(known, abs=0.05)
