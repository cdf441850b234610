"""Images of several channels that are read box by box, each made of the one before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.foreign.processing.grid import Boxed, Spaced, interpolated
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.patches.stream import read_padded
from napari_radcnn.inference.patches.turned import TurnedScans
from napari_radcnn.progress import Monitor

_Floats = npt.NDArray[np.float32]
#: Values of all channels that are looked at in one go.
_SLAB_VALUES = 1 << 24


class Node(Protocol):
    """A multi-channel image that is read box by box."""

    @property
    def shape(self) -> Shape: ...  # noqa: D102  of the grid, without channels

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``; the box lies inside."""
        ...


def slabs_of(node: Node, channels: int, monitor: Monitor | None) -> Iterator[_Floats]:
    """Yield a node slab by slab along its first axis."""
    depth = max(1, _SLAB_VALUES // (channels * node.shape[1] * node.shape[2]))
    for start in range(0, node.shape[0], depth):
        if monitor is not None:
            monitor.check()
        stop = min(start + depth, node.shape[0])
        yield node.read((slice(start, stop), slice(0, node.shape[1]), slice(0, node.shape[2])))


class ScanNode:
    """The scans themselves."""

    def __init__(self, scans: TurnedScans) -> None:
        self._scans, self.shape = scans, scans.shape

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``."""
        places = np.argsort(self._scans.transpose)
        channels = []
        for volume in self._scans.turned:
            block = volume.read_block((box[places[0]], box[places[1]], box[places[2]]))
            channels.append(np.array(block.transpose(self._scans.transpose), np.float32))
        return np.stack(channels)


class SpacedNode:
    """Another spacing."""

    def __init__(self, inner: Node, change: Spaced) -> None:
        self._inner, self._axes, self.shape = inner, change.forward(), change.after

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``."""
        return interpolated(self._inner.read, self._axes, box)


class BoxNode:
    """A box, which may reach beyond what there is."""

    def __init__(self, inner: Node, change: Boxed) -> None:
        self._inner, self._change, self.shape = inner, change, change.after

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``."""
        k, j, i = (slice(s.start + o, s.stop + o) for s, o in zip(box, self._change.offset, strict=True))
        if not self._change.repeats_border:
            return read_padded(self._inner.read, (k, j, i), self._inner.shape, 0.0)
        sides = zip((k, j, i), self._inner.shape, strict=True)
        places = [np.clip(np.arange(side.start, side.stop), 0, size - 1) for side, size in sides]
        box = (_span(places[0]), _span(places[1]), _span(places[2]))
        values = self._inner.read(box)
        for axis, (place, side) in enumerate(zip(places, box, strict=True)):
            values = values.take(place - side.start, axis + 1)
        return values


def _span(places: npt.NDArray[np.intp]) -> slice:
    return slice(int(places[0]), int(places[-1]) + 1)


class ValuesNode:
    """Other values on the same grid."""

    def __init__(self, inner: Node, change: Callable[[_Floats], npt.NDArray]) -> None:
        self._inner, self._change, self.shape = inner, change, inner.shape

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``."""
        return np.asarray(self._change(self._inner.read(box)), np.float32)


class ArrayNode:
    """All of it in memory."""

    def __init__(self, array: _Floats) -> None:
        self._array = array
        self.shape: Shape = (array.shape[1], array.shape[2], array.shape[3])

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``."""
        return self._array[:, *box]


class SlabsNode:
    """Keeps the slabs that were read last: patches go along the first axis row by row and overlap."""

    _DEPTH = 16

    def __init__(self, inner: Node) -> None:
        self._inner, self.shape = inner, inner.shape
        self._held: dict[int, _Floats] = {}

    def read(self, box: Box) -> _Floats:
        """Return ``(channels, k, j, i)``."""
        first, last = box[0].start // self._DEPTH, -(-box[0].stop // self._DEPTH)
        self._held = {n: slab for n, slab in self._held.items() if n >= first}
        for n in range(first, last):
            if n not in self._held:
                planes = slice(n * self._DEPTH, min((n + 1) * self._DEPTH, self.shape[0]))
                self._held[n] = self._inner.read((planes, slice(0, self.shape[1]), slice(0, self.shape[2])))
        joined = [
            self._held[n][:, max(0, box[0].start - n * self._DEPTH) : box[0].stop - n * self._DEPTH, box[1], box[2]]
            for n in range(first, last)
        ]
        return joined[0] if len(joined) == 1 else np.concatenate(joined, axis=1)
