"""Scans brought to a number of voxels: PyTorch's interpolation and MONAI's crop are the oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from napari_radcnn.foreign.answers.described import Answering, Classes
from napari_radcnn.foreign.processing import steps
from napari_radcnn.foreign.processing.input import RecipeInput
from napari_radcnn.foreign.processing.resizing import weights
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume


def _scan(shape=(7, 11, 6)):
    array = np.random.default_rng(2).normal(3, 2, shape).astype(np.float32)
    return Volume(array, oblique_geometry(shape))


def _seen(scan, *there, budget=0, channels=1):
    how = Answering(1, channels, there, scan.shape, Classes(("a",), "multi-label"))
    given = RecipeInput([scan], how, budget)
    return given.read(tuple(slice(0, n) for n in given.shape))


@pytest.mark.parametrize("shape", [(4, 5, 3), (14, 9, 6), (3, 23, 8)])
@pytest.mark.parametrize(("kind", "mode"), [("linear", "trilinear"), ("area", "area")])
@pytest.mark.parametrize("budget", [0, 1 << 20])
def test_volumes_are_resized_as_by_torch(shape, kind, mode, budget):
    scan = _scan()
    expected = interpolate(torch.from_numpy(scan.array)[None, None], shape, mode=mode)[0]
    np.testing.assert_allclose(_seen(scan, steps.Resize(shape, kind), budget=budget), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (30, 4), (23, 13)])
def test_pictures_are_resized_as_by_torchvision(shape):
    scan = _scan((1, 23, 17))
    expected = interpolate(torch.from_numpy(scan.array)[None], shape, mode="bilinear", antialias=True)
    np.testing.assert_allclose(_seen(scan, steps.Resize((0, *shape), "antialias")), expected, atol=1e-5)


def test_part_of_a_resized_scan_is_read_alone():
    scan = _scan()
    how = Answering(1, 1, (steps.Resize((5, 8, 9), "antialias"),), scan.shape, Classes(("a",), "multi-label"))
    given = RecipeInput([scan], how, 0)
    box = slice(1, 4), slice(2, 3), slice(5, 9)
    np.testing.assert_allclose(given.read(box), given.read((slice(0, 5), slice(0, 8), slice(0, 9)))[:, *box], atol=1e-6)


def test_the_shorter_side_of_a_picture_decides():
    seen = _seen(_scan((1, 23, 17)), steps.Resize(kind="antialias", shorter=9))
    assert seen.shape == (1, 1, 12, 9)  # 23 * 9 / 17 = 12.18: torchvision drops the rest


@pytest.mark.parametrize("shape", [(4, 12, 6), (9, 5, 5), (7, 8, 11)])
def test_the_middle_is_taken_as_by_monai(shape):
    from monai.transforms import ResizeWithPadOrCrop

    scan = _scan()
    expected = ResizeWithPadOrCrop(shape)(scan.array[None])
    np.testing.assert_array_equal(_seen(scan, steps.Center(shape)), np.asarray(expected))


def test_steps_keep_their_order():
    scan = _scan()
    small = steps.Resize((3, 4, 2), "area")
    after = _seen(scan, small, steps.Normalize())
    before = _seen(scan, steps.Normalize(), small)
    assert after.std() == pytest.approx(1, abs=1e-5)
    assert before.std() < 0.6


def test_repeated_channels_are_equal_until_their_figures_differ():
    scan = _scan()
    seen = _seen(scan, steps.Repeat(3), steps.Normalize((1.0, 2.0, 3.0), (1.0, 2.0, 4.0)), channels=3)
    for channel, (mean, std) in zip(seen, ((1, 1), (2, 2), (3, 4)), strict=True):
        np.testing.assert_allclose(channel, (scan.array - mean) / std, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "area", "antialias"])
@pytest.mark.parametrize(("old", "new"), [(7, 7), (9, 4), (4, 9), (1, 3), (5, 1)])
def test_a_constant_stays_what_it_is(kind, old, new):
    np.testing.assert_allclose(weights(old, new, kind).sum(1), 1, atol=1e-6)
