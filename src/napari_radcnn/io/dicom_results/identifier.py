"""Tracking identifiers: what this program calls a label or a finding in a DICOM object, and its number."""

from __future__ import annotations

import re

#: Characters of DICOM's LO (PS3.5, 6.2).
_MOST = 64
_PATTERN = re.compile(r"(?s)(.*) (\d{1,10})")


def identifier_of(name: str, number: int) -> str:
    """Return ``"brain 5"``: the name, which fits DICOM's LO, cut where both do not, and the number."""
    tail = f" {number}"
    return name[: _MOST - len(tail)].strip() + tail


def name_of(identifier: str) -> str:
    """Return the name that an identifier of `identifier_of` begins with."""
    found = _PATTERN.fullmatch(identifier)
    return found[1] if found else identifier


def value_of(identifier: str) -> int | None:
    """Return the number that an identifier of `identifier_of` ends with, None where it ends with none above 0."""
    found = _PATTERN.fullmatch(identifier)
    return (int(found[2]) or None) if found else None
