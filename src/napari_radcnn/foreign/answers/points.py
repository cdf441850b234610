"""From the maps or the numbers of a network to places on the grid that it saw."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from napari_radcnn.foreign.answers.described import Points
from napari_radcnn.geometry import Shape

_Floats = npt.NDArray[np.float64]


def places_of(answer: npt.NDArray[np.floating], points: Points, shape: Shape, dims: int) -> tuple[_Floats, _Floats]:
    """Return where the landmarks lie and how sure the network is of each.

    Parameters
    ----------
    answer : array
        ``(names, k, j, i)`` maps, possibly coarser than what the network saw; or a row of coordinates. Finite.
    points : Points
        What they mean.
    shape : tuple of int
        Of what the network saw.
    dims : int
        2 or 3: of two the first axis is that of the slice.

    Returns
    -------
    places : (names, 3) array
        In voxels of what the network saw, the center of the first is 0.
    scores : (names,) array
        NaN where the network gives none.
    """
    if points.form == "heat-maps":
        return _from_maps(np.asarray(answer, np.float64), points, shape)
    return _from_numbers(np.asarray(answer, np.float64).ravel(), points, shape, dims)


def _from_maps(maps: _Floats, points: Points, shape: Shape) -> tuple[_Floats, _Floats]:
    flat = maps.reshape(len(maps), -1)
    if points.activation == "sigmoid":
        flat = 1 / (1 + np.exp(-np.clip(flat, -80, 80)))
    elif points.activation == "softmax":
        flat = np.exp(flat - flat.max(1, keepdims=True))
        flat = flat / flat.sum(1, keepdims=True)
    grid = maps.shape[1:]
    if points.position == "peak":
        cells = np.stack(np.unravel_index(flat.argmax(1), grid), 1).astype(float)
    else:
        weights = np.clip(flat, 0, None)
        total = weights.sum(1, keepdims=True)
        weights = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / prod(grid))
        cells = weights @ np.stack([axis.ravel() for axis in np.indices(grid)], 1)
    # a cell of a coarser map covers several voxels
    cells = (cells + 0.5) * np.array(shape) / np.array(grid) - 0.5
    return cells, np.clip(flat.max(1), 0.0, 1.0)


def _from_numbers(numbers: _Floats, points: Points, shape: Shape, dims: int) -> tuple[_Floats, _Floats]:
    names = len(points.names)
    table = numbers.reshape(-1, names).T if points.is_by_axis else numbers.reshape(names, -1)
    given, sides = table[:, :dims], np.array(shape[3 - dims :], float)
    if points.is_reversed:
        given = given[:, ::-1]
    if points.unit == "fraction":
        given = given * sides - 0.5
    elif points.unit == "signed":
        given = (given + 1) / 2 * sides - 0.5
    places = np.zeros((len(table), 3))
    places[:, 3 - dims :] = given
    scores = np.full(len(table), np.nan)
    if points.has_scores:
        scores = table[:, dims]
        if points.activation == "sigmoid":
            scores = 1 / (1 + np.exp(-np.clip(scores, -80, 80)))
        scores = np.clip(scores, 0.0, 1.0)
    return places, scores
