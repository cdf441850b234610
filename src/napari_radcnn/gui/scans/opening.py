"""One way in: what the window is asked to open goes to the Scans page, which lists and loads beside the viewer.

napari calls a reader in the viewer's thread, once for each dropped file, and waits for the layers. Asked by the window
it gets none: the paths wait until no more come, and are opened together. Asked by a program it gets its layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari_radcnn.gui.scans.dock import ScansDock

#: Packages whose functions lie between the window and a reader.
_BETWEEN = ("napari", "napari_radcnn", "npe2", "app_model", "in_n_out", "psygnal", "superqt", "contextlib")
#: After this many ms without another path all that were dropped have come.
_WAIT_MS = 60


def is_asked_by_window() -> bool:
    """Whether napari's window, and not a program, has called the reader that calls this.

    Told by a widget among the functions of napari that lead here: a drop, a dialog, a menu.
    """
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] in _BETWEEN:
        if isinstance(frame.f_locals.get("self"), QWidget):
            return True
        frame = frame.f_back
    return False


def hand_over(viewer: Any, paths: Sequence[Path], *, are_all: bool = False) -> None:
    """Let the Scans page of a viewer open paths, together with those that come right after.

    Parameters
    ----------
    viewer : napari.Viewer
        Which.
    paths : sequence of Path
        Files and folders.
    are_all : bool
        Whether none is to be waited for, as after a drop that the page itself has taken.
    """
    waiting = next((one for one in _WAITING if one.is_of(viewer)), None)
    if waiting is None:
        waiting = _Waiting(viewer)
        _WAITING.append(waiting)
    waiting.add(paths, 0 if are_all else _WAIT_MS)


def scans_page(viewer: Any) -> ScansDock:
    """Return the Scans page of a viewer, which is shown."""
    page: ScansDock = show_page(viewer, "Scans")  # type: ignore[assignment]
    return page


def show_page(viewer: Any, name: str) -> QWidget:
    """Turn the panel of a viewer to a page, and return that."""
    from napari_radcnn.gui.panel.panel import panel_of

    panel = panel_of(viewer)
    panel.open(name)
    return panel.turn(name)


class _Waiting(QObject):
    """The paths that a viewer has been asked for and that are not handed over yet."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._paths: list[Path] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_quiet)

    def is_of(self, viewer: Any) -> bool:
        """Whether these are a viewer's."""
        return _unwrapped(self._viewer) is _unwrapped(viewer)

    def add(self, paths: Sequence[Path], wait_ms: int) -> None:
        """Take further paths, and wait again."""
        self._paths += [path for path in paths if path not in self._paths]
        self._timer.start(wait_ms)

    def _on_quiet(self) -> None:
        if is_asked_by_window():  # napari's bars process events, this one among them, while it goes through a list
            self._timer.start(_WAIT_MS)
            return
        _WAITING.remove(self)
        QTimer.singleShot(0, lambda: self._open())  # holds this object, and its timer, until Qt is done with them

    def _open(self) -> None:
        scans_page(self._viewer).open_paths(self._paths)


#: At most one for each viewer, for a moment.
_WAITING: list[_Waiting] = []


def _unwrapped(viewer: Any) -> Any:
    """Return the viewer itself: plugins get it in a wrapper, each time another."""
    return getattr(viewer, "__wrapped__", viewer)
