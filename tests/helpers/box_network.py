"""A stand-in for LiteMedSAM: what is bright in the box."""

from __future__ import annotations

import numpy as np


class BrightInBox:
    """Has the interface of `BoxNetwork`; counts what it is asked for."""

    def __init__(self) -> None:
        self.embedded = self.decoded = 0
        self.is_closed = False

    def embed(self, picture):
        assert picture.shape == (3, 256, 256)
        assert picture.dtype == np.float32
        assert picture.min() == 0
        assert picture.max() in (0, 1)
        self.embedded += 1
        return picture[0].astype(np.float16)

    def decode(self, embedding, box):
        self.decoded += 1
        left, top, right, bottom = box
        row, column = np.indices(embedding.shape)
        inside = (row >= top - 2) & (row <= bottom + 5) & (column >= left - 2) & (column <= right + 5)
        return np.where((embedding > 0.5) & inside, 1.0, -1.0).astype(np.float32)

    def close(self):
        self.is_closed = True
