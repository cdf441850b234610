"""Ctrl+Z and Ctrl+Shift+Z of the page of measurements, while it is shown and has something to take back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_radcnn.gui.measure.undo import UndoList, last_of, next_of

_UNDO, _REDO = "Ctrl+Z", "Ctrl+Shift+Z"


class UndoKeys(QObject):
    """Keys that take back the last step of several lists, in the order in which they were done.

    An action that is not enabled leaves its key to whoever has it otherwise: napari's layers, a session.

    Parameters
    ----------
    page : QWidget
        Whose window listens, while the page is seen.
    lists : callable
        Returns the lists of steps that count now.
    undo, redo : callable
        Called with the list whose step is to be taken back, or done again.
    """

    def __init__(
        self,
        page: QWidget,
        lists: Callable[[], Sequence[UndoList]],
        undo: Callable[[UndoList], object],
        redo: Callable[[UndoList], object],
    ) -> None:
        super().__init__(page)
        self._page, self._lists = page, lists
        self._undo, self._redo = QAction(page), QAction(page)
        for action, key, find, do in ((self._undo, _UNDO, last_of, undo), (self._redo, _REDO, next_of, redo)):
            action.setShortcut(QKeySequence(key))
            action.setEnabled(False)
            action.triggered.connect(lambda _on, find=find, do=do: self._do(find, do))

    def update(self) -> None:
        """Take the keys, or leave them to others."""
        is_seen, lists = self._page.isVisible(), self._lists()
        self._undo.setEnabled(is_seen and last_of(lists) is not None)
        self._redo.setEnabled(is_seen and next_of(lists) is not None)

    def listen(self) -> None:
        """Listen in the main window that the page is in now."""
        window: Any = self._page
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        if window is None:
            return
        for action in (self._undo, self._redo):
            if action not in window.actions():
                window.addAction(action)

    def _do(self, find: Callable[[Sequence[UndoList]], UndoList | None], do: Callable[[UndoList], object]) -> None:
        found = find(self._lists())
        if found is not None:
            do(found)
        self.update()
