"""The bytes of a journal: records with length, number and checksum, read without trust in any of them."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from napari_radcnn.errors import JournalError
from napari_radcnn.schemas import JOURNAL_START, SESSION, check_schema

RecordKind = Literal["step", "undo", "redo"]

#: Raised whenever an older program would misread the file.
SCHEMA = 1
#: No record is larger; a length beyond it is damage.
MOST_BYTES = 2**30
_MOST_HEADER_BYTES = 2**20
_CHUNK = 2**20
_START = struct.Struct("<14sH")
#: Mark, kind, number, length of the payload, its CRC-32, and the CRC-32 of what stands before that.
_FIELDS = struct.Struct("<4sIIQI")
_CHECK = struct.Struct("<I")
_MARK = b"\nRj\x00"
_HEAD_BYTES = _FIELDS.size + _CHECK.size
_KINDS = ("header", "step", "undo", "redo", "finish")


@dataclass(frozen=True)
class Record:
    """What was appended at once.

    Parameters
    ----------
    kind : str
        ``"step"``, ``"undo"`` or ``"redo"``.
    payload : bytes
        As it was given.
    """

    kind: RecordKind
    payload: bytes


@dataclass(frozen=True)
class Place:
    """Where a record's payload lies in the file.

    Parameters
    ----------
    kind : str
        One of the record kinds, ``"header"`` or ``"finish"``.
    start, size : int
        Bytes.
    checksum : int
        CRC-32 of the payload.
    """

    kind: str
    start: int
    size: int
    checksum: int


@dataclass
class Steps:
    """How many steps there are, while records are followed one by one.

    Attributes
    ----------
    done, undone : int
        Steps that hold, and steps that a redo would bring back.
    has_waste : bool
        Whether some record is no longer needed to tell both.
    """

    done: int = 0
    undone: int = 0
    has_waste: bool = field(default=False)

    def follow(self, kind: str) -> bool:
        """Take one more record; return False, and take nothing, where it cannot follow those before."""
        if kind == "step":
            self.has_waste |= self.undone > 0
            self.done, self.undone = self.done + 1, 0
        elif kind == "undo":
            if not self.done:
                return False
            self.done, self.undone = self.done - 1, self.undone + 1
        elif kind == "redo":
            if not self.undone:
                return False
            self.has_waste = True
            self.done, self.undone = self.done + 1, self.undone - 1
        return True


@dataclass(frozen=True)
class Survey:
    """What of a file is sound.

    Parameters
    ----------
    header : mapping
        What the session was made with.
    end : int
        Bytes from the beginning of the file that are sound.
    size : int
        Bytes of the file.
    records : int
        Sound records, the header among them.
    steps : Steps
        Of the sound records.
    is_finished : bool
        Whether the last of them says that the session was finished.
    is_damaged : bool
        Whether what follows is more than the beginning of a record that was not written to its end.
    """

    header: Mapping[str, Any]
    end: int
    size: int
    records: int
    steps: Steps
    is_finished: bool
    is_damaged: bool


def encode_start(header: Mapping[str, Any]) -> bytes:
    """Return the first bytes of a journal.

    Raises
    ------
    JournalError
        If JSON cannot hold the header, or it is larger than 1 MiB.
    """
    try:
        payload = json.dumps(dict(header), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise JournalError(f"The header of a session must be valid JSON: {error}.") from error
    if len(payload) > _MOST_HEADER_BYTES:
        raise JournalError(
            f"The header of a session has {len(payload)} bytes; at most {_MOST_HEADER_BYTES} are allowed."
        )
    return _START.pack(JOURNAL_START, SCHEMA) + encode("header", payload, 0)


def encode(kind: str, payload: bytes, number: int) -> bytes:
    """Return a record as it stands in the file; `number` counts from the header, which is 0.

    Raises
    ------
    JournalError
        If the payload is larger than `MOST_BYTES`.
    """
    if len(payload) > MOST_BYTES:
        raise JournalError(f"A step of {len(payload)} bytes is too large to save; at most {MOST_BYTES} are allowed.")
    fields = _FIELDS.pack(_MARK, _KINDS.index(kind), number, len(payload), zlib.crc32(payload))
    return b"".join((fields, _CHECK.pack(zlib.crc32(fields)), payload))


def is_begun(file: BinaryIO) -> bool:
    """Return False where a file ends within its header: it was being made when its program ended."""
    size = _size(file)
    file.seek(0)
    if not JOURNAL_START.startswith(file.read(len(JOURNAL_START))):
        return True  # something else
    if size < _START.size + _HEAD_BYTES:
        return False
    place = _read_place(file, _START.size, _START.size + _HEAD_BYTES + _MOST_HEADER_BYTES, 0)
    return place is None or place.start + place.size <= size


def survey(file: BinaryIO, name: str) -> Survey:
    """Read a file to its end or to the first record that is not sound, whichever comes first.

    Memory does not grow with the file, nor with what it claims of itself.

    Raises
    ------
    JournalError
        If it is no journal, was written by a newer version, or its header is damaged.
    """
    header, place = _read_header(file, name)
    steps = Steps()
    is_finished = False
    records, end = 1, place.start + place.size
    for place in places(file):
        if not _is_sound(file, place) or not steps.follow(place.kind):
            break
        is_finished = place.kind == "finish"
        records, end = records + 1, place.start + place.size
    size = _size(file)
    return Survey(header, end, size, records, steps, is_finished, _is_damaged(file, end, size, records))


def places(file: BinaryIO, end: int | None = None) -> Iterator[Place]:
    """Yield where the records after the header lie, up to `end` or the first whose frame is not sound."""
    size = _size(file) if end is None else end
    number, start = 0, _START.size
    while (place := _read_place(file, start, size, number)) is not None:
        if number:
            yield place
        number, start = number + 1, place.start + place.size


def read_payload(file: BinaryIO, place: Place, name: str) -> bytes:
    """Return the payload that lies at `place`.

    Raises
    ------
    JournalError
        If it is not what it was.
    """
    file.seek(place.start)
    payload = file.read(place.size)
    if len(payload) != place.size or zlib.crc32(payload) != place.checksum:
        raise JournalError(f"{name}: the file changed while it was being read; open the session again.")
    return payload


def _read_header(file: BinaryIO, name: str) -> tuple[dict[str, Any], Place]:
    file.seek(0)
    start = file.read(_START.size)
    if len(start) < _START.size or not start.startswith(JOURNAL_START):
        raise JournalError(f"{name}: the beginning of this session is damaged; it cannot be read.")
    schema = _START.unpack(start)[1]
    if schema != SCHEMA:
        raise JournalError(
            f"{name}: this session has format {schema}, but this version of napari-radcnn reads format {SCHEMA}; "
            "open it with the version that wrote it, or a newer one."
        )
    place = _read_place(file, _START.size, _size(file), 0)
    if place is None or place.size > _MOST_HEADER_BYTES or not _is_sound(file, place):
        raise JournalError(f"{name}: the description of the scan in this session is damaged; it cannot be read.")
    try:
        header = json.loads(read_payload(file, place, name))
    except (ValueError, RecursionError) as error:
        raise JournalError(
            f"{name}: the description of the scan in this session is damaged; it cannot be read."
        ) from error
    if not isinstance(header, dict):
        raise JournalError(f"{name}: the description of the scan in this session is damaged; it cannot be read.")
    check_schema(header.get("schema"), SESSION, name, JournalError)
    return header, place


def _is_damaged(file: BinaryIO, start: int, end: int, number: int) -> bool:
    """Return whether the bytes from `start` on are something else than the beginning of one record."""
    if end - start < _HEAD_BYTES:
        return False
    place = _read_place(file, start, start + _HEAD_BYTES + MOST_BYTES, number)
    return place is None or place.start + place.size <= end


def _read_place(file: BinaryIO, start: int, end: int, number: int) -> Place | None:
    """Return the record that begins at `start`; None where none does, or it would not end before `end`."""
    file.seek(start)
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or _CHECK.unpack(head[_FIELDS.size :])[0] != zlib.crc32(head[: _FIELDS.size]):
        return None
    mark, kind, stored, size, checksum = _FIELDS.unpack(head[: _FIELDS.size])
    start += _HEAD_BYTES
    if mark != _MARK or kind >= len(_KINDS) or stored != number or size > min(MOST_BYTES, end - start):
        return None
    if (kind == 0) != (number == 0):
        return None
    return Place(_KINDS[kind], start, size, checksum)


def _is_sound(file: BinaryIO, place: Place) -> bool:
    """Return whether the payload is what was written; it is looked at piece by piece."""
    file.seek(place.start)
    left, checksum = place.size, 0
    while left:
        piece = file.read(min(left, _CHUNK))
        if not piece:
            return False
        checksum = zlib.crc32(piece, checksum)
        left -= len(piece)
    return checksum == place.checksum


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)
