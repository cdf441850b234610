"""Results in numbers: volumes of labels in ml."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QApplication, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget


class ResultTable(QTreeWidget):
    """Two columns: what, and how much. Hidden while there is nothing to show."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setColumnCount(2)
        self.setHeaderLabels(["Result", "Value"])
        self.setRootIsDecorated(False)
        self.setMaximumHeight(220)
        self.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.setHorizontalScrollMode(QTreeWidget.ScrollMode.ScrollPerPixel)
        self.hide()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Copy the selected rows, else all, for a spreadsheet."""
        clipboard = QApplication.clipboard()
        if not event.matches(QKeySequence.StandardKey.Copy) or clipboard is None:
            super().keyPressEvent(event)
            return
        rows = [self.topLevelItem(n) for n in range(self.topLevelItemCount())]
        chosen = [row for row in rows if row.isSelected()] or rows
        clipboard.setText("".join(f"{row.text(0)}\t{row.text(1)}\n" for row in chosen))

    def show_rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Replace what is shown."""
        self.clear()
        for row in rows:
            item = QTreeWidgetItem(list(row))
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.addTopLevelItem(item)
        self.setVisible(bool(rows))
