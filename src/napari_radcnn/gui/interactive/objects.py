"""The objects of a session as a list: color, name, lock, volume; and the buttons that change it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_radcnn.gui.interactive.marks import Color
from napari_radcnn.gui.interactive.overview import Overview
from napari_radcnn.session import SegmentedObject

_NAME, _LOCK, _VOLUME = 0, 1, 2
_VALUE_ROLE = Qt.ItemDataRole.UserRole
_ROWS = 4


class ObjectList(QWidget):
    """Shows a session's objects and asks for changes; it changes nothing itself."""

    activated = Signal(int)
    renamed = Signal(int, str)
    recolored = Signal(int, tuple)
    locked = Signal(int, bool)
    added = Signal()
    removed = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._state = Overview()
        self._is_filling = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.tree = QTreeWidget()
        self.tree.setColumnCount(3)
        self.tree.setHeaderLabels(["Object", "Lock", "ml"])
        self.tree.setRootIsDecorated(False)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        # Keys go to the viewer: a list with the focus would take letters and digits for a search.
        self.tree.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.tree.setToolTip("Click: prompts go to this object (keys 1 to 9). Double-click: rename")
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_LOCK, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_VOLUME, QHeaderView.ResizeMode.ResizeToContents)
        row_height = self.tree.fontMetrics().height() + 8
        self.tree.setFixedHeight(row_height * (_ROWS + 1) + 6)
        layout.addWidget(self.tree)
        self.add_button = _button("New", "Add an object and make it active (N)")
        self.color_button = _button("Color", "Choose the color of the selected object")
        self.remove_button = _button("Delete", "Delete the selected object; Undo restores it")
        buttons = QHBoxLayout()
        for button in (self.add_button, self.color_button, self.remove_button):
            buttons.addWidget(button)
        layout.addLayout(buttons)
        self.tree.currentItemChanged.connect(self._on_current)
        self.tree.itemChanged.connect(self._on_item)
        self.add_button.clicked.connect(self.added.emit)
        self.color_button.clicked.connect(self._on_color)
        self.remove_button.clicked.connect(self._on_remove)

    def show_state(self, state: Overview) -> None:
        """Show the objects of a session."""
        if state is self._state:
            return
        before, self._state = self._state, state
        self._is_filling = True
        if before.objects != state.objects or self.tree.topLevelItemCount() != len(state.objects):
            self.tree.clear()
            for each in state.objects:
                self.tree.addTopLevelItem(_row(each))
        for row, each in enumerate(state.objects):
            item = self.tree.topLevelItem(row)
            item.setText(_VOLUME, f"{state.volumes_ml.get(each.value, 0.0):.2f}")
            if each.value == state.active:
                self.tree.setCurrentItem(item)
        if state.active == 0:
            self.tree.setCurrentItem(None)
        self._is_filling = False
        is_any = state.object(state.active) is not None
        self.color_button.setEnabled(is_any)
        self.remove_button.setEnabled(is_any)

    def activate_row(self, row: int) -> None:
        """Ask for the object in a row, from 0."""
        if row < len(self._state.objects):
            self.activated.emit(self._state.objects[row].value)

    # -- what the user does ----------------------------------------------------------------------------------------

    def _on_current(self, item: QTreeWidgetItem | None, _before: Any) -> None:
        if not self._is_filling and item is not None:
            self.activated.emit(item.data(_NAME, _VALUE_ROLE))

    def _on_item(self, item: QTreeWidgetItem, column: int) -> None:
        if self._is_filling:
            return
        value = item.data(_NAME, _VALUE_ROLE)
        known = self._state.object(value)
        if known is None:
            return
        if column == _NAME and item.text(_NAME).strip() not in ("", known.name):
            self.renamed.emit(value, item.text(_NAME).strip())
        elif column == _NAME:
            self._is_filling = True
            item.setText(_NAME, known.name)
            self._is_filling = False
        elif column == _LOCK:
            is_locked = item.checkState(_LOCK) == Qt.CheckState.Checked
            if is_locked != known.is_locked:
                self.locked.emit(value, is_locked)

    def _on_color(self) -> None:
        known = self._state.object(self._state.active)
        if known is None:
            return
        chosen = QColorDialog.getColor(_as_qcolor(known.color), self, f"Color of {known.name}")
        if chosen.isValid():
            self.recolored.emit(known.value, (chosen.redF(), chosen.greenF(), chosen.blueF()))

    def _on_remove(self) -> None:
        if self._state.active:
            self.removed.emit(self._state.active)


def _row(each: SegmentedObject) -> QTreeWidgetItem:
    item = QTreeWidgetItem([each.name, "", ""])
    item.setData(_NAME, _VALUE_ROLE, each.value)
    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(_LOCK, Qt.CheckState.Checked if each.is_locked else Qt.CheckState.Unchecked)
    swatch = QPixmap(14, 14)
    swatch.fill(_as_qcolor(each.color))
    icon = QIcon(swatch)
    icon.addPixmap(swatch, QIcon.Mode.Selected)  # else Qt tints it
    item.setIcon(_NAME, icon)
    item.setToolTip(_LOCK, "Locked objects are never overwritten")
    item.setTextAlignment(_VOLUME, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item


def _as_qcolor(color: Color) -> QColor:
    return QColor.fromRgbF(*color)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
