"""napari's own dialog for saving: ours is the writer it begins with, and what another one loses stands in its title.

napari's writers of TIFF and PNG write the array of a layer alone, and the dialog begins with them. They are napari's
and cannot be taken away, so the dialog is looked for when it blocks the viewer's window. Remove this when a manifest
can say which writer comes first (npe2 has no field for it).
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QMainWindow

from napari_radcnn.gui.layers.layers import METADATA_KEY

#: How entries of the dialog for our writers begin: with the plug-in's name.
_OURS = "RadCNN "
_NAME = "radcnn_save_dialogs"
_LOSS = "this format keeps NO position in the patient; choose a RadCNN format"


def prefer_our_writers() -> None:
    """Let napari's dialogs for saving begin with our writer wherever a layer of ours is saved."""
    for window in QApplication.topLevelWidgets() if QApplication.instance() is not None else ():
        if isinstance(window, QMainWindow) and window.findChild(QObject, _NAME) is None:
            window.installEventFilter(_SaveDialogs(window))


class _SaveDialogs(QObject):
    """Waits for a dialog over a window, and goes with the window."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.setObjectName(_NAME)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Notice that a dialog opens."""
        if event.type() == QEvent.Type.WindowBlocked:
            QTimer.singleShot(0, _on_dialog)
        return False


def _on_dialog() -> None:
    dialog = QApplication.activeModalWidget()
    if not isinstance(dialog, QFileDialog) or dialog.acceptMode() != QFileDialog.AcceptMode.AcceptSave:
        return
    ours = next((entry for entry in dialog.nameFilters() if entry.startswith(_OURS)), None)
    if ours is None or not _has_ours():
        return
    title = dialog.windowTitle()

    def on_filter(entry: str) -> None:
        dialog.setWindowTitle(title if entry.startswith(_OURS) else f"{title}: {_LOSS}")

    def on_file(_path: str) -> None:
        from napari.utils.notifications import show_warning

        if not dialog.selectedNameFilter().startswith(_OURS):
            show_warning("Saved by another plugin's writer: without position in the patient, units or names.")

    dialog.filterSelected.connect(on_filter)
    dialog.fileSelected.connect(on_file)
    dialog.selectNameFilter(ours)


def _has_ours() -> bool:
    import napari

    viewer: Any = napari.current_viewer()
    return viewer is not None and any(METADATA_KEY in layer.metadata for layer in viewer.layers)
