"""Whose scans they are: a folder with those of several patients says so, without saying who they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from napari_radcnn.files import some_names
from napari_radcnn.io.dicom.headers import Instance, text

#: What keeps the files of one series apart although their SeriesInstanceUID is the same.
_KEYS = ("PatientID", "StudyInstanceUID", "Modality")


@dataclass(frozen=True)
class Belonging:
    """Whose a series is.

    Attributes
    ----------
    patient : int
        Which of several, counted from 1; 0 where all series are of one.
    notes : tuple of str
        What must be said.
    """

    patient: int = 0
    notes: tuple[str, ...] = ()


def belongings(series: Sequence[Sequence[Instance]]) -> list[Belonging]:
    """Return whose each series is.

    Two are of different patients if they differ in PatientID, PatientBirthDate or PatientName, where both state it;
    of the name family and given name count, in any case.

    Parameters
    ----------
    series : sequence of sequence of Instance
        The files of every series, at least one each.
    """
    people: list[set[_Person]] = []
    numbers = []
    kinds: dict[str, None] = {}
    for instances in series:
        person = _person(instances[0])
        for number, others in enumerate(people):
            found = [kind for other in others for kind in _differences(person, other)]
            if not found:
                others.add(person)
                numbers.append(number + 1)
                break
            kinds |= dict.fromkeys(found)
        else:
            people.append({person})
            numbers.append(len(people))
    by_uid: dict[str, list[Sequence[Instance]]] = defaultdict(list)
    for instances in series:
        by_uid[_series_uid(instances)].append(instances)
    notes = [_scattered(instances, by_uid[_series_uid(instances)]) + _inner(instances) for instances in series]
    if len(people) < 2:
        return [Belonging(0, tuple(said)) for said in notes]
    what = " and ".join(kinds) + (" differs" if len(kinds) == 1 else " differ")
    return [
        Belonging(
            number,
            (
                f"This folder contains scans of {len(people)} patients ({what}); this scan is of patient "
                f"{number}. Make sure that results are assigned to the right patient.",
                *said,
            ),
        )
        for number, said in zip(numbers, notes, strict=True)
    ]


def readable_name(name: str) -> str:
    """Return a PatientName as it is read: the family name, the given name (DICOM PS3.5, 6.2.1)."""
    written = next((group for group in name.split("=") if group.strip("^ \0")), "")
    return ", ".join(part for part in (part.strip(" \0") for part in written.split("^")[:2]) if part)


_Person = tuple[str, str, tuple[str, ...]]


def _person(instance: Instance) -> _Person:
    raw = instance.raw("PatientName")  # text of a person is parsed slowly, and a folder may hold thousands of series
    name = raw.decode("ascii") if raw is not None and raw.isascii() else text(instance.tags, "PatientName")
    parts = tuple(part.strip(" \0") for part in (*name.split("=")[0].casefold().split("^"), "")[:2])
    return text(instance.tags, "PatientID"), text(instance.tags, "PatientBirthDate"), parts if any(parts) else ()


def _differences(one: _Person, other: _Person) -> list[str]:
    kinds = ("PatientID", "PatientBirthDate", "PatientName")
    return [kind for kind, a, b in zip(kinds, one, other, strict=True) if a and b and a != b]


def _series_uid(instances: Sequence[Instance]) -> str:
    return text(instances[0].tags, "SeriesInstanceUID")


def _scattered(one: Sequence[Instance], same_uid: Sequence[Sequence[Instance]]) -> list[str]:
    """Say which other files have the same SeriesInstanceUID, and are shown apart."""
    if not _series_uid(one):
        return []
    first = one[0].tags
    said = []
    for instances in same_uid:
        if instances is one:
            continue
        other = instances[0].tags
        kinds = [keyword for keyword in _KEYS if text(other, keyword) != text(first, keyword)]
        names = some_names([instance.path for instance in instances])
        said.append(
            f"{names}: of the same series (SeriesInstanceUID), but with a different or missing "
            f"{' and '.join(kinds)}: shown as a separate volume, which may be a part of this one."
        )
    return said


def _inner(instances: Sequence[Instance]) -> list[str]:
    """Say where files of one series state different birth dates, or were several series."""
    said = []
    uids = {text(instance.tags, "SeriesInstanceUID") for instance in instances}
    if len(uids) > 1:
        said.append(
            f"Each of the {len(uids)} slices is stored as a series of its own (SeriesInstanceUID), as some scanners of "
            "Canon do: they are put together by SeriesNumber."
        )
    by_date: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_date[text(instance.tags, "PatientBirthDate")].append(instance)
    if len([date for date in by_date if date]) > 1:
        fewest = min(by_date.values(), key=len)
        said.append(
            f"{some_names([instance.path for instance in fewest])}: its PatientBirthDate differs from other slices of "
            "the series: they may be of another patient."
        )
    return said
