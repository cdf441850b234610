"""Long work beside the viewer: on a thread, with progress, Cancel, and an end that always comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject, QThreadPool, QTimer, Signal
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_radcnn.errors import CancelledError, RadcnnError
from napari_radcnn.progress import Progress

Work = Callable[[Progress, Event], Any]
#: Shortest time between two progress signals, s. Each has the window drawn, which takes processors from the work.
_INTERVAL = 0.2
#: Work that is done within this many ms shows no moving bar, which would have the window drawn all the time.
SHORT_MS = 500


class _Errand:
    """What runs on the thread, and lets go of the work when it is done.

    napari keeps every worker, and what it was made of, until the program ends (`napari.utils.task_status`): it would
    keep the scans of all work that was ever done.

    Parameters
    ----------
    title : str
        How napari names it to a user who closes the viewer meanwhile.
    work : callable
        See `Job`.
    report : callable
        Called with progress.
    cancel : Event
        Set to stop it.
    """

    def __init__(self, title: str, work: Work, report: Progress, cancel: Event) -> None:
        self._title = title
        self._parts = [(work, report, cancel)]

    def __repr__(self) -> str:
        return self._title

    def __call__(self) -> tuple[Literal["done", "failed", "cancelled"], Any]:
        work, report, cancel = self._parts.pop()
        try:
            result = work(report, cancel)
        except CancelledError:
            return "cancelled", None
        except RadcnnError as error:
            return "failed", str(error)
        except MemoryError:
            return "failed", "Not enough memory: close other programs, or crop the scan."
        return ("cancelled", None) if cancel.is_set() else ("done", result)


class Job(QObject):
    """One piece of work on a thread of its own.

    Parameters
    ----------
    widget : QWidget
        Whose work it is; the work is cancelled when the widget's window is closed.
    title : str
        For the activity dock.
    work : callable
        ``work(progress, cancel)``; runs on the thread and may raise `RadcnnError`.
    is_silent : bool
        Whether it is left out of the activity dock, and goes on when the window is closed: for work of a moment that
        changes nothing.
    """

    progressed = Signal(int, int, str)
    #: What the work returned.
    succeeded = Signal(object)
    #: One line: why it went wrong.
    failed = Signal(str)
    cancelled = Signal()
    #: After any of the three above.
    ended = Signal()

    def __init__(self, widget: QWidget, title: str, work: Work, *, is_silent: bool = False) -> None:
        # No Qt parent: the thread still calls this object when the widget and its window are gone.
        super().__init__()
        self._title = title
        self._work = work
        self._is_silent = is_silent
        self._cancel = Event()
        self._last = 0.0
        self._bar: Any = None
        self._bar_timer = QTimer(self)  # ends with the work: one that Qt holds would keep all that is connected
        self._bar_timer.setSingleShot(True)
        self._bar_timer.timeout.connect(self._show_bar)
        self._is_showing = False
        self.is_running = False
        #: Whether napari has shown why it failed, with a traceback: a defect.
        self.is_told = False
        # Silent work is short, and nothing of it is missed when its window is closed.
        self._window = None if is_silent else _main_window(widget)
        if self._window is not None:
            self._window.installEventFilter(self)
        application = QApplication.instance()
        if application is not None and not _WAITS:
            _WAITS.append(True)
            application.aboutToQuit.connect(_end_all)

    def start(self) -> None:
        """Begin on a thread."""
        from napari.qt.threading import create_worker

        self.is_running = True
        _RUNNING.add(self)
        if not self._is_silent:
            self._bar_timer.start(SHORT_MS)
        self.progressed.connect(self._show_progress)
        errand = _Errand(self._title, self._work, self._report, self._cancel)
        del self._work
        worker = create_worker(errand, _start_thread=False)
        worker.returned.connect(self._on_returned)
        worker.errored.connect(self._on_errored)
        worker.start()

    def cancel(self) -> None:
        """Ask the work to stop; `cancelled` comes when it has."""
        self._cancel.set()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Notice that the viewer is being closed."""
        if event.type() == QEvent.Type.Close:  # napari may still ask the user, who may then keep it open
            QTimer.singleShot(0, self._cancel_if_closed)
        return super().eventFilter(watched, event)

    def _cancel_if_closed(self) -> None:
        if self._window is not None and not self._window.isVisible():
            self._cancel.set()
            self._finish()  # the end of the work finds no widget any more

    def _report(self, done: int, total: int, message: str) -> None:
        """Tell of progress; called on the thread."""
        now = time.monotonic()
        if (now - self._last >= _INTERVAL or done >= total) and not self._cancel.is_set():
            self._last = now
            self.progressed.emit(done, total, message)

    # -- in the viewer's thread ------------------------------------------------------------------------------------

    def _show_bar(self) -> None:
        from napari.utils import progress

        if self.is_running:
            self._bar = progress(total=0, desc=self._title)

    def _show_progress(self, done: int, total: int, message: str) -> None:
        bar = self._bar
        if bar is None or self._is_showing:
            return
        self._is_showing = True  # napari's bar processes events, and the next progress is among them: no pile of calls
        bar.total = total
        bar.set_description(f"{self._title}: {message}" if message else self._title)
        if self._bar is not None:  # the end of the job may be among them, too
            bar.update(done - bar.n)
        self._is_showing = False

    def _on_returned(self, outcome: tuple[str, Any]) -> None:
        kind, value = outcome
        self._finish()
        _RUNNING.discard(self)
        if kind == "cancelled" or self._cancel.is_set():
            self.cancelled.emit()
        elif kind == "failed":
            self.failed.emit(value)
        else:
            self.succeeded.emit(value)
        self.ended.emit()

    def _on_errored(self, error: Exception) -> None:
        """Tell of a defect of ours; napari shows the traceback on demand."""
        self.is_told = True
        self._finish()
        _RUNNING.discard(self)
        self.failed.emit(f"Unexpected error; please report it: {type(error).__name__}: {error}")
        self.ended.emit()

    def _finish(self) -> None:
        self.is_running = False
        self._bar_timer.stop()
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None


#: Jobs whose thread has not come back; kept alive until it has.
_RUNNING: set[Job] = set()
#: Whether the end of the program waits for them.
_WAITS: list[bool] = []
#: How long at most, s.
_PATIENCE = 5.0


def _end_all() -> None:
    """Cancel what runs, and wait for it: a thread that outlives Qt aborts the program.

    A worker of napari's begins a moment after it was started, by a timer: events are processed meanwhile.
    """
    end = time.monotonic() + _PATIENCE
    while _RUNNING and time.monotonic() < end:
        for job in list(_RUNNING):
            job.cancel()
        QApplication.processEvents()
        QThreadPool.globalInstance().waitForDone(20)


def _main_window(widget: QWidget) -> QMainWindow | None:
    """Return the main window that the widget is docked in, also where its dock floats."""
    current: Any = widget
    while current is not None and not isinstance(current, QMainWindow):
        current = current.parentWidget()
    return current
