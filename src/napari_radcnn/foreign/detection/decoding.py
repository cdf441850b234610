"""From the outputs of a detector to boxes with scores, or a line that says why they are none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.detection.anchors import anchor_boxes, moved
from napari_radcnn.foreign.detection.described import Boxes
from napari_radcnn.foreign.detection.suppression import Found, together

_Floats = npt.NDArray[np.float64]
#: How far rounding may take scores out of 0..1.
_ROUNDING = 2e-3
#: The share of boxes whose ends may be swapped before all of them are taken for something else.
_SWAPPED = 0.5


def split_maps(outputs: Sequence[npt.NDArray[np.floating]], boxes: Boxes, dims: int, shown: str) -> list[_Floats]:
    """Return the maps of a detector without their batch, checked: logits of each level, then deltas.

    Parameters
    ----------
    outputs : sequence of array
        ``(1, anchors * classes, ...)`` for each level, then ``(1, anchors * 2 * dims, ...)``.
    boxes : Boxes
        What they mean.
    dims : int
        2 or 3.
    shown : str
        The model, for messages.

    Raises
    ------
    ModelError
        If their number or shape is another, or they are not finite.
    """
    if boxes.anchors is None:
        raise ModelError(f"{shown}: its anchors are not stated.")
    levels, count = len(boxes.anchors.cells), boxes.anchors.count
    if len(outputs) != 2 * levels:
        raise ModelError(
            f"{shown}: the network returns {len(outputs)} maps, but {2 * levels} are expected: {levels} levels of "
            "anchors with logits and deltas each."
        )
    for number, one in enumerate(outputs):
        is_logits = number < levels
        wanted = count * (len(boxes.names) if is_logits else 2 * dims)
        if one.ndim != dims + 2 or one.shape[0] != 1 or one.shape[1] != wanted:
            what = f"{count} anchors x {len(boxes.names)} classes" if is_logits else f"{count} anchors x {2 * dims}"
            raise ModelError(
                f"{shown}: map {number} of the network has shape {_told(one.shape)}, but {wanted} channels ({what}) of "
                f"{dims} dimensions are expected."
            )
    check_finite(outputs, shown)
    return [np.asarray(one[0], np.float64) for one in outputs]


def from_maps(maps: Sequence[_Floats], boxes: Boxes, shape: Sequence[int], shown: str) -> Found:
    """Return the boxes that maps of logits and deltas say, the best of each level, not yet clipped.

    Parameters
    ----------
    maps : sequence of array
        As `split_maps` returns them.
    boxes : Boxes
        What they mean.
    shape : sequence of int
        Of the picture that they cover, padding included, along the axes of the network.
    shown : str
        The model, for messages.
    """
    if boxes.anchors is None:
        raise ModelError(f"{shown}: its anchors are not stated.")
    dims, levels, parts = len(shape), len(maps) // 2, []
    for cells, logits, deltas in zip(boxes.anchors.cells, maps[:levels], maps[levels:], strict=True):
        grid = logits.shape[1:]
        scores = scores_of(_rows(logits, len(cells)), boxes, shown)
        flat = scores.ravel()
        chosen = np.flatnonzero(flat > boxes.least_score)
        if len(chosen) > boxes.most_per_level:
            chosen = chosen[np.argsort(-flat[chosen], kind="stable")[: boxes.most_per_level]]
        places = chosen // scores.shape[1]
        steps = [side // count for side, count in zip(shape, grid, strict=True)]
        around = anchor_boxes(cells, grid, steps, boxes.anchors.is_middle)[places]
        corners = moved(around, _rows(deltas, len(cells))[places], boxes.weights or (1.0,) * (2 * dims))
        parts.append(Found(corners, flat[chosen], chosen % scores.shape[1]))
    return together(parts, dims)


def _rows(maps: _Floats, count: int) -> _Floats:
    """Return ``(places * anchors, numbers)`` of ``(anchors * numbers, ...)``."""
    numbers = maps.shape[0] // count
    split = maps.reshape(count, numbers, -1)
    return split.transpose(2, 0, 1).reshape(-1, numbers)


def from_rows(
    outputs: Sequence[npt.NDArray[np.floating]], boxes: Boxes, shape: Sequence[int], shown: str
) -> tuple[Found, int]:
    """Return the boxes that a detector lists, not yet clipped, and how many of them lie outside of the picture.

    Parameters
    ----------
    outputs : sequence of array
        Boxes, scores and perhaps classes; or proposals, logits and deltas; all of them with a batch of one, or none.
    boxes : Boxes
        What they mean.
    shape : sequence of int
        Of the picture, along the axes of the network.
    shown : str
        The model, for messages.

    Raises
    ------
    ModelError
        If numbers or shapes differ, numbers are not finite, scores no probabilities, or boxes inside out.
    """
    dims = len(shape)
    has_batch = outputs[0].ndim == 3 and all(one.shape[:1] == (1,) for one in outputs)
    rows = [np.asarray(one[0] if has_batch else one, np.float64) for one in outputs]
    check_finite(rows, shown)
    corners = _corners(rows[0], boxes, shape, shown)
    if boxes.form == "proposals":
        found = _from_proposals(corners, rows, boxes, dims, shown)
    else:
        found = _from_boxes(corners, rows, boxes, shown)
    found = found.only(found.scores > boxes.least_score)
    sides = found.corners[:, dims:] - found.corners[:, :dims]
    is_box = np.all(sides > 0, axis=1)
    if len(found) and (sides < 0).any(1).mean() > _SWAPPED:
        raise ModelError(
            f"{shown}: the high ends of most boxes lie below the low ends: if they are centers and sizes, set "
            '"box" to "center-size".'
        )
    found = found.only(is_box)
    outside = (found.corners[:, dims:] <= 0) | (found.corners[:, :dims] >= np.array(shape))
    return found, int(outside.any(1).sum())


def _from_boxes(corners: _Floats, rows: Sequence[_Floats], boxes: Boxes, shown: str) -> Found:
    count = len(corners)
    scores = rows[1] if rows[1].ndim == 2 else rows[1][:, None]
    if scores.shape[0] != count:
        raise ModelError(f"{shown}: the network lists {count} boxes, but {scores.shape[0]} scores.")
    if len(rows) > 2:
        scores = scores_of(scores, boxes, shown)
        if scores.shape[1] != 1 or rows[2].size != count:
            raise ModelError(f"{shown}: one score and one class are expected for each box.")
        return Found(corners, scores[:, 0], _classes(rows[2].ravel(), boxes, shown))
    if scores.shape[1] != len(boxes.names):
        raise ModelError(
            f"{shown}: the network gives {scores.shape[1]} scores for each box, but {len(boxes.names)} classes are "
            "named."
        )
    scores = scores_of(scores, boxes, shown)
    return _each_class(np.repeat(corners[:, None], len(boxes.names), 1), scores)


def _from_proposals(corners: _Floats, rows: Sequence[_Floats], boxes: Boxes, dims: int, shown: str) -> Found:
    count, names = len(corners), len(boxes.names)
    logits, deltas = rows[1].reshape(len(rows[1]), -1), rows[2].reshape(len(rows[2]), -1)
    wanted = (count, names + 1), (count, (names + 1) * 2 * dims)
    if (logits.shape, deltas.shape) != wanted:
        raise ModelError(
            f"{shown}: for {count} regions and {names} classes, with the background, the network gives "
            f"{_told(logits.shape)} logits and {_told(deltas.shape)} deltas; {_told(wanted[0])} and {_told(wanted[1])} "
            "are expected."
        )
    if boxes.activation == "softmax":
        shifted = np.exp(logits - logits.max(1, keepdims=True)) if count else logits
        scores = shifted / shifted.sum(1, keepdims=True)
    else:
        scores = scores_of(logits, boxes, shown)
    weights = boxes.weights or (1.0,) * (2 * dims)
    each = deltas.reshape(count, names + 1, 2 * dims)
    placed = np.stack([moved(corners, each[:, number], weights) for number in range(1, names + 1)], 1)
    return _each_class(placed, scores[:, 1:])


def _each_class(corners: _Floats, scores: _Floats) -> Found:
    """Return ``(n, classes, 2 * dims)`` boxes as one list."""
    count, classes = scores.shape
    return Found(
        corners.reshape(count * classes, -1), scores.ravel(), np.tile(np.arange(classes, dtype=np.int64), count)
    )


def scores_of(numbers: _Floats, boxes: Boxes, shown: str) -> _Floats:
    """Return scores of a network's numbers.

    Raises
    ------
    ModelError
        If they are stated to be probabilities and are none.
    """
    if boxes.activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(numbers, -80, 80))))
    if numbers.size and not ((numbers >= -_ROUNDING) & (numbers <= 1 + _ROUNDING)).all():
        raise ModelError(
            f"{shown}: the network's scores lie between {numbers.min():.3g} and {numbers.max():.3g}, not between 0 and "
            '1, so they are logits: set "activation" to "sigmoid" or "softmax".'
        )
    return np.clip(numbers, 0.0, 1.0)


def _classes(numbers: _Floats, boxes: Boxes, shown: str) -> npt.NDArray[np.int64]:
    found = numbers - boxes.first_label
    if not ((found == np.round(found)) & (found >= 0) & (found < len(boxes.names))).all():
        last = boxes.first_label + len(boxes.names) - 1
        raise ModelError(
            f"{shown}: the network's classes lie between {numbers.min():g} and {numbers.max():g}, but those of the "
            f'{len(boxes.names)} names are {boxes.first_label} to {last}: see "first_label".'
        )
    return np.asarray(found, np.int64)


def _corners(given: _Floats, boxes: Boxes, shape: Sequence[int], shown: str) -> _Floats:
    """Return boxes with low and high ends, in voxels along the axes of the network."""
    dims = len(shape)
    if given.ndim != 2 or given.shape[1] != 2 * dims:
        raise ModelError(
            f"{shown}: the network's boxes have shape {_told(given.shape)}; a row of {2 * dims} numbers is expected "
            "for each."
        )
    first, second = given[:, :dims], given[:, dims:]
    if boxes.is_reversed:
        first, second = first[:, ::-1], second[:, ::-1]
    if boxes.is_fraction:
        first, second = first * np.array(shape), second * np.array(shape)
    if boxes.is_center_size:
        first, second = first - second / 2, first + second / 2
    return np.concatenate([first, second], 1)


def check_finite(outputs: Sequence[npt.NDArray[np.floating]], shown: str) -> None:
    """Refuse NaN and infinity.

    Raises
    ------
    ModelError
        If there is any.
    """
    for one in outputs:
        if not np.isfinite(one).all():
            bad = "NaN" if np.isnan(one).any() else "infinity"
            raise ModelError(
                f"{shown}: the network returned {bad}, which is no result: the scan may differ from its training "
                "data, or its weights are damaged."
            )


def _told(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
