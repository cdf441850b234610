"""Oracles: the chord of a disk, and that filtered back-projection of its projections gives it back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.training.physics.low_dose import back_project, filtered, kernel, noise, project

SIZE = 96


def distance(x=0.0, y=0.0, size=SIZE):
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    return np.hypot(columns - x, rows - y)


def chords(radius, x, y, views, detectors):
    """Return the lengths that rays have inside a disk, in pixels."""
    angle = np.pi * np.arange(views)[:, None] / views
    across = np.arange(detectors)[None] - detectors / 2 - (np.cos(angle) * x + np.sin(angle) * y)
    return 2 * np.sqrt(np.maximum(radius**2 - across**2, 0)).astype(np.float32)


def test_projections_of_a_disk_are_its_chords():
    water = np.where(distance(9, -14) < 24, 0.0, -1000.0)
    found = project(water, 2.0, 30) / (0.0192 * 2.0)
    expected = chords(24, 9, -14, *found.shape)
    # every view keeps the mass
    np.testing.assert_allclose(found.sum(1), (water == 0).sum(), rtol=1e-5)
    # smoothed, for a disk of pixels has a rough edge
    smooth = np.ones(5) / 5
    for one, other in zip(found, expected, strict=True):
        assert np.abs(np.convolve(one - other, smooth, "same")).max() < 2.0


def test_back_projection_gives_the_disk_back():
    disk = distance(9, -14)
    found = back_project(chords(24, 9, -14, 180, 140)[None], SIZE)[0]
    assert abs(found[disk < 20].mean() - 1) < 0.01
    assert found[disk < 20].std() < 0.03
    assert abs(found[(disk > 28) & (distance() < 44)].mean()) < 0.01


def test_back_projection_takes_several_at_once():
    rng = np.random.default_rng(0)
    projections = rng.normal(size=(3, 40, 140)).astype(np.float32)
    together = back_project(projections, 64)
    for one, image in zip(projections, together, strict=True):
        np.testing.assert_allclose(back_project(one[None], 64)[0], image, rtol=1e-5, atol=1e-6)


def body():
    return np.where(distance() < 40, 0.0, -1000.0)


def test_a_lower_dose_is_noisier_as_its_photons_are_fewer():
    inside = distance() < 30
    spreads = {}
    for dose in (1.0, 0.5, 0.2):
        drawn = noise(body(), 3.0, 3, np.random.default_rng(1), dose=dose, photons=1e6, views=120)
        spreads[dose] = drawn[:, inside].std()
        assert abs(drawn[:, inside].mean()) < 0.05 * spreads[dose]
    # what is added at half the dose is as much as there was, at a fifth four times the variance
    assert spreads[0.5] / spreads[1.0] == pytest.approx(1.0, rel=0.05)
    assert spreads[0.2] / spreads[1.0] == pytest.approx(2.0, rel=0.05)


def test_rays_that_lost_more_are_noisier():
    wide = np.where((np.abs(np.indices((SIZE, SIZE))[0] - 47.5) < 12), 0.0, -1000.0)  # long from left to right
    drawn = filtered(noise(wide, 4.0, 4, np.random.default_rng(2), views=120), kernel((SIZE, SIZE), 0.2, 2.0))
    power = np.abs(np.fft.fft2(drawn[:, 36:60, 36:60])) ** 2
    # rays along the rows are spoilt: streaks along the rows, which change from row to row
    assert power[:, 1:6, 0].mean() > 5 * power[:, 0, 1:6].mean()


def test_a_kernel_halves_at_its_cutoff():
    window = kernel((64, 64), 0.25, 3.0)
    assert window[0, 0] == 1
    assert window[0, 16] == pytest.approx(0.5)
    assert window[16, 0] == pytest.approx(0.5)
    wave = np.cos(2 * np.pi * 16 * np.arange(64) / 64)[None] * np.ones((64, 1))
    np.testing.assert_allclose(filtered(wave[None], window)[0], wave / 2, atol=1e-6)
