"""Where the elements of an ordinary header lie, found without pydicom, which takes ten times as long for it.

A folder of thousands of slices is listed by some twenty values of each. Only headers that are sound in every respect
are taken: prefix, file meta, little endian, tags in rising order, known types, lengths that fit. pydicom reads the
rest, and whatever value of these is no plain text or number (DICOM PS3.5, 7.1 to 7.5).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
#: All encapsulated syntaxes are explicit little endian (DICOM PS3.5, A.4).
_ENCAPSULATED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
_PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_TRANSFER_SYNTAX, _CHARACTER_SET = 0x00020010, 0x00080005
#: Functional groups: their values are of pydicom's making anyway.
_GROUPS = (0x52009229, 0x52009230)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_MOST_DEPTH = 8
#: Where the elements of the file meta group begin, behind preamble, prefix and the group's own length.
_META = 144
#: Tag, type, length of 16 bits, length of 32 bits: what of them is meant depends on the type.
_explicit = Struct("<HH2sHI").unpack_from
_implicit = Struct("<HHI").unpack_from


@dataclass(frozen=True, eq=False)
class Elements:
    """The elements of a header.

    Attributes
    ----------
    data : bytes
        The file up to the value of its pixels.
    places : dict of int to (bytes or None, int, int)
        For every tag its type (None where the syntax does not tell), and where its value begins and ends in `data`.
    transfer_syntax : str
        How the file is encoded.
    keyword : str
        The element of the pixels.
    length : int
        How long the file says they are.
    """

    data: bytes
    places: dict[int, tuple[bytes | None, int, int]]
    transfer_syntax: str
    keyword: str
    length: int

    @cached_property
    def dataset(self) -> Dataset:
        """The header as pydicom reads it."""
        from pydicom import dcmread

        return dcmread(BytesIO(self.data), stop_before_pixels=True, force=True)

    def value(self, tag: int) -> bytes:
        """Return the bytes of a value."""
        _, start, stop = self.places[tag]
        return self.data[start:stop]


class _UnusualError(Exception):
    """The header is one for pydicom."""


class _ShortError(Exception):
    """The header goes on behind what was read."""


def find_elements(data: bytes) -> Elements | int | None:
    """Find the elements in the first bytes of a file.

    Parameters
    ----------
    data : bytes
        From its first byte.

    Returns
    -------
    Elements, int or None
        How many bytes are needed, at least, where the header goes on behind them; None for a header that is not
        ordinary in every respect.
    """
    if data[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        return None
    try:
        meta_end = _META + int.from_bytes(data[_META - 4 : _META], "little")
        meta, at = _places(data, _META, True, 0x00020001, 0x00030000, meta_end)
        if at != meta_end:
            return None
        syntax = data[slice(*meta[_TRANSFER_SYNTAX][1:])].decode("ascii").rstrip("\0 ")
        is_explicit = syntax == EXPLICIT or syntax.startswith(_ENCAPSULATED)
        if not is_explicit and syntax != IMPLICIT:
            return None
        places, at = _places(data, at, is_explicit, 0x00080000, 0x7FE00008)
        tag, kind, start, length = _element(data, at, is_explicit)
        if tag not in _PIXELS or kind not in (b"OB", b"OW", b"OF", b"OD", None):
            return None
        if _CHARACTER_SET in places and not _is_known_charset(data[slice(*places[_CHARACTER_SET][1:])]):
            return None
        return Elements(data[:start], places, syntax, _PIXELS[tag], length)
    except _ShortError as error:
        return int(error.args[0])
    except (_UnusualError, KeyError, UnicodeDecodeError):
        return None


def _places(
    data: bytes, at: int, is_explicit: bool, first: int, end: int, stop: int = sys.maxsize
) -> tuple[dict[int, tuple[bytes | None, int, int]], int]:
    """Return the elements before `stop` whose tags rise from `first` to below `end`, and where the next one begins."""
    places: dict[int, tuple[bytes | None, int, int]] = {}
    last = first - 1
    while at < stop:
        tag, kind, start, length = _element(data, at, is_explicit)
        if tag >= end:
            break
        if tag <= last or tag in _GROUPS:
            raise _UnusualError
        at = _sequence_end(data, start, kind, is_explicit, 0) if length == _UNDEFINED else start + length
        places[tag] = kind, start, at
        last = tag
    return places, at


def _element(data: bytes, at: int, is_explicit: bool) -> tuple[int, bytes | None, int, int]:
    """Return tag and type of the element at `at`, where its value begins, and its length."""
    if at + 12 > len(data):
        raise _ShortError(at + 12)
    if not is_explicit:
        group, element, length = _implicit(data, at)
        if data[at + 4 : at + 6].isalpha():
            raise _UnusualError  # explicit, whatever the file meta says; or very long
        return group << 16 | element, None, at + 8, length
    group, element, kind, short, long = _explicit(data, at)
    is_long = _kinds().get(kind)
    if is_long is None:
        raise _UnusualError
    return (group << 16 | element, kind, at + 12, long) if is_long else (group << 16 | element, kind, at + 8, short)


@cache
def _kinds() -> dict[bytes, bool]:
    """Return for every value representation whether its length has 32 bits."""
    from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

    return {str(kind).encode(): kind in EXPLICIT_VR_LENGTH_32 for kind in STANDARD_VR}


def _sequence_end(data: bytes, at: int, kind: bytes | None, is_explicit: bool, depth: int) -> int:
    """Return where a sequence of undefined length ends; `at` is the place of its first item."""
    if kind not in (b"SQ", None) or depth > _MOST_DEPTH:
        raise _UnusualError
    while True:
        tag, length, at = _item(data, at)
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise _UnusualError
        if length != _UNDEFINED:
            at += length
            continue
        while True:
            if _item(data, at)[0] == _ITEM_END:
                at += 8
                break
            _, inner, start, length = _element(data, at, is_explicit)
            is_open = length == _UNDEFINED
            at = _sequence_end(data, start, inner, is_explicit, depth + 1) if is_open else start + length


def _item(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag at `at`, the length behind it, and where what follows begins."""
    if at + 8 > len(data):
        raise _ShortError(at + 8)
    group, element, length = _implicit(data, at)
    return group << 16 | element, length, at + 8


@cache
def _is_known_charset(value: bytes) -> bool:
    from pydicom.charset import python_encoding

    return all(word.strip() in python_encoding for word in value.decode("ascii").split("\\"))
