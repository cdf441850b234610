"""The sessions of one viewer: one a scan, and the mouse, keys and closing of the viewer that they share."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from threading import Event
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_radcnn.gui.interactive.editing import Editing
from napari_radcnn.gui.interactive.mouse import Canvas, Mouse
from napari_radcnn.gui.layers.belonging import identity
from napari_radcnn.gui.layers.layers import snapshot, volume_from_layer
from napari_radcnn.gui.parts.keys import Keys
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.journal.journal import SavedSession
from napari_radcnn.progress import Progress
from napari_radcnn.session import PromptSession


class Sessions(QObject):
    """Begins, finds and ends sessions.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are segmented.
    canvas : Canvas
        What takes what the mouse draws; kept by a weak reference.
    keys : Keys
        Bound while a session is in use.
    """

    changed = Signal()
    told = Signal(str)
    failed = Signal(str)
    progressed = Signal(int, int, str)
    #: The session that was opened.
    opened = Signal(object)
    #: One line: why a session is over.
    ended = Signal(str)
    #: Its files are closed, too.
    closed = Signal()

    def __init__(self, viewer: Any, canvas: Canvas, keys: Keys) -> None:
        # No Qt parent: it outlives the dock until what runs has ended.
        super().__init__()
        self._viewer = viewer
        self._editings: list[Editing] = []
        #: Over, but still being saved: kept alive until then.
        self._closing: list[Editing] = []
        self._current: Editing | None = None
        #: Of which layer the dock shows what is told.
        self._scan: Hashable | None = None
        self._keys = keys
        self._window: weakref.ref[QMainWindow] | None = None
        self._wants_mouse = False
        self.mouse = Mouse(viewer, canvas)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close_all)

    # -- sessions --------------------------------------------------------------------------------------------------

    def of(self, layer: Any | None) -> Editing | None:
        """Return the session of a scan's layer, or that one of the session's own layers belongs to."""
        if layer is None:
            return None
        return next((one for one in self._editings if layer == one.scan or layer in one.layers), None)

    def start(self, layer: Any, engine: str, settings: RunSettings) -> Editing:
        """Begin a session on a layer."""
        taken = snapshot(layer)  # the time point that is shown now

        def opener(progress: Progress, cancel: Event) -> PromptSession:
            session = PromptSession(engine=engine, settings=settings)
            session.set_volume(volume_from_layer(taken), progress=progress, cancel=cancel)
            return session

        return self._add(layer, opener)

    def resume(self, layer: Any, saved: SavedSession) -> Editing:
        """Go on with a saved session on the layer of its scan."""

        def opener(progress: Progress, cancel: Event) -> PromptSession:
            return PromptSession.resume(saved, volume_from_layer(layer), progress=progress, cancel=cancel)

        return self._add(layer, opener)

    def use(self, layer: Any | None) -> None:
        """Let keys and mouse serve the session of a layer, or none."""
        current, self._scan = self.of(layer), identity(layer)
        self._keys.release()
        self._current = current
        if current is not None and current.is_open:
            self._keys.bind(self._viewer, *([current.scan] if current.scan is not None else []), *current.layers)
        self._update_mouse()

    def take_mouse(self, is_wanted: bool) -> None:
        """Take the mouse while a session is in use, or leave it to napari."""
        self._wants_mouse = is_wanted
        self._update_mouse()

    def close_without_dock(self) -> None:
        """Save and close all sessions, when the dock is gone; where its viewer is not, take their layers away."""
        window = self._open_window()
        if window is not None and window.isVisible():
            for editing in list(self._editings):
                editing.end("The dock was closed: its sessions are saved.")
        self.close_all()

    def close_all(self) -> None:
        """Save and close all sessions, when their viewer is gone."""
        self._keys.release()
        self.mouse.detach()
        while self._editings:
            self._editings.pop().close_with_viewer()
        self._current = None
        self._keep_alive()

    def _add(self, layer: Any, opener: Callable[[Progress, Event], PromptSession]) -> Editing:
        editing = Editing(self._viewer, layer, opener)
        self._editings.append(editing)
        self._keep_alive()
        editing.changed.connect(self.changed.emit)
        editing.told.connect(lambda line: self.told.emit(self._whose(editing) + line))
        editing.failed.connect(lambda line: self.failed.emit(self._whose(editing) + line))
        editing.steps.progressed.connect(
            lambda done, total, line: None if self._whose(editing) else self.progressed.emit(done, total, line)
        )
        editing.opened.connect(lambda: self.opened.emit(editing))
        editing.ended.connect(lambda line: self._on_ended(editing, line))
        editing.steps.closed.connect(lambda: self._on_closed(editing), Qt.ConnectionType.QueuedConnection)
        self.use(layer)
        self.changed.emit()
        return editing

    def _whose(self, editing: Editing) -> str:
        """Return what stands before a line of a session of another scan than the chosen one."""
        scan = editing.scan
        return "" if scan is None or identity(scan) == self._scan else f"{editing.name}: "

    def _on_ended(self, editing: Editing, line: str) -> None:
        if editing in self._editings:
            self._editings.remove(editing)
            self._closing.append(editing)
        if editing is self._current:
            self.use(editing.scan)
        self.ended.emit(line)

    def _on_closed(self, editing: Editing) -> None:
        if editing in self._closing:
            self._closing.remove(editing)
            self._keep_alive()
            self.closed.emit()

    def _keep_alive(self) -> None:
        """Outlive the dock while there is something to save."""
        (_ALIVE.add if self._editings or self._closing else _ALIVE.discard)(self)

    def _update_mouse(self) -> None:
        if self._wants_mouse and self._current is not None and self._current.is_open:
            active = self._viewer.layers.selection.active
            if active is not None and active.mode != "pan_zoom":
                active.mode = "pan_zoom"  # the tool that was chosen last is the one that the mouse serves
            self.mouse.attach()
        else:
            self.mouse.detach()

    # -- the end of the viewer -------------------------------------------------------------------------------------

    def watch_window(self, widget: QWidget) -> None:
        """Notice when the main window that holds `widget` is closed."""
        window: Any = widget
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        if window is not None and window is not self._open_window():
            window.installEventFilter(self)
            self._window = weakref.ref(window)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Notice that the viewer is being closed."""
        if event.type() == QEvent.Type.Close:  # napari may still ask the user, who may then keep it open
            QTimer.singleShot(0, self._close_if_closed)
        return super().eventFilter(watched, event)

    def _close_if_closed(self) -> None:
        window = self._open_window()
        if window is None or not window.isVisible():
            self.close_all()

    def _open_window(self) -> QMainWindow | None:
        """Return the main window, where Qt has not deleted it."""
        window = None if self._window is None else self._window()
        return window if window is not None and isalive(window) else None


#: Those with sessions that are not closed yet.
_ALIVE: set[Sessions] = set()
