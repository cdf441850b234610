"""How training tells steps between slabs from others, and what it is shown of held-out scans."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_radcnn.models.super_resolution.network import build_network
from napari_radcnn.models.super_resolution.through_plane import ThroughPlane
from napari_radcnn.training.physics.thick_slices import Sampler, Scan
from napari_radcnn.training.super_resolution.held_out import Pieces, batch_of, test as look
from napari_radcnn.training.super_resolution.steps import sums_of_steps, unevenness

SIDE = 64


def shown(factor, columns=8):
    """Return what the network is shown of an empty plane, and the thin slices that begin a slab."""
    slabs = ThroughPlane(40, factor)
    array = np.zeros((1, 7, SIDE, columns), np.float32)
    array[0, 3:] = slabs.conditions()[:, :SIDE, None]
    begins = slabs.begins()
    return torch.from_numpy(array), begins[begins < SIDE]


@pytest.mark.parametrize("factor", [1.6, 2.0, 2.6, 3.0, 5.0])
def test_steps_are_told_by_the_place_between_slices(factor):
    given, begins = shown(factor)
    planes = torch.zeros(1, 1, SIDE, 8)
    heights = np.zeros(SIDE, np.float32)
    heights[begins] = 2.0
    planes[0, 0] = torch.from_numpy(np.cumsum(heights))[:, None]
    at_border, within = sums_of_steps(given, planes)
    assert float(at_border) == pytest.approx(2.0 * 8 * len(begins))
    assert float(within) == 0.0
    heights = np.ones(SIDE, np.float32) - heights / 2
    planes[0, 0] = torch.from_numpy(np.cumsum(heights))[:, None]
    at_border, within = sums_of_steps(given, planes)
    assert float(at_border) == 0.0
    assert float(within) == pytest.approx(8.0 * (SIDE - 1 - len(begins)))


def test_the_mirrored_end_of_a_small_scan_does_not_count():
    given, _ = shown(3.0)
    given[:, :, 40:] = given[:, :, 16:40].flip(2)
    planes = torch.zeros(1, 1, SIDE, 8)
    planes[:, :, 40:] = torch.arange(24.0)[:, None]
    assert [float(one) for one in sums_of_steps(given, planes)] == [0.0, 0.0]


def test_the_truth_is_even_and_a_staircase_is_not_and_the_way_down_is_known():
    given, _ = shown(3.0)
    truth = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 1, SIDE, 8)).astype(np.float32))
    assert float(unevenness(given, truth, truth)) == pytest.approx(0, abs=1e-6)
    thick = truth[0, 0, :63].reshape(21, 3, 8).mean(1)
    stairs = torch.cat([thick.repeat_interleave(3, 0), thick[-1:]])[None, None].requires_grad_()
    uneven = unevenness(given, stairs, truth)
    assert float(uneven) > 1
    uneven.backward()
    softer = (stairs - 0.5 * stairs.grad / stairs.grad.abs().max()).detach()
    assert float(unevenness(given, softer, truth)) < float(uneven)


def _scan():
    rng = np.random.default_rng(2)
    coarse = rng.normal(size=(12, 11, 10)).astype(np.float32)
    array = torch.nn.functional.interpolate(torch.from_numpy(coarse)[None, None], size=(60, 70, 66), mode="trilinear")
    return Scan("a scan", 0.2 * array[0, 0].numpy(), (0, 1, 2), 1.0, False)


def test_held_out_pieces_are_the_same_every_time_and_a_network_that_adds_nothing_gains_nothing():
    first, again = Pieces([_scan()]), Pieces([_scan()])
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first.batches, again.batches, strict=True))
    network = build_network().eval()  # fresh: its last layer is zero
    found = look(network, first)
    assert found["gain_db"] == pytest.approx(0, abs=1e-4)
    assert found["steps_at_borders"] > 0.9
    assert look(network, Pieces([])) == {}


def test_a_batch_has_the_pieces_of_so_many_planes():
    given, answer = batch_of(Sampler([_scan()], 1), 3)
    assert given.shape == (12, 7, SIDE, SIDE)
    assert answer.shape == (12, 1, SIDE, SIDE)
