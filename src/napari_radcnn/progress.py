"""Progress out, cancel in: the only two ways long work talks to whoever started it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from napari_radcnn.errors import CancelledError

#: Called as ``progress(done, total, message)`` in the thread that runs.
Progress = Callable[[int, int, str], object]


class CancelEvent(Protocol):
    """Anything with `is_set`, such as `threading.Event`."""

    def is_set(self) -> bool:
        """Return whether the user asked to stop."""
        ...


class Monitor:
    """Reports the steps of a run and stops it between two of them.

    Parameters
    ----------
    total : int
        Number of steps.
    progress : callable, optional
        See `Progress`.
    cancel : object, optional
        See `CancelEvent`.
    """

    def __init__(self, total: int, progress: Progress | None = None, cancel: CancelEvent | None = None) -> None:
        self.total = total
        self.done = 0
        self._progress = progress
        self._cancel = cancel

    def check(self) -> None:
        """Raise if the user asked to stop.

        Raises
        ------
        CancelledError
            If the cancel event is set.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise CancelledError

    def say(self, message: str) -> None:
        """Report what is being done now, without a step forward."""
        self.check()
        if self._progress is not None:
            self._progress(self.done, self.total, message)

    def step(self, message: str) -> None:
        """Report that one more step is done."""
        self.done = min(self.done + 1, self.total)
        self.say(message)


def checked_cancel(cancel: CancelEvent | None) -> None:
    """Raise `CancelledError` if the user asked to stop."""
    if cancel is not None and cancel.is_set():
        raise CancelledError("Reading")


def report(progress: Progress | None, done: int, total: int, message: str) -> None:
    """Call `progress` if there is one."""
    if progress is not None:
        progress(done, total, message)
