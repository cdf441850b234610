from __future__ import annotations

import numpy as np
import pytest
from skimage.restoration import denoise_nl_means

import napari_radcnn as radcnn
from grids import axial
from napari_radcnn.models.nlm_denoise import run as non_local_means
from napari_radcnn.models.nlm_denoise.run import estimate_noise
from napari_radcnn.phantom import disks, world_field


def _rmse(volume, clean):
    return float(np.sqrt(np.mean((np.asarray(volume.array, float) - clean.array) ** 2)))


@pytest.mark.parametrize("level", [5.0, 20.0, 60.0])
def test_the_noise_is_estimated(level):
    noisy, _ = disks(level)
    assert estimate_noise(noisy.array) == pytest.approx(level, rel=0.1)


def test_padding_and_masked_background_do_not_hide_the_noise():
    noisy, _ = disks(20.0)
    padded = noisy.array.copy()
    padded[:, :, :50] = -2000
    assert estimate_noise(padded, padding_value=-2000.0) == pytest.approx(20, rel=0.15)
    masked = noisy.array.copy()
    masked[:, :, :60] = 0
    assert estimate_noise(masked) == pytest.approx(20, rel=0.15)


@pytest.mark.parametrize("shape", [(1, 72, 80), (2, 72, 80), (72, 1, 80)])
def test_the_noise_of_a_few_slices_is_estimated_in_them(shape):
    array = np.random.default_rng(3).normal(50, 12.0, shape)
    assert estimate_noise(array) == pytest.approx(12, rel=0.12)


@pytest.mark.parametrize("array", [np.full((6, 7, 8), 3.0), np.random.default_rng(0).normal(size=(2, 3, 2))])
def test_no_noise_where_none_can_be_seen(array):
    assert estimate_noise(array) == 0


def test_it_removes_noise_and_keeps_the_mean():
    noisy, clean = disks(20.0)
    restored = radcnn.denoise(noisy, "nlm-denoise")
    assert _rmse(restored, clean) < 0.3 * _rmse(noisy, clean)
    assert abs(restored.array.mean() - noisy.array.mean()) < 0.2
    assert restored.metadata.provenance["facts"]["noise_level"] == pytest.approx(20, rel=0.1)


def test_blocks_give_what_the_whole_gives(monkeypatch):
    noisy, _ = disks(20.0)
    monkeypatch.setattr(non_local_means, "_BLOCK", 19)
    restored = radcnn.denoise(noisy, "nlm-denoise", {"noise_level": 20.0})
    whole = denoise_nl_means(
        noisy.array, patch_size=3, patch_distance=3, h=16.0, sigma=20.0, fast_mode=True, preserve_range=True
    )
    assert restored.metadata.provenance["options"]["search_radius_voxels"] == 3
    assert np.abs(restored.array - whole).max() < 0.01


def test_strength_zero_changes_nothing():
    noisy, _ = disks(20.0)
    assert np.array_equal(radcnn.denoise(noisy, "nlm-denoise", {"strength": 0.0}).array, noisy.array)


def test_an_image_without_noise_is_returned_and_said():
    volume = world_field(axial()).with_array(np.full((3, 4, 5), 7, np.int16))
    restored = radcnn.denoise(volume, "nlm-denoise")
    assert (restored.array == 7).all()
    assert any("No noise" in text for text in restored.warnings)


def test_a_single_slice_is_denoised():
    noisy, clean = disks(20.0)
    grid = noisy.geometry.cropped((slice(10, 11), slice(None), slice(None)))
    one = radcnn.Volume(noisy.array[10:11], grid)
    restored = radcnn.denoise(one, "nlm-denoise")
    truth = radcnn.Volume(clean.array[10:11], grid)
    assert restored.array.shape == (1, 72, 80)
    assert _rmse(restored, truth) < 0.6 * _rmse(one, truth)


def test_voxels_that_are_no_number_stay_so_and_harm_no_other():
    noisy, clean = disks(20.0)
    holed = noisy.array.copy()
    holed[12, 30:33, 40] = np.nan
    restored = radcnn.denoise(noisy.with_array(holed), "nlm-denoise")
    assert np.array_equal(np.isnan(restored.array), np.isnan(holed))
    assert np.sqrt(np.nanmean((restored.array - clean.array) ** 2)) < 7
