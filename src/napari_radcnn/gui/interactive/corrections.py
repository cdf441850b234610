"""Buttons that mend the active object: grow, shrink, smooth, islands, between slices, other objects, other layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_radcnn.gui.interactive.overview import Overview
from napari_radcnn.gui.layers.layers import METADATA_KEY
from napari_radcnn.gui.parts.widgets import LayerCombo, narrow_combo, number_spin
from napari_radcnn.interactive.tools import Clear, Combine, FillHoles, Grow, KeepLargest, Margin, Shrink, Smooth, Tool

#: Which island tools wait for a click, what stands on their buttons, and what they do.
_CLICKED = (
    ("keep", "Keep 1 part", "Then click on a part: all other parts of this object are removed"),
    ("remove", "Drop 1 part", "Then click on a part of this object to remove it"),
)
_OPERATIONS = (
    ("union", "Add all of …", "Adds all voxels of the other object to this object"),
    (
        "difference",
        "Keep away from …",
        "Removes the voxels of this object that are closer to the other object than the margin",
    ),
    (
        "intersection",
        "Keep only near …",
        "Keeps only the voxels of this object that are closer to the other object than the margin",
    ),
)


class Corrections(QWidget):
    """Asks for correction tools; it changes nothing itself.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose label layers can be copied from.
    """

    #: Called without arguments, it makes the tool, or raises OptionError where its settings make no sense.
    asked = Signal(object)
    #: Complete the object between the slices of the plane that is shown.
    between_asked = Signal()
    #: ``"keep"`` or ``"remove"``, which wait for a click; empty when the user cancels.
    armed = Signal(str)
    #: A Labels layer and the label in it that is to be copied.
    copy_asked = Signal(object, int)
    #: Make what is previewed a step.
    take_asked = Signal()
    #: Everything of the active object anew.
    reset_asked = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        for column in range(3):
            self._grid.setColumnStretch(column, 1)
        self.distance_spin = _millimeters(
            2.0, 0.1, "Distance by which Grow and Shrink move the surface, and the scale of Smooth"
        )
        self._grid.addWidget(QLabel("Distance"), 0, 0)
        self._grid.addWidget(self.distance_spin, 0, 1, 1, 2)
        self.buttons: dict[str, QPushButton] = {}
        distance = self.distance_spin.value
        self._put(1, 0, "Grow", "Move the surface outward by the distance", lambda: Grow(distance()))
        self._put(1, 1, "Shrink", "Move the surface inward by the distance", lambda: Shrink(distance()))
        self._put(1, 2, "Smooth", "Smooth out details finer than about twice the distance", lambda: Smooth(distance()))
        self.low_spin = number_spin(0.0, -1e9, 1e9, "", "Lowest value that Margin adds")
        self.high_spin = number_spin(0.0, -1e9, 1e9, "", "Highest value that Margin adds")
        self._grid.addWidget(self.low_spin, 2, 0)
        self._grid.addWidget(self.high_spin, 2, 1)
        self._put(2, 2, "Margin", "Grow by the distance into voxels with values in this range", self._margin)
        self._put(3, 0, "Fill holes", "Add the voxels that the object encloses", FillHoles)
        self._put(3, 1, "Largest only", "Keep the largest connected part", KeepLargest)
        self._put(3, 2, "Empty", "Remove all voxels of the object; its prompts stay", Clear)
        for column, (name, text, tip) in enumerate(_CLICKED):
            button = self._button(4, column, name, text, tip)
            button.setCheckable(True)
            button.toggled.connect(lambda is_on, name=name: self._on_armed(name, is_on))
        between = self._button(
            4, 2, "between", "Fill between", "Draw on some slices; this fills in the slices between them"
        )
        between.clicked.connect(self.between_asked.emit)
        self._build_combine(5)
        self._build_copy(8, viewer)
        reset = self._button(
            10, 0, "reset", "Clear the object", "Remove the voxels and prompts of the object; Undo restores both"
        )
        self._grid.addWidget(reset, 10, 0, 1, 3)
        reset.clicked.connect(self.reset_asked.emit)
        self.preview_check = QCheckBox("Preview first")
        self.preview_check.setToolTip("Show what a button would change; Return applies it, Esc discards it")
        self._grid.addWidget(self.preview_check, 11, 0, 1, 2)
        take = self._button(11, 2, "take", "Apply", "Apply the preview as one step (Return)")
        take.clicked.connect(self.take_asked.emit)

    def set_range(self, low: float, high: float) -> None:
        """Offer a range of values of the scan."""
        digits = 0 if high - low > 50 else 3
        for spin, value in ((self.low_spin, low), (self.high_spin, high)):
            spin.setDecimals(digits)
            spin.setSingleStep(max((high - low) / 50, 10.0**-digits))
            spin.setValue(value)

    def show_state(self, state: Overview) -> None:
        """Offer the other objects of a session."""
        others = [(each.name, each.value) for each in state.objects if each.value != state.active]
        known = [(self.other_combo.itemText(n), self.other_combo.itemData(n)) for n in range(self.other_combo.count())]
        if others != known:
            chosen = self.other_combo.currentData()
            self.other_combo.clear()
            for name, value in others:
                self.other_combo.addItem(name, value)
            self.other_combo.setCurrentIndex(max(0, self.other_combo.findData(chosen)))
        self.buttons["combine"].setEnabled(bool(others))

    def disarm(self) -> None:
        """No longer wait for a click."""
        for name, _, _ in _CLICKED:
            self.buttons[name].setChecked(False)

    # -- what it looks like ----------------------------------------------------------------------------------------

    def _build_combine(self, row: int) -> None:
        self.operation_combo = narrow_combo()
        for place, (name, text, tip) in enumerate(_OPERATIONS):
            self.operation_combo.addItem(text, name)
            self.operation_combo.setItemData(place, tip, Qt.ItemDataRole.ToolTipRole)
        self.other_combo: QComboBox = narrow_combo()
        self.margin_spin = _millimeters(0.0, 0.0, "The other object is first grown by this distance")
        self._grid.addWidget(self.operation_combo, row, 0, 1, 3)
        self._grid.addWidget(self.other_combo, row + 1, 0, 1, 3)
        self._grid.addWidget(QLabel("Margin"), row + 2, 0)
        self._grid.addWidget(self.margin_spin, row + 2, 1)
        self._put(row + 2, 2, "Combine", "Combine the object with another object", self._combine, "combine")

    def _build_copy(self, row: int, viewer: Any) -> None:
        self.layer_combo = LayerCombo(viewer, _is_foreign_labels)
        self.layer_combo.set_empty_entry("Labels layer …")
        self.layer_combo.setToolTip("A Labels layer, such as a model's result, to copy into the object")
        self.label_combo = narrow_combo()
        self._grid.addWidget(self.layer_combo, row, 0, 1, 3)
        self._grid.addWidget(self.label_combo, row + 1, 0, 1, 2)
        copy = self._button(row + 1, 2, "copy", "Copy", "Copy a label of the layer into the object")
        copy.clicked.connect(self._on_copy)
        self.layer_combo.changed.connect(self._on_layer)
        self._on_layer()

    def _put(self, row: int, column: int, text: str, tip: str, make: Callable[[], Tool], name: str = "") -> None:
        button = self._button(row, column, name or text, text, tip)
        button.clicked.connect(lambda: self.asked.emit(make))

    def _button(self, row: int, column: int, name: str, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setStyleSheet("QPushButton { padding: 4px 1px; }")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._grid.addWidget(button, row, column)
        self.buttons[name] = button
        return button

    # -- what the user does ----------------------------------------------------------------------------------------

    def _margin(self) -> Tool:
        low, high = self.low_spin.value(), self.high_spin.value()
        return Margin(self.distance_spin.value(), min(low, high), max(low, high))

    def _combine(self) -> Tool:
        return Combine(
            int(self.other_combo.currentData() or 0),
            self.operation_combo.currentData(),
            self.margin_spin.value(),
        )

    def _on_armed(self, name: str, is_on: bool) -> None:
        if is_on:
            for other, _, _ in _CLICKED:
                if other != name:
                    self.buttons[other].setChecked(False)
            self.armed.emit(name)
        elif not any(self.buttons[other].isChecked() for other, _, _ in _CLICKED):
            self.armed.emit("")

    def _on_layer(self) -> None:
        """Offer the labels that the layer names; a layer from elsewhere names none, and its chosen one is offered."""
        layer = self.layer_combo.layer
        self.label_combo.clear()
        if layer is not None:
            table = layer.features
            named = "index" in table and "name" in table
            rows = list(zip(table["index"], table["name"], strict=True)) if named else []
            rows = [(int(value), str(text)) for value, text in rows if int(value) > 0]
            for value, text in rows or [(int(layer.selected_label), f"label {layer.selected_label}")]:
                self.label_combo.addItem(f"{text} ({value})", value)
        self.buttons["copy"].setEnabled(layer is not None and self.label_combo.count() > 0)

    def _on_copy(self) -> None:
        layer, value = self.layer_combo.layer, self.label_combo.currentData()
        if layer is not None and value is not None:
            self.copy_asked.emit(layer, int(value))


def _is_foreign_labels(layer: Any) -> bool:
    """Whether a layer holds labels that no session makes."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and not is_of_session(layer)


def is_of_session(layer: Any) -> bool:
    """Whether a layer shows a session, its prompts or its strokes."""
    kept = layer.metadata.get(METADATA_KEY)
    return isinstance(kept, dict) and bool(kept.get("is_session"))


def _millimeters(value: float, low: float, tip: str) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(low, 200.0)
    spin.setDecimals(1)
    spin.setSingleStep(0.5)
    spin.setValue(value)
    spin.setSuffix(" mm")
    spin.setMinimumWidth(60)  # a dock is narrow
    spin.setToolTip(tip)
    return spin
