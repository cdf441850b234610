"""Windows of a scan: what blocks hold, and what is drawn from them on the scan's voxels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.region.grid import Window, connected
from napari_radcnn.volume import Volume

SHAPE = (9, 23, 31)
LOW, HIGH = np.array([1, 3, 2]), np.array([9, 20, 31])


def window(values: np.ndarray, factors: tuple[int, int, int]) -> Window:
    volume = Volume(values, Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7), (-11.0, 7.5, 40.25)))
    return Window(volume, LOW, HIGH, np.array(factors))


@pytest.mark.parametrize("factors", [(1, 1, 1), (3, 1, 1), (1, 4, 1), (1, 1, 9), (2, 5, 3)])
@pytest.mark.parametrize("kind", ["i2", "u1", "f8"])
def test_a_block_holds_the_mean_of_its_voxels_and_the_last_one_repeats_the_edge(factors, kind: str) -> None:
    values = np.random.default_rng(3).uniform(0, 200, SHAPE).astype(kind)
    seen = window(values, factors)
    padded = np.pad(
        values[seen.box].astype(float), [(0, -n % f) for n, f in zip(HIGH - LOW, factors, strict=True)], "edge"
    )
    for block in np.ndindex(seen.shape):
        at = tuple(slice(n * f, (n + 1) * f) for n, f in zip(block, factors, strict=True))
        assert seen.image[block] == pytest.approx(padded[at].mean(), rel=1e-5)


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 3, 4), (3, 1, 2)])
def test_a_plane_through_the_blocks_is_drawn_where_it_lies_among_the_voxels(factors) -> None:
    seen = window(np.zeros(SHAPE, np.int16), factors)
    slope = np.array([3.0, 5.0, 7.0])
    blocks = [(np.arange(n) + 0.5) * f - 0.5 for n, f in zip(seen.shape, factors, strict=True)]
    voxels = [np.clip(np.arange(n), at[0], at[-1]) for n, at in zip(HIGH - LOW, blocks, strict=True)]

    def field(axes: list[np.ndarray]) -> np.ndarray:
        return sum(s * x for s, x in zip(slope, np.meshgrid(*axes, indexing="ij"), strict=True)) - 150.3

    expected = field(voxels) >= 0
    assert 0.2 < expected.mean() < 0.8
    np.testing.assert_array_equal(seen.drawn(field(blocks).astype(np.float32), 0.0), expected)
    assert not seen.drawn(np.zeros(seen.shape, np.float32), 0.5).any()


def test_the_part_of_a_window_around_some_blocks_draws_what_the_whole_draws() -> None:
    seen = window(np.zeros(SHAPE, np.int16), (2, 3, 4))
    blocks = np.zeros(seen.shape, bool)
    blocks[2, 1:4, 5:] = True
    part, inner = seen.cropped(blocks)
    assert part.shape == inner.shape == (3, 5, 4)
    whole = np.zeros(SHAPE, bool)
    whole[part.box] = part.drawn(inner, 0.5)
    np.testing.assert_array_equal(whole[seen.box], seen.drawn(blocks, 0.5))
    assert whole.any()


def test_pieces_are_kept_that_hold_a_marked_voxel() -> None:
    mask = np.zeros((3, 4, 9), bool)
    mask[0, 1:3, :2] = mask[1:, 2, 4] = mask[2, :, 7:] = True
    mask[1, 1, 5] = True  # touches the second piece by an edge only
    marked = np.zeros_like(mask)
    marked[0, 2, 1] = marked[2, 3, 8] = marked[0, 0, 4] = True
    kept = mask.copy()
    kept[1:, 2, 4] = kept[1, 1, 5] = False
    np.testing.assert_array_equal(connected(mask, marked), kept)
    assert not connected(mask, ~mask).any()
