"""Before results are lost: a question when the viewer is closed, and a way back for a layer that was removed."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Sequence
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMainWindow, QMessageBox, QPushButton, QStyle, QToolButton, QWidget

from napari_radcnn.gui.layers.colors import WARNING_COLOR
from napari_radcnn.gui.layers.unsaved import is_unsaved, unsaved
from napari_radcnn.gui.parts.widgets import wrapped_label

#: Names that are listed.
_MOST = 8
#: The package whose functions carry out what is chosen in a menu.
_MENUS = "app_model.backends.qt"


class CloseGuard(QObject):
    """Asks when a user closes a viewer with results that are not saved; a script is not asked.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    window : QMainWindow
        Its window.
    """

    def __init__(self, viewer: Any, window: QMainWindow) -> None:
        super().__init__(window)
        # Not kept alive by it; plugins get the viewer in a wrapper, which nothing else keeps alive.
        self._viewer = weakref.ref(getattr(viewer, "__wrapped__", viewer))
        self._window = weakref.ref(window)
        self._box: QMessageBox | None = None
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Keep the window open while the question stands."""
        if event.type() == QEvent.Type.Close and self.is_asked_by_user(event):
            viewer = self._viewer()
            lost = [] if viewer is None else unsaved(viewer.layers)
            if lost:
                event.ignore()
                self.ask([layer.name for layer in lost])
                return True
        return bool(super().eventFilter(watched, event))

    @staticmethod
    def is_asked_by_user(event: QEvent) -> bool:
        """Whether the window system closes the window, or an entry or a key of the menu; and no program does."""
        return bool(event.spontaneous()) or _is_in_menu()

    def ask(self, names: Sequence[str]) -> None:
        """Ask whether these results may be lost."""
        window = self._window()
        if window is None or self._box is not None:
            return
        listed = [f"•  {name[:80]}" for name in names[:_MOST]]
        if len(names) > _MOST:
            listed.append(f"•  and {len(names) - _MOST} more")
        box = self._box = QMessageBox(window)
        box.setObjectName("radcnn_unsaved")
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("Close without saving?")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText("These results are not saved:\n\n" + "\n".join(listed))
        box.setInformativeText(
            "The page Export writes them, the page Measure writes rulers. Sessions are saved as they are made and "
            "can be resumed."
        )
        close = box.addButton("Close without saving", QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton("Keep open", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        box.finished.connect(lambda _code: self._on_answer(box.clickedButton() is close))
        box.open()

    def _on_answer(self, is_wanted: bool) -> None:
        self._box = None
        window = self._window()
        if is_wanted and window is not None and isalive(window):
            window.close()


def _is_in_menu() -> bool:
    """Whether an action of a menu has called what calls this; app-model carries out those of napari's menus."""
    frame = inspect.currentframe()
    while frame is not None and not str(frame.f_globals.get("__name__", "")).startswith(_MENUS):
        frame = frame.f_back
    return frame is not None


class PutBack(QWidget):
    """A line on the unsaved result that was removed last, with a button that puts it back; hidden without one.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    """

    #: A layer was put back.
    done = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Any = None
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 2)
        self.label = wrapped_label(color=WARNING_COLOR)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.button = QPushButton("Restore")
        self.close_button = QToolButton()
        self.close_button.setIcon(self.style().standardIcon(QStyle.StandardPixmap.SP_TitleBarCloseButton))
        self.close_button.setIconSize(QSize(12, 12))
        self.close_button.setToolTip("Dismiss")
        self.close_button.setAccessibleName("Dismiss")
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        row.addWidget(self.close_button)
        self.button.clicked.connect(self.put_back)
        self.close_button.clicked.connect(self.drop)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.events.inserted.connect(self._on_inserted)
        self.hide()

    def put_back(self) -> None:
        """Add the layer again."""
        layer = self._layer
        self.drop()
        if layer is not None and layer not in self._viewer.layers:
            self._viewer.layers.append(layer)
            self.done.emit()

    def drop(self) -> None:
        """Let the layer go."""
        self._layer = None
        self.hide()

    def _on_removed(self, event: Any) -> None:
        if isalive(self) and self.window().isVisible() and is_unsaved(event.value):
            self._layer = event.value
            self.label.setText(f"'{event.value.name}' was removed and is not saved.")
            self.show()

    def _on_inserted(self, event: Any) -> None:
        if isalive(self) and event.value is self._layer:
            self.drop()
