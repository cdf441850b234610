"""What must be known of the active scan before relying on it: it comes and goes with the scan."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_radcnn.gui.layers.belonging import identity
from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.layers import is_ours
from napari_radcnn.gui.layers.show import remarks_of, warnings_of
from napari_radcnn.gui.parts.widgets import LinesBox, is_seen, wrapped_label
from napari_radcnn.gui.scans.folder import ListedScan
from napari_radcnn.io import SeriesInfo

#: Room for them; more scroll.
_LINES = 3


class ScanNotes(QWidget):
    """Shows the warnings of the active layer; hidden where there are none.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose active layer.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._more: dict[Hashable, tuple[str, ...]] = {}
        self.label = wrapped_label(color=WARNING_COLOR)
        self.label.setTextFormat(Qt.TextFormat.PlainText)  # names in it are anybody's
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(LinesBox(self.label, n_lines=_LINES))
        viewer.layers.selection.events.active.connect(self.show_active)
        viewer.layers.events.reordered.connect(self.show_active)
        viewer.layers.events.removed.connect(self._on_removed)
        self.show_active()

    def add(self, layer: Any, lines: Sequence[str]) -> list[str]:
        """Keep further lines of a layer, such as those of the folder that it lies in, and return those that are new."""
        known = (*warnings_of(layer), *self._more.get(identity(layer), ()))
        new = [line for line in lines if line not in known]
        if new:
            self._more[identity(layer)] = (*self._more.get(identity(layer), ()), *new)
            self.show_active()
        return new

    def tell_whose(self, scan: ListedScan, layers: Sequence[Any]) -> None:
        """Say of a scan that was shown before the rest was listed that there are scans of others, too."""
        notes = scan.source.notes if isinstance(scan.source, SeriesInfo) else ()
        for layer in layers:
            new = self.add(layer, notes)
            for note in () if is_seen(self) else new:
                show_warning(f"{layer.name}: {note}")

    def show_active(self, _event: Any = None) -> None:
        """Show what must be known of the layer that is active now."""
        if not isalive(self):  # Qt has deleted it, and Python has not yet
            return
        layer = self._viewer.layers.selection.active
        lines = [] if layer is None else [*warnings_of(layer), *self._more.get(identity(layer), ())]
        told = [f"⚠ {line}" for line in lines]
        if layer is not None and is_ours(layer):
            told += [f"'{layer.name}' {remark}" for remark in remarks_of(layer.metadata)]
        self.label.setText("\n".join(told))
        self.setVisible(bool(told))

    def _on_removed(self, event: Any) -> None:
        self._more.pop(identity(event.value), None)
