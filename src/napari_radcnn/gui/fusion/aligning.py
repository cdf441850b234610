"""The part of the Fusion page that aligns the overlay to the base, takes that back, and lets the two flicker."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_radcnn.alignment import Alignment, align
from napari_radcnn.errors import OptionError
from napari_radcnn.gui.layers.aligning import Placed, place
from napari_radcnn.gui.layers.belonging import is_scan
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours, name_of, snapshot, volume_from_layer
from napari_radcnn.gui.parts.widgets import WorkPanel, wrapped_label
from napari_radcnn.gui.reading.beside.spaces import Space, space_of
from napari_radcnn.gui.reading.words import patient
from napari_radcnn.progress import Progress

#: Each of the two is seen for so long, ms.
_FLICKER_MS = 600


@dataclass(frozen=True)
class _Fixed:
    """What was aligned to: what it is called, and its patient space, as they were when it began."""

    name: str
    space: Space


class AlignBox(QWidget):
    """Aligns one layer to another.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    chosen : callable
        Returns the fixed and the moving layer; None where there is none.
    """

    def __init__(self, viewer: Any, chosen: Callable[[], tuple[Any | None, Any | None]]) -> None:
        super().__init__()
        self._viewer, self._chosen = viewer, chosen
        self._placed: list[tuple[weakref.ref[Any], Placed]] = []
        self._doubtful: tuple[weakref.ref[Any], Alignment, _Fixed] | None = None
        self._flickering: list[tuple[weakref.ref[Any], bool]] = []
        self.panel = WorkPanel("Align overlay to base")
        self.panel.start_button.setToolTip(
            "Align the overlay to the base by comparing their voxels: rotated and shifted, never resampled"
        )
        self.warning_label = wrapped_label(color=WARNING_COLOR)
        self.warning_label.hide()
        self.people_label = wrapped_label(color=WARNING_COLOR)
        self.people_label.hide()
        self.undo_button = QPushButton("Undo alignment")
        self.anyway_button = QPushButton("Use it anyway")
        self.flicker_button = QPushButton("Flicker")
        self.flicker_button.setCheckable(True)
        self.flicker_button.setToolTip("Alternate between base and overlay: aligned structures do not move")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.people_label)
        layout.addWidget(self.panel)
        layout.addWidget(self.warning_label)
        row = QHBoxLayout()
        for button in (self.anyway_button, self.undo_button, self.flicker_button):
            row.addWidget(button)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(_FLICKER_MS)
        self._timer.timeout.connect(self._on_flicker)
        self.panel.start_button.clicked.connect(self.align)
        self.undo_button.clicked.connect(self.undo)
        self.anyway_button.clicked.connect(self._on_anyway)
        self.flicker_button.toggled.connect(self._on_flicker_button)
        self.follow()

    def follow(self) -> None:
        """Offer what can be done with the layers that are chosen."""
        fixed, moving = self._chosen()
        is_pair = fixed is not None and moving is not None and fixed is not moving
        self.panel.set_ready(is_pair and _is_gray_scan(fixed) and _is_gray_scan(moving))
        self.flicker_button.setEnabled(is_pair)
        people = dict.fromkeys(who for layer in (fixed, moving) if (who := _whose(layer)))
        self.people_label.setVisible(is_pair and len(people) > 1)
        self.people_label.setText(f"Two patients: {' and '.join(people)}.")
        if not is_pair:
            self.flicker_button.setChecked(False)
        self._placed = [(layer, placed) for layer, placed in self._placed if layer() in self._viewer.layers]
        self.undo_button.setEnabled(bool(self._placed))
        self.anyway_button.setVisible(self._doubtful is not None)

    def align(self) -> None:
        """Align the moving layer beside the viewer, and put it where it belongs."""
        fixed, moving = self._chosen()
        if fixed is None or moving is None or self.panel.job is not None:
            return
        self._doubtful = None
        self.warning_label.hide()
        self.flicker_button.setChecked(False)
        one, two = snapshot(fixed), snapshot(moving)
        target, whose = weakref.ref(moving), _Fixed(name_of(fixed), space_of(fixed))

        def work(progress: Progress, cancel: Event) -> Alignment:
            return align(volume_from_layer(one), volume_from_layer(two), progress=progress, cancel=cancel)

        self.panel.start("Aligning", work, lambda found: self._on_found(found, target, whose), lambda: "Cancelled.")
        self.follow()

    def undo(self) -> None:
        """Put the scan that was aligned last back to where it was before."""
        if self._placed:
            _, placed = self._placed.pop()
            placed.undo()
            self.panel.message_label.setText("The alignment was undone.")
        self.follow()

    def _on_found(self, found: Alignment, target: weakref.ref[Any], whose: _Fixed) -> str:
        moving = target()
        if moving is None or moving not in self._viewer.layers:
            return "The overlay was removed meanwhile."
        if found.doubts:
            self._doubtful = target, found, whose
            self._warn(found.summary())
            self.follow()
            return "Nothing was moved."
        return self._place(moving, found, whose)

    def _on_anyway(self) -> None:
        if self._doubtful is None:
            return
        target, found, whose = self._doubtful
        self._doubtful = None
        moving = target()
        if moving is not None and moving in self._viewer.layers:
            self.panel.message_label.setText(self._place(moving, found, whose))
        self.follow()

    def _place(self, moving: Any, found: Alignment, whose: _Fixed) -> str:
        try:
            placed = place(self._viewer, moving, found, whose.name, whose.space)
        except OptionError as error:
            self._warn(str(error))
            return "Nothing was moved."
        self._placed.append((weakref.ref(moving), placed))
        if placed.left:
            self._warn(f"Not moved with it: {', '.join(placed.left)}.")
        self.follow()
        return f"'{moving.name}': {found.summary()}."

    def _warn(self, line: str) -> None:
        self.warning_label.setText(line)
        self.warning_label.show()

    def _on_flicker_button(self, is_on: bool) -> None:
        if is_on:
            layers = [layer for layer in self._chosen() if layer is not None]
            self._flickering = [(weakref.ref(layer), layer.visible) for layer in layers]
            self._timer.start()
            self._on_flicker()
            return
        self._timer.stop()
        for reference, was_visible in self._flickering:
            layer = reference()
            if layer is not None and layer in self._viewer.layers:
                layer.visible = was_visible
        self._flickering = []

    def _on_flicker(self) -> None:
        layers = [reference() for reference, _ in self._flickering]
        if len(layers) != 2 or any(layer is None or layer not in self._viewer.layers for layer in layers):
            self.flicker_button.setChecked(False)
            return
        base, overlay = layers
        if base is not None and overlay is not None:
            is_over = not overlay.visible or base.visible
            overlay.visible, base.visible = is_over, not is_over


def _whose(layer: Any | None) -> str:
    """Return name and ID of the patient of a scan; empty where neither is known."""
    volume = layer.metadata[METADATA_KEY].get("volume") if layer is not None and is_ours(layer) else None
    return "" if volume is None else patient(volume.metadata)


def _is_gray_scan(layer: Any) -> bool:
    return is_scan(layer) and not layer.rgb
