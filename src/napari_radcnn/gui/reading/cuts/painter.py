"""Pictures of planes painted on a thread of their own, so that the viewer answers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal

from napari_radcnn.errors import CancelledError

Picture = npt.NDArray[np.uint8]


@dataclass(eq=False)
class Order:
    """A picture that a view wants.

    Attributes
    ----------
    view : object
        Whose; a newer order of a view takes the place of one that has not begun.
    work : callable
        Paints it, on the thread; raises `CancelledError` when the event that it is given is set.
    done : callable
        Called in the viewer's thread with the picture and how long it took, s.
    is_urgent : bool
        Whether it goes before, and interrupts, those that are not: the view is moving.
    """

    view: object | None
    work: Callable[[Event], Picture] | None
    done: Callable[[Picture, float], None] | None
    is_urgent: bool
    cancel: Event = field(default_factory=Event)

    def drop(self) -> None:
        """Stop it, and let go of the view: the thread, and Qt, may hold the order for a moment longer."""
        self.cancel.set()
        self.view = self.work = self.done = None


class Painter(QObject):
    """Paints one picture after the other, the urgent ones first; there is no thread before the first."""

    #: A picture is painted; from the thread into the viewer's.
    _ended = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: list[Order] = []
        self._running: Order | None = None
        self._ended.connect(self._on_ended)

    def ask(self, order: Order) -> None:
        """Have a picture painted."""
        self._waiting = [each for each in self._waiting if each.view is not order.view]
        self._waiting.append(order)
        running = self._running
        if running is not None and order.is_urgent and not running.is_urgent:
            running.cancel.set()
        self._next()

    def has(self, view: object) -> bool:
        """Whether a picture of a view is still to come."""
        known = [*self._waiting, *([] if self._running is None else [self._running])]
        return any(order.view is view for order in known)

    def drop(self, view: object) -> None:
        """Let a view get no more pictures."""
        self._waiting = [order for order in self._waiting if order.view is not view]
        if self._running is not None and self._running.view is view:
            self._running.drop()

    def close(self) -> None:
        """Paint nothing more, and end the thread; a later order begins a new one."""
        self._waiting = []
        if self._running is not None:
            self._running.drop()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._running = None

    def _next(self) -> None:
        if self._running is not None or not self._waiting:
            return
        order = next((each for each in self._waiting if each.is_urgent), self._waiting[0])
        self._waiting.remove(order)
        self._running = order
        order.cancel.clear()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "radcnn-planes")
        self._pool.submit(_timed, order).add_done_callback(lambda future: self._ended.emit((order, future)))

    def _on_ended(self, outcome: tuple[Order, Future[tuple[Picture, float]]]) -> None:
        order, future = outcome
        if order is not self._running:  # from before `close`
            return
        self._running = None
        try:
            picture, seconds = future.result()
        except CancelledError:
            if order.view is not None and not self.has(order.view):
                self._waiting.append(order)  # it was interrupted, and is still wanted
        else:
            if order.done is not None:
                order.done(picture, seconds)
        finally:  # also where an error of ours goes on to napari
            self._next()


def _timed(order: Order) -> tuple[Picture, float]:
    start, work = time.perf_counter(), order.work
    if work is None:
        raise CancelledError("Painting")
    return work(order.cancel), time.perf_counter() - start
