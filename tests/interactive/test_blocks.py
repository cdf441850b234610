"""Means over blocks, and blocks on their voxels."""

import numpy as np
import pytest

from napari_radcnn.interactive.blocks import block_means, on_voxels


def test_blocks_are_put_on_the_voxels_that_they_hold() -> None:
    shape, factors = (5, 7, 4), (2, 3, 1)
    blocks = np.arange(3 * 3 * 4).reshape(3, 3, 4)
    found = on_voxels(blocks, factors, shape)
    assert found.shape == shape
    for k, j, i in np.ndindex(shape):
        assert found[k, j, i] == blocks[k // 2, j // 3, i]


@pytest.mark.parametrize("kind", ["?", "i2", "f4"])
def test_means_of_blocks_that_are_put_on_their_voxels_are_those_blocks(kind: str) -> None:
    blocks = np.random.default_rng(0).integers(0, 2, (3, 4, 2)).astype(kind)
    np.testing.assert_array_equal(block_means(on_voxels(blocks, (2, 3, 5), (6, 11, 9)), (2, 3, 5)), blocks)
