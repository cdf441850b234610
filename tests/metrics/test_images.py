"""Errors of images, everywhere and inside the body."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_radcnn.errors import GeometryError
from napari_radcnn.metrics import body_mask, compare_images, image_errors


@pytest.fixture
def trunk():
    """An ellipse of 40 HU with two lungs, a table beneath it, air around; five slices, and the ellipse."""
    j, i = np.mgrid[:64, :90]
    body = ((j - 28) / 20) ** 2 + ((i - 44) / 35) ** 2 < 1
    lungs = ((j - 28) / 9) ** 2 + ((np.abs(i - 44) - 16) / 8) ** 2 < 1
    image = np.where(body, 40.0, -1000.0)
    image[lungs] = -850
    image[58:60, 10:80] = 200
    return np.stack([image] * 5), np.stack([body] * 5)


def test_the_body_holds_its_lungs_but_not_the_table(trunk):
    image, body = trunk
    noisy = image + np.random.default_rng(0).normal(0, 20, image.shape)
    found = body_mask(noisy)
    assert np.count_nonzero(found ^ body) < 0.01 * np.count_nonzero(body)
    assert body_mask(np.full((3, 4, 5), 7.0)) is None
    assert body_mask(np.full((3, 4, 5), np.nan)) is None


def test_inside_the_body_only_what_is_there_counts(trunk):
    image, body = trunk
    wrong = image + np.where(body, 10.0, 300.0)
    found = compare_images(image, wrong)
    assert found["body"]["rmse"] == pytest.approx(10, rel=0.01)
    assert found["body"]["mean_shift"] == pytest.approx(10, rel=0.01)
    assert found["body"]["psnr_db"] == pytest.approx(20 * np.log10(1200 / 10), abs=0.1)
    assert found["rmse"] > 100
    assert found["body"]["voxels"] == pytest.approx(np.count_nonzero(body), rel=0.01)
    assert compare_images(np.ones((2, 9, 9)), np.zeros((2, 9, 9)))["body"] is None


def test_against_scikit_image(trunk):
    image, body = trunk
    noisy = image + np.random.default_rng(1).normal(0, 60, image.shape) * (1 + body)
    found = image_errors(image, noisy)
    assert found["psnr_db"] == pytest.approx(peak_signal_noise_ratio(image, noisy, data_range=1200))
    # Theirs leaves a border of half a window out.
    theirs = np.mean([structural_similarity(a, b, data_range=1200) for a, b in zip(image, noisy, strict=True)])
    without = np.zeros(image.shape, bool)
    without[:, 3:-3, 3:-3] = True
    assert image_errors(image, noisy, without)["ssim"] == pytest.approx(theirs)
    maps = [structural_similarity(a, b, data_range=1200, full=True)[1] for a, b in zip(image, noisy, strict=True)]
    inside = image_errors(image, noisy, body)["ssim"]
    assert inside == pytest.approx(np.stack(maps)[body].mean())
    assert abs(inside - found["ssim"]) > 0.01
    assert image_errors(image, image)["ssim"] == pytest.approx(1)


def test_small_slices_have_no_ssim_and_unknown_voxels_do_not_count():
    small = np.arange(60.0).reshape(2, 5, 6)
    assert image_errors(small, small + 1)["ssim"] is None
    image = np.tile(np.arange(10.0), (2, 10, 1))
    other = image + 1
    other[0, 3, 3] = np.nan
    assert image_errors(image, other)["rmse"] == pytest.approx(1)
    assert np.isfinite(image_errors(image, other)["ssim"])
    with pytest.raises(GeometryError, match="no voxel"):
        image_errors(image, image * np.nan)
