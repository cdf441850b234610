"""Names of cases that were found: no two of one name, nor of one folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from napari_radcnn.cohort.cases import folder_name

#: Of a name that gets a number, so that the number stays in the name of its folder.
_LONGEST = 100


def told_apart(names: Sequence[str]) -> list[str]:
    """Return names of which no two would share a folder: those that are alike get numbers.

    Examples
    --------
    >>> told_apart(["a", "b", "a", "a-1", "B"])
    ['a-2', 'b-1', 'a-3', 'a-1', 'B-2']
    """
    keys = [_key(name) for name in names]
    alike, numbers = Counter(keys), Counter[str]()
    taken = {key for key in keys if alike[key] == 1}
    found = []
    for name, key in zip(names, keys, strict=True):
        told = name
        while alike[key] > 1:
            numbers[key] += 1
            told = f"{name[:_LONGEST]}-{numbers[key]}"
            if _key(told) not in taken:
                taken.add(_key(told))
                break
        found.append(told)
    return found


def _key(name: str) -> str:
    return folder_name(name).casefold()
