"""Plays the time points of a layer one after the other, by the clock: a slow computer leaves some out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer, Signal

#: Frames per second that can be chosen, and the one at first.
SLOWEST, FASTEST, USUAL = 0.5, 60.0, 10.0
#: So many steps tell how fast it plays.
_MEASURED = 12


class Cine(QObject):
    """A clock that says which time point is to be shown.

    Parameters
    ----------
    parent : QObject
        With which it ends.
    show : callable
        Called with how many time points to go on; returns whether there is anything to play.
    """

    #: It plays, or not any more.
    changed = Signal(bool)

    def __init__(self, parent: QObject, show: Callable[[int], bool]) -> None:
        super().__init__(parent)
        self._show = show
        self._speed = USUAL
        self._done = 0
        self._begun = 0.0
        self._steps: deque[float] = deque(maxlen=_MEASURED)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._on_tick)

    @property
    def is_playing(self) -> bool:
        """Whether it plays."""
        return self._timer.isActive()

    @property
    def speed(self) -> float:
        """Frames per second, as chosen."""
        return self._speed

    @property
    def reached(self) -> float | None:
        """Frames per second, as they are shown; None while too few were."""
        if len(self._steps) < _MEASURED or not self.is_playing:
            return None
        return (len(self._steps) - 1) / max(self._steps[-1] - self._steps[0], 1e-6)

    def set_speed(self, speed: float) -> None:
        """Play so many frames per second from now on."""
        self._speed = speed
        if self.is_playing:
            self._begin()

    def play(self, is_on: bool) -> None:
        """Begin or stop."""
        if is_on == self.is_playing:
            return
        if is_on:
            self._begin()
        else:
            self._timer.stop()
        self.changed.emit(is_on)

    def _begin(self) -> None:
        self._begun, self._done = time.perf_counter(), 0
        self._steps.clear()
        self._timer.start(max(1, round(1000 / self._speed / 2)))  # a tick in the middle of a frame comes too late

    def _on_tick(self) -> None:
        due = int((time.perf_counter() - self._begun) * self._speed)
        if due == self._done:
            return
        n, self._done = due - self._done, due
        self._steps.append(time.perf_counter())
        if not self._show(n):
            self.play(False)
