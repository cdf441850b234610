"""Showing the active layer as a scan instead of as labels, or the other way round."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from qtpy.QtWidgets import QPushButton

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.parts.widgets import shortened
from napari_radcnn.gui.scans.showing import as_other_kind, other_kind, replace_layer

#: Characters of a layer's name on the button.
_NAME_LENGTH = 22


class KindButton(QPushButton):
    """Is there where the active layer could be shown as the other kind.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose active layer.
    replaced : callable
        Gets the `unique_id` of the layer that went and of the one that came.
    failed : callable
        Gets the reason why a layer could not be shown otherwise, one line.
    """

    def __init__(
        self, viewer: Any, replaced: Callable[[Hashable, Hashable], None], failed: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._viewer, self._replaced, self._failed = viewer, replaced, failed
        self.clicked.connect(self._on_click)

    def show_active(self) -> None:
        """Offer what the layer that is active now could be."""
        layer = self._viewer.layers.selection.active
        kind = other_kind(layer)
        self.setVisible(bool(kind))
        what = "a scan" if kind == "scan" else "labels"
        self.setText(f"Show '{shortened(layer.name, _NAME_LENGTH)}' as {what}" if kind else "")
        self.setToolTip(f"Show '{layer.name}' as {what}" if kind else "")

    def _on_click(self) -> None:
        layer = self._viewer.layers.selection.active
        before = layer.unique_id
        try:
            made = replace_layer(self._viewer, layer, as_other_kind(layer))
        except RadcnnError as error:
            self._failed(str(error))
            return
        self._replaced(before, made.unique_id)
