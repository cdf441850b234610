from __future__ import annotations

import numpy as np

from napari_radcnn.inference.backends.agreement import compare


def logits(labels: np.ndarray, classes: int) -> np.ndarray:
    return (np.arange(classes)[:, None, None, None] == labels).astype(np.float32) - 0.3


LABELS = np.zeros((4, 20, 25), int)
LABELS[1, 2:14, 5:20] = 1
LABELS[2, 3:9, 5:15] = 2  # 1760 voxels of background, 180 of 1, 60 of 2


def test_the_fraction_of_voxels_with_the_same_label():
    other = LABELS.copy()
    other[1, 2, 5:10] = 2
    found = compare(logits(other, 3), logits(LABELS, 3))
    assert found.voxels == 1995 / 2000
    assert found.structures == 235 / 240
    assert found.reaches(0.995)
    assert not found.reaches(0.999)
    assert compare(logits(LABELS, 3) * 7, logits(LABELS, 3)).voxels == 1


def test_a_backend_that_finds_nothing_does_not_pass_because_the_patch_is_almost_empty():
    labels = np.zeros((10, 100, 100), int)
    labels[3, 5:20, 5:20] = 1
    found = compare(logits(np.zeros_like(labels), 2), logits(labels, 2))
    assert found.voxels > 0.995
    assert found.structures == 0
    assert not found.reaches(0.995)


def test_an_empty_patch_tells_by_its_voxels_only():
    empty = logits(np.zeros_like(LABELS), 2)
    found = compare(empty, empty)
    assert (found.voxels, found.structures) == (1.0, None)
    assert found.reaches(1.0)


def test_one_output_is_a_label_where_it_is_above_its_middle():
    reference = np.where(LABELS == 1, 2.0, -2.0)[None].astype(np.float32)
    assert compare(reference * 0.1, reference).voxels == 1
    assert compare(-reference, reference).voxels == 0
    probability = 1 / (1 + np.exp(-reference))
    assert compare(probability * 0.0 + 0.9, probability).voxels == 180 / 2000


def test_channels_that_overlap_are_compared_each_by_itself():
    reference = np.stack([np.where(LABELS > 0, 3.0, -3.0), np.where(LABELS == 2, 2.0, -2.0)]).astype(np.float32)
    wrong = reference.copy()
    wrong[1] = -2.0  # the arg-max does not see it
    assert compare(wrong, reference).voxels == 1
    found = compare(wrong, reference, "channels")
    assert found.voxels == 1940 / 2000


def test_numbers_that_are_not_finite_and_other_shapes_agree_with_nothing():
    broken = logits(LABELS, 3)
    broken[2, 0] = np.nan
    assert compare(broken, logits(LABELS, 3)).voxels == 0.75
    assert compare(logits(LABELS, 3)[:, :2], logits(LABELS, 3)).voxels == 0


def test_gray_values_agree_as_far_as_their_mean_square_is_the_same():
    reference = np.random.default_rng(3).normal(size=(1, 1, 30, 40)).astype(np.float32)
    assert compare(reference, reference, "values").voxels == 1
    found = compare(reference * 0.9, reference, "values")
    np.testing.assert_allclose(found.voxels, 0.99, rtol=1e-6)
    assert found.structures is None
    assert not found.reaches(0.995)
    assert compare(reference * -3, reference, "values").voxels == 0
    broken = reference.copy()
    broken[0, 0, 3, 4] = np.nan
    assert compare(broken, reference, "values").voxels == 0
    assert compare(np.zeros_like(reference), np.zeros_like(reference), "values").voxels == 1
    assert compare(reference, np.zeros_like(reference), "values").voxels == 0
