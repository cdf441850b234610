"""What was done, with the way back and forth; several lists of steps know together which step came last."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

#: Tells which of the steps of several lists was done, or taken back, last.
_CLOCK = count(1)


@dataclass(frozen=True)
class UndoStep:
    """A change that was made.

    Attributes
    ----------
    name : str
        What it is called on a button, such as ``"Hide"``.
    undo, redo : callable
        The way back, and forth again.
    are_voxels : bool
        Whether it changed voxels of labels.
    """

    name: str
    undo: Callable[[], object]
    redo: Callable[[], object]
    are_voxels: bool = False


class UndoList:
    """The steps of one thing: done ones are taken back in turn, and done again until something else is done."""

    def __init__(self) -> None:
        self._done: list[tuple[int, UndoStep]] = []
        self._undone: list[tuple[int, UndoStep]] = []
        #: When a step was added last, on a clock that all lists share; done again does not count.
        self.added_at = 0

    @property
    def last(self) -> UndoStep | None:
        """What `undo` takes back."""
        return self._done[-1][1] if self._done else None

    @property
    def next(self) -> UndoStep | None:
        """What `redo` does again."""
        return self._undone[-1][1] if self._undone else None

    @property
    def done_at(self) -> int:
        """When the last step was done, or done again; 0 without one."""
        return self._done[-1][0] if self._done else 0

    @property
    def undone_at(self) -> int:
        """When the last step was taken back; 0 without one."""
        return self._undone[-1][0] if self._undone else 0

    def add(self, step: UndoStep) -> None:
        """Keep a step that was just done; what was taken back before cannot be done again."""
        self.added_at = next(_CLOCK)
        self._done.append((self.added_at, step))
        self._undone.clear()

    def undo(self) -> UndoStep | None:
        """Take the last step back, and return it."""
        if not self._done:
            return None
        _, step = self._done.pop()
        self._undone.append((next(_CLOCK), step))
        step.undo()
        return step

    def redo(self) -> UndoStep | None:
        """Do the step again that was taken back last, and return it."""
        if not self._undone:
            return None
        _, step = self._undone.pop()
        self._done.append((next(_CLOCK), step))
        step.redo()
        return step


def last_of(lists: Iterable[UndoList]) -> UndoList | None:
    """Return the list whose last step came last; None where nothing was done."""
    found = max(lists, key=lambda one: one.done_at, default=None)
    return found if found is not None and found.last is not None else None


def next_of(lists: Iterable[UndoList]) -> UndoList | None:
    """Return the list whose step was taken back last; None where there is none, or something new was done since."""
    lists = list(lists)
    found = max(lists, key=lambda one: one.undone_at, default=None)
    if found is None or found.next is None or any(one.added_at > found.undone_at for one in lists):
        return None
    return found
