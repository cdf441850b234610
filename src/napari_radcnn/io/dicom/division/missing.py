"""Series from which slices are missing: what is whole of them, and why the rest cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

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
        return _without_incomplete(table, rows, min(found, key=lambda one: one[:2])[2], n_places)
    if stations is not None:
        return stations, []
    return _reason(table, rows, names)


def _are_volumes(table: Table, rows: Codes, way: Partition, n_places: int) -> bool:
    """Whether each has most places, at even distances: volumes that reach differently far."""
    groups = [rows[way.labels == n] for n in range(int(way.labels.max()) + 1)]
    return all(len(group) > n_places / 2 and is_even([table.frames[row].depth for row in group]) for group in groups)


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
    differ += [name for name in COUNTERS if table.counter(name) is not None]
    if not differ:
        return "nothing in their headers (acquisition, time, echo, b-value, number) indicates which belong together"
    listed = ", ".join(list(dict.fromkeys(differ))[:_MOST_NAMED])
    counts = np.bincount(local(table.place[rows]))
    if counts.min() != counts.max():
        return (
            f"other positions have {counts.min()} to {counts.max()} images: slices are missing or are there twice, and "
            f"{listed} do not indicate which"
        )
    return f"{listed}, which differ among them, do not divide the series into volumes that have every slice once"
