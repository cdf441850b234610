"""Turns streamed logits into labels on the scan's own grid, without ever holding all classes of the volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.patches.accumulate import Blend

Interpolation = Literal["linear", "nearest"]
_Floats = npt.NDArray[np.float32]
_Indices = npt.NDArray[np.intp]

#: Memory that a block and the work on it should take.
BLOCK_BYTES = 64 << 20
#: A logit that stands for certainty.
_CERTAIN = 20.0


@dataclass(frozen=True)
class LabelRule:
    """How logits become a label.

    Attributes
    ----------
    kind : str
        ``"argmax"``: the class with the highest logit, the first of equals. ``"regions"``: every channel that exceeds
        `threshold` paints its label, the later over the earlier, on 0.
    values : tuple of int
        The label of each channel, 0..65535.
    threshold : float
        A logit; 0 is a sigmoid of one half.
    """

    kind: Literal["argmax", "regions"]
    values: tuple[int, ...]
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not self.values or min(self.values) < 0 or max(self.values) > np.iinfo(np.uint16).max:
            raise ValueError(f"labels must be 0 to 65535, one per channel, got {self.values}")

    @classmethod
    def argmax(cls, classes: int) -> LabelRule:
        """Return the rule for a softmax over `classes`, numbered from 0."""
        return cls("argmax", tuple(range(classes)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the labels: uint8 where they fit."""
        return np.dtype(np.uint8 if max(self.values) < 256 else np.uint16)

    @property
    def empty_logits(self) -> tuple[float, ...]:
        """Logits of a voxel that holds nothing: the first class, or no region at all."""
        nothing = self.threshold - _CERTAIN
        return (_CERTAIN if self.kind == "argmax" else nothing, *[nothing] * (len(self.values) - 1))


@dataclass(frozen=True, eq=False)
class _Axis:
    """Between which two network voxels each native voxel lies, and how far from the first (None: on it)."""

    low: _Indices
    high: _Indices
    fraction: _Floats | None

    @classmethod
    def between(cls, network: int, native: int, interpolation: Interpolation) -> _Axis:
        """Lay both grids over the same field of view, outer borders together; beyond the centers the edge goes on."""
        place = (np.arange(native) + 0.5) * (network / native) - 0.5
        if network == native or interpolation == "nearest":
            index = np.clip(np.floor(place + 0.5), 0, network - 1).astype(np.intp)
            return cls(index, index, None)
        place = np.clip(place, 0, network - 1)
        low = np.minimum(np.floor(place).astype(np.intp), max(network - 2, 0))
        high = np.minimum(low + 1, network - 1)
        return cls(low, high, (place - low).astype(np.float32))

    def part(self, first: int, last: int) -> tuple[slice, _Axis]:
        """Return which network voxels a range of native ones needs, and the axis that counts from those."""
        start, stop = int(self.low[first]), int(self.high[last - 1]) + 1
        fraction = None if self.fraction is None else self.fraction[first:last]
        return slice(start, stop), _Axis(self.low[first:last] - start, self.high[first:last] - start, fraction)

    def reached(self, first: int, last: int) -> tuple[int, int]:
        """Return the range of native voxels that network voxels ``first..last`` (included) have a part in."""
        return int(np.searchsorted(self.high, first, "left")), int(np.searchsorted(self.low, last, "right"))

    @property
    def is_identity(self) -> bool:
        return self.fraction is None and np.array_equal(self.low, np.arange(len(self.low)))


def first_network_plane(native_plane: int, network: int, native: int, interpolation: Interpolation = "linear") -> int:
    """Return which plane of the network's grid is the first that `native_plane` and those after it need."""
    return int(_Axis.between(network, native, interpolation).low[native_plane])


