"""The settings of growing from seeds: which object is the background, how far, and whether it is shown at once."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QPushButton, QWidget

from napari_radcnn.gui.interactive.overview import Overview
from napari_radcnn.gui.parts.widgets import narrow_combo, number_spin
from napari_radcnn.interactive.tools import GrowFromSeeds
from napari_radcnn.spec.options import describe

#: The name of the object that is offered as the background as soon as there is one.
BACKGROUND = "background"
_NONE = "Edges of the crop"


class SeedsBox(QWidget):
    """Asks for growing from seeds; it changes nothing itself."""

    changed = Signal()
    #: Show what would come of it; make it a step; begin an object for the background.
    preview_asked = Signal()
    asked = Signal()
    background_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.background_combo = narrow_combo()
        self.background_combo.setMinimumContentsLength(6)
        self.background_combo.addItem(_NONE, 0)
        self.background_combo.setToolTip("The object whose strokes mark what belongs to no object")
        self.background_button = QPushButton("New")
        self.background_button.setStyleSheet("QPushButton { padding: 4px 6px; }")
        self.background_button.setToolTip("Begin an object for strokes on what belongs to no object")
        row = QHBoxLayout()
        row.addWidget(self.background_combo, 1)
        row.addWidget(self.background_button)
        spins = {}
        for entry in describe(GrowFromSeeds):
            if entry.name in ("margin", "spread"):
                suffix = f" {entry.unit}" if entry.unit else " SD"
                spins[entry.name] = number_spin(entry.default, entry.low or 0.0, entry.high or 0.0, suffix, entry.help)
        self.margin_spin, self.spread_spin = spins["margin"], spins["spread"]
        self.live_check = QCheckBox("Preview after each stroke")
        self.live_check.setChecked(True)
        self.preview_button, self.apply_button = QPushButton("Preview"), QPushButton("Apply")
        self.preview_button.setToolTip("Show what would grow; a large crop is previewed at a coarser resolution")
        self.apply_button.setToolTip("Let all objects grow, as one step; undo restores the strokes (Return)")
        buttons = QHBoxLayout()
        buttons.addWidget(self.preview_button)
        buttons.addWidget(self.apply_button)
        layout.addRow("Background", row)
        layout.addRow(buttons)
        layout.addRow(self.live_check)
        layout.addRow("Margin", self.margin_spin)
        layout.addRow("Spread", self.spread_spin)
        self.background_button.clicked.connect(self.background_asked.emit)
        self.preview_button.clicked.connect(self.preview_asked.emit)
        self.apply_button.clicked.connect(self.asked.emit)
        self.background_combo.currentIndexChanged.connect(lambda _index: self.changed.emit())
        for spin in spins.values():
            spin.setKeyboardTracking(False)
            spin.valueChanged.connect(lambda _value: self.changed.emit())

    def tool(self, *, is_coarse: bool) -> GrowFromSeeds:
        """Return the tool."""
        return GrowFromSeeds(
            int(self.background_combo.currentData() or 0), self.margin_spin.value(), self.spread_spin.value(), is_coarse
        )

    def show_state(self, state: Overview) -> None:
        """Offer the objects of a session as the background; one of that name is chosen as soon as it is there."""
        combo = self.background_combo
        entries = [(_NONE, 0), *((each.name, each.value) for each in state.objects)]
        known = [(combo.itemText(n), combo.itemData(n)) for n in range(combo.count())]
        if entries == known:
            return
        chosen = combo.currentData()
        new = next((value for name, value in entries if name == BACKGROUND and (name, value) not in known), 0)
        combo.blockSignals(True)
        combo.clear()
        for text, value in entries:
            combo.addItem(text, value)
        combo.setCurrentIndex(max(0, combo.findData(new or chosen)))
        combo.blockSignals(False)
