"""What the first scan of a viewer needs, made while nothing else goes on: letters, scale bar, and what draws them.

The driver of the graphics compiles what draws a text when the first one is drawn. That takes a tenth of a second; in
software it takes most of a second the first time on a computer, before there is anything in the driver's own cache.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.layers.view import letter_steps

#: Between two steps, ms: the window is painted and answers.
_PAUSE_MS = 150


class Warming:
    """Takes one step after the other while a viewer is empty.

    Parameters
    ----------
    page : QWidget
        Lives and dies with it.
    viewer : napari.Viewer
        Nothing that is seen of it is changed.
    is_busy : callable
        Whether scans are being opened, which takes the steps that are left itself.
    """

    def __init__(self, page: QWidget, viewer: Any, is_busy: Callable[[], bool]) -> None:
        self._viewer, self._is_busy = viewer, is_busy
        self._steps: deque[Callable[[], object]] = deque(letter_steps(viewer))
        if not viewer.canvas.overlays["scale_bar"].visible:
            self._steps += [partial(_draw_scale, viewer), partial(_hide_scale, viewer)]
        self._timer = QTimer(page)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._go_on)
        self._timer.start()

    @property
    def is_done(self) -> bool:
        """Whether no step is left."""
        return not self._steps

    def _go_on(self) -> None:
        if self._viewer.layers or self._is_busy():
            if self._steps and getattr(self._steps[0], "func", None) is _hide_scale:
                self._steps[0]()
            self._steps.clear()
        elif self._steps:
            self._steps.popleft()()
            self._timer.start()


def _draw_scale(viewer: Any) -> None:
    """Have the scale bar drawn, of which nothing is seen."""
    bar = viewer.canvas.overlays["scale_bar"]
    bar.opacity, bar.visible = 0.0, True


def _hide_scale(viewer: Any) -> None:
    """Undo `_draw_scale`; with a scan, which has come in between, the bar stays."""
    bar = viewer.canvas.overlays["scale_bar"]
    bar.visible = bool(viewer.layers)
    bar.opacity = 1.0
