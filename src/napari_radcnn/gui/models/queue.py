"""Runs that wait for the one under way: seen, taken out one by one, emptied."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.models.run import ModelRun

#: Rows that are seen without scrolling.
_ROWS = 4


@dataclass(frozen=True, eq=False)
class WaitingRun:
    """A run that waits.

    Attributes
    ----------
    title : str
        The model and the scan.
    scans : tuple of Hashable
        Identities of the layers it runs on.
    run : ModelRun
        What it is.
    begin : callable
        Starts it.
    """

    title: str
    scans: tuple[Hashable | None, ...]
    run: ModelRun
    begin: Callable[[], object]


class _List(QListWidget):
    removed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Take out what is selected by the keys that delete."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit()
        else:
            super().keyPressEvent(event)


class RunQueue(QWidget):
    """Lists runs that wait, first come first served; hidden while there is none."""

    #: Others wait.
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[WaitingRun] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.label = QLabel()
        self.label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        layout.addWidget(self.label)
        self.list = _List()
        self.list.setToolTip("These runs wait for the current one; Delete removes one")
        self.list.setMaximumHeight(_ROWS * self.fontMetrics().lineSpacing() + 12)
        layout.addWidget(self.list)
        buttons = QHBoxLayout()
        self.remove_button, self.empty_button = QPushButton("Remove"), QPushButton("Empty")
        self.remove_button.setToolTip("Remove the selected run from the queue")
        self.empty_button.setToolTip("Remove all runs from the queue; the current run continues")
        buttons.addWidget(self.remove_button)
        buttons.addWidget(self.empty_button)
        layout.addLayout(buttons)
        self.list.removed.connect(self.remove_selected)
        self.list.itemSelectionChanged.connect(self._update)
        self.remove_button.clicked.connect(self.remove_selected)
        self.empty_button.clicked.connect(self.empty)
        self._show()

    @property
    def waiting(self) -> list[WaitingRun]:
        """What waits, the next first."""
        return list(self._waiting)

    def add(self, run: WaitingRun) -> None:
        """Let a run wait."""
        self._waiting.append(run)
        self._show()

    def take(self) -> WaitingRun | None:
        """Return the next run, which waits no more."""
        taken = self._waiting.pop(0) if self._waiting else None
        self._show()
        return taken

    def remove_selected(self) -> None:
        """Take out the selected run."""
        row = self.list.currentRow()
        if 0 <= row < len(self._waiting):
            del self._waiting[row]
            self._show()

    def drop(self, scan: Hashable | None) -> None:
        """Take out the runs on a scan that was closed."""
        self._waiting = [run for run in self._waiting if scan not in run.scans]
        self._show()

    def empty(self) -> None:
        """Take out all runs."""
        self._waiting.clear()
        self._show()

    def _show(self) -> None:
        self.list.clear()
        for run in self._waiting:
            item = QListWidgetItem(run.title)
            item.setToolTip(run.title)
            self.list.addItem(item)
        self.label.setText(f"Waiting: {len(self._waiting)}")
        self.setVisible(bool(self._waiting))
        self._update()
        self.changed.emit()

    def _update(self) -> None:
        self.remove_button.setEnabled(self.list.currentRow() >= 0 and bool(self.list.selectedItems()))
