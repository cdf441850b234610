"""A cube of a scan: turned, stretched and bent at will, averaged where it is coarser than the scan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.training.few_clicks.scans import Box, Scan
from napari_radcnn.training.promptable.shapes import random_rotation, smooth_field

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Look:
    """Where the voxels of a cube lie in a scan.

    Parameters
    ----------
    scan : Scan
        The scan.
    positions : (3, n, n, n) array of float32
        Index in the scan of every voxel.
    zoom : float
        mm between voxels.
    """

    scan: Scan
    positions: Array
    zoom: float

    @cached_property
    def _factors(self) -> tuple[int, ...]:
        """How many of the scan's voxels along each axis are averaged to one."""
        return tuple(max(1, round(self.zoom / spacing)) for spacing in self.scan.spacing)

    @cached_property
    def _box(self) -> Box:
        """The part of the scan that is read, a multiple of the factors along each axis where the scan allows."""
        ends = []
        for axis, factor in enumerate(self._factors):
            count = self.scan.image.shape[axis]
            low = int(np.floor(self.positions[axis].min())) - factor
            high = int(np.ceil(self.positions[axis].max())) + factor + 1
            start = min(max(low, 0), max(count - 2 * factor, 0))
            stop = max(min(high, count), min(start + 2 * factor, count))
            ends.append(slice(start, stop))
        return ends[0], ends[1], ends[2]

    @cached_property
    def inside(self) -> Mask:
        """What lies in the scan."""
        inside = np.ones(self.positions.shape[1:], bool)
        for axis, count in enumerate(self.scan.image.shape):
            inside &= (self.positions[axis] > -0.5) & (self.positions[axis] < count - 0.5)
        return inside

    def _sampled(self, block: Array, *, fill: float | None) -> Array:
        reduced = _averaged(block, self._factors)
        where = np.stack(
            [
                (self.positions[axis] - np.float32(extent.start + (factor - 1) / 2)) / np.float32(factor)
                for axis, (extent, factor) in enumerate(zip(self._box, self._factors, strict=True))
            ]
        )
        mode, value = ("nearest", 0.0) if fill is None else ("constant", fill)
        return np.asarray(ndimage.map_coordinates(reduced, where, order=1, mode=mode, cval=value), np.float32)

    def picture(self) -> Array:
        """Return the scan, in units; its border values are continued outside."""
        return self._sampled(self.scan.image[self._box], fill=None) * np.float32(self.scan.factor)

    def target(self, value: int) -> Mask:
        """Return an object."""
        block = (self.scan.labels[self._box] == value).astype(np.float32)
        return self._sampled(block, fill=0.0) > 0.5

    def labels(self) -> npt.NDArray[np.uint16]:
        """Return the map, from the nearest voxels."""
        where = [
            np.clip(np.rint(self.positions[axis]).astype(int), 0, count - 1)
            for axis, count in enumerate(self.scan.labels.shape)
        ]
        return self.scan.labels[tuple(where)].copy()


def _averaged(block: Array, factors: tuple[int, ...]) -> Array:
    """Return a block with every so many voxels averaged; the last ones are repeated where they do not suffice."""
    if all(factor == 1 for factor in factors):
        return np.asarray(block, np.float32)
    wanted = [(0, -count % factor) for count, factor in zip(block.shape, factors, strict=True)]
    padded = np.pad(block, wanted, mode="edge") if any(more for _, more in wanted) else block
    for axis, factor in enumerate(factors):
        if factor > 1:
            shape = list(padded.shape)
            shape[axis : axis + 1] = [shape[axis] // factor, factor]
            padded = padded.reshape(shape).mean(axis + 1)
    return np.asarray(padded, np.float32)


def random_look(rng: np.random.Generator, scan: Scan, middle: npt.NDArray[np.float64], zoom: float, size: int) -> Look:
    """Return a cube around a place, in two thirds of the cases turned, and some of them stretched or bent.

    Parameters
    ----------
    rng : numpy.random.Generator
        What decides.
    scan : Scan
        The scan.
    middle : (3,) array
        Index in the scan.
    zoom : float
        mm between voxels.
    size : int
        Voxels along a side.
    """
    line = np.arange(size, dtype=np.float32) - (size - 1) / 2
    where = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    if rng.random() < 0.35:
        strength, cells = rng.uniform(0.3, size / 18), int(rng.integers(2, 6))
        where = where + np.stack([np.float32(strength) * smooth_field(rng, size, cells) for _ in range(3)])
    matrix = np.eye(3)
    if rng.random() < 0.65:
        matrix = random_rotation(rng) if rng.random() < 0.25 else _small_rotation(rng)
    if rng.random() < 0.5:
        matrix = matrix * np.exp(rng.normal(0, 0.1, 3))
    scaled = (matrix * (zoom / scan.spacing)[:, None]).astype(np.float32)
    positions = np.tensordot(scaled, where, axes=1) + middle.astype(np.float32)[:, None, None, None]
    return Look(scan, positions.astype(np.float32), zoom)


def _small_rotation(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a rotation by a few degrees around any axis (Rodrigues' formula)."""
    axis = rng.standard_normal(3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = rng.normal(0, 0.3)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def thick_slices(rng: np.random.Generator, picture: Array) -> Array:
    """Return a picture as if its slices along one axis, or its voxels, were up to six times as thick."""
    size = picture.shape[0]
    if rng.random() < 0.7:
        factors = [1.0, 1.0, 1.0]
        factors[int(rng.integers(3))] = float(np.exp(rng.uniform(np.log(1.4), np.log(6.0))))
    else:
        factors = [float(np.exp(rng.uniform(np.log(1.2), np.log(2.5))))] * 3
    for axis, factor in enumerate(factors):
        if factor > 1:
            matrix = _coarsely(size, factor, rng.random())
            picture = np.moveaxis(np.tensordot(matrix, picture, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(picture, np.float32)


def _coarsely(size: int, factor: float, phase: float) -> Array:
    """Return the (size, size) matrix that averages a line over cells and goes straight from cell to cell."""
    count = int(np.ceil(size / factor)) + 2
    middles = (np.arange(count) - phase) * factor
    line = np.arange(size)
    down = (np.abs(line[None, :] - middles[:, None]) <= factor / 2 + 1e-6).astype(np.float64)
    is_used = down.sum(1) > 0
    down, middles = down[is_used] / down[is_used].sum(1, keepdims=True), middles[is_used]
    up = np.maximum(0, 1 - np.abs(line[:, None] - middles[None, :]) / factor)
    up /= np.maximum(up.sum(1, keepdims=True), 1e-6)
    return (up @ down).astype(np.float32)
