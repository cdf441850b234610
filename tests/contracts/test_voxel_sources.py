"""What every voxel source keeps to: a box holds the same values as the whole array, whoever asks and however often.

Sources are found in the package's own text; one that is not made below makes the first test fail.
"""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.block_cache import BlockCache, CachedSource
from napari_radcnn.inference.gaps import _FilledSource
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume
from napari_radcnn.voxels import TurnedSource, box_ends, n_bytes
from sources import CountingSource

PACKAGE = Path(radcnn.__file__).parent
GRID = oblique_geometry((11, 13, 17))
VALUES = np.random.default_rng(5).integers(-3000, 3000, GRID.shape).astype(np.int16)
COLORS = np.random.default_rng(6).integers(0, 255, (*GRID.shape, 3)).astype(np.uint8)
GAPS = np.where(np.indices(GRID.shape).sum(0) % 5 == 0, np.nan, VALUES).astype(np.float32)
CHUNKS = (4, 3, 5)


def stored(array, folder):
    radcnn.write(Volume(array, GRID), folder / "a.ome.zarr")
    source = radcnn.read(folder / "a.ome.zarr")[0].source
    # small images are decoded at once, and still have their store
    return (source, array) if source is not None else pytest.fail("the volume of a store has no source")


def turned(array, folder):
    for orientation in ("LIP", "ASR"):
        axis_map = GRID.axis_map(orientation)
        yield TurnedSource(CountingSource(array, CHUNKS), axis_map), axis_map.apply(array)


def cached(array, most):
    return CachedSource(CountingSource(array, CHUNKS), BlockCache(most)), array


#: By class: what makes sources of it, each with the whole array that it is about.
MAKERS = {
    "ZarrSource": lambda folder: [stored(VALUES, folder)],
    "TurnedSource": lambda folder: [*turned(VALUES, folder), *turned(COLORS, folder)],
    "CachedSource": lambda folder: [cached(VALUES, 1 << 20), cached(VALUES, 900), cached(COLORS, 1 << 20)],
    "_FilledSource": lambda folder: [
        (_FilledSource(CountingSource(GAPS, CHUNKS), -7.0), np.where(np.isfinite(GAPS), GAPS, np.float32(-7)))
    ],
}


def in_the_package():
    """Return the names of the classes that are voxel sources: they read a box, in blocks, with levels."""
    found = set()
    texts = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    for module in (ast.parse(text) for text in texts if "box: Box" in text):
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and node.name != "VoxelSource":
                text = ast.unparse(node)
                if "def read(self, box: Box)" in text and "chunks" in text and "levels" in text:
                    found.add(node.name)
    return found


def test_every_source_of_the_package_is_tested_here():
    assert in_the_package() == set(MAKERS)


@pytest.fixture(params=MAKERS)
def sources(request, tmp_path):
    return MAKERS[request.param](tmp_path)


def boxes(shape):
    """Give boxes of every kind: whole, one voxel, planes, at the edges, beyond them, empty."""
    yield (slice(None), slice(None), slice(None))
    yield (slice(0, 1), slice(0, 1), slice(0, 1))
    yield (slice(2, 3), slice(None), slice(None))
    yield (slice(None), slice(None), slice(-1, None))
    yield tuple(slice(n - 2, n + 50) for n in shape)
    yield (slice(3, 3), slice(None), slice(0, 2))
    yield (slice(5, 2), slice(1, 2), slice(0, 2))
    yield (slice(400, 500), slice(0, 1), slice(0, 1))
    rng = np.random.default_rng(8)
    for _ in range(20):
        low = [int(rng.integers(0, n)) for n in shape]
        yield tuple(slice(a, int(rng.integers(a, n + 1))) for a, n in zip(low, shape, strict=True))


def test_a_source_says_what_it_holds(sources):
    for source, whole in sources:
        assert tuple(source.shape) == whole.shape
        assert all(isinstance(n, int) for n in (*source.shape, *source.chunks))
        assert source.dtype == whole.dtype
        assert source.dtype.isnative
        assert len(source.chunks) == 3
        assert all(1 <= chunk <= n for chunk, n in zip(source.chunks, source.shape, strict=False))
        assert n_bytes(source) == whole.nbytes
        assert isinstance(source.levels, tuple)


def test_a_box_holds_what_the_whole_holds(sources):
    for source, whole in sources:
        for box in boxes(whole.shape[:3]):
            ends = tuple(slice(*extent) for extent in box_ends(box, whole.shape))
            found = source.read(box)
            assert found.dtype == whole.dtype
            np.testing.assert_array_equal(found, whole[ends], err_msg=str(box))


def test_what_was_read_belongs_to_the_reader(sources):
    for source, whole in sources:
        box = (slice(1, 6), slice(2, 9), slice(0, 7))
        first = np.array(source.read(box))
        found = source.read(box)
        if found.flags.writeable:
            found[...] = 1
        np.testing.assert_array_equal(source.read(box), first)
        np.testing.assert_array_equal(first, whole[box])


def test_a_step_is_refused(sources):
    for source, _ in sources:
        with pytest.raises(ValueError, match="without steps"):
            source.read((slice(None, None, 2), slice(None), slice(None)))


def test_threads_read_the_same(sources):
    for source, whole in sources:
        wanted = list(boxes(whole.shape[:3]))[8:]
        wrong = []

        def work(source=source, whole=whole, wanted=wanted, wrong=wrong):
            wrong.extend(box for box in wanted if not np.array_equal(source.read(box), whole[box]))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []


def test_levels_are_coarser_and_lie_where_the_whole_lies(sources):
    for source, _ in sources:
        before = source.shape
        for level in source.levels:
            assert level.source.shape[:3] == level.geometry.shape
            assert level.source.shape[3:] == source.shape[3:]
            assert np.prod(level.source.shape) < np.prod(before)
            assert level.source.levels == ()
            before = level.source.shape


def test_a_volume_of_a_source_is_that_of_the_array(sources):
    for source, whole in sources:
        grid = Geometry(whole.shape[:3], GRID.affine)
        volume = Volume.lazy(source, grid)
        block = (slice(2, 7), slice(0, 4), slice(3, 9))
        np.testing.assert_array_equal(volume.read_block(block), whole[block])
        assert not volume.is_loaded
        np.testing.assert_array_equal(volume.array, whole)
