"""The risk of an event as a card: the number, its group, and a table of how likely it has not come by a time."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_radcnn.gui.parts.widgets import wrapped_label
from napari_radcnn.results import Survival

#: Rows of the table that are seen at once.
_ROWS = 8


class SurvivalCard(QFrame):
    """Shows one risk; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        layout = QVBoxLayout(self)
        self.title, self.risk, self.group, self.note = (wrapped_label() for _ in range(4))
        for label in (self.title, self.risk, self.group, self.note):
            label.setTextFormat(Qt.TextFormat.PlainText)  # names are anybody's
        self.title.setStyleSheet("font-weight: bold")
        self.risk.setStyleSheet("font-size: 18px")
        self.table = QTableWidget(0, 2)
        self.table.setAccessibleName("Probability that the event has not occurred, by time")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for widget in (self.title, self.risk, self.group, self.table, self.note):
            layout.addWidget(widget)
        self.hide()

    def show_result(self, result: Survival | None) -> None:
        """Replace what is shown; None hides the card."""
        if result is None:
            self.hide()
            return
        self.title.setText(result.name)
        self.risk.setText(f"Risk of {result.event}: {result.risk:.4g}")
        self.group.setText(f"Group: {result.group} ({', '.join(result.groups)}; cut-offs {_listed(result.cuts)})")
        self.group.setVisible(bool(result.group))
        unit = f" [{result.unit}]" if result.unit else ""
        self.table.setHorizontalHeaderLabels([f"Time{unit}", f"Free of {result.event}"])
        self.table.setRowCount(len(result.event_free))
        for row, (time, share) in enumerate(result.event_free):
            for column, text in enumerate((f"{time:g}", f"{100 * share:.1f} %")):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        self.table.setVisible(bool(result.event_free))
        shown = min(_ROWS, self.table.rowCount())
        height = self.table.horizontalHeader().sizeHint().height() + 2 * self.table.frameWidth()
        self.table.setFixedHeight(height + shown * self.table.verticalHeader().defaultSectionSize())
        self.note.setText("A higher risk means an earlier event. For research; not for diagnosis.")
        self.show()


def _listed(cuts: tuple[float, ...]) -> str:
    return ", ".join(f"{cut:g}" for cut in cuts)
