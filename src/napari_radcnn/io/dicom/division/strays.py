"""Slices of a volume that say of themselves what the slices of another volume say: values swapped between two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.division.attributes import ATTRIBUTES, CLOCKS, Codes, Table

#: At most this part of the frames is astray: what differs more often is no attribute of volumes.
_MOST = 0.25
#: Attributes that belong to a volume as a whole.
_NAMES = tuple(
    one.name for one in ATTRIBUTES if one.role == "state" and (one.name not in CLOCKS or one.name == "trigger time")
)


def strays(table: Table, volumes: Sequence[Codes]) -> list[str]:
    """Say which slices have the value of another volume in an attribute that is the same in all slices of most.

    Parameters
    ----------
    table : Table
        All frames.
    volumes : sequence of array of int
        The rows of every volume.
    """
    if len(volumes) < 2:
        return []
    said = []
    for name in _NAMES:
        codes = table.codes(name)
        if codes.max() == 0:
            continue
        usual = [int(np.bincount(codes[rows]).argmax()) for rows in volumes]
        odd = [rows[codes[rows] != value] for rows, value in zip(volumes, usual, strict=True)]
        if any(2 * len(some) > len(rows) for some, rows in zip(odd, volumes, strict=True)):
            continue
        known = set(usual) if len(set(usual)) > 1 else set()
        astray = [int(row) for some in odd for row in some if int(codes[row]) in known]
        if astray and len(astray) <= _MOST * sum(map(len, volumes)):
            named = some_names([table.frames[row].path for row in astray])
            has = "has" if len(astray) == 1 else "have"
            said.append(
                f"{named} {has} the {name} of another volume: headers may be wrong there. Check the volumes before you "
                "rely on them."
            )
    return said
