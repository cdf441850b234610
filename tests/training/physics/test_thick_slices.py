"""Pairs of thick and thin slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate

from napari_radcnn.training.physics.thick_slices import CROPS, SIDE, Sampler, Scan, slice_profile
from napari_radcnn.training.super_resolution.learn import Recipe, learn


def test_a_box_averages_the_thin_slices_in_it():
    taken = slice_profile(12, np.array([1.0, 4.0, 7.0, 10.0]), 3, "box")
    expected = np.kron(np.eye(4), np.full(3, 1 / 3))
    np.testing.assert_allclose(taken, expected, atol=1e-12)


def test_a_box_takes_parts_of_thin_slices():
    (taken,) = slice_profile(7, np.array([3.0]), 2.0, "box")
    np.testing.assert_allclose(taken, [0, 0, 0.25, 0.5, 0.25, 0, 0], atol=1e-12)


def test_a_gaussian_has_its_width_at_half_its_height():
    (taken,) = slice_profile(41, np.array([20.2]), 5.0, "gaussian")
    sigma = 5.0 / (2 * np.sqrt(2 * np.log(2)))

    def bell(x):
        return np.exp(-((x - 20.2) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))

    for n in (18, 20, 23):
        np.testing.assert_allclose(taken[n], integrate.quad(bell, n - 0.5, n + 0.5)[0], rtol=1e-6)


@pytest.mark.parametrize("profile", ["box", "gaussian"])
def test_a_profile_at_the_end_of_a_scan_sums_to_one(profile):
    taken = slice_profile(6, np.array([0.0, 5.0]), 4, profile)
    np.testing.assert_allclose(taken.sum(1), 1)
    np.testing.assert_allclose(taken[0], taken[1][::-1], atol=1e-12)
    assert taken[0, 0] > taken[0, 2] > 0


def ramps():
    k, j, i = np.meshgrid(np.arange(70.0), np.arange(40.0), np.arange(50.0), indexing="ij")
    return np.float32(0.01 * k - 0.02 * j + 0.004 * i)


def test_thin_slices_of_a_ramp_are_what_the_spline_says():
    # the mean over a symmetric profile is the value in its middle: shown and answer differ only where stacks end
    sampler = Sampler([Scan("ramp", ramps(), (0, 1, 2), 1.0, False)], 5)
    for _ in range(10):
        for shown, answer in sampler.draw():
            assert shown.shape == (7, SIDE, SIDE)
            assert answer.shape == (1, SIDE, SIDE)
            assert np.median(np.abs(answer)) < 0.012  # noise is added to some
            assert shown[1].std() > 0


def test_pairs_of_single_slices_have_no_neighbors():
    single = np.random.default_rng(0).normal(size=(1, 90, 80)).astype(np.float32)
    pairs = Sampler([Scan("slice", single, (1, 2), 1.0, True)], 2).draw()
    assert len(pairs) == CROPS
    for shown, _ in pairs:
        assert np.isfinite(shown).all()


def test_a_training_writes_weights_that_fit(tmp_path):
    import torch

    from napari_radcnn.models.super_resolution.network import CHANNELS, build_network
    from napari_radcnn.networks.shipped import ShippedNetwork

    scans = [Scan("ramp", ramps(), (0,), 1.0, True)]
    recipe = Recipe(minutes=0.01, batch=1)
    path = learn(scans, scans, "tiny", tmp_path / "a", recipe, 1)
    assert (tmp_path / "a" / "held_out.csv").read_text().startswith("minutes,steps,samples,gain_db,steps_at_borders")
    network = ShippedNetwork(path, "", build_network, 2, CHANNELS).torch_module()
    assert not network.training
    begun = learn(scans, [], "tiny", tmp_path / "b", replace(recipe, init_from=str(path), minutes=0.001), 1)
    found = ShippedNetwork(begun, "", build_network, 2, CHANNELS).torch_module()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], value, atol=0.02, rtol=0.02)
