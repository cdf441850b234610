"""The volumes of one kind (time points, directions, phases): which way to divide counts, and in what order they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_radcnn.io.dicom.division.attributes import ATTRIBUTES, CLOCKS, COUNTERS, Codes, Table
from napari_radcnn.io.dicom.division.missing import whole_volumes
from napari_radcnn.io.dicom.division.partitions import (
    Partition,
    by_clock,
    by_counter,
    by_values,
    combined,
    is_complete,
    is_numbered,
    local,
)

STATES = tuple(one.name for one in ATTRIBUTES if one.role == "state")
#: What the order of the volumes is taken from, if several ways to divide agree but for that.
_ORDER = (
    "time point",
    "dimension index",
    "file",
    "frame time",
    "volume number",
    "diffusion order",
    *COUNTERS,
    "acquisition",
    "acquisition time",
    "trigger time",
)
_MOST_NAMED = 4


@dataclass(frozen=True, eq=False)
class States:
    """How the frames of one kind are divided.

    Attributes
    ----------
    by : str
        What tells the volumes apart; empty where there is only one.
    labels : (n,) array of int
        Number of every frame's volume as they were scanned, -1 for frames of none that is complete.
    notes : tuple of str
        What must be said.
    """

    by: str
    labels: Codes
    notes: tuple[str, ...] = ()


def states(table: Table, rows: Codes) -> States | str:
    """Return the volumes of frames of one kind, or why there are none."""
    place = local(table.place[rows])
    if np.bincount(place).max() == 1:
        return States("", np.zeros(len(rows), np.intp))
    strong = witnesses(table, rows)
    known = strong or list(_weaker(table, rows))
    if strong and {way.by for way in strong} <= {*COUNTERS}:
        known += by_clock(table, rows, is_loose=True)
    if not known:
        made = whole_volumes(table, rows, STATES)
        return made if isinstance(made, str) else States(made[0].by, made[0].labels, tuple(made[1]))
    votes = Counter(way.key for way in known)
    chosen = max(known, key=lambda way: votes[way.key])  # of equals the first
    against = [way for way in known if way.key != chosen.key]
    supporters = [way for way in known if way.key == chosen.key]
    notes = [disagreement(supporters, against)] if against else []
    by = {way.by for way in supporters}
    if by <= {*CLOCKS} and (not strong or is_numbered(table, rows)) and not list(by_counter(table, rows)):
        notes.append(
            f"The volumes are those of {' and '.join(sorted(by))} alone, which InstanceNumber does not confirm. Check "
            "them before you rely on them."
        )
    if int(place.max()) == 0:
        notes.append(f"All {len(rows)} images lie at the same position: each is a volume of one slice.")
    labels, order_notes = _in_order(table, rows, chosen, supporters)
    return States(chosen.by, labels, (*notes, *order_notes))


def witnesses(table: Table, rows: Codes) -> list[Partition]:
    """Return the ways to divide that stand for themselves: one attribute, numbers that run regularly, a clock."""
    timed = list(by_clock(table, rows))
    clocks = {way.by for way in timed}
    single = [way for way in by_values(table, rows, STATES, 1) if way.by not in clocks]
    return [*single, *by_counter(table, rows), *timed]


def disagreement(supporters: Sequence[Partition], against: Sequence[Partition]) -> str:
    """Say that headers contradict each other."""
    taken = " and ".join(way.by for way in supporters[:_MOST_NAMED])
    others = " and ".join(way.by for way in against[:_MOST_NAMED])
    return (
        f"The headers contradict each other about which slices belong together: the volumes are those of {taken}, not "
        f"those of {others}. Check them before you rely on them."
    )


def _weaker(table: Table, rows: Codes) -> Iterator[Partition]:
    """Yield the first way that needs several attributes, or the order at each place."""
    attempts = (
        lambda: by_values(table, rows, STATES, 2),
        lambda: _refined(table, rows),
        lambda: by_clock(table, rows, is_loose=True),
        lambda: by_values(table, rows, STATES, 3),
    )
    for attempt in attempts:
        for way in attempt():
            yield way
            return


def _refined(table: Table, rows: Codes) -> Iterator[Partition]:
    """Yield ways by one attribute and, where it has several frames at a place, the order of those."""
    place = local(table.place[rows])
    n_places = int(place.max()) + 1
    for name in STATES:
        codes = local(table.codes(name)[rows])
        n_values = int(codes.max()) + 1
        if n_values == 1 or len(np.unique(codes * n_places + place)) < n_values * n_places:
            continue
        labels = np.zeros(len(rows), np.intp)
        by: list[str] = []
        for code in range(n_values):
            some = np.flatnonzero(codes == code)
            if np.bincount(place[some]).max() == 1:
                continue
            finer = [*by_counter(table, rows[some]), *by_clock(table, rows[some], is_loose=True)]
            if not finer:
                break
            labels[some] = finer[0].labels
            by.append(finer[0].by)
        else:
            yield Partition(" and ".join(dict.fromkeys([name, *by])), combined([codes, labels]))


def _in_order(table: Table, rows: Codes, chosen: Partition, supporters: Sequence[Partition]) -> tuple[Codes, list[str]]:
    """Return the volumes as they were scanned: by time point, else by the numbers of the frames, else by time."""
    ranked = sorted((way for way in supporters if way.by in _ORDER), key=lambda way: _ORDER.index(way.by))
    best = ranked[0] if ranked else _by_lowest_number(table, rows, chosen)
    clock = next((way for way in supporters if way.by == "acquisition time"), None)
    if clock is None or np.array_equal(clock.labels, best.labels):
        return best.labels, []
    note = (
        f"The volumes are numbered by {best.by}, but their acquisition times (AcquisitionTime) run in another order: "
        "check it before you rely on it."
    )
    return best.labels, [note]


def _by_lowest_number(table: Table, rows: Codes, way: Partition) -> Partition:
    """Order volumes by their numbers, if these have them in the same order at every place: Philips's may have none."""
    numbers = table.counter(COUNTERS[0])
    if numbers is None:
        return way
    count = int(way.labels.max()) + 1
    if (way.labels < 0).any() or not is_complete(way.labels, local(table.place[rows])):
        return way
    order = np.lexsort((numbers[rows], table.place[rows]))
    sequences = way.labels[order].reshape(-1, count)
    has_ties = (np.diff(numbers[rows][order].reshape(-1, count), axis=1) == 0).any()
    if has_ties or (sequences != sequences[0]).any():
        return way
    return Partition(way.by, np.argsort(sequences[0])[way.labels])
