from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_radcnn.models.ct_denoise.noise import fine_detail, noise_level


def white(spread, shape=(160, 130)):
    return np.random.default_rng(0).normal(40, spread, shape)


def test_white_noise_is_measured():
    for spread in (3.0, 25.0):
        assert noise_level(white(spread)) == pytest.approx(spread, rel=0.03)


def test_edges_and_slopes_do_not_count():
    image = white(10.0)
    image[:, 60:] += 90
    image[30:50, 20:100] -= 100
    image += np.arange(130) * 0.3
    assert noise_level(image) == pytest.approx(10, rel=0.05)


def test_only_soft_tissue_counts():
    image = np.full((100, 100), -1000.0)
    image[:40, :40] = white(15.0, (40, 40))
    image[50:] = 1500 + white(200.0, (50, 100))
    assert noise_level(image) == pytest.approx(15, rel=0.1)


def test_smooth_noise_shows_less_than_its_spread():
    smooth = ndimage.gaussian_filter(white(40.0), 1.0)
    assert 0.2 * smooth.std() < noise_level(smooth) < smooth.std()


def test_without_tissue_there_is_no_level():
    assert noise_level(np.full((50, 50), -1000.0)) == 0
    assert noise_level(white(10.0, (7, 200))) == 0
    assert noise_level(np.full((60, 60), 40.0)) == 0


def test_differences_are_second_ones_along_both_axes():
    j, i = np.indices((9, 12)).astype(np.float32)
    assert fine_detail(3 * j + 5 * i + j * i).max() == pytest.approx(0, abs=1e-4)
    # (j^2)'' (i^2)'' two pixels apart: 8 each, by 6 for white noise
    np.testing.assert_allclose(fine_detail(j**2 * i**2), 64 / 6, rtol=1e-4)
    assert fine_detail(np.zeros((2, 9, 12))).shape == (2, 5, 8)
