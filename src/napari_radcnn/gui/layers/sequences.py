"""Time points, phases, echoes and b-values: volumes that belong together become one layer with a fourth axis.

Everything else takes a layer for a scan with a grid; `napari_radcnn.gui.layers.layers` lets such a layer stand for the
time point that is shown. Volumes of one series that do not fit on one axis, since their grids or units differ or they
are other kinds of pictures, stay layers of their own; of those on one grid the first is shown and the others are there,
hidden, so that they neither cover it nor are read before they are wanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, layer_data, points_data
from napari_radcnn.gui.layers.time_points import TimePoints
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.volume import Volume

#: Of the layers of one series so many are made without asking.
MOST_LAYERS = 8
#: Below the package's key in a layer's metadata: where its volume stands.
STANDING = "standing"
#: What readers put behind the name of the second volume of a file, and so on; ``"echo 2"`` is another kind of count.
_NUMBER = re.compile(r"^(?P<stem>.*?)(?: · |, )(?P<axis>echo )?(?P<number>\d+)$")
_LAST_NUMBER = re.compile(r"(?<= · )\d+$")


@dataclass(frozen=True)
class Standing:
    """Where a layer stands among those of its series.

    Attributes
    ----------
    number : int
        From 1.
    places : tuple of int
        Of the first volume of each, in what was read from the scan, from 0.
    """

    number: int
    places: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many layers there can be."""
        return len(self.places)


@dataclass(frozen=True, eq=False)
class Few:
    """What becomes layers.

    Attributes
    ----------
    groups : list of tuple of Volume
        One for each layer: a volume, or the time points of one scan.
    standings : list of Standing or None
        Of each; None of one that stands alone.
    is_shown : list of bool
        Whether each is visible at first.
    """

    groups: list[tuple[Volume, ...]]
    standings: list[Standing | None]
    is_shown: list[bool]


