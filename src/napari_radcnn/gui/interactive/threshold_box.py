"""The settings of the threshold: its range, what it makes of the object, and where."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QPushButton, QWidget

from napari_radcnn.gui.interactive.overview import Overview
from napari_radcnn.gui.parts.widgets import narrow_combo, number_spin
from napari_radcnn.interactive.prompts import Position
from napari_radcnn.interactive.tools import Threshold
from napari_radcnn.interactive.tools.ranges import EVERY_SLICE

_OPERATIONS = (
    ("replace", "Replace the object"),
    ("add", "Add to the object"),
    ("keep", "Keep in the object"),
    ("remove", "Remove from the object"),
)


class ThresholdBox(QWidget):
    """Asks for a threshold; it changes nothing itself."""

    #: Anything is another one.
    changed = Signal()
    #: Make it a step.
    asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.low_spin = number_spin(0.0, -1e9, 1e9, "", "Lowest value, in the unit of the scan")
        self.high_spin = number_spin(0.0, -1e9, 1e9, "", "Highest value, in the unit of the scan")
        ends = QHBoxLayout()
        for spin in (self.low_spin, self.high_spin):
            spin.setKeyboardTracking(False)  # "1200" is no preview of 1, 12 and 120
            ends.addWidget(spin)
            spin.valueChanged.connect(self._on_change)
        self.operation_combo = narrow_combo()
        for name, text in _OPERATIONS:
            self.operation_combo.addItem(text, name)
        self.operation_combo.setToolTip("How the object's voxels change")
        self.within_combo = narrow_combo()
        self.within_combo.addItem("All voxels", 0)
        self.within_combo.setToolTip("Which voxels may be changed, besides those of the object itself")
        self.slice_check = QCheckBox("This slice only")
        self.slice_check.setToolTip("Change only the slice that is shown")
        self.apply_button = QPushButton("Apply")
        self.apply_button.setToolTip("Apply the preview as one step, which can be undone (Return)")
        layout.addRow(ends)
        layout.addRow(self.operation_combo)
        layout.addRow("Among", self.within_combo)
        last = QHBoxLayout()
        for widget in (self.slice_check, self.apply_button):
            last.addWidget(widget)
        layout.addRow(last)
        for combo in (self.operation_combo, self.within_combo):
            combo.currentIndexChanged.connect(self._on_change)
        self.slice_check.toggled.connect(self._on_change)
        self.apply_button.clicked.connect(self.asked.emit)

    def tool(self, axis: str, position: Position) -> Threshold:
        """Return the threshold.

        Parameters
        ----------
        axis, position : str, (x, y, z)
            Of the slice that is shown.
        """
        is_flat = self.slice_check.isChecked() and bool(axis)
        return Threshold(
            min(self.low_spin.value(), self.high_spin.value()),
            max(self.low_spin.value(), self.high_spin.value()),
            self.operation_combo.currentData(),
            int(self.within_combo.currentData() or 0),
            axis if is_flat else EVERY_SLICE,
            position if is_flat else None,
        )

    def set_range(self, low: float, high: float) -> None:
        """Choose a range, as one change."""
        for spin, value in ((self.low_spin, low), (self.high_spin, high)):
            spin.blockSignals(True)
            spin.setValue(value)
            spin.blockSignals(False)
        self._on_change()

    def set_steps(self, digits: int, step: float) -> None:
        """Have the spin boxes go by steps, with so many digits after the point."""
        for spin in (self.low_spin, self.high_spin):
            spin.setDecimals(digits)
            spin.setSingleStep(step)

    def show_state(self, state: Overview) -> None:
        """Offer the other objects of a session."""
        entries = [("All voxels", 0)]
        entries += [(f"Only {each.name}", each.value) for each in state.objects if each.value != state.active]
        combo = self.within_combo
        if entries != [(combo.itemText(n), combo.itemData(n)) for n in range(combo.count())]:
            chosen = combo.currentData()
            combo.blockSignals(True)
            combo.clear()
            for text, value in entries:
                combo.addItem(text, value)
            combo.setCurrentIndex(max(0, combo.findData(chosen)))
            combo.blockSignals(False)

    def _on_change(self, _value: object = None) -> None:
        self.changed.emit()
