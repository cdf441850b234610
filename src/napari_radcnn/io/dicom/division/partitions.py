"""Ways to divide frames into volumes: by what is the same in a volume, by order in time, by the numbers of the frames.

A way counts only if every volume has every place once. Numbers count only where they run regularly, volume by volume or
place by place: a renumbered series would be mixed up otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from napari_radcnn.io.dicom.division.attributes import CLOCKS, COUNTERS, Codes, Table

#: Numbers that have every place in each block are no accident below this probability.
_LIKELY = 1e-6


@dataclass(frozen=True, eq=False)
class Partition:
    """A way to divide frames.

    Attributes
    ----------
    by : str
        What tells the volumes apart.
    labels : (n,) array of int
        Number of every frame's volume, in order.
    """

    by: str
    labels: Codes

    @property
    def key(self) -> bytes:
        """The same for ways that differ in the order of the volumes only."""
        _, first, inverse = np.unique(self.labels, return_index=True, return_inverse=True)
        return bytes(np.argsort(np.argsort(first))[inverse].astype(np.int32).tobytes())


def is_complete(labels: Codes, place: Codes) -> bool:
    """Whether every volume has every place exactly once."""
    n_places, n_volumes = int(place.max()) + 1, int(labels.max()) + 1
    if len(labels) != n_places * n_volumes:
        return False
    return len(np.unique(labels * n_places + place)) == len(labels)


def combined(columns: Sequence[Codes]) -> Codes:
    """Return one rank for every combination of values, ordered by the first column first."""
    if len(columns) == 1:
        return np.unique(columns[0], return_inverse=True)[1].reshape(-1)
    return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def by_values(table: Table, rows: Codes, names: Sequence[str], count: int) -> Iterator[Partition]:
    """Yield the complete ways by `count` attributes at once."""
    place = local(table.place[rows])
    columns = {name: local(table.codes(name)[rows]) for name in names}
    varying = [name for name in names if columns[name].max() > 0]
    sizes = {name: int(columns[name].max()) + 1 for name in varying}
    n_volumes = len(rows) / (int(place.max()) + 1)
    for chosen in combinations(varying, count):
        if max(sizes[name] for name in chosen) > n_volumes or np.prod([float(sizes[n]) for n in chosen]) < n_volumes:
            continue
        labels = combined([columns[name] for name in chosen])
        if is_complete(labels, place):
            yield Partition(" and ".join(chosen), labels)


def by_clock(table: Table, rows: Codes, *, is_loose: bool = False) -> Iterator[Partition]:
    """Yield the complete ways by order in time: one volume after the other.

    Where `is_loose`, also where every place has all its times before the next one, as in cine; the trigger time counts
    then however it runs.
    """
    place = local(table.place[rows])
    counts = np.bincount(place)
    if counts.min() != counts.max() or counts[0] < 2:
        return
    for name in CLOCKS:
        times = table.clock(name)
        if times is None:
            continue
        times = times[rows]
        order = np.lexsort((times, place))
        sorted_times = times[order].reshape(len(counts), counts[0])
        if not (np.diff(sorted_times, axis=1) > 0).all():
            continue
        is_by_volume = bool((sorted_times[:, :-1].max(0) < sorted_times[:, 1:].min(0)).all())
        if not is_by_volume and not (is_loose and (name == "trigger time" or _is_by_place(sorted_times))):
            continue
        labels = np.empty(len(rows), np.intp)
        labels[order] = np.tile(np.arange(counts[0]), len(counts))
        yield Partition(name, labels)


def _is_by_place(times: npt.NDArray[np.float64]) -> bool:
    by_start = times[np.argsort(times[:, 0])]
    return bool((by_start[:-1, -1] < by_start[1:, 0]).all())


def by_counter(table: Table, rows: Codes) -> Iterator[Partition]:
    """Yield the complete ways by numbers that run through the places, volume by volume, or through the volumes."""
    place = local(table.place[rows])
    n_places = int(place.max()) + 1
    for name in COUNTERS:
        numbers = table.counter(name)
        if numbers is None or len(rows) % n_places or len(rows) == n_places or not _are_all_different(numbers[rows]):
            continue
        n_volumes = len(rows) // n_places
        order = np.argsort(numbers[rows])
        sequence = place[order]
        labels = np.empty(len(rows), np.intp)
        blocks = sequence.reshape(n_volumes, n_places)
        if (np.sort(blocks, axis=1) == np.arange(n_places)).all() and _is_regular(blocks):
            labels[order] = np.repeat(np.arange(n_volumes), n_places)
            yield Partition(name, labels)
            continue
        runs = sequence.reshape(n_places, n_volumes)
        is_run = (runs == runs[:, :1]).all() and len(np.unique(runs[:, 0])) == n_places
        if is_run and (_is_in_order(runs[:, 0]) or _chance(n_volumes, n_places, 1) < _LIKELY):
            labels[order] = np.tile(np.arange(n_volumes), n_places)
            yield Partition(name, labels)


def _is_regular(blocks: Codes) -> bool:
    """Whether blocks of all places, in whatever order, are no accident: all in the same order, or in one of many."""
    n_volumes, n_places = blocks.shape
    first = np.arange(n_places)
    if ((blocks == first).all(1) | (blocks == first[::-1]).all(1)).all():
        return True
    is_same = bool((blocks == blocks[0]).all())
    if is_same and (_is_in_order(blocks[0]) or _chance(n_volumes, n_places, 1) < _LIKELY):
        return True
    return _chance(n_volumes, n_places, n_volumes) < _LIKELY


def _is_in_order(sequence: Codes) -> bool:
    """Whether places follow each other, or every second one does and then those between, as slices are scanned."""
    n = len(sequence)
    known = [np.arange(n), *(np.r_[first:n:2, 1 - first : n : 2] for first in (0, 1))]
    return any(np.array_equal(sequence, order) or np.array_equal(sequence, order[::-1]) for order in known)


def _chance(n_volumes: int, n_places: int, n_orders: int) -> float:
    """Return how probable it is that numbers without any order have every place once in each block.

    The places stand in `n_orders` orders: one for all blocks, or one for each.
    """
    count, each, at = n_volumes * n_places, math.lgamma(n_places + 1), math.lgamma(n_volumes + 1)
    return math.exp(n_orders * each + n_places * at - math.lgamma(count + 1))


def incomplete(table: Table, rows: Codes, names: Sequence[str]) -> Iterator[Partition]:
    """Yield ways in which no volume has a place twice, but not every one has all: files are missing."""
    place = local(table.place[rows])
    for name in names:
        labels = local(table.codes(name)[rows])
        if labels.max() > 0 and _is_unique(labels, place):
            yield Partition(name, labels)
    n_places, n_volumes = int(place.max()) + 1, int(np.bincount(place).max())
    for name in COUNTERS:
        numbers = table.counter(name)
        if numbers is None or not _are_all_different(numbers[rows]):
            continue
        for start in dict.fromkeys((int(numbers[rows].min()), 1)):
            for period, is_block in ((n_places, True), (n_volumes, False)):
                above, within = np.divmod(numbers[rows] - start, period)
                labels, where = (above, within) if is_block else (within, above)
                if labels.min() < 0 or labels.max() < 1 or not _are_bound(where, place):
                    continue
                sequence = np.argsort(where[np.unique(place, return_index=True)[1]])
                if not _is_in_order(sequence) and _chance(n_volumes, n_places, 1) >= _LIKELY:
                    continue
                labels = local(labels)
                if _is_unique(labels, place):
                    yield Partition(name, labels)


def is_numbered(table: Table, rows: Codes) -> bool:
    """Whether every frame has a number of its own."""
    numbers = table.counter(COUNTERS[0])
    return numbers is not None and _are_all_different(numbers[rows])


def _are_all_different(numbers: npt.NDArray[np.int64]) -> bool:
    return len(np.unique(numbers)) == len(numbers)


def _are_bound(one: Codes, other: Codes) -> bool:
    """Whether each value of the one goes with a single value of the other, and the other way round."""
    pairs = len(np.unique(np.stack([one, other], axis=1), axis=0))
    return pairs == len(np.unique(one)) == len(np.unique(other))


def _is_unique(labels: Codes, place: Codes) -> bool:
    return len(np.unique(labels * (int(place.max()) + 1) + place)) == len(labels)


def local(codes: Codes) -> Codes:
    """Return ranks without gaps."""
    return np.unique(codes, return_inverse=True)[1].reshape(-1)
