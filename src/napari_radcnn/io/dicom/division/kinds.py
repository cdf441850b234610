"""Kinds of pictures in one series (magnitude and phase, echoes, field map, derived maps): told apart and named."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from napari_radcnn.io.dicom.division.attributes import ATTRIBUTES, Codes, Table
from napari_radcnn.io.dicom.division.partitions import combined, local

_KINDS = tuple(one.name for one in ATTRIBUTES if one.role == "kind")
#: Values of ImageType go into layer names, if they are codes.
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")


def kinds(table: Table) -> tuple[tuple[str, ...], Codes]:
    """Return by what attributes kinds are told apart, and the number of every frame's kind.

    Every kind has all places: an attribute that changes from slice to slice of one volume makes no kind.
    """
    used: list[str] = []
    codes = np.zeros(len(table.frames), np.intp)
    n_places = int(table.place.max()) + 1
    for name in _KINDS:
        column = table.codes(name)
        if column.max() == 0:
            continue
        finer = combined([codes, column])
        if finer.max() == codes.max():  # the same kinds, by another word for them
            continue
        covered = np.unique(finer * n_places + table.place)
        if len(covered) == (int(finer.max()) + 1) * n_places:
            used.append(name)
            codes = finer
    return tuple(used), codes


def kind_names(table: Table, used: tuple[str, ...], codes: Codes) -> list[str]:
    """Return what every kind is called: ``"phase"``, ``"echo 2"``, ``"magnitude, echo 1"``."""
    rows = [int(np.flatnonzero(codes == code)[0]) for code in range(int(codes.max()) + 1)]
    parts = [list(_names(table, name, rows)) for name in used]
    names = [", ".join(dict.fromkeys(word for word in words if word)) for words in zip(*parts, strict=True)]
    return [name if name and names.count(name) == 1 else f"{name} kind {n + 1}".strip() for n, name in enumerate(names)]


def _names(table: Table, name: str, rows: list[int]) -> Iterator[str]:
    codes = table.codes(name)[rows]
    keys = [table.keys(name)[code] for code in codes]
    ranks = local(codes)
    for key, rank in zip(keys, ranks, strict=True):
        if name == "component":
            yield key[0] if key else ""
        elif name == "image type":
            common = set.intersection(*(set(other) for other in keys))
            odd = [str(word) for word in key if word not in common]
            yield odd[0] if odd and all(_CODE.fullmatch(word) for word in odd[:1]) else ""
        elif name == "tube voltage" and key and isinstance(key[0], float):
            yield f"{key[0]:g} kV"
        else:
            yield f"{name} {rank + 1}"
