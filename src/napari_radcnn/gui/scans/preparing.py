"""A viewer is made ready for its first scan while that is being read, and not only then."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.parts.widgets import hold_painting
from napari_radcnn.gui.reading.show import first_steps

#: Between two steps, ms, and how long the window is not painted: a step and the painting after it are two gaps.
_PAUSE_MS, _HOLD_MS = 25, 10


class Preparing(QObject):
    """Takes the first steps of a viewer one after the other, beside the reading of a scan.

    Parameters
    ----------
    page : QWidget
        Lives and dies with it.
    viewer : napari.Viewer
        Which.
    """

    def __init__(self, page: QWidget, viewer: Any) -> None:
        super().__init__(page)
        self._page, self._viewer = page, viewer
        self._steps: deque[Callable[[], object]] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._go_on)

    def begin(self) -> None:
        """Begin, now that a scan is being read; once for each scan."""
        if self._steps is None:
            self._steps = deque(first_steps(self._viewer))
            self._timer.start()

    def rest(self) -> list[Callable[[], object]]:
        """Take no more steps, and return those that are left."""
        self._timer.stop()
        steps, self._steps = self._steps, None
        return first_steps(self._viewer) if steps is None else list(steps)

    def end(self) -> None:
        """Take no more steps; without a scan there are no sliders."""
        self._timer.stop()
        self._steps = None
        if not self._viewer.layers and self._viewer.dims.ndim == 3:
            self._viewer.dims.ndim = 2

    def _go_on(self) -> None:
        if self._steps:
            hold_painting(self._page.window(), _HOLD_MS)
            self._steps.popleft()()
        else:
            self._timer.stop()
