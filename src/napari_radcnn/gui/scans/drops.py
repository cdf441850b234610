"""Scans that are dropped on the canvas open without napari's question for a reader, once the Scans page is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QDropEvent, QGuiApplication
from qtpy.QtWidgets import QMainWindow

from napari_radcnn.gui.scans.defaults import others
from napari_radcnn.io.contents import SHOWN, kind_of
from napari_radcnn.io.formats import PICTURE, sniff

_NAME = "radcnn_drops"


def take_drops(window: QMainWindow, open_paths: Callable[[Sequence[Path]], object]) -> None:
    """Let what is dropped on the canvases of a window be opened by `open_paths`, if it is ours alone.

    Left to napari is what the user has given to another plugin, pictures that are no scans, and drops with a key that
    means something to napari (Alt: choose a reader; Shift: stack).
    """
    from napari.qt import QtViewer

    for canvas in window.findChildren(QtViewer):
        before = canvas.findChild(QObject, _NAME, Qt.FindChildOption.FindDirectChildrenOnly)
        if before is not None:
            before.setParent(None)
            before.deleteLater()
        canvas.installEventFilter(_Drops(canvas, open_paths))


class _Drops(QObject):
    def __init__(self, canvas: QObject, open_paths: Callable[[Sequence[Path]], object]) -> None:
        super().__init__(canvas)
        self.setObjectName(_NAME)
        self._open_paths = open_paths

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Take a drop of scans; True keeps it from napari."""
        if not isinstance(event, QDropEvent) or event.type() != QEvent.Type.Drop:
            return False
        keys = QGuiApplication.keyboardModifiers()
        urls = event.mimeData().urls()
        paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
        if keys & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ShiftModifier) or len(paths) < len(urls):
            return False
        if not paths or not all(_is_ours(path) for path in paths):
            return False
        event.acceptProposedAction()
        self._open_paths(paths)
        return True


def _is_ours(path: Path) -> bool:
    name = f"{path}/" if path.is_dir() else str(path)
    is_given = any(fnmatch(name.lower(), pattern.lower()) for pattern in others())
    return not is_given and kind_of(path) in SHOWN and sniff(path) is not PICTURE
