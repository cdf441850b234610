"""The steps of a session: what each changed, kept as the bytes that the journal holds too."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_radcnn.errors import OptionError, SessionError
from napari_radcnn.interactive.difference import Difference
from napari_radcnn.interactive.prompts import Prompt

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class SegmentedObject:
    """One thing that is being segmented.

    Attributes
    ----------
    value : int
        Its number in the label map, 1 to 65535.
    name : str
        As the user reads it; no two objects of a session have the same.
    color : tuple of float
        Red, green, blue in 0..1.
    is_locked : bool
        Whether no step may change its voxels.
    """

    value: int
    name: str
    color: tuple[float, float, float]
    is_locked: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the object as JSON types."""
        return {"value": self.value, "name": self.name, "color": list(self.color), "is_locked": self.is_locked}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> SegmentedObject:
        """Return the object that `to_dict` wrote."""
        red, green, blue = (float(part) for part in plain["color"])
        return cls(int(plain["value"]), str(plain["name"]), (red, green, blue), bool(plain["is_locked"]))


@dataclass(frozen=True)
class ObjectEdit:
    """What a step changed of one object besides its voxels.

    Attributes
    ----------
    before, after : SegmentedObject or None
        None where the step began or removed it.
    kept : int
        How many of its prompts, from the first, stayed.
    removed, added : tuple of Prompt
        Those after them, before and after the step.
    """

    before: SegmentedObject | None
    after: SegmentedObject | None
    kept: int = 0
    removed: tuple[Prompt, ...] = ()
    added: tuple[Prompt, ...] = ()

    @property
    def value(self) -> int:
        """The object's."""
        there = self.after or self.before
        return 0 if there is None else there.value

    def reversed(self) -> ObjectEdit:
        """Return the edit that takes this one back."""
        return ObjectEdit(self.after, self.before, self.kept, self.added, self.removed)

    def to_dict(self) -> dict[str, Any]:
        """Return the edit as JSON types."""
        return {
            "before": None if self.before is None else self.before.to_dict(),
            "after": None if self.after is None else self.after.to_dict(),
            "kept": self.kept,
            "removed": [prompt.to_dict() for prompt in self.removed],
            "added": [prompt.to_dict() for prompt in self.added],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ObjectEdit:
        """Return the edit that `to_dict` wrote."""
        before, after = plain["before"], plain["after"]
        if before is None and after is None:
            raise ValueError("an edit without an object")
        return cls(
            None if before is None else SegmentedObject.from_dict(before),
            None if after is None else SegmentedObject.from_dict(after),
            int(plain["kept"]),
            tuple(Prompt.from_dict(prompt) for prompt in plain["removed"]),
            tuple(Prompt.from_dict(prompt) for prompt in plain["added"]),
        )


@dataclass(frozen=True, eq=False)
class Step:
    """One step of the user.

    Attributes
    ----------
    title : str
        As it stands in the history: ``"Point in tumor"``.
    record : mapping
        How to do it again, as in a script of `radcnn interact`; JSON types.
    edits : tuple of ObjectEdit
        What became of objects and prompts.
    active : tuple of int
        The active object before and after, of steps that begin or remove one; empty for others.
    difference : Difference or None
        What became of the voxels.
    time : str
        When it was done, UTC, ISO 8601.
    engine : str
        What answered a prompt; empty for other steps.
    """

    title: str
    record: Mapping[str, Any]
    edits: tuple[ObjectEdit, ...] = ()
    active: tuple[int, int] | tuple[()] = ()
    difference: Difference | None = None
    time: str = ""
    engine: str = ""

    def encode(self) -> bytes:
        """Return the step as bytes: the length of a JSON text, the text, the packed voxels."""
        plain = {
            "title": self.title,
            "record": dict(self.record),
            "edits": [edit.to_dict() for edit in self.edits],
            "active": list(self.active),
            "difference": None if self.difference is None else self.difference.to_dict(),
            "time": self.time,
            "engine": self.engine,
        }
        text = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
        return b"".join((_LENGTH.pack(len(text)), text, b"" if self.difference is None else self.difference.packed))

    @classmethod
    def decode(cls, payload: bytes) -> Step:
        """Return the step that `encode` wrote.

        Raises
        ------
        SessionError
            If the bytes are no step.
        """
        try:
            plain, rest = _text(payload)
            told, active = plain["difference"], tuple(int(value) for value in plain["active"])
            if len(active) not in (0, 2):
                raise ValueError(f"active objects {active}")
            return cls(
                str(plain["title"]),
                plain["record"],
                tuple(ObjectEdit.from_dict(edit) for edit in plain["edits"]),
                active,  # type: ignore[arg-type]
                None if told is None else Difference.from_dict(told, rest),
                str(plain["time"]),
                str(plain["engine"]),
            )
        except (
            *(KeyError, TypeError, ValueError, AttributeError, struct.error, OptionError),
            *(RecursionError, OverflowError),  # of JSON that nobody wrote by accident
        ) as error:
            raise SessionError(f"A step of this session is damaged or from another version: {error!r}.") from error


def _text(payload: bytes) -> tuple[dict[str, Any], memoryview]:
    (length,) = _LENGTH.unpack_from(payload)
    end = _LENGTH.size + length
    return json.loads(payload[_LENGTH.size : end]), memoryview(payload)[end:]


@dataclass
class History:
    """All steps that hold and those that redo would bring back; as long as memory lasts, which is long.

    A step is kept as its bytes alone, so that `n_bytes` is what the history costs.
    """

    _done: list[tuple[str, bytes]] = field(default_factory=list)
    _undone: list[tuple[str, bytes]] = field(default_factory=list)
    n_bytes: int = 0

    @property
    def titles(self) -> tuple[str, ...]:
        """Of the steps that hold, oldest first."""
        return tuple(title for title, _ in self._done)

    @property
    def undo_title(self) -> str:
        """What undo would take back; empty for nothing."""
        return self._done[-1][0] if self._done else ""

    @property
    def redo_title(self) -> str:
        """What redo would bring back; empty for nothing."""
        return self._undone[-1][0] if self._undone else ""

    def push(self, title: str, payload: bytes) -> None:
        """Add a step; what was undone can no longer be brought back."""
        self.n_bytes += len(payload) - sum(len(gone) for _, gone in self._undone)
        self._undone.clear()
        self._done.append((title, payload))

    def last(self) -> Step | None:
        """Return the step that undo would take back."""
        return Step.decode(self._done[-1][1]) if self._done else None

    def next(self) -> Step | None:
        """Return the step that redo would bring back."""
        return Step.decode(self._undone[-1][1]) if self._undone else None

    def undo(self) -> None:
        """Count the last step as undone."""
        self._undone.append(self._done.pop())

    def redo(self) -> None:
        """Count the last step that was undone as done."""
        self._done.append(self._undone.pop())

    def records(self) -> Iterator[tuple[Mapping[str, Any], str, str]]:
        """Yield record, engine and time of the steps that hold, oldest first."""
        for _, payload in list(self._done):
            plain, _ = _text(payload)
            yield plain["record"], plain["engine"], plain["time"]
