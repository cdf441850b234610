"""Positions and weights against MONAI's own functions, and against figures that nnU-Net gave."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_radcnn.inference.patches.positions import (
    axis_starts,
    clipped,
    padded_shape,
    padding,
    patch_box,
    patch_count,
    patch_weights,
)
from napari_radcnn.spec.patches import Sampling

SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 50), st.integers(1, 40))
PATCHES = st.tuples(st.integers(1, 20), st.integers(1, 30), st.integers(1, 25))
OVERLAPS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.625, 0.75, 0.9])

# What nnU-Net 2.8's compute_steps_for_sliding_window returned: (padded) volume, patch, step as a fraction of the patch.
NNUNET_STARTS = [
    ((110, 64, 97), (64, 64, 32), 0.5, ([0, 23, 46], [0], [0, 13, 26, 39, 52, 65])),
    ((37, 50, 41), (16, 32, 24), 0.5, ([0, 7, 14, 21], [0, 9, 18], [0, 8, 17])),
    ((61, 45, 33), (28, 20, 16), 0.3, ([0, 8, 16, 25, 33], [0, 5, 10, 15, 20, 25], [0, 4, 8, 13, 17])),
    ((131, 200, 257), (96, 160, 192), 0.5, ([0, 35], [0, 40], [0, 65])),
    ((12, 40, 41), (4, 6, 40), 0.75, ([0, 3, 5, 8], [0, 4, 8, 13, 17, 21, 26, 30, 34], [0, 1])),
    ((40, 30, 31), (20, 30, 31), 0.1, (list(range(0, 21, 2)), [0], [0])),
]

# What its compute_gaussian(patch, 1 / 8, 10, torch.float16) returned: the sum of all, and single voxels.
NNUNET_WEIGHTS = [
    ((8, 12, 6), 177.11325871944427, {(1, 3, 2): 0.0061798095703125, (4, 6, 5): 0.28564453125, (4, 6, 3): 10.0}),
    ((5, 7, 16), 172.40320777893066, {(1, 3, 2): 0.0308837890625, (4, 6, 5): 5.435943603515625e-05, (2, 3, 8): 10.0}),
    ((24, 32, 40), 9447.94627225399, {(1, 3, 2): 1.1920928955078125e-07, (23, 1, 20): 1.0669231414794922e-05}),
]


@settings(deadline=None, max_examples=200)
@given(shape=SHAPES, patch=PATCHES, overlap=OVERLAPS)
def test_monai_positions(shape, patch, overlap):
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    padded = padded_shape(shape, patch)
    steps = _get_scan_interval(padded, patch, 3, (overlap,) * 3)
    expected = [tuple(side.start for side in box) for box in dense_patch_slices(padded, patch, steps)]
    assert list(product(*axis_starts(shape, Sampling(patch, overlap, "monai")))) == expected


@pytest.mark.parametrize(("shape", "patch", "step", "expected"), NNUNET_STARTS)
def test_nnunet_positions(shape, patch, step, expected):
    assert axis_starts(shape, Sampling(patch, 1 - step, "nnunet")) == expected


def test_nnunet_takes_slices_one_by_one_for_a_network_of_two_dimensions():
    found = axis_starts((5, 40, 41), Sampling((1, 32, 32), 0.5, "nnunet"))
    assert found == ([0, 1, 2, 3, 4], [0, 8], [0, 9])


@given(shape=SHAPES, patch=PATCHES, overlap=OVERLAPS, kind=st.sampled_from(["nnunet", "monai"]))
def test_patches_cover_the_volume_and_stay_inside(shape, patch, overlap, kind):
    for size, length, begins in zip(
        padded_shape(shape, patch), patch, axis_starts(shape, Sampling(patch, overlap, kind)), strict=True
    ):
        assert begins[0] == 0
        assert begins[-1] == size - length
        assert begins == sorted(begins)
        assert all(b - a <= length for a, b in pairwise(begins))


@given(shape=SHAPES, patch=PATCHES)
def test_padding_is_half_on_either_side(shape, patch):
    before, after = padding(shape, patch)
    for n, p, low, high in zip(shape, patch, before, after, strict=True):
        assert n + low + high == max(n, p)
        assert high - low in (0, 1)


def test_a_box_of_a_padded_volume_reaches_outside():
    box = patch_box((0, 3, 0), (4, 20, 9), (7, 8, 9))
    assert box == (slice(-1, 6), slice(3, 11), slice(0, 9))
    assert clipped(box, (4, 20, 9)) == (slice(0, 4), slice(3, 11), slice(0, 9))


@settings(deadline=None)
@given(shape=SHAPES, patch=PATCHES, first=st.integers(0, 69))
def test_the_count_is_of_patches_that_touch_the_wanted_planes(shape, patch, first):
    sampling = Sampling(patch, 0.5, "monai")
    boxes = [patch_box(start, shape, patch) for start in product(*axis_starts(shape, sampling))]
    assert patch_count(shape, sampling) == len(boxes)
    assert patch_count(shape, sampling, first) == sum(box[0].stop > first for box in boxes)


@settings(deadline=None)
@given(patch=PATCHES, sigma=st.sampled_from([0.125, 0.25, 0.05]))
def test_monai_weights(patch, sigma):
    from monai.data.utils import compute_importance_map

    expected = compute_importance_map(patch, mode="gaussian", sigma_scale=sigma).numpy()
    found = patch_weights(Sampling(patch, weights="monai", sigma=sigma))
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("patch", "total", "voxels"), NNUNET_WEIGHTS)
def test_nnunet_weights(patch, total, voxels):
    found = patch_weights(Sampling(patch, weights="nnunet"))
    assert float(found.sum(dtype=np.float64)) == pytest.approx(total, rel=1e-12)
    assert {place: float(found[place]) for place in voxels} == voxels
    assert found.min() == np.float32(2.0**-24)  # the smallest number that float16 holds


def test_constant_weights():
    assert np.array_equal(patch_weights(Sampling((2, 3, 4), weights="constant")), np.ones((2, 3, 4), np.float32))
