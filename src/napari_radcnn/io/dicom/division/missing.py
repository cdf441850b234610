"""Series from which slices are missing: what is whole of them, and why the rest cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.division.attributes import CLOCKS, COUNTERS, Codes, Table
from napari_radcnn.io.dicom.division.partitions import Partition, incomplete, local
from napari_radcnn.io.dicom.division.places import is_even

_MOST_NAMED = 4
#: An aborted scan has at least this many whole volumes before the one that was cut short.
_LEAST_WHOLE = 2


def whole_volumes(table: Table, rows: Codes, names: Sequence[str]) -> tuple[Partition, list[str]] | str:
    """Leave out volumes without all slices, where at least as many are whole.

    Parameters
    ----------
    table : Table
        All frames.
    rows : array of int
        Those of one kind.
    names : sequence of str
        The attributes to divide them by.

    Returns
    -------
    (Partition, list of str) or str
        The volumes, with -1 for frames of none, and what to say; or why there are none.
    """
    place = local(table.place[rows])
    n_places = int(place.max()) + 1
    found: list[tuple[int, int, Partition]] = []
    stations: Partition | None = None
    for order, way in enumerate(incomplete(table, rows, names)):
        sizes = np.bincount(way.labels)
        whole = int((sizes == n_places).sum())
        if whole >= _LEAST_WHOLE and 2 * whole >= len(sizes):
            found.append((len(rows) - whole * n_places, order, way))
        elif stations is None and way.by not in (*CLOCKS, *COUNTERS) and _are_volumes(table, rows, way, n_places):
            stations = way
    if found:
        lost, _, way = min(found, key=lambda one: one[:2])
        way = _as_scanned(table, rows, way)
        edge = _edge_place(table, rows, way)
        if edge is not None and (place == edge).sum() < lost:
            return _without_place(table, rows, way, edge)
        return _without_incomplete(table, rows, way, n_places)
    if stations is not None:
        return stations, []
    return _reason(table, rows, names)


def _are_volumes(table: Table, rows: Codes, way: Partition, n_places: int) -> bool:
    """Whether each has most places, at even distances: volumes that reach differently far."""
    groups = [rows[way.labels == n] for n in range(int(way.labels.max()) + 1)]
    return all(len(group) > n_places / 2 and is_even([table.frames[row].depth for row in group]) for group in groups)


def _as_scanned(table: Table, rows: Codes, way: Partition) -> Partition:
    """Order volumes by their numbers, where those of one are all below those of the next."""
    numbers = table.counter(COUNTERS[0])
    if numbers is None:
        return way
    ranges = [(numbers[rows][way.labels == n].min(), numbers[rows][way.labels == n].max()) for n in _each(way)]
    order = sorted(_each(way), key=lambda n: ranges[n])
    if any(ranges[one][1] >= ranges[other][0] for one, other in pairwise(order)):
        return way
    return Partition(way.by, np.argsort(order)[way.labels])


def _each(way: Partition) -> range:
    return range(int(way.labels.max()) + 1)


def _edge_place(table: Table, rows: Codes, way: Partition) -> int | None:
    """Return the place at which a scan stopped that takes all volumes there before it goes to the next one."""
    place, numbers = local(table.place[rows]), table.counter(COUNTERS[0])
    counts = np.bincount(place)
    some = np.flatnonzero(counts < len(_each(way)))
    if numbers is None or len(some) != 1 or some[0] not in (0, len(counts) - 1) or len(counts) <= _LEAST_WHOLE:
        return None
    if counts[some[0]] > len(_each(way)) - _LEAST_WHOLE:  # a single volume that was cut short
        return None
    is_last = numbers[rows][place == some[0]].min() > numbers[rows][place != some[0]].max()
    return int(some[0]) if is_last else None


def _without_place(table: Table, rows: Codes, way: Partition, edge: int) -> tuple[Partition, list[str]]:
    is_left_out = local(table.place[rows]) == edge
    paths = [table.frames[row].path for row in rows[is_left_out]]
    where = "first" if edge == 0 else "last"
    note = (
        f"Left out: the {where} position has images of {len(paths)} of {len(_each(way))} volumes (distinguished by "
        f"{way.by}) only ({some_names(list(dict.fromkeys(paths)))}): the scan stopped there, or files are missing."
    )
    return Partition(way.by, np.where(is_left_out, -1, way.labels)), [note]


def _without_incomplete(table: Table, rows: Codes, way: Partition, n_places: int) -> tuple[Partition, list[str]]:
    sizes = np.bincount(way.labels)
    labels = way.labels.copy()
    notes = []
    for n in np.flatnonzero(sizes < n_places):
        paths = [table.frames[row].path for row in rows[way.labels == n]]
        where = "the last" if n == len(sizes) - 1 else f"number {n + 1}"
        notes.append(
            f"Left out: {where} of {len(sizes)} volumes (distinguished by {way.by}) is incomplete: it has {sizes[n]} "
            f"of {n_places} slices ({some_names(list(dict.fromkeys(paths)))})."
        )
        labels[way.labels == n] = -1
    ranks = np.cumsum(sizes == n_places) - 1
    labels[labels >= 0] = ranks[labels[labels >= 0]]
    return Partition(way.by, labels), notes


def _reason(table: Table, rows: Codes, names: Sequence[str]) -> str:
    if table.is_shifted:
        return f"they are shifted against each other by up to {table.shift_mm:.1f} mm in their plane: they are no stack"
    differ = [name for name in names if local(table.codes(name)[rows]).max() > 0]
    differ += [name for name in COUNTERS if _is_different(table, rows, name)]
    if not differ:
        return "nothing in their headers (acquisition, time, echo, b-value, number) indicates which belong together"
    differ = list(dict.fromkeys(differ))[:_MOST_NAMED]
    listed, does, differs = ", ".join(differ), "do" if len(differ) > 1 else "does", "" if len(differ) > 1 else "s"
    counts = np.bincount(local(table.place[rows]))
    if counts.min() != counts.max():
        return (
            f"other positions have {counts.min()} to {counts.max()} images: slices are missing or are there twice, and "
            f"{listed} {does} not indicate which"
        )
    who = f"{listed}, which differ{differs} among them,"
    return f"{who} {does} not divide the series into volumes that have every slice once"


def _is_different(table: Table, rows: Codes, name: str) -> bool:
    numbers = table.counter(name)
    return numbers is not None and len(np.unique(numbers[rows])) > 1
