"""Whether a scan shows the brain alone, and where."""

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.models.brain_structures.stripped import has_bright_fluid, is_stripped, scaled_inside, shown_mask
from napari_radcnn.phantom import head
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE, SPACING = (40, 62, 50), (4.0, 3.0, 3.5)


def _ball(radii_mm, background=0.0, value=300.0, padding=None):
    index = np.indices(SHAPE)
    middle = [(n - 1) / 2 + shift for n, shift in zip(SHAPE, (2, -3, 1), strict=True)]
    inside = sum(((index[a] - middle[a]) * SPACING[a] / radii_mm[a]) ** 2 for a in range(3)) <= 1
    values = np.full(SHAPE, background, np.float32)
    values[inside] = value + np.random.default_rng(0).normal(0, 20, inside.sum())
    metadata = VolumeMetadata(modality="MR", padding_value=padding)
    return Volume(values, Geometry.from_parts(SHAPE, SPACING, (5, -7, 9)), metadata), inside


@pytest.mark.parametrize("background", [0.0, -1024.0])
def test_a_brain_on_a_background_of_one_value_is_stripped(background):
    scan, inside = _ball((65, 82, 68), background)
    mask, share = shown_mask(scan, scan.array)
    assert share == pytest.approx(1 - inside.mean())
    assert (mask == inside).all()
    assert is_stripped(scan, mask, share)


def test_a_head_on_a_background_of_zeros_is_told_from_a_brain_by_its_size():
    scan, inside = _ball((78, 95, 82))
    mask, share = shown_mask(scan, scan.array)
    assert share > 0.3
    assert (mask == inside).all()
    assert not is_stripped(scan, mask, share)


def test_a_head_in_noisy_air_is_not_stripped():
    scan = head()
    mask, share = shown_mask(scan, scan.array.astype(np.float32))
    assert not is_stripped(scan, mask, share)


def test_dark_fluid_inside_belongs_to_the_brain_and_specks_outside_do_not():
    scan, inside = _ball((65, 82, 68))
    values = scan.array.copy()
    values[18:23, 27:33, 22:28] = 0  # ventricles of a FLAIR
    values[1:3, 1:3, 1:3] = 250
    mask, _ = shown_mask(scan, values)
    assert (mask == inside).all()


def test_a_faint_rim_of_interpolation_is_background():
    scan, inside = _ball((65, 82, 68))
    values = np.where(inside, scan.array, 0)
    values[:, :, 5:45] = np.where(inside, values, 1.0)[:, :, 5:45]
    mask, _ = shown_mask(scan, values)
    assert (mask == inside).all()


def test_padding_is_background_too():
    scan, inside = _ball((65, 82, 68), padding=0.0)
    values = scan.array.copy()
    values[0, 0, 0] = -50
    mask, share = shown_mask(scan, values)
    assert share > 0.5
    assert (mask == inside).all()


def test_gray_values_are_scaled_between_percentiles_of_the_brain():
    rng = np.random.default_rng(1)
    values = rng.uniform(100, 500, (20, 30, 25)).astype(np.float32)
    mask = np.zeros(values.shape, bool)
    mask[3:18, 4:25, 5:20] = True
    values[3, 4, 5] = 1e6  # one bright vessel does not change the others
    scaled = scaled_inside(values, mask, -0.5)
    assert (scaled[~mask] == -0.5).all()
    assert scaled[3, 4, 5] == 1.5
    inner = mask.copy()
    inner[3, 4, 5] = False
    np.testing.assert_allclose(scaled[inner], (values[inner] - 102) / 396, atol=0.02)
    doubled = scaled_inside(2 * values + 7, mask, -0.5)
    np.testing.assert_allclose(doubled, scaled, atol=1e-4)


def test_a_flat_brain_scales_to_nothing():
    mask = np.zeros((4, 5, 6), bool)
    mask[1:3, 1:4, 2:5] = True
    scaled = scaled_inside(np.full((4, 5, 6), 7.0, np.float32), mask, -0.5)
    assert (scaled == -0.5).all()


def test_bright_fluid_is_found_by_where_it_lies():
    index = np.indices((50, 60, 56))
    radius = np.sqrt(sum((index[a] - n / 2) ** 2 for a, n in enumerate((50, 60, 56))))
    mask = radius <= 24
    noise = np.random.default_rng(3).normal(0, 3, mask.shape)
    ventricle = sum((index[a] - n / 2 - 4) ** 2 for a, n in enumerate((50, 60, 56))) <= 25
    tissue = np.where(radius > 22, 0, np.where(ventricle, 0, np.where(radius > 17, 1, 2)))
    t1, t2, flair = (np.array(levels)[tissue] + noise for levels in ((20, 80, 120), (400, 110, 90), (20, 120, 100)))
    assert [has_bright_fluid(scan, mask) for scan in (t1, t2, flair)] == [False, True, False]
    assert not has_bright_fluid(np.zeros((3, 4, 5)), np.ones((3, 4, 5), bool))
