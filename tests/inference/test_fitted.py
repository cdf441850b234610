from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.fitted import fitted_tiles, occupied_cells
from napari_radcnn.inference.stream import run_tiles

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 33), st.integers(1, 29))


def voxels_of(cells, cell, shape):
    """Blow an occupancy up to voxels."""
    for axis, size in enumerate(cell):
        cells = cells.repeat(size, axis)
    return cells[: shape[0], : shape[1], : shape[2]]


@settings(deadline=None, max_examples=150)
@given(
    shape=SHAPES,
    cell=st.tuples(*[st.integers(1, 5)] * 3),
    divisor=st.tuples(*[st.sampled_from([1, 2, 4, 8])] * 3),
    halo=st.tuples(*[st.integers(0, 3)] * 3),
    filled=st.sampled_from([0.02, 0.3, 1.0]),
    max_voxels=st.sampled_from([4096, 8000, 10**6]),
    seed=st.integers(0, 50),
)
def test_kept_boxes_partition_what_is_occupied(shape, cell, divisor, halo, filled, max_voxels, seed):
    counts = [-(-n // c) for n, c in zip(shape, cell, strict=True)]
    cells = np.random.default_rng(seed).random(counts) < filled
    tiles = fitted_tiles(shape, cells, cell=cell, divisor=divisor, max_voxels=max_voxels, halo=halo)
    kept = np.zeros(shape, int)
    sizes = set()
    for read, keep in tiles:
        sizes.add(tuple(side.stop - side.start for side in read))
        assert (kept[keep] == 0).all()
        kept[keep] += 1
        assert voxels_of(cells, cell, shape)[keep].any()
        for n, r, p, h in zip(shape, read, keep, halo, strict=True):
            assert 0 <= p.start < p.stop <= n
            assert r.start <= max(0, p.start - h)
            assert r.stop >= min(n, p.stop + h)
            inside = r.start >= 0 and r.stop <= n
            assert inside or (r.stop - r.start >= n and r.start <= 0 and r.stop >= n)
    assert kept[voxels_of(cells, cell, shape)].all()
    assert len(sizes) <= 1
    assert (tiles == []) == (not cells.any())
    for size in sizes:
        assert all(n % d == 0 for n, d in zip(size, divisor, strict=True))
        assert np.prod(size) <= max_voxels


def test_one_tile_where_memory_allows():
    cells = np.zeros((10, 12, 14), bool)
    cells[2:7, 3:9, 4:10] = True
    tiles = fitted_tiles(
        (100, 120, 140), cells, cell=(10, 10, 10), divisor=(16, 16, 16), max_voxels=10**7, halo=(8, 8, 8)
    )
    assert tiles == [((slice(5, 85), slice(20, 100), slice(30, 110)), (slice(20, 70), slice(30, 90), slice(40, 100)))]


def test_a_volume_smaller_than_a_tile_is_in_its_middle():
    tiles = fitted_tiles((20, 33, 32), None, divisor=(16, 16, 16), max_voxels=10**6, halo=(4, 4, 4))
    whole = (slice(0, 20), slice(0, 33), slice(0, 32))
    assert tiles == [((slice(-6, 26), slice(-7, 41), slice(0, 32)), whole)]


def test_empty_tiles_are_left_out():
    cells = np.zeros((1, 16, 16), bool)
    cells[0, :3, :3] = cells[0, 13:, 13:] = True  # two corners
    tiles = fitted_tiles(
        (8, 128, 128), cells, cell=(8, 8, 8), divisor=(8, 8, 8), max_voxels=8 * 64 * 64, halo=(0, 4, 4)
    )
    assert len(tiles) == 2
    assert sum(np.prod([side.stop - side.start for side in read]) for read, _ in tiles) < 8 * 128 * 128 / 4


def test_less_memory_more_tiles():
    shape, how = (160, 256, 256), {"divisor": (16, 16, 16), "halo": (16, 16, 16)}
    counts = [len(fitted_tiles(shape, None, max_voxels=n, **how)) for n in (160 * 256 * 256, 160**3, 96**3)]
    assert counts[0] == 1
    assert counts[0] < counts[1] < counts[2]


def test_no_memory_for_a_single_tile():
    with pytest.raises(ResourceError, match="smallest tile"):
        fitted_tiles((64, 64, 64), None, divisor=(16, 16, 16), max_voxels=16**3, halo=(8, 8, 8))


def test_cells_that_do_not_fit_the_volume():
    with pytest.raises(ValueError, match="do not fit"):
        fitted_tiles(
            (9, 9, 9), np.ones((2, 3, 3), bool), cell=(4, 4, 4), divisor=(1, 1, 1), max_voxels=99, halo=(0, 0, 0)
        )


@given(shape=SHAPES, cell=st.tuples(*[st.integers(1, 7)] * 3), seed=st.integers(0, 20))
def test_occupied_cells(shape, cell, seed):
    array = np.random.default_rng(seed).normal(size=(2, *shape))
    cells = occupied_cells(lambda box: array[(slice(None), *box)], shape, cell, 2.0)
    inside = (array > 2).any(0)
    assert not (inside & ~voxels_of(cells, cell, shape)).any()
    for place in np.argwhere(cells):
        assert inside[tuple(slice(n * c, n * c + c) for n, c in zip(place, cell, strict=True))].any()


@pytest.mark.parametrize("budget", [0, 2**30])
@pytest.mark.parametrize("first", [0, 13])
def test_tiles_of_a_local_network_give_what_the_whole_gives(first, budget, tmp_path):
    from scipy import ndimage

    array = np.random.default_rng(1).normal(size=(1, 29, 26, 31)).astype(np.float32)
    shape = array.shape[1:]
    cells = np.zeros((5, 5, 6), bool)
    cells[1:4, 1:3, 2:5] = cells[4, 4, 1] = True
    tiles = fitted_tiles(shape, cells, cell=(6, 6, 6), divisor=(4, 4, 4), max_voxels=16**3, halo=(2, 2, 2))
    assert len(tiles) > 4

    def blur(patch):  # looks 2 voxels far
        return ndimage.uniform_filter(patch, (0, 5, 5, 5), mode="constant")

    found = np.full((1, *shape), np.nan, np.float32)
    done = first
    for final, blend in run_tiles(
        [blur],
        lambda box: array[(slice(None), *box)],
        shape,
        tiles,
        classes=1,
        budget_bytes=budget,
        empty=(-9,),
        first_plane=first,
        workspace=tmp_path,
    ):
        found[:, done:final] = blend.read((slice(done, final), slice(0, 26), slice(0, 31)))
        blend.release(final)
        done = final
    assert done == 29
    kept = np.zeros(shape, bool)
    for _, keep in tiles:
        kept[keep] = True
    kept[:first] = False
    assert found[0][kept] == pytest.approx(blur(array)[0][kept], abs=1e-5)
    kept[:first] = True
    assert (found[0][~kept] == -9).all()
    assert list(tmp_path.iterdir()) == []


def test_nothing_occupied_gives_the_empty_answer():
    stream = run_tiles([], lambda box: None, (3, 4, 5), [], classes=2, budget_bytes=0, empty=(1, -1))
    final, blend = next(stream)
    assert final == 3
    assert np.array_equal(blend.read((slice(0, 3), slice(1, 2), slice(0, 5)))[:, 0, 0, 0], [1, -1])
