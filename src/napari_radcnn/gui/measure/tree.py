"""Segments as rows: seen, locked, color, name, and what was measured; sorted by any column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QKeySequence, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_radcnn.gui.measure.edits import Color
from napari_radcnn.gui.parts.tips import as_it_is

#: Of the columns: what they show of a row, and digits.
EYE, LOCK, COLOR, NAME = range(4)
_NUMBERS = (("volume_ml", "ml", 2), ("mean", "Mean", 1), ("sd", "SD", 1), ("longest_diameter_mm", "mm", 1))
_VALUE = Qt.ItemDataRole.UserRole
_SIDE = 32
#: Of the columns of icons, of what stands beside a number, and of the mark of the sorted column, pixels: all columns
#: are to be seen in a narrow panel, and names take what is left, whole in their tool tips.
_ICON_WIDTH, _BESIDE, _MARK = 18, 8, 12
#: Digits that count.
_MOST_DIGITS = 4
#: Of a table in a narrow panel.
NARROW_HEADER = "QHeaderView::section { padding: 2px 2px; }"


class SegmentTree(QTreeWidget):
    """A row for each label; a click jumps, a double click on the name renames."""

    #: A label's row was clicked where it has its numbers or name.
    chosen = Signal(int)
    #: Label, and whether it is to be hidden or locked now.
    eye_clicked = Signal(int)
    lock_clicked = Signal(int)
    color_clicked = Signal(int)
    renamed = Signal(int, str)
    copied = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_filling = False
        self.setHeaderLabels(["", "", "", "Name", *(title for _, title, _ in _NUMBERS)])
        for column, tip in enumerate(
            (
                "Shown or hidden: click",
                "Locked labels are not changed: click",
                "Color: click",
                "Name: double click to rename",
                "Volume, ml",
                "Mean of the scan",
                "Standard deviation of the scan",
                "Longest diameter, mm",
            )
        ):
            self.headerItem().setToolTip(column, tip)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setIconSize(QSize(14, 14))
        self.setMinimumHeight(210)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSortingEnabled(True)
        self.header().setStretchLastSection(False)
        self.header().setStyleSheet(NARROW_HEADER)
        self.header().setMinimumSectionSize(18)
        for column in (EYE, LOCK, COLOR):
            self.header().setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.header().resizeSection(column, _ICON_WIDTH)
        self.header().setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.header().sortIndicatorChanged.connect(self._fit)
        self.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
        self.itemClicked.connect(self._on_click)
        self.itemDoubleClicked.connect(self._on_double_click)
        self.itemChanged.connect(self._on_changed)

    @property
    def selected(self) -> list[int]:
        """The labels whose rows are selected, from the top."""
        rows = [self.topLevelItem(n) for n in range(self.topLevelItemCount())]
        return [row.data(NAME, _VALUE) for row in rows if row.isSelected()]

    @property
    def values(self) -> list[int]:
        """All labels, from the top."""
        return [self.topLevelItem(n).data(NAME, _VALUE) for n in range(self.topLevelItemCount())]

    def fill(
        self,
        rows: Iterable[Mapping[str, Any]],
        color: Callable[[int], Color],
        hidden: set[int],
        locked: set[int],
    ) -> None:
        """List rows as `napari_radcnn.measure.segments` gives them; what was selected stays so."""
        selected = set(self.selected)
        self._is_filling = True
        self.setSortingEnabled(False)
        self.clear()
        for row in rows:
            item = _Row([])
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            item.setData(NAME, _VALUE, int(row["label"]))
            item.setText(NAME, str(row["name"]))
            item.setToolTip(NAME, as_it_is(f"{row['name']} (label {row['label']})"))
            for column, (key, _, digits) in enumerate(_NUMBERS, NAME + 1):
                value = row.get(key)
                item.setText(column, "" if value is None else number(value, digits))
                item.setData(column, _VALUE, float("-inf") if value is None else float(value))
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.addTopLevelItem(item)
            item.setSelected(int(row["label"]) in selected)
        self.setSortingEnabled(True)
        self._is_filling = False
        self._fit()
        self.show_states(color, hidden, locked)

    def show_states(self, color: Callable[[int], Color], hidden: set[int], locked: set[int]) -> None:
        """Show what is seen, locked, and in which color."""
        self._is_filling = True
        ink = self.palette().text().color()
        for n in range(self.topLevelItemCount()):
            item = self.topLevelItem(n)
            value = item.data(NAME, _VALUE)
            item.setIcon(EYE, _eye(ink, value not in hidden))
            item.setData(EYE, _VALUE, float(value in hidden))
            item.setIcon(LOCK, _lock(ink, value in locked))
            item.setData(LOCK, _VALUE, float(value in locked))
            item.setIcon(COLOR, _swatch(color(value)))
            item.setData(COLOR, _VALUE, float(value))
            item.setToolTip(EYE, "Hidden" if value in hidden else "Seen")
            item.setToolTip(LOCK, "Locked" if value in locked else "Not locked")
        self._is_filling = False

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Copy by its key."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copied.emit()
        else:
            super().keyPressEvent(event)

    def _fit(self, *_: object) -> None:
        """Give the columns of numbers what they need and no more: Qt keeps room for the mark in each of them."""
        rows = [self.topLevelItem(n) for n in range(self.topLevelItemCount())]
        widths = self.fontMetrics(), self.header().fontMetrics()
        for column in range(NAME + 1, self.columnCount()):
            title = widths[1].horizontalAdvance(self.headerItem().text(column))
            title += _MARK if column == self.sortColumn() else 0
            numbers = [widths[0].horizontalAdvance(row.text(column)) for row in rows]
            self.header().resizeSection(column, max([title, *numbers]) + _BESIDE)

    def _on_click(self, item: QTreeWidgetItem, column: int) -> None:
        value = item.data(NAME, _VALUE)
        signals = {EYE: self.eye_clicked, LOCK: self.lock_clicked, COLOR: self.color_clicked}
        signals.get(column, self.chosen).emit(value)

    def _on_double_click(self, item: QTreeWidgetItem, column: int) -> None:
        if column == NAME:
            self.editItem(item, NAME)

    def _on_changed(self, item: QTreeWidgetItem, column: int) -> None:
        if not self._is_filling and column == NAME:
            self.renamed.emit(item.data(NAME, _VALUE), item.text(NAME).strip())


class _Row(QTreeWidgetItem):
    """Sorts numbers as such."""

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        tree = self.treeWidget()
        column = NAME if tree is None else tree.sortColumn()
        if column == NAME:
            return self.text(NAME).casefold() < other.text(NAME).casefold()
        return bool((self.data(column, _VALUE) or 0.0) < (other.data(column, _VALUE) or 0.0))


def number(value: float, digits: int) -> str:
    """Return a number with so many digits behind the point, fewer where there are four before it.

    Examples
    --------
    >>> number(44.1, 2), number(340.2, 2), number(-1023.96, 1), number(float("nan"), 1)
    ('44.10', '340.2', '-1024', 'nan')
    """
    before = len(f"{abs(value):.0f}")
    return f"{value:.{min(digits, max(0, _MOST_DIGITS - before))}f}"


def shrink(button: QPushButton) -> None:
    """Let a button be as narrow as its share of a narrow panel."""
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    button.setStyleSheet("QPushButton { padding: 3px 1px; }")


def _canvas() -> tuple[QPixmap, QPainter]:
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    return pixmap, painter


def _eye(ink: QColor, is_seen: bool) -> QIcon:
    pixmap, painter = _canvas()
    painter.setPen(QPen(ink, 2.6))
    painter.drawArc(QRectF(2, 5, 28, 26), 30 * 16, 120 * 16)
    painter.drawArc(QRectF(2, 1, 28, 26), 210 * 16, 120 * 16)
    if is_seen:
        painter.setBrush(ink)
        painter.drawEllipse(QPointF(16, 16), 4, 4)
    else:
        painter.drawLine(QPointF(5, 27), QPointF(27, 5))
    painter.end()
    return QIcon(pixmap)


def _lock(ink: QColor, is_locked: bool) -> QIcon:
    pixmap, painter = _canvas()
    if not is_locked:
        ink = QColor(ink)
        ink.setAlpha(90)
    painter.setPen(QPen(ink, 2.6))
    painter.drawArc(QRectF(10 if is_locked else 16, 4, 12, 18), 0, 180 * 16)
    painter.setBrush(ink)
    painter.drawRoundedRect(QRectF(6, 14, 20, 14), 2, 2)
    painter.end()
    return QIcon(pixmap)


def _swatch(color: Color) -> QIcon:
    pixmap, painter = _canvas()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor.fromRgbF(*(min(max(part, 0.0), 1.0) for part in color)))
    painter.drawRoundedRect(QRectF(3, 3, 26, 26), 4, 4)
    painter.end()
    return QIcon(pixmap)
