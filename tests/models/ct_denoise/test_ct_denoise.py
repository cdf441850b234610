from __future__ import annotations

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from scipy import ndimage

import napari_radcnn as radcnn
from napari_radcnn.errors import CancelledError, ModelError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.models.ct_denoise import run as ct_denoise
from napari_radcnn.models.ct_denoise.noise import noise_level
from napari_radcnn.models.ct_denoise.run import limited
from napari_radcnn.phantom import disks
from napari_radcnn.training.physics.low_dose import filtered, kernel
from napari_radcnn.volume import Volume, VolumeMetadata

SPACING = (2.0, 0.8, 0.8)
SHAPE = (3, 160, 144)


def volume(array, spacing=SPACING, modality="CT", **metadata):
    array = np.asarray(array)
    return Volume(array, Geometry.from_parts(array.shape, spacing), VolumeMetadata(modality=modality, **metadata))


def textured(shape=SHAPE, spread=25.0, seed=0):
    """Return noise with the texture of a medium reconstruction kernel."""
    drawn = np.random.default_rng(seed).normal(size=shape)
    rows, columns = shape[1:]
    ramp = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    drawn = filtered(drawn, np.sqrt(ramp) * kernel((rows, columns), 0.3, 2.5))
    return drawn * (spread / drawn.std())


def phantom(shape=SHAPE, blur=0.0):
    """Return a body of water with fat, faint disks and bone; edges as sharp as pixels, or as a scanner shows them."""
    image = np.full(shape, -1000.0)
    j, i = np.indices(shape[1:])
    middle = (shape[1] / 2, shape[2] / 2)
    image[:, np.hypot((j - middle[0]) / (0.46 * shape[1]), (i - middle[1]) / (0.46 * shape[2])) < 1] = 50.0
    image[:, np.hypot(j - 45, i - 70) < 12] = 70.0
    image[:, np.hypot(j - 80, i - 40) < 12] = 35.0
    image[:, np.hypot(j - 80, i - 105) < 14] = -90.0
    image[:, np.hypot(j - 120, i - 75) < 9] = 600.0
    return ndimage.gaussian_filter(image, (0, blur, blur)) if blur else image


def tissue(clean):
    return (clean > -150) & (clean < 250)


def left(clean, noisy, found):
    inside = tissue(clean)
    return np.sqrt(np.mean((found - clean)[inside] ** 2) / np.mean((noisy - clean)[inside] ** 2))


@pytest.fixture(scope="module")
def denoised():
    clean = phantom()
    noisy = volume((clean + textured()).astype(np.float32))
    return clean, noisy, radcnn.denoise(noisy, "ct-denoise", {"strength": 1.0})


@pytest.fixture(scope="module")
def scanned():
    """The same with the edges of a scanner."""
    clean = phantom(blur=0.8)
    noisy = volume((clean + textured()).astype(np.float32))
    return clean, noisy, radcnn.denoise(noisy, "ct-denoise", {"strength": 1.0})


def test_noise_goes(scanned):
    clean, noisy, found = scanned
    assert found.array.dtype == np.float32
    assert found.geometry.is_close(noisy.geometry)
    assert left(clean, noisy.array, found.array) < 0.4


def test_the_mean_stays(denoised):
    clean, noisy, found = denoised
    inside = tissue(clean)
    assert abs((found.array - noisy.array)[inside].mean()) < 0.5


def test_faint_disks_keep_most_of_their_contrast(denoised):
    clean, noisy, _ = denoised
    found = radcnn.denoise(noisy, "ct-denoise")
    flat = np.abs(clean - 50) < 1
    for value in (70.0, 35.0):
        disk = clean == value
        before = noisy.array[disk].mean() - noisy.array[flat].mean()
        after = found.array[disk].mean() - found.array[flat].mean()
        assert 0.8 < after / before < 1.1


