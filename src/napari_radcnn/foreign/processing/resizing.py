"""Scans interpolated to a number of voxels, as networks of a fixed input are shown them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.foreign.processing.nodes import Node
from napari_radcnn.foreign.processing.steps import Resize, ResizeKind
from napari_radcnn.geometry import Box, Shape

_Floats = npt.NDArray[np.float32]


def resized_shape(step: Resize, shape: Shape) -> Shape:
    """Return the number of voxels that a step leads to."""
    if not step.shorter:
        k, j, i = (wanted or n for wanted, n in zip(step.shape, shape, strict=True))
        return k, j, i
    least = min(shape[1:])
    rows, columns = (step.shorter if n == least else int(step.shorter * n / least) for n in shape[1:])
    return shape[0], rows, columns


def weights(old: int, new: int, kind: ResizeKind) -> _Floats:
    """Return the matrix `(new, old)` whose rows are what the old voxels of an axis give to each of the new.

    Parameters
    ----------
    old, new : int
        Voxels before and after.
    kind : str
        See `ResizeKind`. ``"area"`` is the mean of all voxels that a new one touches, each counted in full (PyTorch's
        adaptive average pooling).

    Examples
    --------
    >>> weights(4, 2, "area").tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    centers = (np.arange(new) + 0.5) * old / new - 0.5
    voxels = np.arange(old)
    if kind == "area":
        first, last = np.arange(new) * old // new, -(-(np.arange(new) + 1) * old // new)
        found = ((voxels >= first[:, None]) & (voxels < last[:, None])).astype(float)
    else:
        width = max(1.0, old / new) if kind == "antialias" else 1.0
        places = centers if kind == "antialias" else np.clip(centers, 0, old - 1)
        found = np.clip(1 - np.abs(voxels - places[:, None]) / width, 0, None)
    return np.asarray(found / found.sum(1, keepdims=True), np.float32)


class ResizedNode:
    """Another number of voxels; a `Node`."""

    def __init__(self, inner: Node, shape: Shape, kind: ResizeKind) -> None:
        self._inner, self.shape = inner, shape
        self._weights = [weights(old, new, kind) for old, new in zip(inner.shape, shape, strict=True)]

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``."""
        depth, rows, columns = (matrix[side] for matrix, side in zip(self._weights, box, strict=True))
        j, i = _used(rows), _used(columns)
        rows, columns = rows[:, j], columns[:, i].T
        planes = []
        for row in depth:  # one after the other: a scan of many slices is never held whole
            at = _used(row[None])
            slabs = self._inner.read((at, j, i))
            planes.append(rows @ np.tensordot(slabs, row[at], (1, 0)) @ columns)
        return np.asarray(np.stack(planes, 1), np.float32)


def _used(matrix: _Floats) -> slice:
    """Return from the first to the last column that gives anything."""
    places = np.flatnonzero(matrix.any(0))
    return slice(int(places[0]), int(places[-1]) + 1)
