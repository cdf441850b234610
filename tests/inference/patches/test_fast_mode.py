"""Fast mode's patches: they cover everything, overlap, fit the network, and are never more than the model's own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from napari_radcnn.inference.patches.fast_mode import AirSkipper, fast_sampling
from napari_radcnn.inference.patches.positions import axis_starts, patch_count
from napari_radcnn.inference.patches.stream import run_patches
from napari_radcnn.spec.patches import Sampling
from toy_networks import smooth_noise

SIZES = st.tuples(*[st.integers(1, 700)] * 3)
PATCHES = st.tuples(*[st.sampled_from([1, 16, 24, 32, 48, 64, 96, 112, 128, 160, 192])] * 3)


@given(SIZES, PATCHES)
def test_patches_cover_every_voxel_and_overlap_by_an_eighth(shape, patch):
    sampling = fast_sampling(Sampling(patch, mirror_axes=(0, 2)))
    assert sampling.patch == patch
    assert sampling.mirror_axes == ()
    for starts, size, length in zip(axis_starts(shape, sampling), patch, shape, strict=True):
        assert starts[0] == 0
        assert starts[-1] + size == max(size, length)
        if size > 1:
            # positions are rounded to whole voxels
            assert all(later - earlier <= 0.875 * size + 1 for earlier, later in pairwise(starts))


@given(SIZES, PATCHES, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75]))
def test_never_more_is_computed_than_in_reference_mode(shape, patch, overlap):
    reference = Sampling(patch, overlap)
    assert patch_count(shape, fast_sampling(reference)) <= patch_count(shape, reference)


def test_a_large_volume_takes_less_than_a_quarter():
    reference = Sampling((96, 96, 96))
    shape = (1024, 1024, 1024)
    assert patch_count(shape, fast_sampling(reference)) < 0.25 * patch_count(shape, reference)


@pytest.mark.parametrize("shape", [(40, 61, 33), (7, 50, 90)])
def test_a_pointwise_network_gives_the_same_in_fast_mode(shape):
    array = smooth_noise(shape)
    sampling = fast_sampling(Sampling((32, 32, 32)))

    def twice_plus_one(patch):
        return 2 * patch + 1

    found = np.full(shape, np.nan, np.float32)
    done = 0
    for final, blend in run_patches(
        [twice_plus_one], lambda box: array[None, *box], shape, sampling, classes=1, budget_bytes=1 << 24
    ):
        found[done:final] = blend.read((slice(done, final), slice(0, shape[1]), slice(0, shape[2])))[0]
        blend.release(final)
        done = final
    assert np.allclose(found, 2 * array + 1, rtol=1e-5)


def test_only_patches_without_anything_above_air_are_left_out():
    scan = np.full((2, 6, 4, 4), -1000.0, np.float32)
    scan[0, 4, 1, 2] = -499.0
    scan[1, 0, 0, 0] = 700.0  # of another sequence, which says nothing of air
    calls = []

    def read(box):
        calls.append(box)
        return scan[(slice(None), *box)]

    skipper = AirSkipper(read, -500.0)
    boxes = [(slice(k, k + 2), slice(0, 4), slice(0, 4)) for k in (0, 2, 4)]
    found = []
    for box in boxes:
        found.append(skipper.is_air(box))
        np.testing.assert_array_equal(skipper.read(box), scan[(slice(None), *box)])
    assert found == [True, True, False]
    assert skipper.skipped == 2
    assert calls == boxes  # each was made once


def test_what_a_resampler_rounds_is_air():
    scan = np.full((1, 1, 1, 2), np.nextafter(np.float32(-500), np.float32(0)), np.float32)
    box = (slice(0, 1), slice(0, 1), slice(0, 2))
    assert AirSkipper(lambda box: scan, -500.0).is_air(box)
