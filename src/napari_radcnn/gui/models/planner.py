"""What a run will cost, found out beside the viewer: the newest question is the one that is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.parts.job import Job

#: Edits that follow each other faster than this lead to one new plan, ms.
_SETTLE_MS = 80
#: Work of this length is told of, ms; a shorter one would only flicker.
_SLOW_MS = 300


class Planner(QObject):
    """Answers one question at a time on a thread, and drops answers to questions that are no longer asked.

    Parameters
    ----------
    widget : QWidget
        Whose questions these are.
    ask : callable
        Called in the viewer's thread when edits have settled; is to call `start`.
    """

    #: What the work returned.
    answered = Signal(object)
    #: One line: why there is no answer.
    failed = Signal(str)
    #: It takes longer than one would wait for unknowingly.
    is_slow = Signal()

    def __init__(self, widget: QWidget, ask: Callable[[], None]) -> None:
        super().__init__(widget)
        self._widget = widget
        self._job: Job | None = None
        self._next: Callable[[], Any] | None = None
        self._settle = _timer(self, _SETTLE_MS, ask)
        self._slow = _timer(self, _SLOW_MS, self.is_slow)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._settle.isActive() or self._job is not None

    def settle(self) -> None:
        """Ask anew when no further edit follows."""
        self._settle.start()

    def start(self, work: Callable[[], Any]) -> None:
        """Find out what `work` returns; it may raise `RadcnnError`."""
        self._settle.stop()
        if self._job is not None:
            self._next = work
            self._job.cancel()
            return
        self._job = Job(self._widget, "Plan", lambda _progress, _cancel: work(), is_silent=True)
        self._job.succeeded.connect(self.answered)
        self._job.failed.connect(self.failed)
        self._job.ended.connect(self._on_ended)
        self._slow.start()
        self._job.start()

    def drop(self) -> None:
        """Want no answer any more."""
        self._settle.stop()
        self._next = None
        if self._job is not None:
            self._job.cancel()

    def _on_ended(self) -> None:
        self._job = None
        self._slow.stop()
        if self._next is not None:
            work, self._next = self._next, None
            self.start(work)


def _timer(parent: QObject, interval: int, then: Any) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(interval)
    timer.timeout.connect(then)
    return timer
