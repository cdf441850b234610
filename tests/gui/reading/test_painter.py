"""Pictures of planes come from a thread: the newest of a view, in order, and no thread is left."""

from __future__ import annotations

import threading
from threading import Event

import numpy as np
import pytest

from napari_radcnn.errors import CancelledError
from napari_radcnn.gui.reading.cuts.painter import Order, Painter

pytestmark = pytest.mark.gui


class View:
    """Wants pictures of one pixel, each with its own value, that may be held up."""

    def __init__(self):
        self.pictures, self.began, self.cancelled = [], [], []

    def order(self, value, *, is_urgent=True, gate=None):
        def work(cancel):
            self.began.append(value)
            while gate is not None and not gate.wait(0.001):
                if cancel.is_set():
                    self.cancelled.append(value)
                    raise CancelledError("Painting")
            return np.full((1, 1, 4), value, np.uint8)

        return Order(self, work, lambda picture, _seconds: self.pictures.append(int(picture[0, 0, 0])), is_urgent)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("radcnn-planes")]


@pytest.fixture
def painter(qapp):
    made = Painter()
    yield made
    made.close()


def test_of_what_a_view_asks_for_meanwhile_only_the_last_is_painted(painter, qtbot):
    view, gate = View(), Event()
    painter.ask(view.order(1, gate=gate))
    qtbot.waitUntil(lambda: view.began == [1])
    for value in (2, 3, 4):
        painter.ask(view.order(value))
    assert painter.has(view)
    gate.set()
    qtbot.waitUntil(lambda: not painter.has(view))
    assert view.pictures == [1, 4]
    assert view.began == [1, 4]


def test_a_view_that_moves_goes_before_one_that_rests_which_is_painted_later(painter, qtbot):
    resting, moving, gate = View(), View(), Event()
    painter.ask(resting.order(9, is_urgent=False, gate=gate))
    qtbot.waitUntil(lambda: resting.began == [9])
    painter.ask(moving.order(1))
    qtbot.waitUntil(lambda: moving.pictures == [1])
    assert (resting.cancelled, resting.pictures) == ([9], [])
    assert painter.has(resting)
    gate.set()
    qtbot.waitUntil(lambda: resting.pictures == [9])


def test_a_view_that_moves_on_has_no_picture_of_where_it_rested(painter, qtbot):
    view, gate = View(), Event()
    painter.ask(view.order(9, is_urgent=False, gate=gate))
    qtbot.waitUntil(lambda: view.began == [9])
    painter.ask(view.order(1))
    gate.set()  # too late for the one that was interrupted, or just in time: it may come first, and never after
    qtbot.waitUntil(lambda: not painter.has(view))
    assert view.pictures in ([1], [9, 1])


def test_a_view_that_is_hidden_gets_nothing_more(painter, qtbot):
    hidden, other, gate = View(), View(), Event()
    painter.ask(hidden.order(1, gate=gate))
    qtbot.waitUntil(lambda: hidden.began == [1])
    painter.ask(other.order(5))
    painter.drop(hidden)
    assert not painter.has(hidden)
    gate.set()
    qtbot.waitUntil(lambda: other.pictures == [5])
    assert hidden.pictures == []


def test_closing_ends_the_thread_and_what_it_paints(painter, qtbot):
    before = len(threads())
    view = View()
    painter.ask(view.order(1, gate=Event()))
    qtbot.waitUntil(lambda: view.began == [1])
    painter.ask(view.order(2))
    assert len(threads()) == before + 1
    painter.close()
    assert len(threads()) == before
    qtbot.wait(50)
    assert (view.pictures, view.cancelled) == ([], [1])
    painter.ask(view.order(3))  # and a later one begins anew
    qtbot.waitUntil(lambda: view.pictures == [3])


def test_a_defect_is_told_and_the_next_picture_comes(painter, qtbot):
    def broken(_cancel):
        raise ZeroDivisionError("no plane")

    view = View()
    with qtbot.captureExceptions() as told:
        painter.ask(Order(view, broken, lambda *_: view.pictures.append(0), True))
        qtbot.waitUntil(lambda: bool(told))
    assert told[0][0] is ZeroDivisionError
    painter.ask(view.order(7))
    qtbot.waitUntil(lambda: view.pictures == [7])
