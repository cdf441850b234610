"""Slices that are not evenly spaced: refused, resampled to an even grid, or split into runs that are even.

Scanners leave gaps where slices were deleted or lost, and change the spacing within a series (thin slices through the
base of the skull, thick ones above). Such a stack has no single affine (DICOM PS3.3, C.7.6.2.1.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.io.dicom.division.places import gap_tolerance
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import number, text

#: What to do with slices that are not evenly spaced.
OnIrregular = Literal["refuse", "resample", "split"]
#: What to ask for instead of a refusal, in the words of Python and the command line: the viewer has buttons for it.
READ_ANYWAY = "read it with on_irregular='resample' or 'split' (--on-irregular resample)"
READ_SPLIT = "read it with on_irregular='split' (--on-irregular split)"
#: The even grid may be this much finer than the median gap, and have this many times as many slices as were scanned.
_FINEST = 4
_MOST_FILLED = 4
#: A gap wider than this, in median gaps, is more than a lost slice or two.
_WIDE_GAP = 3.0
_MOST_NAMED = 6


def check_on_irregular(value: str) -> None:
    """Refuse what is no choice.

    Raises
    ------
    OptionError
        With the choices there are.
    """
    choices = get_args(OnIrregular)
    if value not in choices:
        raise OptionError(f"on_irregular is {value!r}, expected one of {', '.join(map(repr, choices))}.")


@dataclass(frozen=True, eq=False)
class Sampling:
    """How the slices of an even grid come from slices that are not evenly spaced.

    Attributes
    ----------
    ticks : (n,) array
        Where the slices lie, rising, counted in slices of the grid: the first at 0, the last at ``count - 1``.
    count : int
        Slices of the grid.
    is_nearest : bool
        Whether slices between are copies of the nearest one, for labels, rather than mixed from their neighbors.
    """

    ticks: npt.NDArray[np.float64]
    count: int
    is_nearest: bool = False

    @property
    def lower(self) -> npt.NDArray[np.intp]:
        """For every slice of the grid, the number of the last scanned slice at or below it, but not the very last."""
        found = np.searchsorted(self.ticks, np.arange(self.count), side="right") - 1
        return np.minimum(found, len(self.ticks) - 2)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """For every slice of the grid, the share of the slice above `lower`, from 0 to 1."""
        lower = self.lower
        below, above = self.ticks[lower], self.ticks[lower + 1]
        return (np.arange(self.count) - below) / (above - below)

    def apply(self, array: npt.NDArray[Any], padding: float | None = None) -> npt.NDArray[Any]:
        """Return the slices of the grid, in the type of `array`; whole numbers are rounded.

        Parameters
        ----------
        array : (n, ...) array
            The scanned slices in the order of `ticks`.
        padding : float, optional
            A value that means "not scanned": it is never mixed with others, the nearer slice counts there.
        """
        out = np.empty((self.count, *array.shape[1:]), array.dtype)
        for k, (low, share) in enumerate(zip(self.lower, self.shares, strict=True)):
            nearest = array[low + int(share > 0.5)]
            if self.is_nearest or share in (0.0, 1.0):
                out[k] = nearest
                continue
            below, above = array[low].astype(np.float64), array[low + 1].astype(np.float64)
            mixed = below + share * (above - below)
            out[k] = np.rint(mixed) if array.dtype.kind in "iu" else mixed
            if padding is not None:
                fill = array.dtype.type(padding) if array.dtype.kind == "f" else padding
                empty = (array[low] == fill) | (array[low + 1] == fill)
                out[k][empty] = nearest[empty]
        return out


def even_grid(frames: Sequence[Frame]) -> Sampling | str:
    """Return the coarsest even grid that meets every slice, or one of the median gap; or why there is none.

    The first and the last slice keep their places. A grid that meets every slice leaves all of them as they are, and
    only what lies between is interpolated; a grid finer than a quarter of the median gap is not tried.

    Parameters
    ----------
    frames : sequence of Frame
        At least three, sorted by depth, no two at the same place.
    """
    depths = np.array([frame.depth for frame in frames])
    gaps = np.diff(depths)
    typical, extent = float(np.median(gaps)), float(depths[-1] - depths[0])
    smallest = float(gaps[gaps <= gaps.min() + 2 * gap_tolerance(float(gaps.min()))].mean())
    is_nearest = _is_label_like(frames[0])
    finer = [smallest / n for n in range(1, _FINEST + 1) if smallest / n >= typical / _FINEST]
    for spacing in (typical, *finer):
        steps = max(1, round(extent / spacing))
        ticks = (depths - depths[0]) * (steps / extent)
        whole = np.rint(ticks)
        off = float(np.abs(ticks - whole).max()) * extent / steps
        is_met = off <= gap_tolerance(extent / steps) and bool((np.diff(whole) > 0).all())
        if is_met and steps < _MOST_FILLED * len(frames):
            return Sampling(whole, steps + 1, is_nearest)
    steps = max(1, round(extent / typical))
    if steps >= _MOST_FILLED * len(frames):
        return f"an even grid would have {steps + 1} slices, of which only {len(frames)} were scanned"
    ticks = (depths - depths[0]) * (steps / extent)
    whole = np.rint(ticks)
    snapped = np.where(np.abs(ticks - whole) * extent / steps <= gap_tolerance(extent / steps), whole, ticks)
    if (np.diff(snapped) > 0).all():  # a slice on the grid is taken as it is, whatever the rounding in its header
        ticks = snapped
    ticks[0], ticks[-1] = 0, steps
    return Sampling(ticks, steps + 1, is_nearest)


def resampling_notes(frames: Sequence[Frame], sampling: Sampling) -> list[str]:
    """Say which slices of the grid were not scanned, and over what gaps they were made up."""
    depths = np.array([frame.depth for frame in frames])
    gaps = np.diff(depths)
    spacing, typical = float(depths[-1] - depths[0]) / (sampling.count - 1), float(np.median(gaps))
    made = (sampling.shares > 0) & (sampling.shares < 1)
    places = depths[0] + spacing * np.arange(sampling.count)
    lower = sampling.lower
    pieces = []
    for low in np.unique(lower[made]).tolist():
        inside = places[made & (lower == low)]
        where = f"{inside[0]:.2f} mm" if len(inside) == 1 else f"{inside[0]:.2f} to {inside[-1]:.2f} mm ({len(inside)})"
        pieces.append(f"at {where}, in the gap of {gaps[low]:.3f} mm {_between(frames, low)}")
    more = f"; and in {len(pieces) - _MOST_NAMED} more gaps" if len(pieces) > _MOST_NAMED else ""
    is_one = int(made.sum()) == 1
    how = "interpolated linearly"
    if sampling.is_nearest:
        how = f"{'a copy' if is_one else 'copies'} of the nearest slice (labels are not mixed)"
    said = [
        f"The slices are not evenly spaced. They were resampled to one every {spacing:.3f} mm, where "
        f"{int(made.sum())} of {sampling.count} slices {'is' if is_one else 'are'} {how} (positions along the slice "
        f"normal): {'; '.join(pieces[:_MOST_NAMED])}{more}."
    ]
    off = int((sampling.ticks != np.rint(sampling.ticks)).sum())
    if off:
        said.append(
            f"No even grid matches all slices: {off} of {len(frames)} scanned slices lie between slices of the grid "
            "and are not shown exactly as scanned."
        )
    wide = np.flatnonzero(gaps > _WIDE_GAP * typical).tolist()
    if wide:
        named = "; ".join(f"{gaps[low]:.2f} mm {_between(frames, low)}" for low in wide[:_MOST_NAMED])
        more = f"; and {len(wide) - _MOST_NAMED} more" if len(wide) > _MOST_NAMED else ""
        said.append(
            f"Gaps wider than {_WIDE_GAP:.0f} times the median gap of {typical:.3f} mm: {named}{more}. Nothing was "
            "scanned there; what is shown there is not an image of the patient."
        )
    return said


def even_runs(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Divide frames, sorted by depth, into runs of even gaps.

    A slice that two runs could have goes to the longer one, or to the one with the smaller gaps.
    """
    gaps = np.diff([frame.depth for frame in frames])
    pieces = []
    start = 0
    while start < len(gaps):
        stop, low, high = start + 1, gaps[start], gaps[start]
        while stop < len(gaps):
            wider = min(low, gaps[stop]), max(high, gaps[stop])
            if wider[1] - wider[0] > gap_tolerance(float(wider[0])):
                break
            (low, high), stop = wider, stop + 1
        pieces.append((start, stop))
        start = stop
    owner = np.full(len(frames), -1)
    for n, (start, stop) in sorted(enumerate(pieces), key=lambda p: (p[1][0] - p[1][1], gaps[p[1][0]])):
        part = owner[start : stop + 1]
        part[part < 0] = n
    starts = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(frames)]
    return [list(frames[start:stop]) for start, stop in pairwise(starts)]


def run_note(runs: Sequence[Sequence[Frame]], n: int) -> str:
    """Say which part of the series the run is, and what lies around it."""
    run = runs[n]
    sides = [f"{run[0].depth - runs[n - 1][-1].depth:.3f} mm before it"] if n else []
    sides += [f"{runs[n + 1][0].depth - run[-1].depth:.3f} mm after it"] if n + 1 < len(runs) else []
    return (
        f"The slices of the series are not evenly spaced. This is part {n + 1} of {len(runs)} that are: "
        f"{len(run)} slices at {run[0].depth:.2f} to {run[-1].depth:.2f} mm along the slice normal; the next slice "
        f"lies {' and '.join(sides)}."
    )


def _between(frames: Sequence[Frame], low: int) -> str:
    return f"between {frames[low].label} and {frames[low + 1].label}"


def _is_label_like(frame: Frame) -> bool:
    """Whether values between two of the picture's would mean something else: masks, label numbers, palettes."""
    tags = frame.instance.tags
    return (
        text(tags, "Modality") == "SEG"
        or text(tags, "PhotometricInterpretation") == "PALETTE COLOR"
        or number(tags, "BitsStored", frame.path) == 1
    )
