"""Small journals, good and bad."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from napari_radcnn.interactive.journal import saved as journal_saved
from napari_radcnn.interactive.journal.journal import Journal, SavedSession, saved_sessions

HEADER = {"volume": "liver", "shape": [3, 4, 5]}


def begin(folder: Path, *payloads: bytes) -> Journal:
    journal = Journal.create(folder, HEADER)
    for payload in payloads or (b"first",):
        journal.append("step", payload)
    return journal


def file_of(journal: Journal) -> Path:
    return journal.path / journal_saved.JOURNAL_NAME


def plain(journal: Journal) -> list[tuple[str, bytes]]:
    return [(record.kind, record.payload) for record in journal.records()]


def played(records: list[tuple[str, bytes]]) -> tuple[list[bytes], list[bytes]]:
    """Follow the records as a session does: the steps that hold, and those that a redo brings back, next one last."""
    done: list[bytes] = []
    undone: list[bytes] = []
    for kind, payload in records:
        if kind == "step":
            done.append(payload)
            undone.clear()
        elif kind == "undo":
            undone.append(done.pop())
        else:
            done.append(undone.pop())
    return done, undone


def only(folder: Path) -> SavedSession:
    (session,) = saved_sessions(folder)
    return session


def put(folder: Path, data: bytes) -> Path:
    session = folder / "session-a"
    session.mkdir(parents=True, exist_ok=True)
    (session / journal_saved.JOURNAL_NAME).write_bytes(data)
    return session


def record_bytes(kind: int, number: int, payload: bytes, claimed: int | None = None) -> bytes:
    fields = struct.pack(
        "<4sIIQI", b"\nRj\x00", kind, number, len(payload) if claimed is None else claimed, zlib.crc32(payload)
    )
    return fields + struct.pack("<I", zlib.crc32(fields)) + payload


def start_bytes(payload: bytes, schema: int = 1) -> bytes:
    return struct.pack("<14sH", b"radcnn-session", schema) + record_bytes(0, 0, payload)
