"""Frames at the same place divided into volumes: what tells them apart is sought, compared, and said.

Kinds (phase, echo) are set apart first, then what states there are of each. A way to divide counts if every volume has
every place once. Where ways differ, that counts which most of the headers' statements support, and the volumes say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.division.attributes import ATTRIBUTES, CLOCKS, COUNTERS, Codes, Table
from napari_radcnn.io.dicom.division.kinds import kind_names, kinds
from napari_radcnn.io.dicom.division.partitions import Partition
from napari_radcnn.io.dicom.division.places import is_even
from napari_radcnn.io.dicom.division.sequences import odd_sequences
from napari_radcnn.io.dicom.division.shifted import LEAST_EVEN, shifted_volumes
from napari_radcnn.io.dicom.division.states import disagreement, states, witnesses
from napari_radcnn.io.dicom.division.strays import strays
from napari_radcnn.io.dicom.frames import Frame

#: What is the same in all slices of a volume, or it is no volume.
KINDS = ("component", "image type", "echo", "tube voltage")


@dataclass(frozen=True, eq=False)
class Part:
    """The frames of one volume.

    Attributes
    ----------
    frames : list of Frame
        In any order, no two at the same place.
    label : str
        What it is called within its series.
    """

    frames: list[Frame]
    label: str


@dataclass(frozen=True, eq=False)
class Division:
    """How frames were divided.

    Attributes
    ----------
    parts : tuple of Part
        The volumes: by kind, then in the order in which they were scanned.
    by : str
        What tells them apart.
    notes : tuple of str
        What must be said about all of them.
    """

    parts: tuple[Part, ...]
    by: str
    notes: tuple[str, ...] = ()


def divide(frames: Sequence[Frame]) -> Division | str:
    """Divide frames, several of which lie at the same place, so that no two of a volume do.

    Returns
    -------
    Division or str
        Why it is not known which of them belong together, where it is not: what follows "and".
    """
    table = Table(list(frames))
    used, codes = kinds(table)
    made = _by_kinds(table, used, codes)
    if isinstance(made, str) and used:  # they may be no kinds after all
        plain = _by_kinds(table, (), np.zeros(len(frames), np.intp))
        made = plain if not isinstance(plain, str) else made
    return made


def divide_uneven(frames: Sequence[Frame]) -> Division | None:
    """Divide frames at different places into evenly spaced groups of at least three, if one attribute does so."""
    table = Table(list(frames))
    for one in ATTRIBUTES:
        if one.name in CLOCKS:
            continue
        codes = table.codes(one.name)
        groups = [[table.frames[row] for row in np.flatnonzero(codes == code)] for code in range(int(codes.max()) + 1)]
        if len(groups) > 1 and all(
            len(group) >= LEAST_EVEN and is_even([frame.depth for frame in group]) for group in groups
        ):
            return Division(tuple(Part(group, str(n + 1)) for n, group in enumerate(groups)), one.name)
    return divide_shifted(frames)


def divide_shifted(frames: Sequence[Frame]) -> Division | None:
    """Divide frames of volumes that lie a little beside each other by InstanceNumber, if it runs through each."""
    found = shifted_volumes(frames)
    if found is None:
        return None
    labels, shift_mm = found
    parts = [
        [frame for frame, label in zip(frames, labels, strict=True) if label == n] for n in range(labels.max() + 1)
    ]
    note = (
        f"The volumes of this series are shifted against each other by up to {shift_mm:.2f} mm, as motion correction "
        "does; each has its own place."
    )
    return Division(tuple(Part(part, str(n + 1)) for n, part in enumerate(parts)), COUNTERS[0], (note,))


def _by_kinds(table: Table, used: tuple[str, ...], codes: Codes) -> Division | str:
    names = kind_names(table, used, codes) if used else [""]
    volumes: list[tuple[Codes, str]] = []
    notes: list[str] = []
    by = list(used)
    first = _lowest_numbers(table, codes)
    for kind in sorted(range(len(names)), key=lambda kind: (first[kind], kind)):
        rows = np.flatnonzero(codes == kind)
        found = states(table, rows)
        if isinstance(found, str):
            return f"{found} (among those of the kind '{names[kind]}')" if names[kind] else found
        by += [found.by] if found.by else []
        notes += found.notes
        count = int(found.labels.max()) + 1
        for n in range(count):
            number = str(n + 1) if count > 1 or not names[kind] else ""
            label = " · ".join(word for word in (names[kind], number) if word)
            volumes.append((rows[found.labels == n], label))
    by = list(dict.fromkeys(by))
    notes += _other_opinion(table, volumes, by) if used else []
    notes += _mixed(table, [rows for rows, _ in volumes])
    notes += odd_sequences(table, [rows for rows, _ in volumes])
    notes += strays(table, [rows for rows, _ in volumes])
    parts = [Part([table.frames[row] for row in rows], label) for rows, label in volumes]
    return Division(tuple(parts), " and ".join(by), tuple(dict.fromkeys(notes)))


def _other_opinion(table: Table, volumes: Sequence[tuple[Codes, str]], by: Sequence[str]) -> list[str]:
    """Say where numbers or times that run through the whole series contradict the division by kinds."""
    labels = np.full(len(table.frames), -1, np.intp)
    for n, (rows, _) in enumerate(volumes):
        labels[rows] = n
    if labels.min() < 0:
        return []
    made = Partition(" and ".join(by), labels)
    against = [way for way in witnesses(table, np.arange(len(labels))) if way.key != made.key]
    return [disagreement([made], against)] if against else []


def _mixed(table: Table, volumes: Sequence[Codes]) -> list[str]:
    """Say that volumes hold slices of several kinds; what differs more often than volumes do is no kind."""
    mixed = []
    odd: list[int] = []
    for name in KINDS:
        codes = table.codes(name)
        if 0 < codes.max() < len(volumes) and any(np.ptp(codes[rows]) > 0 for rows in volumes):
            mixed.append(name)
            odd += [int(row) for rows in volumes for row in rows[codes[rows] != np.bincount(codes[rows]).argmax()]]
    if not mixed:
        return []
    named = some_names(list(dict.fromkeys(table.frames[row].path for row in odd)))
    return [
        f"The slices of a volume differ in their {' and '.join(mixed)} ({named}): positions or headers may be wrong. "
        "Check the volumes before you rely on them."
    ]


def _lowest_numbers(table: Table, codes: Codes) -> list[float]:
    """Return the lowest number of a frame of every kind, by which kinds are ordered; 0 where places disagree."""
    count = int(codes.max()) + 1
    numbers = table.counter(COUNTERS[0])
    if numbers is None:
        return [0.0] * count
    lowest = np.full((int(table.place.max()) + 1, count), np.inf)
    np.minimum.at(lowest, (table.place, codes), numbers)
    order = np.argsort(lowest, axis=1)
    return [float(n) for n in lowest.min(0)] if (order == order[0]).all() else [0.0] * count