def resampled_argmax(
    stream: Iterable[tuple[int, Blend]],
    network_shape: Shape,
    native_shape: Shape,
    rule: LabelRule,
    *,
    interpolation: tuple[Interpolation, Interpolation, Interpolation] = ("linear", "linear", "linear"),
    block_bytes: int = BLOCK_BYTES,
    first_plane: int = 0,
) -> Iterator[tuple[Box, npt.NDArray[Any]]]:
    """Resample logits to another grid over the same field of view, and label it, block by block.

    Parameters
    ----------
    stream : iterable of (int, Blend)
        What `napari_radcnn.inference.patches.stream.run_patches` yields; the planes no more needed are released.
    network_shape, native_shape : tuple of int
        Of the grid of the logits, and of the labels.
    rule : LabelRule
        Of logits to labels.
    interpolation : tuple of str
        Along each axis; nnU-Net takes the nearest plane along the axis of a strongly anisotropic scan.
    block_bytes : int
        Memory that a block and the work on it should take, beside the stream's own.
    first_plane : int
        Native plane to begin at; the stream must then begin at `first_network_plane` of it or before.

    Yields
    ------
    box : tuple of slice
        Of the native grid, in the order of the first axis; whole rows, and whole planes where memory allows.
    labels : array of uint8 or uint16
        Of the shape of the box.

    Notes
    -----
    The same as `scipy.ndimage.zoom` of every class with ``order=1, mode="nearest", grid_mode=True`` (which is
    `skimage.transform.resize` with ``mode="edge"``) and the rule after that. Interpolation is a weighted mean with
    weights of at least 0, so a class that exceeds the first class, or the threshold, at none of the network's voxels
    around cannot do so between them; it is interpolated only where it may win.
    """
    k, j, i = (_Axis.between(n, m, kind) for n, m, kind in zip(network_shape, native_shape, interpolation, strict=True))
    rows = _rows_a_block(len(rule.values), network_shape, native_shape, block_bytes)
    planes = max(1, block_bytes // 4 // (rows * native_shape[2] * rule.dtype.itemsize))
    done = first_plane
    for final, blend in stream:
        ready = int(np.searchsorted(k.high, final, "left"))
        for first in range(done, ready, planes):
            last = min(first + planes, ready)
            for top in range(0, native_shape[1], rows):
                bottom = min(top + rows, native_shape[1])
                labels = _label_block(blend, rule, (k, j, i), slice(first, last), slice(top, bottom))
                yield (slice(first, last), slice(top, bottom), slice(0, native_shape[2])), labels
        done = max(done, ready)
        blend.release(int(k.low[done]) if done < len(k.low) else final)


def _rows_a_block(classes: int, network_shape: Shape, native_shape: Shape, block_bytes: int) -> int:
    """Return how many native rows are worked on at once: two network planes of every class, four native ones."""
    network_row = 3 * classes * network_shape[2] * network_shape[1] / native_shape[1]
    return max(1, min(native_shape[1], int(block_bytes * 3 // 4 // (4 * (network_row + 6 * native_shape[2])))))


@dataclass(frozen=True, eq=False)
class _Plane:
    """A plane of the network's logits, and the box of each class outside which it cannot be the label."""

    logits: _Floats
    boxes: list[tuple[int, int, int, int] | None]

    @classmethod
    def of(cls, logits: _Floats, rule: LabelRule) -> _Plane:
        least = logits[0] if rule.kind == "argmax" else np.float32(rule.threshold)
        boxes: list[tuple[int, int, int, int] | None] = []
        for channel in logits:
            higher = channel > least
            rows = np.flatnonzero(higher.any(1))
            columns = np.flatnonzero(higher.any(0)) if rows.size else rows
            boxes.append((rows[0], rows[-1], columns[0], columns[-1]) if rows.size else None)
        return cls(logits, boxes)


def _label_block(
    blend: Blend, rule: LabelRule, axes: tuple[_Axis, _Axis, _Axis], planes: slice, rows: slice
) -> npt.NDArray[Any]:
    """Label whole rows of some planes."""
    k, whole_j, i = axes
    network_rows, j = whole_j.part(rows.start, rows.stop)
    columns = int(i.high[-1]) + 1
    background = rule.values[0] if rule.kind == "argmax" else 0
    labels = np.full((planes.stop - planes.start, len(j.low), len(i.low)), background, rule.dtype)
    held: dict[int, _Plane] = {}
    for number, native in enumerate(range(planes.start, planes.stop)):
        low, high = int(k.low[native]), int(k.high[native])
        fraction = 0.0 if k.fraction is None else float(k.fraction[native])
        wanted = {low} if fraction == 0 else {high} if fraction == 1 else {low, high}
        held = {plane: found for plane, found in held.items() if plane in wanted}
        for plane in wanted - held.keys():
            logits = blend.read((slice(plane, plane + 1), network_rows, slice(0, columns)))[:, 0]
            held[plane] = _Plane.of(logits, rule)
        ends = [held[plane] for plane in sorted(wanted)]
        _label_plane(ends, fraction, rule, j, i, labels[number])
    return labels


def _label_plane(
    ends: list[_Plane], fraction: float, rule: LabelRule, j: _Axis, i: _Axis, labels: npt.NDArray[Any]
) -> None:
    """Label one plane that lies on a network plane, or between two."""
    wide = [_reached_box([end.boxes[channel] for end in ends], j, i) for channel in range(len(rule.values))]
    found = {channel: box for channel, box in enumerate(wide) if box is not None}
    if not found:
        return
    if rule.kind == "regions":
        for channel, box in found.items():
            logits = _interpolated([end.logits[channel] for end in ends], fraction, j, i, box)
            np.copyto(labels[box], rule.values[channel], where=logits > rule.threshold)
        return
    union = (
        slice(min(box[0].start for box in found.values()), max(box[0].stop for box in found.values())),
        slice(min(box[1].start for box in found.values()), max(box[1].stop for box in found.values())),
    )
    best = _interpolated([end.logits[0] for end in ends], fraction, j, i, union)
    if best.base is not None:  # a view of logits that the next plane may need
        best = best.copy()
    for channel, box in found.items():
        logits = _interpolated([end.logits[channel] for end in ends], fraction, j, i, box)
        place = best[
            box[0].start - union[0].start : box[0].stop - union[0].start,
            box[1].start - union[1].start : box[1].stop - union[1].start,
        ]
        np.copyto(labels[box], rule.values[channel], where=logits > place)
        np.maximum(place, logits, out=place)


def _reached_box(boxes: list[tuple[int, int, int, int] | None], j: _Axis, i: _Axis) -> tuple[slice, slice] | None:
    """Return the native box that network boxes, of both planes around, have a part in."""
    there = [box for box in boxes if box is not None]
    if not there:
        return None
    rows = slice(*j.reached(min(box[0] for box in there), max(box[1] for box in there)))
    columns = slice(*i.reached(min(box[2] for box in there), max(box[3] for box in there)))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _interpolated(ends: list[_Floats], fraction: float, j: _Axis, i: _Axis, box: tuple[slice, slice]) -> _Floats:
    """Return one class in a box of the native plane; it may be a view of `ends`."""
    rows, j = j.part(box[0].start, box[0].stop)
    columns, i = i.part(box[1].start, box[1].stop)
    plane = ends[0][rows, columns]
    if len(ends) == 2:
        difference = ends[1][rows, columns] - plane
        difference *= np.float32(fraction)
        difference += plane
        plane = difference
    return _along_rows(_along_columns(plane, i), j)


def _along_columns(plane: _Floats, axis: _Axis) -> _Floats:
    if axis.is_identity:
        return plane
    first = plane.take(axis.low, 1)
    if axis.fraction is None:
        return first
    second = plane.take(axis.high, 1)
    second -= first
    second *= axis.fraction
    second += first
    return second


def _along_rows(plane: _Floats, axis: _Axis) -> _Floats:
    if axis.is_identity:
        return plane
    first = plane.take(axis.low, 0)
    if axis.fraction is None:
        return first
    second = plane.take(axis.high, 0)
    second -= first
    second *= axis.fraction[:, None]
    second += first
    return second