def test_edges_stay_sharp(denoised):
    clean, _, found = denoised
    # across the bone and the fat: the steepest step between neighbors keeps most of its height
    for row, columns in ((120, slice(60, 90)), (80, slice(85, 125))):
        expected = np.abs(np.diff(clean[:, row, columns].mean(0))).max()
        assert np.abs(np.diff(found.array[:, row, columns].mean(0))).max() > 0.65 * expected


def test_the_manifest_says_the_noise_before_and_after(denoised):
    _, noisy, found = denoised
    facts = found.metadata.provenance["facts"]
    assert facts["noise_before_hu"] == pytest.approx(np.median([noise_level(one) for one in noisy.array]), abs=0.01)
    assert facts["noise_after_hu"] == pytest.approx(np.median([noise_level(one) for one in found.array]), abs=0.01)
    assert facts["noise_after_hu"] < 0.4 * facts["noise_before_hu"]
    assert facts["noise_level_source"] == "estimated"


def test_strength_scales_what_is_taken_off(denoised):
    _, noisy, full = denoised
    half = radcnn.denoise(noisy, "ct-denoise", {"strength": 0.5}).array
    np.testing.assert_allclose(noisy.array - half, (noisy.array - full.array) / 2, atol=0.02)
    none = radcnn.denoise(noisy, "ct-denoise", {"strength": 0.0})
    np.testing.assert_array_equal(none.array, noisy.array)


def test_a_limit_spares_what_stands_out_and_no_more():
    rng = np.random.default_rng(8)
    found = rng.normal(0, 10, (130, 117)).astype(np.float32)
    found[:, 60:] *= 3  # noise is stronger on the right
    found[40, 20], found[90, 100] = 200, -400
    held = limited(found, 2.5)
    assert held[40, 20] == pytest.approx(25, rel=0.25)
    assert held[90, 100] == pytest.approx(-75, rel=0.25)
    assert np.mean(held[:, :50] == found[:, :50]) == pytest.approx(0.987, abs=0.01)  # of a normal distribution
    assert np.mean(held[:, 75:] == found[:, 75:]) == pytest.approx(0.987, abs=0.01)
    assert np.array_equal(limited(found, 100.0), found)


def test_a_limit_is_asked_for(denoised):
    _, noisy, full = denoised
    held = radcnn.denoise(noisy, "ct-denoise", {"strength": 1.0, "limit": 1.0}).array
    whole = noisy.array - full.array
    expected = np.stack([limited(one, 1.0) for one in whole])
    np.testing.assert_allclose(noisy.array - held, expected, atol=0.05)
    assert np.mean(np.abs(expected) < np.abs(whole) - 0.1) > 0.2


def test_neighbors_help(scanned):
    clean, noisy, together = scanned
    one = volume(noisy.array[1:2])
    alone = radcnn.denoise(one, "ct-denoise", {"strength": 1.0})
    assert left(clean[1], noisy.array[1], alone.array[0]) < 0.5
    assert left(clean[1], noisy.array[1], together.array[1]) < left(clean[1], noisy.array[1], alone.array[0])


def test_white_noise_goes_as_well():
    noisy, clean = disks(20.0)
    assert left(clean.array, noisy.array, radcnn.denoise(noisy, "ct-denoise").array) < 0.6


@pytest.mark.parametrize("shape", [(1, 37, 53), (2, 21, 130), (7, 64, 9)])
def test_any_shape_is_taken(shape):
    noisy = volume((50 + textured(shape)).astype(np.float32))
    found = radcnn.denoise(noisy, "ct-denoise")
    assert found.array.shape == shape
    assert found.array.std() < noisy.array.std()


def test_pieces_join_without_a_seam(denoised, monkeypatch):
    _, noisy, whole = denoised
    monkeypatch.setattr(ct_denoise, "_WHOLE", 60)
    monkeypatch.setattr(ct_denoise, "_CORE", 48)
    steps = []
    pieces = radcnn.denoise(
        noisy, "ct-denoise", {"strength": 1.0}, progress=lambda done, total, message: steps.append((done, total))
    )
    assert steps[-1] == (3 * 4 * 3, 3 * 4 * 3)
    inside = (slice(None), slice(16, -16), slice(16, -16))  # at the scan's border pieces are filled up with its mirror
    difference = np.abs(pieces.array[inside] - whole.array[inside])
    assert difference.max() < 5  # of noise of 25
    assert difference.mean() < 0.5


