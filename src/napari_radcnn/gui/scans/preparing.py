"""While its first scan is being read, a viewer shows a slice of it and is made ready for all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.layers.view import lift_boxes
from napari_radcnn.gui.parts.widgets import hold_painting
from napari_radcnn.gui.reading.show import first_margins, first_steps, take_axes
from napari_radcnn.gui.reading.stage import viewer_widget_of
from napari_radcnn.gui.scans.glimpse import Glimpse, GlimpseView

#: Between two steps, ms, and how long the window is not painted: a step and the painting after it are two gaps.
_PAUSE_MS, _HOLD_MS = 25, 10
#: After a layer has come, ms.
_UNCOVER_MS = 100


class Preparing(QObject):
    """Takes the first steps of a viewer one after the other, beside the reading of a scan.

    Parameters
    ----------
    page : QWidget
        Lives and dies with it.
    viewer : napari.Viewer
        Which.
    """

    #: A slice of the scan; emitted on the thread that reads.
    glimpsed = Signal(object)

    def __init__(self, page: QWidget, viewer: Any) -> None:
        super().__init__(page)
        self._page, self._viewer = page, viewer
        self._steps: deque[Callable[[], object]] | None = None
        #: What puts back the boxes behind letters and scale.
        self._boxes: deque[Callable[[], object]] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._go_on)
        self._uncover_timer = QTimer(self)
        self._uncover_timer.setSingleShot(True)
        self._uncover_timer.setInterval(_UNCOVER_MS)
        self._uncover_timer.timeout.connect(self._uncover)
        #: Over the canvas, until the scan is seen there.
        self.glimpse: GlimpseView | None = None
        self.glimpsed.connect(self._on_glimpse)

    def begin(self) -> None:
        """Begin, now that a scan is being read; once for each scan."""
        if self._steps is None:
            self._steps = deque(self._first_steps())
            self._timer.start()

    def rest(self, layers: Sequence[Any]) -> list[Callable[[], object]]:
        """Take no more steps, and return those that are left before layers come."""
        self._timer.stop()
        steps, self._steps = self._steps, None
        left = self._first_steps() if steps is None else list(steps)
        return [*left, *(partial(take_axes, self._viewer, layer) for layer in layers[:1])]

    def last_step(self) -> Callable[[], object] | None:
        """Return what puts back one of the boxes behind letters and scale, once the scan is seen; None if all are."""
        return self._boxes.popleft() if self._boxes else None

    def end(self) -> None:
        """Take no more steps, and uncover the canvas; without a scan there are no sliders."""
        self._timer.stop()
        self._steps = None
        while (step := self.last_step()) is not None:
            step()
        self._uncover()
        if not self._viewer.layers and self._viewer.dims.ndim == 3:
            self._viewer.dims.ndim = 2

    def _first_steps(self) -> list[Callable[[], object]]:
        steps = first_steps(self._viewer)
        return [lambda: self._boxes.extend(lift_boxes(self._viewer)), *steps] if steps else []

    def _on_glimpse(self, glimpse: Glimpse) -> None:
        widget = viewer_widget_of(self._viewer)
        if widget is not None and not self._viewer.layers and self.glimpse is None:
            self.glimpse = GlimpseView(widget.canvas.native, glimpse, first_margins(self._viewer))
            self._viewer.layers.events.inserted.connect(self._on_inserted)
        self.begin()
        if not self._timer.isActive():
            self._settle()

    def _on_inserted(self, _event: Any = None) -> None:
        if isalive(self):
            self._uncover_timer.start()  # by then the canvas below is painted

    def _uncover(self) -> None:
        if self.glimpse is None or not isalive(self):
            return
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        if isalive(self.glimpse):
            self.glimpse.hide()
            self.glimpse.deleteLater()
        self.glimpse = None

    def _go_on(self) -> None:
        if self._steps:
            hold_painting(self._page.window(), _HOLD_MS)
            self._steps.popleft()()
            if self.glimpse is not None and isalive(self.glimpse):
                self.glimpse.raise_()  # what the step has put over the canvas is empty yet
        else:
            self._timer.stop()
            self._settle()

    def _settle(self) -> None:
        if self.glimpse is not None and isalive(self.glimpse):
            self.glimpse.settle()
