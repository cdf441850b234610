"""Fast mode's patches: they cover everything, overlap, fit the network, and are never more than the model's own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_radcnn.inference.fast import fast_sampling
from napari_radcnn.inference.positions import axis_starts, patch_count
from napari_radcnn.inference.stream import run_patches
from napari_radcnn.models.network import Sampling
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
