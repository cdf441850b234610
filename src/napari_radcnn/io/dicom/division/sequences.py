"""How InstanceNumber runs through the slices of volumes: positions that were swapped between slices show so alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.division.attributes import COUNTERS, Codes, Table
from napari_radcnn.io.dicom.headers import text

#: So many volumes and slices show what is usual; at most one in so many is odd.
_LEAST_ALIKE = 3
_CHECK = "positions may be wrong there. Check it before you rely on it."
_NO_ORDER = f"in an order of its own: {_CHECK}"
#: Whose scanners may number slices at random (https://github.com/rordenlab/dcm2niix/issues/529).
_RANDOM = "philips"
#: What confirms the order of the slices where InstanceNumber does not.
_TIMES = {"acquisition time": "AcquisitionTime", "content time": "ContentTime"}


def odd_sequences(table: Table, volumes: Sequence[Codes]) -> list[str]:
    """Say where the numbers run through the slices of volumes otherwise than through others, or some have none.

    Parameters
    ----------
    table : Table
        All frames.
    volumes : sequence of array of int
        The rows of every volume.
    """
    n_places = int(table.place.max()) + 1
    if len(volumes) < 2 or n_places < _LEAST_ALIKE or any(len(rows) != n_places for rows in volumes):
        return []
    numbers = table.numbers(COUNTERS[0])
    if numbers is None:
        return []
    unnumbered = _unnumbered(numbers, volumes)
    if unnumbered:
        n_files = sum(map(len, volumes))
        if 2 * len(unnumbered) > n_files:
            return []
        named = some_names([table.frames[row].path for row in unnumbered])
        return [
            f"{len(unnumbered)} of {n_files} images have no InstanceNumber of their own ({named}), so that it does not "
            "confirm which slice is where. Check the volumes before you rely on them."
        ]
    blocks = _blocks(table, volumes, np.array(numbers, float))
    said = _odd(blocks, "InstanceNumber")
    if not said and len(blocks):
        return []
    if (
        said
        and said[0].endswith(_NO_ORDER)
        and text(table.frames[0].tags, "Manufacturer").casefold().startswith(_RANDOM)
    ):
        said = []
    for name, keyword in _TIMES.items():
        times = table.clock(name)
        if times is not None:
            found = _odd(_blocks(table, volumes, times), keyword)
            said += [line for line in found if not line.endswith(_NO_ORDER)]
    return said


def _blocks(table: Table, volumes: Sequence[Codes], values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the places of every volume in the order of numbers or times; none where two are the same."""
    if any(len(np.unique(values[rows])) < len(rows) for rows in volumes):
        return np.empty((0, 0), np.intp)
    return np.array([table.place[rows][np.argsort(values[rows])] for rows in volumes])


def _unnumbered(numbers: Sequence[int | None], volumes: Sequence[Codes]) -> list[int]:
    """Return the rows without a number, or with one that another of their volume has as well."""
    found: list[int] = []
    for rows in volumes:
        counts = Counter(numbers[row] for row in rows)
        found += [int(row) for row in rows if numbers[row] is None or counts[numbers[row]] > 1]
    return found


def _odd(blocks: npt.NDArray[np.intp], what: str) -> list[str]:
    """Say which volumes (rows: places in the order of the numbers) are not as most are."""
    n_volumes, n_places = blocks.shape
    if n_volumes == 0:
        return []
    blocks = np.where(blocks[:, :1] > blocks[:, -1:], blocks[:, ::-1], blocks)  # downwards is the same as upwards
    sequences, counts = np.unique(blocks, axis=0, return_counts=True)
    if len(sequences) == 1:
        return []
    is_odd = (blocks != sequences[np.argmax(counts)]).any(1)
    is_straight = (blocks == np.arange(n_places)).all(1)
    if 2 * is_straight.sum() >= n_volumes:
        is_odd = ~is_straight
    elif _LEAST_ALIKE * is_odd.sum() > n_volumes:
        return [f"{what} runs through the slices of each volume {_NO_ORDER}"]
    named = ", ".join(str(n + 1) for n in np.flatnonzero(is_odd)[:_LEAST_ALIKE])
    return [f"{what} runs through the slices of volume {named} otherwise than through those of the others: {_CHECK}"]