def test_values_beyond_what_the_network_is_shown_stay():
    array = (phantom() + textured()).astype(np.float32)
    array[:, :10, :10] = -3024
    array[:, 120, 75] = 12000
    found = radcnn.denoise(volume(array), "ct-denoise").array
    np.testing.assert_array_equal(found[:, :10, :10], -3024)
    assert (found[:, 120, 75] > 11000).all()


def test_what_is_no_number_stays_and_is_told():
    array = (phantom() + textured()).astype(np.float32)
    array[1, 60:63, 70] = np.nan
    found = radcnn.denoise(volume(array), "ct-denoise")
    assert np.isnan(found.array[1, 60:63, 70]).all()
    assert np.isnan(found.array).sum() == 3
    assert any("3 voxels" in text and "saw -1024 (air)" in text for text in found.warnings)


def test_an_order_with_other_slices_first_gives_the_same(denoised):
    _, noisy, found = denoised
    turned = noisy.reoriented("PSL")
    assert turned.shape == (160, 3, 144)
    again = radcnn.denoise(turned, "ct-denoise", {"strength": 1.0})
    np.testing.assert_allclose(again.array.transpose(1, 0, 2), found.array, atol=1e-3)


def test_constant_and_empty_images_are_refused():
    with pytest.raises(ModelError, match="same value everywhere"):
        radcnn.denoise(volume(np.full((2, 40, 40), 40.0)), "ct-denoise")
    with pytest.raises(ModelError, match="no finite values"):
        radcnn.denoise(volume(np.full((2, 40, 40), np.nan)), "ct-denoise")


def test_without_soft_tissue_nothing_is_done_and_it_is_told():
    array = np.random.default_rng(0).normal(2000, 30, (2, 40, 40)).astype(np.float32)
    found = radcnn.denoise(volume(array), "ct-denoise")
    np.testing.assert_array_equal(found.array, array)
    assert any("No noise was detected" in text for text in found.warnings)


def test_what_does_not_fit_is_told_before():
    noisy = volume((phantom() + textured()).astype(np.float32))
    assert radcnn.plan(noisy, "ct-denoise").warnings == ()
    unscaled = noisy.with_array(np.maximum(noisy.array + 1024, 0))
    assert any("Hounsfield" in text for text in radcnn.plan(unscaled, "ct-denoise").warnings)
    wrong = noisy.with_array(noisy.array, modality="MR")
    assert any("says MR" in text for text in radcnn.plan(wrong, "ct-denoise").warnings)
    coarse = replace(noisy, geometry=Geometry.from_parts(SHAPE, (5.0, 3.0, 3.0)))
    assert any("3 mm" in text for text in radcnn.plan(coarse, "ct-denoise").warnings)


def test_options_are_checked():
    noisy = volume((phantom() + textured()).astype(np.float32))
    with pytest.raises(OptionError, match="strength"):
        radcnn.denoise(noisy, "ct-denoise", {"strength": 1.5})


def test_a_given_level_is_taken(denoised):
    _, noisy, found = denoised
    told = radcnn.denoise(noisy, "ct-denoise", {"strength": 1.0, "noise_level": 3.0})
    assert told.metadata.provenance["facts"]["noise_level_source"] == "given"
    assert np.abs(told.array - found.array).max() > 1


def test_it_can_be_stopped():
    stop, messages = Event(), []

    def progress(done, total, message):
        messages.append(message)
        if message == "removing noise":
            stop.set()

    with pytest.raises(CancelledError):
        radcnn.denoise(
            volume((phantom() + textured()).astype(np.float32)), "ct-denoise", cancel=stop, progress=progress
        )
    assert messages.count("removing noise") == 1
