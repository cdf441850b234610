"""Private elements of a header, by their creator (DICOM PS3.5, 7.8), without pydicom's costly parsing of the file.

Vendors write into them what tells the volumes of a series apart. The type of a private element is known from the file
only where it is written with explicit types; elsewhere it is what the vendor's conformance statement says.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from napari_radcnn.io.dicom.elements import Elements
from napari_radcnn.io.dicom.headers import Instance, damage

_BLOCKS = range(0x10, 0x100)
#: Value representations of numbers, as `struct` writes them.
_BINARY = {"SS": "h", "US": "H", "SL": "i", "UL": "I", "FL": "f", "FD": "d"}
_LONGEST = 256


@dataclass(frozen=True)
class Private:
    """Where a vendor keeps a value.

    Attributes
    ----------
    group : int
        The odd group.
    creator : str
        Who reserved the block.
    offset : int
        The element's number in the block.
    vr : str
        The type of its value.
    values : int
        How many of its values count; 0 for all.
    """

    group: int
    creator: str
    offset: int
    vr: str
    values: int = 0

    def __str__(self) -> str:
        return f"({self.group:04X},xx{self.offset:02X})"


class PrivateValues:
    """Looks private elements of one file up."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._blocks: dict[tuple[int, str], int] = {}
        source = instance.source
        if isinstance(source, Elements):
            for tag, (_, start, stop) in source.places.items():
                if (tag >> 16) & 1 and tag & 0xFFFF in _BLOCKS:
                    creator = source.data[start:stop].decode("ascii", errors="replace").strip(" \0")
                    self._blocks.setdefault((tag >> 16, creator), tag & 0xFF)

    def get(self, where: Private) -> tuple[Any, ...]:
        """Return the values of an element: numbers and texts; empty where it is missing or of another form."""
        source = self._instance.source
        if not isinstance(source, Elements):
            return self._parsed(where)
        block = self._blocks.get((where.group, where.creator))
        place = source.places.get(where.group << 16 | block << 8 | where.offset) if block is not None else None
        if place is None or place[2] - place[1] > _LONGEST:
            return ()
        kind = place[0].decode() if place[0] not in (None, b"UN") else where.vr
        return _decoded(source.data[place[1] : place[2]], kind)[: where.values or None]

    def _parsed(self, where: Private) -> tuple[Any, ...]:
        """Return what pydicom makes of an element: the header is not an ordinary one."""
        try:
            value = self._instance.dataset.private_block(where.group, where.creator)[where.offset].value
        except damage():
            return ()
        if isinstance(value, bytes):
            return _decoded(value[:_LONGEST], where.vr)[: where.values or None]
        several = hasattr(value, "__iter__") and not isinstance(value, str)
        return tuple(_number(part) for part in (value if several else [value]))[: where.values or None]


def _decoded(data: bytes, kind: str) -> tuple[Any, ...]:
    """Return the values that little-endian bytes hold."""
    code = _BINARY.get(kind)
    if code is not None:
        count = len(data) // struct.calcsize(code)
        return struct.unpack(f"<{count}{code}", data[: count * struct.calcsize(code)])
    words = data.decode("ascii", errors="replace").split("\\")
    return tuple(_number(word) for word in words) if any(word.strip(" \0") for word in words) else ()


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value).strip(" \0")
