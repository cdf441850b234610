"""Frames at the same place: which attribute tells the volumes apart that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.frames import Frame, dimension_key

#: Two frames nearer than this (mm, along the normal) lie at the same place.
SAME_PLACE_MM = 0.01
#: What may set volumes apart, in the order in which it is tried. Several keywords stand for one thing.
_DISCRIMINATORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("acquisition", ("AcquisitionNumber", "FrameAcquisitionNumber")),
    ("time point", ("TemporalPositionIdentifier", "TemporalPositionIndex")),
    ("echo", ("EchoTime", "EffectiveEchoTime", "EchoNumbers")),
    ("b-value and direction", ("DiffusionBValue", "DiffusionGradientOrientation")),
    ("image type", ("ImageType", "FrameType", "ComplexImageComponent")),
    ("cardiac phase", ("NominalPercentageOfCardiacPhase", "CardiacPhaseFraction")),
    ("trigger time", ("TriggerTime", "NominalCardiacTriggerDelayTime")),
    ("respiratory phase", ("NominalPercentageOfRespiratoryPhase",)),
    ("inversion time", ("InversionTime", "InversionTimes")),
    ("flip angle", ("FlipAngle",)),
    ("tube voltage", ("KVP",)),
    ("kernel", ("ConvolutionKernel",)),
    ("stack", ("StackID",)),
    ("dimension index", ()),
    ("frame time", ("FrameReferenceTime", "FrameReferenceDateTime")),
    ("acquisition time", ("AcquisitionDateTime", "FrameAcquisitionDateTime", "AcquisitionTime")),
    ("content time", ("ContentTime",)),
)
#: Those that may differ from slice to slice of one volume: their order at each place counts, not their value.
_CLOCKS = ("trigger time", "frame time", "acquisition time", "content time")

Group = tuple[str, list[Frame]]


def places(depths: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Return for every depth the number of its place, counted from the lowest one."""
    values = np.asarray(depths, float)
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order], prepend=values[order[0]]) > SAME_PLACE_MM
    numbers = np.empty(len(values), np.intp)
    numbers[order] = np.cumsum(steps)
    return numbers


def is_even(depths: npt.ArrayLike) -> bool:
    """Whether the gaps between neighbours agree within max(0.01 mm, 1 %)."""
    gaps = np.diff(np.sort(np.asarray(depths, float)))
    if len(gaps) == 0:
        return True
    typical = float(np.median(gaps))
    return typical > SAME_PLACE_MM and bool(np.abs(gaps - typical).max() <= gap_tolerance(typical))


def gap_tolerance(gap: float) -> float:
    """Return by how much (mm) gaps between slices may differ: positions are rounded in headers."""
    return max(0.01, 0.01 * gap)


def split_ties(frames: Sequence[Frame]) -> list[Group] | None:
    """Divide frames, several of which lie at the same place, so that no two of a group do.

    Returns
    -------
    list of (str, list of Frame) or None
        What tells the groups apart and the groups, in order; None where nothing does.
    """
    place = places([frame.depth for frame in frames])
    n_places = int(place.max()) + 1
    names = _varying(frames)
    partial: list[Group] | None = None
    for count in (1, 2, 3):
        for chosen in combinations(names, count):
            groups = _grouped(frames, chosen)
            if len(groups) < 2 or not all(_is_unique(group) for group in groups):
                continue
            label = " and ".join(chosen)
            if all(len(group) == n_places for group in groups):
                return [(label, group) for group in groups]
            is_clock = any(name in _CLOCKS for name in chosen)
            if (
                partial is None
                and not is_clock
                and all(len(group) > n_places / 2 and is_even([f.depth for f in group]) for group in groups)
            ):
                partial = [(label, group) for group in groups]
    return partial or _by_rank(frames, place, [name for name in names if name in _CLOCKS])


def split_uneven(frames: Sequence[Frame]) -> list[Group] | None:
    """Divide frames at different places into evenly spaced groups of at least three, if one attribute does so."""
    for name in _varying(frames):
        if name in _CLOCKS:
            continue
        groups = _grouped(frames, (name,))
        if len(groups) > 1 and all(len(group) >= 3 and is_even([f.depth for f in group]) for group in groups):
            return [(name, group) for group in groups]
    return None


def _by_rank(frames: Sequence[Frame], place: npt.NDArray[np.intp], clocks: list[str]) -> list[Group] | None:
    """Give the first frame of every place to the first volume, the second to the second, by a clock."""
    counts = np.bincount(place)
    if counts.min() != counts.max() or counts.min() < 2:
        return None
    for name in clocks:
        by_place: dict[int, list[Frame]] = defaultdict(list)
        for frame, number in zip(frames, place, strict=True):
            by_place[int(number)].append(frame)
        if all(len({_key(f, name) for f in group}) == len(group) for group in by_place.values()):
            ordered = [sorted(group, key=lambda f: _sortable(_key(f, name))) for group in by_place.values()]
            return [(f"order in {name}", [group[rank] for group in ordered]) for rank in range(int(counts[0]))]
    return None


def _varying(frames: Sequence[Frame]) -> list[str]:
    return [name for name, _ in _DISCRIMINATORS if len({_key(frame, name) for frame in frames}) > 1]


def _grouped(frames: Sequence[Frame], names: tuple[str, ...]) -> list[list[Frame]]:
    groups: dict[Any, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[tuple(_key(frame, name) for name in names)].append(frame)
    return [groups[key] for key in sorted(groups, key=lambda key: [_sortable(part) for part in key])]


def _is_unique(frames: Sequence[Frame]) -> bool:
    return int(places([frame.depth for frame in frames]).max()) + 1 == len(frames)


def _key(frame: Frame, name: str) -> tuple:
    """Return what the frame says about a discriminator, as something that can be compared and hashed."""
    if name == "dimension index":
        return dimension_key(frame) or ()
    values: list[Any] = []
    for keyword in dict(_DISCRIMINATORS)[name]:
        try:
            value = frame.tags.get(keyword)
        except ReadError:
            value = None
        if value is None or value == "":
            continue
        parts = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
        for part in parts:
            try:
                values.append(float(part))
            except (TypeError, ValueError):
                values.append(str(part))
    return tuple(values)


def _sortable(key: tuple) -> list[tuple[int, float, str]]:
    return [(0, part, "") if isinstance(part, float | int) else (1, 0.0, str(part)) for part in key]
