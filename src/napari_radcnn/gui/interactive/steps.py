"""What the user asks of a session, one after another on one thread, in the order in which it was asked.

Everything that changes a session runs here, so that it needs no lock and the viewer never waits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait as wait_for
from dataclasses import dataclass
from threading import Event
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_radcnn.errors import CancelledError, RadcnnError
from napari_radcnn.progress import Progress

#: Shortest time between two progress signals, s.
_INTERVAL = 0.05


@dataclass(frozen=True, eq=False)
class Step:
    """One thing to be done.

    Attributes
    ----------
    title : str
        What the user reads while it is done.
    work : callable
        ``work(progress, cancel)``; runs on the thread and may raise `RadcnnError`.
    can_be_dropped : bool
        Whether Cancel takes it back while it waits or runs; else it always runs to its end.
    is_change : bool
        Whether undo takes it back, too, while it waits or runs.
    mark : object
        What is drawn of it until it is done.
    value : int
        The object it is about; 0 where that is not known yet.
    """

    title: str
    work: Callable[[Progress, Event], Any]
    can_be_dropped: bool = False
    is_change: bool = False
    mark: Any = None
    value: int = 0


class Steps(QObject):
    """A queue of steps and the thread that works on them."""

    #: A step was added, begun, dropped or ended.
    changed = Signal()
    progressed = Signal(int, int, str)
    #: The step and what its work returned.
    done = Signal(object, object)
    #: The step and one line: why it went wrong.
    failed = Signal(object, str)
    #: The step was taken back.
    dropped = Signal(object)
    #: The last thing was done, after `close`.
    closed = Signal()
    _ended = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Step] = deque()
        self._running: Step | None = None
        self._future: Future[Any] | None = None
        self._cancel = Event()
        self._last = 0.0
        self._is_closed = False
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="radcnn-interactive")
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    @property
    def unfinished(self) -> tuple[Step, ...]:
        """The step under way and those that wait, oldest first."""
        return (*(() if self._running is None else (self._running,)), *self._waiting)

    @property
    def is_cancelling(self) -> bool:
        """Whether the step under way has been asked to stop."""
        return self._running is not None and self._cancel.is_set()

    def add(self, step: Step) -> None:
        """Do a step after those that wait."""
        if self._is_closed:
            return
        self._waiting.append(step)
        if self._running is None:
            self._begin_next()
        else:
            self.changed.emit()

    def drop_last(self) -> bool:
        """Take back the newest step, if it is a change; return whether it was taken back, or is about to be."""
        if self._waiting:
            if not self._waiting[-1].is_change:
                return False
            step = self._waiting.pop()
            self.dropped.emit(step)
            self.changed.emit()
            return True
        if self._running is not None and self._running.is_change and not self._cancel.is_set():
            self._cancel.set()
            self.changed.emit()
            return True
        return False

    def cancel(self, value: int | None = None) -> None:
        """Take back every step that can be, the one under way too; with `value` only those about that object."""

        def is_meant(step: Step) -> bool:
            return step.can_be_dropped and value in (None, step.value)

        dropped = [step for step in self._waiting if is_meant(step)]
        self._waiting = deque(step for step in self._waiting if not is_meant(step))
        for step in dropped:
            self.dropped.emit(step)
        if self._running is not None and is_meant(self._running):
            self._cancel.set()
        self.changed.emit()

    def close(self, last: Callable[[], object], patience: float) -> bool:
        """Cancel, run `last` on the thread when what is under way has ended, and take nothing more.

        Returns
        -------
        bool
            Whether `last` ended within `patience` seconds; else it runs when the step under way comes back.
        """
        if self._is_closed:
            return True
        self.cancel()
        self._is_closed = True
        waiting = [step.work for step in self._waiting]
        self._waiting.clear()
        try:
            for work in waiting:
                self._pool.submit(work, _ignore, Event())
            future = self._pool.submit(last)
        except RuntimeError:  # Python is ending with the viewer open: no thread takes work any more
            for work in waiting:
                work(_ignore, Event())
            last()
            return True
        future.add_done_callback(lambda _future: self.closed.emit())
        self._pool.shutdown(wait=False)
        return bool(wait_for([future], patience).done)

    # -- one step --------------------------------------------------------------------------------------------------

    def _begin_next(self) -> None:
        if not self._waiting:
            self.changed.emit()
            return
        step = self._waiting.popleft()
        self._running, self._cancel = step, Event()
        cancel = self._cancel
        self._future = self._pool.submit(step.work, self._reporter(cancel), cancel)
        self._future.add_done_callback(self._ended.emit)
        self.changed.emit()

    def _reporter(self, cancel: Event) -> Progress:
        """Return what the thread reports its progress with."""

        def report(done: int, total: int, message: str) -> None:
            now = time.monotonic()
            if not cancel.is_set() and (now - self._last >= _INTERVAL or done >= total):
                self._last = now
                self.progressed.emit(done, total, message)

        return report

    def _on_ended(self, future: Future[Any]) -> None:
        """Take a result in the viewer's thread and go on."""
        step = self._running
        if step is None or future is not self._future:
            return
        self._running = self._future = None
        if self._is_closed:
            return
        error = future.exception()
        if error is None:
            self.done.emit(step, future.result())
        elif isinstance(error, CancelledError):
            self.dropped.emit(step)
        elif isinstance(error, RadcnnError):
            self.failed.emit(step, str(error))
        elif isinstance(error, MemoryError):
            self.failed.emit(step, "Not enough memory: close other programs, or crop the scan.")
        else:
            self.failed.emit(step, f"Unexpected error; please report it: {type(error).__name__}: {error}")
        if self._running is None:
            self._begin_next()


def _ignore(_done: int, _total: int, _message: str) -> None:
    """Report nothing."""
