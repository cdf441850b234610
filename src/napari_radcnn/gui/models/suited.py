"""The list of models by how they suit the chosen scan: those that fit, then the doubtful, then the others, with why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt
from qtpy.QtGui import QPainter, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QComboBox, QStyledItemDelegate, QStyleOptionViewItem

from napari_radcnn.gui.models.run import scan_volume
from napari_radcnn.models import ModelSpec
from napari_radcnn.suitability import STATES, Suitability, judge, what_is

#: Roles of a row: the line below its title, and its place before any scan was chosen.
REASON_ROLE, PLACE_ROLE = Qt.ItemDataRole.UserRole + 1, Qt.ItemDataRole.UserRole + 2
#: What stands before the reasons; a model that fits has no line.
_WORDS = {"fits": "", "doubtful": "Doubtful: ", "refused": "Not for this scan: "}
#: The list that opens, at most, pixels; the combo box itself is as narrow as the panel.
_WIDEST = 560


def judge_all(specs: Mapping[str, ModelSpec], layer: Any) -> dict[str, Suitability]:
    """Return how each model of one input suits the scan of a layer; on a thread beside the viewer.

    Raises
    ------
    RadcnnError
        If the layer is no scan.
    """
    volume = scan_volume(layer)
    traits = [what_is(volume)]
    return {key: judge(spec, [volume], traits) for key, spec in specs.items() if len(spec.inputs) < 2}


def sort_rows(combo: QComboBox, found: Mapping[str, Suitability]) -> None:
    """Sort the rows of a list of models by how they suit a scan, with a line on each that does not; keep the choice.

    Parameters
    ----------
    combo : QComboBox
        Its rows have the key of their model as data; those without cannot be chosen and stay last.
    found : mapping of str to Suitability
        By key. A model that is not among them, as one of several inputs, comes after those that fit.
    """
    chosen, model = combo.currentData(), combo.model()
    if not isinstance(model, QStandardItemModel):
        return

    def place(items: list[QStandardItem]) -> tuple[int, int]:
        key, was = items[0].data(Qt.ItemDataRole.UserRole), int(items[0].data(PLACE_ROLE) or 0)
        if key is None:
            return len(STATES), was
        return (STATES.index(found[key].state) if key in found else 1), was

    combo.blockSignals(True)
    for items in sorted([model.takeRow(0) for _ in range(model.rowCount())], key=place):
        suits = found.get(items[0].data(Qt.ItemDataRole.UserRole) or "", Suitability())
        line = f"{_WORDS[suits.state]}{' '.join(suits.reasons)}" if suits.state != "fits" else ""
        items[0].setData(line, REASON_ROLE)
        model.appendRow(items)
    combo.setCurrentIndex(max(0, combo.findData(chosen)))
    combo.view().setMinimumWidth(min(_WIDEST, combo.view().sizeHintForColumn(0)))
    combo.blockSignals(False)


def forget_reasons(combo: QComboBox) -> None:
    """Take the lines away, since they are about another scan; the rows stay where they are."""
    for row in range(combo.count()):
        combo.setItemData(row, "", REASON_ROLE)


class ReasonDelegate(QStyledItemDelegate):
    """Draws the line below a title, as much of it as there is room for."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw the row."""
        reason = index.data(REASON_ROLE)
        if not reason:
            super().paint(painter, option, index)
            return
        upper = QStyleOptionViewItem(option)
        height = option.fontMetrics.lineSpacing() + 4
        upper.rect = option.rect.adjusted(0, 0, 0, -height)
        super().paint(painter, upper, index)
        lower = option.rect.adjusted(14, option.rect.height() - height, -6, 0)
        painter.save()
        font = painter.font()
        font.setItalic(True)
        painter.setFont(font)
        painter.setPen(option.palette.color(option.palette.ColorRole.Text))
        text = option.fontMetrics.elidedText(reason, Qt.TextElideMode.ElideRight, lower.width())
        painter.drawText(lower, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: N802  Qt's name
        """Return a height with the line, and a width that most reasons fit into."""
        size = super().sizeHint(option, index)
        reason = index.data(REASON_ROLE)
        if not reason:
            return size
        wide = min(_WIDEST, option.fontMetrics.horizontalAdvance(reason) + 30)
        return QSize(max(size.width(), wide), size.height() + option.fontMetrics.lineSpacing() + 4)
