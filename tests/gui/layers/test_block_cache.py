import numpy as np

from napari_radcnn.gui.layers.block_cache import BlockCache, CachedSource
from sources import CountingSource


def test_blocks_are_read_once_and_forgotten_when_there_is_no_room():
    array = np.random.default_rng(0).integers(0, 99, (6, 7, 8)).astype(np.int16)
    source = CountingSource(array, (2, 3, 4))
    cached = CachedSource(source, BlockCache(1000))
    rng = np.random.default_rng(1)
    for _ in range(200):
        ends = [sorted(rng.integers(0, n + 1, 2)) for n in array.shape]
        box = tuple(slice(int(a), int(b)) for a, b in ends)
        assert np.array_equal(cached.read(box), array[box])
    whole = CachedSource(source, BlockCache(1 << 20))
    source.boxes.clear()
    whole.read((slice(1, 2), slice(0, 7), slice(0, 8)))
    whole.read((slice(0, 2), slice(2, 5), slice(1, 8)))
    assert source.boxes == [((0, 2), (0, 7), (0, 8))]
    whole.read((slice(1, 3), slice(0, 1), slice(0, 1)))
    assert source.boxes[1:] == [((2, 4), (0, 3), (0, 4))]


def test_the_cache_keeps_to_its_size():
    cache = BlockCache(100)
    for n in range(30):
        cache.put((n,), np.zeros(12, np.uint8))
    assert [n for n in range(30) if cache.get((n,)) is not None] == list(range(22, 30))
