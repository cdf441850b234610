"""Which layer fills which input of a model, as far as names and modalities tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_radcnn.spec.patches import InputSlot

#: What sequences and modalities are called in names, the more specific before what they contain.
_KINDS = (
    ("flair", re.compile(r"flair|fluid.?attenuated")),
    (
        "t1c",
        re.compile(
            r"(?<![a-z0-9])t1(w|\s|_|-)*(c|ce|c\+|\+c|gd|gad\w*|km|post|contrast)(?![a-z0-9])"
            r"|(?<![a-z0-9])t1.*(\+c|(?<![a-z0-9])(ce|gd|gad\w*|km|post|contrast|enhanced))(?![a-z0-9])"
        ),
    ),
    ("t1", re.compile(r"(?<![a-z0-9])t1(?![0-9])|mp2?rage")),
    ("t2", re.compile(r"(?<![a-z0-9])t2(?![0-9*])")),
    ("adc", re.compile(r"(?<![a-z])adc(?![a-z])")),
    ("dwi", re.compile(r"(?<![a-z])(dwi|hbv|trace|b\d{3,4})(?![a-z])")),
    ("swi", re.compile(r"(?<![a-z])swi(?![a-z])|t2\*")),
    ("pet", re.compile(r"(?<![a-z])(pet|pt|suv|fdg)(?![a-z])")),
    ("ct", re.compile(r"(?<![a-z])ct(?![a-z])")),
)


def match(
    slots: Sequence[InputSlot], scans: Sequence[tuple[str, str]], chosen: Sequence[int | None] = ()
) -> list[int | None]:
    """Return for every input of a model the scan that is plainly meant for it; none is used twice.

    Parameters
    ----------
    slots : sequence of InputSlot
        The inputs.
    scans : sequence of (name, modality)
        The scans on offer; an empty modality is not known.
    chosen : sequence of int or None, optional
        For every input the scan that it has already.

    Returns
    -------
    list of int or None
        Places in `scans`. None where nothing fits, or two fit equally well: a scan in the wrong input is worse than
        one that the user still has to choose.
    """
    found = list(chosen) or [None] * len(slots)
    for level in (3, 2, 1):
        for n, slot in enumerate(slots):
            if found[n] is not None:
                continue
            free = [place for place in range(len(scans)) if place not in found]
            fitting = [place for place in free if _score(slot, *scans[place]) == level]
            if level == 1 and not _is_only_one(slot, slots):
                continue
            found[n] = _plainest(fitting, scans, is_named=level > 1)
    return found


def _score(slot: InputSlot, name: str, modality: str) -> int:
    """Return 3 for the same sequence, 2 for the slot's words in the name, 1 for the modality alone, 0 for no match."""
    if modality and slot.modalities and modality not in slot.modalities:
        return 0
    wanted, is_there = _kind(slot.name), _kind(name)
    if wanted and is_there:
        return 3 if wanted == is_there else 0
    if _words(slot.name) and _words(slot.name) <= _words(name):
        return 2
    return 1 if modality and modality in slot.modalities else 0


def _is_only_one(slot: InputSlot, slots: Sequence[InputSlot]) -> bool:
    """Whether no other input takes a modality of this one: then the modality alone tells."""
    others = [other for other in slots if other is not slot]
    return all(other.modalities and not set(other.modalities) & set(slot.modalities) for other in others)


def _plainest(places: Sequence[int], scans: Sequence[tuple[str, str]], *, is_named: bool) -> int | None:
    """Return the scan whose name says least beside the match: 'T1' before 'T1 · denoised'."""
    if len(places) <= 1 or not is_named:
        return places[0] if len(places) == 1 else None
    ordered = sorted(places, key=lambda place: len(_words(scans[place][0])))
    shortest, second = (len(_words(scans[place][0])) for place in ordered[:2])
    return ordered[0] if shortest < second else None


def _kind(name: str) -> str:
    lower = name.lower()
    return next((kind for kind, pattern in _KINDS if pattern.search(lower)), "")


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))
