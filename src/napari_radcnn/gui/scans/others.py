"""The volumes of a scan that are no layers yet, such as further time points: one by its number, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMessageBox, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_radcnn.files import binary_size
from napari_radcnn.gui.layers.sequences import MOST_LAYERS, Standing, standing_of
from napari_radcnn.gui.parts.widgets import wrapped_label

_NAME = "radcnn_others_question"


class OthersRow(QWidget):
    """Says how many of the volumes of the chosen scan are layers, and offers the others."""

    #: Places of volumes, from 0, of which one is to be seen.
    wanted = Signal(object)
    #: No more layers are to be added.
    stopped = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._standing: Standing | None = None
        self._missing: tuple[int, ...] = ()
        self._bytes_each = 0
        self._is_busy = False
        self.label = wrapped_label()
        self.number_box = QSpinBox()
        self.number_box.setPrefix("Volume ")
        self.number_box.setAccessibleName("Number of the volume")
        self.show_button = QPushButton("Show")
        self.all_button = QPushButton()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for left, right in ((self.label, self.all_button), (self.number_box, self.show_button)):
            row = QHBoxLayout()
            row.addWidget(left, 1)
            row.addWidget(right)
            layout.addLayout(row)
        self.show_button.clicked.connect(self._on_show)
        self.number_box.lineEdit().returnPressed.connect(self._on_show)
        self.all_button.clicked.connect(self._on_all)
        self.hide()

    def offer(self, layer: Any | None, layers: Sequence[Any]) -> None:
        """Offer what is no layer yet of the volumes that the chosen one belongs to.

        Parameters
        ----------
        layer : napari layer or None
            The chosen one.
        layers : sequence of napari layer
            All of its scan.
        """
        standing = self._standing = None if layer is None else standing_of(layer)
        self.setVisible(standing is not None and standing.count > MOST_LAYERS)
        if standing is None or layer is None:
            return
        open_ = {one.places[one.number - 1] for each in layers if (one := standing_of(each)) is not None}
        self._missing = tuple(place for place in standing.places if place not in open_)
        self._bytes_each = int(getattr(layer.data, "nbytes", 0))
        self.label.setText(f"{standing.count - len(self._missing)} of the {standing.count} volumes are layers.")
        self.number_box.setRange(1, standing.count)
        self.number_box.setValue(standing.number)
        self._update()

    def set_busy(self, is_busy: bool) -> None:
        """Say whether layers are being added; the button stops that then."""
        if is_busy != self._is_busy:
            self._is_busy = is_busy
            self._update()

    def _update(self) -> None:
        n = len(self._missing)
        self.show_button.setEnabled(not self._is_busy)
        self.all_button.setEnabled(self._is_busy or n > 0)
        self.all_button.setText("Stop" if self._is_busy else f"All {n} others …" if n else "All are layers")

    def _on_show(self) -> None:
        if self._standing is not None and not self._is_busy:
            self.wanted.emit((self._standing.places[self.number_box.value() - 1],))

    def _on_all(self) -> None:
        if self._is_busy:
            self.stopped.emit()
            return
        missing = self._missing
        for before in self.findChildren(QMessageBox, _NAME):
            before.deleteLater()
        box = QMessageBox(self)
        box.setObjectName(_NAME)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Add all other volumes?")
        size = f" and take up to {binary_size(self._bytes_each * len(missing))} of memory" if self._bytes_each else ""
        box.setText(
            f"{len(missing)} more layers make napari slow{size}. They are added one after the other; Stop ends it. "
            "A single volume is seen at once by its number."
        )
        add = box.addButton(f"Add {len(missing)} layers", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.finished.connect(lambda _result: self.wanted.emit(missing) if box.clickedButton() is add else None)
        box.open()


def layer_of(places: Sequence[int], layers: Sequence[Any]) -> Any | None:
    """Return the layer of the one volume that is wanted; None if it is none yet, or several are wanted."""
    for layer in layers:
        standing = standing_of(layer)
        if standing is not None and tuple(places) == (standing.places[standing.number - 1],):
            return layer
    return None
