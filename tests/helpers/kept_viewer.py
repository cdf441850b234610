"""One window of napari for all tests of a module: put back after each of them as it was, and judged by what is left.

napari's own fixture makes a window for each test. That is right where opening, closing or an untouched viewer is
tested; elsewhere most of the time of a test goes into windows, and into the letters of the first scan in each.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QDialog, QDockWidget, QMainWindow, QWidget

from screens import pump


@contextmanager
def _application() -> Iterator[None]:
    """Have an application of napari's for this window alone, as napari's own fixture has it."""
    from app_model import Application
    from napari._app_model._app import NapariApplication, _napari_names
    from napari._qt._qapp_model.qactions import init_qactions
    from napari.plugins import _initialize_plugins

    def forget() -> None:
        _initialize_plugins.cache_clear()
        init_qactions.cache_clear()

    name = "kept_viewer"
    forget()
    application = NapariApplication(name)
    application.injection_store.namespace = _napari_names
    with patch.object(NapariApplication, "get_app_model", return_value=application):
        try:
            yield
        finally:
            Application.destroy(name)
            forget()


def _no_console(_self: Any) -> QWidget:
    """Return what stands for napari's console, which no test needs and which takes long."""
    stand_in = QWidget()
    stand_in._update_theme = lambda *_: None
    return stand_in


class KeptViewer:
    """A viewer in a window that is shown, with napari's line below the pictures still."""

    def __init__(self) -> None:
        import napari
        from napari.qt import QtViewer
        from napari.settings import get_settings

        self._stack = ExitStack()
        self._stack.enter_context(_application())
        self._stack.enter_context(patch("napari._qt.threads.status_checker.StatusChecker.start", lambda _self: None))
        self._stack.enter_context(patch("napari._qt.qt_viewer.QtViewer._get_console", _no_console))
        get_settings().reset()
        self.viewer = napari.Viewer(show=True, show_welcome_screen=False)
        windows = [each for each in QApplication.topLevelWidgets() if isinstance(each, QMainWindow)]
        self.window = next(
            each for each in windows if any(inner.viewer is self.viewer for inner in each.findChildren(QtViewer))
        )
        self._size, self._title = self.window.size(), self.viewer.title
        self._docks = {dock: dock.isHidden() for dock in self.window.findChildren(QDockWidget)}
        self._state = self.window.saveState()

    def put_back(self) -> None:
        """Take away what a test has left: pages, layers, questions, further views, and what it set."""
        from napari.settings import get_settings

        from napari_radcnn.gui.reading.room import room_of

        viewer = self.viewer
        while QApplication.activePopupWidget() is not None:
            QApplication.activePopupWidget().close()
        for box in self.window.findChildren(QDialog):
            box.close()
            box.deleteLater()
        viewer.window.remove_dock_widget("all")
        viewer.dims.ndisplay = 2
        room = room_of(viewer)
        if room is not None:
            room.choose_layout("one")
            room.name_patient(True)
            room.say("")
        viewer.layers.clear()
        viewer.dims.reset()
        viewer.reset_view()
        get_settings().reset()
        viewer.theme = get_settings().appearance.theme
        viewer.title, viewer.status, viewer.help = self._title, "Ready", ""
        viewer.keymap.clear()
        self.window.showNormal()
        self.window.resize(self._size)
        if self.window.saveState() != self._state:
            self.window.restoreState(self._state)
        for dock, is_hidden in self._docks.items():
            dock.setVisible(not is_hidden)
        gc.collect(1)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        pump(3)

    def left_over(self) -> list[str]:
        """Return what of a test is there still."""
        viewer = self.viewer
        found = [f"layer {layer.name}" for layer in viewer.layers]
        found += [
            f"dock {dock.windowTitle()}" for dock in self.window.findChildren(QDockWidget) if dock not in self._docks
        ]
        found += [f"question {box.objectName()}" for box in self.window.findChildren(QDialog) if box.isVisible()]
        return found

    def close(self) -> None:
        """Close it as a program does."""
        try:
            with patch.object(self.window, "_save_current_window_settings"):
                self.viewer.close()
        finally:
            del self.viewer, self.window, self._docks
            self._stack.close()
        pump(3)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
