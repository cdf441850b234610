"""Target lesions over visits: the sum of diameters, and its change (RECIST 1.1, Eisenhauer et al. 2009)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from napari_radcnn.errors import OptionError
from napari_radcnn.measure.rulers import Ruler

#: Complete and partial response, stable and progressive disease; empty at baseline.
Response = Literal["", "CR", "PR", "SD", "PD", "NE"]
#: Of the sum: less than baseline by this is a partial response, more than the nadir by this and by 5 mm progression.
_PARTIAL, _PROGRESSION, _PROGRESSION_MM = 0.30, 0.20, 5.0
#: A lymph node below this is no longer pathological, mm; with all other targets gone that is a complete response.
_NORMAL_NODE = 10.0
_MOST_TARGETS = 5


@dataclass(frozen=True)
class Visit:
    """The target lesions of a visit.

    Attributes
    ----------
    name : str
        Of the visit.
    diameters : dict
        mm by lesion; a lesion that is missing here was not measured.
    total : float
        The sum of diameters, mm.
    from_baseline, from_nadir : float or None
        Change of the sum in percent: against the first visit, and against the smallest sum of all visits before; None
        at the first visit, and where that sum is 0.
    response : str
        ``"CR"``, ``"PR"``, ``"SD"`` or ``"PD"``, of the target lesions alone; ``"NE"``, not evaluable, where a lesion
        of the baseline was not measured and it is no progression without it; empty at the first visit.
    """

    name: str
    diameters: dict[str, float]
    total: float
    from_baseline: float | None
    from_nadir: float | None
    response: Response


def follow_up(rulers: Sequence[Ruler]) -> tuple[list[Visit], list[str]]:
    """Return the visits in order, with the sum of diameters of the target lesions, and what is to be told.

    Parameters
    ----------
    rulers : sequence of Ruler
        Those that are target lesions count; a lesion is followed by its name, and visits are in the order of theirs,
        numbers by their value. A lesion that is gone has a diameter of
        0: a distance between two equal points.

    Raises
    ------
    OptionError
        If a lesion is measured twice at one visit, or by a ruler that has no diameter.
    """
    targets = [ruler for ruler in rulers if ruler.is_target]
    twice = [key for key, n in Counter((ruler.visit, ruler.name) for ruler in targets).items() if n > 1]
    if twice:
        visit, name = twice[0]
        raise OptionError(f"The target lesion '{name}' is measured twice at visit '{visit}': delete one, or rename it.")
    nodes = {ruler.name for ruler in targets if ruler.is_node}
    by_visit: dict[str, dict[str, float]] = {}
    for ruler in targets:
        if ruler.diameter is None:
            raise OptionError(f"The target lesion '{ruler.name}' has no diameter: measure it with a distance.")
        by_visit.setdefault(ruler.visit, {})[ruler.name] = ruler.diameter
    visits: list[Visit] = []
    names = sorted(by_visit, key=_in_order)
    told = []
    if names and len(by_visit[names[0]]) > _MOST_TARGETS:
        told.append(f"There are {len(by_visit[names[0]])} target lesions; RECIST 1.1 has at most {_MOST_TARGETS}.")
    for name in names:
        found = by_visit[name]
        visits.append(_visit(name, found, visits, nodes))
        new = sorted(set(found) - set(visits[0].diameters))
        if new:
            told.append(
                f"Not measured at baseline, at '{name}': {', '.join(new)}. A new lesion is progressive disease, "
                "whatever the sum."
            )
    return visits, told


def _in_order(visit: str) -> list[tuple[int, str]]:
    """Return what orders visits: numbers in a name by their value, so that week 12 comes after week 4."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", visit) if part]


def _visit(name: str, found: dict[str, float], before: Sequence[Visit], nodes: set[str]) -> Visit:
    baseline = before[0].diameters if before else found
    followed = {lesion: found[lesion] for lesion in baseline if lesion in found}
    total = sum(followed.values())
    if not before:
        return Visit(name, found, total, None, None, "")
    nadir = min(visit.total for visit in before if set(visit.diameters) >= set(baseline))
    is_whole = len(followed) == len(baseline)
    response: Response
    if is_whole and all(size < _NORMAL_NODE if lesion in nodes else size == 0 for lesion, size in followed.items()):
        response = "CR"
    elif total - nadir >= max(_PROGRESSION * nadir, _PROGRESSION_MM) - 1e-9:
        response = "PD"
    elif not is_whole:
        response = "NE"
    else:
        response = "PR" if total <= (1 - _PARTIAL) * before[0].total + 1e-9 else "SD"
    return Visit(name, found, total, _change(total, before[0].total), _change(total, nadir), response)


def _change(total: float, before: float) -> float | None:
    return None if before == 0 else 100 * (total - before) / before
