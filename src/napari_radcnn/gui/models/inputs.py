"""Which scans a model runs on: one list of layers for each of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours
from napari_radcnn.gui.models.matching import match
from napari_radcnn.gui.models.text import tip
from napari_radcnn.gui.parts.widgets import LayerCombo
from napari_radcnn.spec.patches import InputSlot

_NOTHING = "(choose a scan)"


class InputForm(QWidget):
    """One list of the viewer's images for each input of a model, filled by what the layers are called.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    accepts : callable
        Whether a layer is offered.
    """

    #: A list, or a choice, is another one.
    changed = Signal()

    def __init__(self, viewer: Any, accepts: Callable[[Any], bool]) -> None:
        super().__init__()
        self._viewer, self._accepts = viewer, accepts
        self._slots: tuple[InputSlot, ...] = ()
        self._emptied: set[str] = set()
        self._labels: list[QLabel] = []
        self._is_filling = False
        self._offered: list[list[str]] = []
        #: The lists, of which as many are shown as the model has inputs; kept for the next model.
        self.combos: list[LayerCombo] = []
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._add_row()
        self.set_slots(())

    def set_slots(self, slots: Sequence[InputSlot]) -> None:
        """Offer one list for each input, or a single one where the model takes one scan."""
        self._slots = tuple(slots) if len(slots) > 1 else ()
        self._emptied.clear()
        self._is_filling = True
        while len(self.combos) < len(self._slots):
            self._add_row()
        for n, (label, combo) in enumerate(zip(self._labels, self.combos, strict=True)):
            combo.refresh()  # another model may take another kind of layer
            slot = self._slots[n] if n < len(self._slots) else None
            is_shown = slot is not None or n == 0
            label.setVisible(is_shown)
            combo.setVisible(is_shown)
            label.setText("Scan" if slot is None else _title(slot))
            label.setTextFormat(Qt.TextFormat.PlainText)
            what = "scan" if slot is None else f"scan for input {slot.name}"
            combo.setToolTip(tip(f"The {what} that the model runs on; it is never modified"))
            combo.set_empty_entry(_NOTHING if slot is not None else "")
            if slot is not None:
                combo.setCurrentIndex(0)
        self._is_filling = False
        self._fill()
        self.changed.emit()

    @property
    def layers(self) -> list[Any | None]:
        """The chosen layers, in the order of the model's inputs; None where none is chosen."""
        return [combo.layer for combo in self._shown]

    @property
    def problem(self) -> str:
        """Why the model cannot be run on what is chosen; empty where it can."""
        if not self.combos[0].layers:
            return "Open a scan: it then appears in the list above."
        missing = [slot.name for slot, layer in zip(self._slots, self.layers, strict=False) if layer is None]
        if missing:
            return f"Missing: a scan for {', '.join(missing)}."
        layers = self.layers
        for n, slot in enumerate(self._slots):
            first = layers.index(layers[n])
            if first < n:
                name = getattr(layers[n], "name", "")
                return f"'{name}' is chosen for both {self._slots[first].name} and {slot.name}."
        return ""

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _shown(self) -> list[LayerCombo]:
        return self.combos[: max(1, len(self._slots))]

    def _add_row(self) -> None:
        combo, label = LayerCombo(self._viewer, self._accepts), QLabel()
        combo.setMinimumContentsLength(8)  # beside the name of an input in a narrow dock
        combo.activated.connect(self._on_hand)
        combo.changed.connect(self._on_changed)
        self.combos.append(combo)
        self._labels.append(label)
        self._layout.addRow(label, combo)

    def _on_hand(self, _index: int) -> None:
        """Leave alone what the user has emptied."""
        combo = self.sender()
        name = next((slot.name for slot, one in zip(self._slots, self.combos, strict=False) if one is combo), None)
        if name is not None:
            (self._emptied.add if combo.layer is None else self._emptied.discard)(name)

    def _on_changed(self) -> None:
        if self._is_filling:
            return
        if self._names() != self._offered:  # not after a choice: what the user has just emptied is not to be filled
            self._fill()
        self.changed.emit()

    def _names(self) -> list[list[str]]:
        return [[layer.name for layer in combo.layers] for combo in self._shown]

    def _fill(self) -> None:
        """Choose for empty inputs the layers that are plainly meant for them."""
        self._offered = self._names()
        if not self._slots:
            return
        offered = self.combos[0].layers
        scans = [(layer.name, _modality(layer)) for layer in offered]
        chosen = [offered.index(layer) if layer in offered else None for layer in self.layers]
        self._is_filling = True
        for slot, combo, place in zip(self._slots, self.combos, match(self._slots, scans, chosen), strict=False):
            if combo.layer is None and place is not None and slot.name not in self._emptied:
                combo.choose(offered[place])
        self._is_filling = False


def _title(slot: InputSlot) -> str:
    name = slot.name if len(slot.name) <= 14 else slot.name[:13] + "…"
    codes = "/".join(code for code in slot.modalities if code.lower() != slot.name.lower())
    return f"{name} ({codes})" if codes else name


def _modality(layer: Any) -> str:
    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    return "" if volume is None else str(volume.modality)
