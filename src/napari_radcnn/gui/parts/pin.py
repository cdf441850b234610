"""Docks follow the active layer, unless they are pinned or something of theirs is under way; a line says which."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from napari_radcnn.gui.layers.belonging import identity
from napari_radcnn.gui.parts.widgets import LayerCombo


class Pin(QWidget):
    """A button that keeps the chosen layer, and a line on whether the choice follows the active layer.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose active layer is followed.
    combo : LayerCombo
        The choice. A layer that is chosen in it by hand becomes the active one, so that the two agree.
    find : callable
        Returns the layer to be chosen when a layer is active; None where nothing is to change.
    held : callable, optional
        Returns why another layer is not taken up now, such as a run that is under way; empty where it is.
    take : callable, optional
        Chooses a layer; by default in `combo`.
    further : sequence of LayerCombo
        What is chosen and kept besides.

    Notes
    -----
    The button goes up when a layer that it kept is closed: else another one would be kept that nobody has chosen.
    """

    def __init__(
        self,
        viewer: Any,
        combo: LayerCombo,
        find: Callable[[Any], Any | None],
        held: Callable[[Any], str] = lambda _layer: "",
        take: Callable[[Any], None] | None = None,
        further: Sequence[LayerCombo] = (),
    ) -> None:
        super().__init__()
        self._viewer, self._combo, self._find, self._held = viewer, combo, find, held
        self._take = combo.choose if take is None else take
        self._combos = (combo, *further)
        #: The layers that are kept.
        self._kept: list[Hashable] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.button = QPushButton("Pin")
        self.button.setCheckable(True)
        self.button.setToolTip("Keep what is chosen, whichever layer is active")
        self.button.setStyleSheet("QPushButton { padding: 2px 8px; }")
        self.status = QLabel()
        self.status.setTextFormat(Qt.TextFormat.PlainText)  # names in it are anybody's
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # one line: nothing moves
        row.addWidget(self.button)
        row.addWidget(self.status, 1)
        viewer.layers.selection.events.active.connect(self.follow)
        viewer.layers.events.inserted.connect(self.follow, position="last")  # once the list has it
        viewer.layers.events.removed.connect(self._on_removed, position="last")
        combo.activated.connect(self._on_hand)
        for each in self._combos:
            each.changed.connect(self._show)
            each.activated.connect(self._keep)
        self.button.toggled.connect(self._keep)
        self.button.toggled.connect(self.follow)
        self.follow()

    @property
    def is_pinned(self) -> bool:
        """Whether the choice is kept."""
        return self.button.isChecked()

    def follow(self, _event: Any = None) -> None:
        """Choose what belongs to the active layer, if nothing speaks against it."""
        if not isalive(self):  # Qt has deleted it, and Python has not yet
            return
        target = self._target()
        if target is not None and not self.is_pinned and not self._held(target):
            self._take(target)
        self._show()

    def _target(self) -> Any | None:
        active = self._viewer.layers.selection.active
        target = None if active is None else self._find(active)
        return None if target is None or target == self._combo.layer else target

    def _keep(self, _event: Any = None) -> None:
        """Remember what is chosen now, in case that it is closed."""
        chosen = [combo.layer for combo in self._combos]
        self._kept = [identity(layer) for layer in chosen if layer is not None]

    def _on_removed(self, event: Any) -> None:
        if isalive(self) and self.is_pinned and identity(event.value) in self._kept:
            self.button.setChecked(False)

    def _on_hand(self, _index: int) -> None:
        layer = self._combo.layer
        if layer is not None and not self.is_pinned:
            self._viewer.layers.selection.active = layer
        self._show()

    def _show(self) -> None:
        target, chosen = self._target(), self._combo.layer
        why = self._held(target) if target is not None else ""
        if chosen is None:
            text = ""
        elif self.is_pinned:
            text = "Pinned"
        else:
            text = why or "Follows the active layer"
        if target is not None and chosen is not None and (self.is_pinned or why):
            text += f"; '{target.name}' is active"
        self.status.setText(text)
        self.status.setToolTip(text)
