"""Volumes that lie a little beside each other, as after motion correction, told apart by InstanceNumber."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_radcnn.io.dicom.division.attributes import COUNTERS, Codes, Table
from napari_radcnn.io.dicom.division.places import gap_tolerance
from napari_radcnn.io.dicom.frames import Frame

#: So many slices show that they are evenly spaced.
LEAST_EVEN = 3
#: Volumes of one body share at least this part of their extent; parts of one volume with a gap between share nothing.
_SHARED = 0.5


def shifted_volumes(frames: Sequence[Frame]) -> tuple[Codes, float] | None:
    """Return the volume of every frame, in the order of their numbers, and by how much they are shifted at most (mm).

    Numbered in a row, the slices must run through one volume after the other: evenly spaced, all of the same number of
    slices and the same spacing, each beginning anew where the last one began, or nearly.

    Parameters
    ----------
    frames : sequence of Frame
        Of one orientation.

    Returns
    -------
    (array of int, float) or None
        None where the numbers do not run so.
    """
    table = Table(list(frames))
    known = table.numbers(COUNTERS[0]) or [None]
    numbers = [number for number in known if number is not None]
    if len(numbers) < len(frames) or len(set(numbers)) < len(numbers):
        return None
    order = np.argsort(numbers)
    depths = np.array([frames[row].depth for row in order])
    starts = _starts(np.diff(depths))
    if starts is None:
        return None
    blocks = depths.reshape(len(starts), -1)
    low, high = blocks.min(1), blocks.max(1)
    if (np.minimum(high, high[0]) - np.maximum(low, low[0])).min() < _SHARED * (high[0] - low[0]):
        return None
    labels = np.empty(len(frames), np.intp)
    labels[order] = np.repeat(np.arange(len(starts)), blocks.shape[1])
    firsts = np.array([frames[order[start]].position for start in starts])
    return labels, float(np.linalg.norm(firsts - firsts[0], axis=1).max())


def _starts(steps: npt.NDArray[np.float64]) -> list[int] | None:
    """Return where runs of even steps begin, all of one length; None where there are no such runs."""
    typical = float(np.median(steps))
    breaks = np.flatnonzero(np.abs(steps - typical) > gap_tolerance(abs(typical)))
    if typical == 0 or len(breaks) == 0 or (np.sign(steps[breaks]) == np.sign(typical)).any():
        return None
    starts = [0, *(int(at) + 1 for at in breaks)]
    lengths = set(np.diff([*starts, len(steps) + 1]).tolist())
    return starts if len(lengths) == 1 and min(lengths) >= LEAST_EVEN else None
