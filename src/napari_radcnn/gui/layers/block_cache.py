"""Blocks of a store that were shown last, kept for the slice that is shown next."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import product
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box
from napari_radcnn.voxels import Level, VoxelSource, box_ends


class BlockCache:
    """Blocks that were read last, up to a size; shared by the resolutions of a layer.

    Parameters
    ----------
    most : int
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.lock = RLock()
        self._blocks: OrderedDict[tuple[Any, ...], npt.NDArray[Any]] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: tuple[Any, ...]) -> npt.NDArray[Any] | None:
        """Return a block, which counts as used last."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def put(self, key: tuple[Any, ...], block: npt.NDArray[Any]) -> None:
        """Keep a block, and let go of those that have not been used for longest."""
        self._blocks[key] = block
        self._n_bytes += block.nbytes
        while self._n_bytes > self.most and self._blocks:
            _, old = self._blocks.popitem(last=False)
            self._n_bytes -= old.nbytes


class CachedSource:
    """A source that keeps the blocks it read last, for slices that follow each other.

    Parameters
    ----------
    source : VoxelSource
        What is read.
    cache : BlockCache
        Where blocks are kept.
    """

    def __init__(self, source: VoxelSource, cache: BlockCache) -> None:
        self._source, self._cache = source, cache
        self.shape, self.dtype, self.chunks = source.shape, source.dtype, source.chunks
        self.levels: tuple[Level, ...] = ()

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the voxels of a box."""
        ends = box_ends(box, self.shape)
        ranges = [range(a // c, -(-b // c)) for (a, b), c in zip(ends, self.chunks, strict=True)]
        block_bytes = math.prod(self.chunks) * math.prod(self.shape[3:]) * self.dtype.itemsize
        if math.prod(len(r) for r in ranges) * block_bytes > self._cache.most // 2:
            return self._source.read(box)
        out = np.empty([*(b - a for a, b in ends), *self.shape[3:]], self.dtype)
        for index, block in self._blocks(list(product(*ranges))).items():
            spans = list(zip(index, self.chunks, ends, strict=True))
            target = tuple(slice(max(n * c, a) - a, min((n + 1) * c, b) - a) for n, c, (a, b) in spans)
            inner = tuple(slice(max(n * c, a) - n * c, min((n + 1) * c, b) - n * c) for n, c, (a, b) in spans)
            out[target] = block[inner]
        return out

    def _blocks(self, wanted: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], npt.NDArray[Any]]:
        """Return blocks, those that are not kept read at once: they are decoded side by side then."""
        with self._cache.lock:
            found = {index: self._cache.get(self._key(index)) for index in wanted}
            missing = np.array([index for index, block in found.items() if block is None])
            if len(missing):
                first, last = missing.min(0), missing.max(0)
                k, j, i = (
                    slice(int(a) * c, (int(b) + 1) * c) for a, b, c in zip(first, last, self.chunks, strict=True)
                )
                whole = self._source.read((k, j, i))
                for index in [index for index, block in found.items() if block is None]:
                    starts = [(n - int(a)) * c for n, a, c in zip(index, first, self.chunks, strict=True)]
                    part = whole[tuple(slice(s, s + c) for s, c in zip(starts, self.chunks, strict=True))].copy()
                    self._cache.put(self._key(index), part)
                    found[index] = part
        return {index: block for index, block in found.items() if block is not None}

    def _key(self, index: tuple[int, ...]) -> tuple[Any, ...]:
        return (id(self), *index)
