"""A source of voxels that counts what is read from it, for tests that nothing is loaded by accident."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_radcnn.geometry import Box
from napari_radcnn.voxels import Level, box_ends


class CountingSource:
    """Voxels of an array, or, with only a shape, of an array that nobody could hold."""

    def __init__(
        self,
        array: np.ndarray | None = None,
        chunks: tuple[int, int, int] = (2, 3, 2),
        levels: tuple[Level, ...] = (),
        shape: tuple[int, ...] = (),
    ) -> None:
        self.array, self.chunks, self.levels = array, chunks, levels
        self.shape = shape if array is None else array.shape
        self.dtype: np.dtype[Any] = np.dtype(np.int16) if array is None else array.dtype
        self.boxes: list[tuple] = []

    def read(self, box: Box) -> np.ndarray:
        ends = box_ends(box, self.shape)
        self.boxes.append(ends)
        return self.array[tuple(slice(*extent) for extent in ends)].copy()