def layers_of(
    volumes: Sequence[Volume] | Few, *, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> list[LayerData]:
    """Return napari's layers for what was read from one file, folder or series.

    Time points of one scan are one layer. Numbers in the names of others get leading zeros, so that sorted names are in
    order. Of many only the first few become layers, see `few_of`.

    Raises
    ------
    RadcnnError
        As `layer_data` does.
    CancelledError
        If `cancel` was set.
    """
    few = volumes if isinstance(volumes, Few) else few_of(volumes)
    found = []
    for group, standing, is_shown in zip(few.groups, few.standings, few.is_shown, strict=True):
        if len(group) > 1:
            data = points_data(TimePoints(group, _labels(group), _axis(group)), _stem(group[0]))
        else:
            data = layer_data(group[0], progress=progress, cancel=cancel)
        found.append(data)
        arguments = data[1]
        if standing is None:
            continue
        arguments["metadata"][METADATA_KEY][STANDING] = standing
        if not group[0].metadata.is_label:
            arguments["visible"] = is_shown
            if len(group) == 1:
                arguments["name"] = _padded(arguments["name"], len(str(standing.count)))
    return found


def few_of(
    volumes: Sequence[Volume],
    which: Sequence[int] | None = None,
    is_label_map: Callable[[Volume], bool] | None = None,
) -> Few:
    """Return what becomes layers without asking: of more than eight layers of one series, the first eight.

    Hundreds of layers would block the viewer for minutes. The first one says what was left out, and how to get it, and
    why time points are not on one axis.

    Parameters
    ----------
    volumes : sequence of Volume
        All that was read.
    which : sequence of int, optional
        The places of the first volumes of the layers that are asked for instead, from 0.
    is_label_map : callable, optional
        Whether a volume that does not say so holds labels, which are results, each of its own.
    """
    groups: list[tuple[int, ...]] = []
    standings: dict[int, Standing] = {}
    hidden: set[int] = set()
    left_out: set[int] = set()
    told: dict[int, list[str]] = {}
    for mates in _mates(volumes):
        found, reasons = _on_axes(volumes, mates, is_label_map)
        groups += found
        firsts = tuple(group[0] for group in found)
        others = [n for n, first in enumerate(firsts) if _shares_grid(volumes, firsts[:n], first)]
        if reasons:
            told[firsts[0]] = [_apart(reasons)]
        missing = [line for group in found if (line := _missing(volumes, group))]
        if missing:
            told.setdefault(firsts[0], []).extend(missing)
        if len(found) > MOST_LAYERS:
            left_out.update(firsts[MOST_LAYERS:])
            hidden.update(firsts[1:])
            told.setdefault(firsts[0], []).append(
                f"{len(found)} volumes belong together, of which the first {MOST_LAYERS} are layers here: the page "
                "Scans adds any of the others, `radcnn convert IN OUT --select N` writes one as a file of its own, and "
                "`napari_radcnn.read` returns all."
            )
        if others or len(found) > MOST_LAYERS:
            standings |= {first: Standing(n + 1, firsts) for n, first in enumerate(firsts)}
            hidden.update(firsts[n] for n in others)
    by_first = {group[0]: group for group in sorted(groups)}
    kept = [first for first in by_first if first not in left_out] if which is None else list(which)
    chosen = [tuple(volumes[n] for n in by_first[first]) for first in kept]
    if which is None:
        chosen = [
            (replace(group[0], warnings=(*group[0].warnings, *told[first])), *group[1:]) if first in told else group
            for first, group in zip(kept, chosen, strict=True)
        ]
    return Few(chosen, [standings.get(first) for first in kept], [first not in hidden for first in kept])


def standing_of(layer: Any) -> Standing | None:
    """Return where the volume of a layer stands; None of one that stands alone, or is not ours."""
    kept = layer.metadata.get(METADATA_KEY)
    return kept.get(STANDING) if isinstance(kept, dict) else None


# -- what belongs together ---------------------------------------------------------------------------------------------


def _mates(volumes: Sequence[Volume]) -> list[list[int]]:
    """Return the places of all volumes, those of one series or file together; labels and others stand alone."""
    found: dict[Any, list[int]] = {}
    for n, volume in enumerate(volumes):
        about = volume.metadata
        origin: Any = about.series_uid or about.source
        key = (n,) if about.is_label or not origin else (origin, volume.is_color)
        found.setdefault(key, []).append(n)
    return list(found.values())


def _on_axes(
    volumes: Sequence[Volume], mates: Sequence[int], is_label_map: Callable[[Volume], bool] | None
) -> tuple[list[tuple[int, ...]], list[str]]:
    """Return which volumes of a series become a layer together, and why those do not that otherwise would."""
    groups: list[list[int]] = []
    reasons: list[str] = []
    for n in mates:
        why = ""
        for group in groups:
            why = _why_apart(volumes[group[0]], volumes[n])
            if not why:
                group.append(n)
                break
            if why != _OTHER_KIND and why not in reasons:
                reasons.append(why)
        else:
            groups.append([n])
    found: list[tuple[int, ...]] = []
    for group in groups:
        first = volumes[group[0]]
        are_labels = is_label_map is not None and len(group) > 1 and is_label_map(first)
        if are_labels and is_label_map is not None and all(is_label_map(volumes[n]) for n in group):
            found += [(n,) for n in group]
        else:
            found.append(tuple(group))
    return found, reasons


_OTHER_KIND = "kind"


def _why_apart(first: Volume, other: Volume) -> str:
    """Return why two volumes of a series are no two points of one axis; empty where they are."""
    one, two = first.metadata, other.metadata
    if _stem(first) != _stem(other):
        return _OTHER_KIND
    if first.shape[:3] != other.shape[:3]:
        return "numbers of voxels" if _is_parallel(first, other) else _OTHER_KIND
    if not first.geometry.is_close(other.geometry):
        return "positions or voxel sizes" if _is_parallel(first, other) else _OTHER_KIND
    if one.units != two.units or first.suvbw_factor != other.suvbw_factor:
        return "units"
    return "" if first.dtype == other.dtype else "types of values"


def _is_parallel(first: Volume, other: Volume) -> bool:
    """Whether slices of two volumes lie alike: three planes of a localizer are no time points."""
    return first.geometry.orientation == other.geometry.orientation


def _apart(reasons: Sequence[str]) -> str:
    return (
        f"The volumes of this series differ in {' and '.join(reasons)}: those stay layers of their own, and not on one "
        "axis of time."
    )


def _shares_grid(volumes: Sequence[Volume], before: Sequence[int], place: int) -> bool:
    return any(volumes[place].geometry.is_close(volumes[n].geometry) for n in before)


# -- what they are called ----------------------------------------------------------------------------------------------


def _stem(volume: Volume) -> str:
    """Return what the points of one axis are called alike: ``"MR 5 · magnitude"`` of ``"MR 5 · magnitude · 3"``."""
    found = _NUMBER.match(volume.name)
    if found is None:
        return volume.name
    return f"{found['stem']} · {found['axis'].strip()}" if found["axis"] else found["stem"]


def _axis(group: Sequence[Volume]) -> str:
    found = _NUMBER.match(group[0].name)
    return found["axis"].strip() if found is not None and found["axis"] else "time"


def _labels(group: Sequence[Volume]) -> list[str]:
    """Return the numbers of volumes in their names, or, where two have the same, those in their order."""
    matches = [_NUMBER.match(volume.name) for volume in group]
    numbers = ["" if found is None else str(int(found["number"])) for found in matches]
    return numbers if len(set(numbers)) == len(numbers) and all(numbers) else [str(n + 1) for n in range(len(group))]


def _missing(volumes: Sequence[Volume], group: Sequence[int]) -> str:
    """Return what is said of points that are missing between others; empty where none are."""
    numbers = [int(label) for label in _labels([volumes[n] for n in group])] if len(group) > 1 else []
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    if not missing:
        return ""
    which = ", ".join(map(str, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return f"Missing between the others on the axis of time: number {which}. The next one follows in its place."


def _padded(name: str, width: int) -> str:
    return _LAST_NUMBER.sub(lambda number: number[0].zfill(width), name)
