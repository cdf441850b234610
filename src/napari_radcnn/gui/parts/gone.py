"""What is to be put back when a widget is gone, whoever takes it away."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QWidget


class _PutBack:
    """Waits for the end of a widget.

    Python's collector takes a dock together with all that only the dock refers to, and empties it in any order: a slot
    that is called then may find its own arguments gone, such as napari's proxy of the viewer. What waits here is
    referred to from outside until Qt has destroyed the widget.
    """

    def __init__(self, put_back: Callable[[], object]) -> None:
        self._put_back = put_back
        _WAITING.add(self)

    def run(self, *_: object) -> None:
        _WAITING.discard(self)
        self._put_back()


_WAITING: set[_PutBack] = set()


def when_gone(widget: QWidget, put_back: Callable[[], object]) -> None:
    """Call `put_back` once, as soon as Qt destroys `widget`.

    Parameters
    ----------
    widget : QWidget
        Closed with its window, or taken out of it and left to Python.
    put_back : callable
        Must not refer to `widget`, which it would keep alive.
    """
    widget.destroyed.connect(_PutBack(put_back).run)
