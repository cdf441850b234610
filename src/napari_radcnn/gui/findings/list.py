"""Findings as rows: number, score, label, diameter, state."""

from __future__ import annotations

import math
from collections.abc import Iterable

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_radcnn.gui.findings.layer import STATE_COLORS
from napari_radcnn.results import Detection, FindingState

_COLUMNS = ("#", "Score", "Finding", "mm", "State")
_LABEL_COLUMN, _STATE_COLUMN = 2, 4


class FindingsList(QTreeWidget):
    """A row for each finding; A accepts, R rejects, Ctrl+Z takes back."""

    decided = Signal(str)
    undone = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setColumnCount(len(_COLUMNS))
        self.setHeaderLabels(list(_COLUMNS))
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setMinimumHeight(190)
        self.setIconSize(QSize(10, 10))
        header = self.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(20)
        for column in range(len(_COLUMNS)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_LABEL_COLUMN, QHeaderView.ResizeMode.Stretch)
        self.setToolTip("Up and Down go through the findings; A accepts, R rejects, Ctrl+Z undoes a decision")

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Decide on A and R, which Qt would take for the beginning of a name."""
        control = Qt.KeyboardModifier.ControlModifier
        states = {Qt.Key.Key_A: "accepted", Qt.Key.Key_R: "rejected"}
        if event.key() in states and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self.decided.emit(states[event.key()])
        elif event.key() == Qt.Key.Key_Z and event.modifiers() == control:
            self.undone.emit()
        else:
            super().keyPressEvent(event)

    @property
    def current(self) -> int | None:
        """The number of the chosen row; None while there is none, or it is hidden."""
        item = self.currentItem()
        return None if item is None or item.isHidden() else self.indexOfTopLevelItem(item)

    def add_rows(self, boxes: Iterable[Detection]) -> None:
        """Add a row for each finding."""
        for number, box in enumerate(boxes):
            self.addTopLevelItem(_row(number, box))

    def show_row(self, number: int, state: FindingState, is_shown: bool) -> None:
        """Show or hide a row, with the state of its finding."""
        item = self.topLevelItem(number)
        item.setHidden(not is_shown)
        item.setText(_STATE_COLUMN, state)
        item.setData(_STATE_COLUMN, Qt.ItemDataRole.DecorationRole, QColor(STATE_COLORS[state]))


def _row(number: int, box: Detection) -> QTreeWidgetItem:
    score = "" if math.isnan(box.score) else f"{box.score:.2f}"
    item = QTreeWidgetItem([str(number + 1), score, box.label, f"{box.diameter:.1f}", box.state])
    item.setToolTip(_LABEL_COLUMN, box.label)
    for column in (0, 1, 3):
        item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
