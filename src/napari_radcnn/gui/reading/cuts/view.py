"""A plane in any direction over the canvas of a view, painted by Qt; it takes the mouse while it is shown.

It lies over napari's canvas and not in it: the layers stay as they are, no texture is sent to the graphics card, and
what napari draws below is seen again as soon as the plane is upright.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.cuts.frames import Cuts, Frame
from napari_radcnn.gui.reading.cuts.handing import go_on
from napari_radcnn.gui.reading.cuts.marks import Mark
from napari_radcnn.gui.reading.cuts.model import CutDims, CutEvent, CutModel
from napari_radcnn.gui.reading.cuts.painter import Order, Painter
from napari_radcnn.progress import CancelEvent
from napari_radcnn.reformatting import Plane

_Pair = npt.NDArray[np.float64]
#: Once nothing has moved for so long, ms, every pixel is sampled.
_REST_MS = 15
#: While it moves: one of so many pixels along each side, so that pictures of all views take no longer than this, s.
_MOST_STEP, _MOST_SECONDS = 6, 0.07
_BUTTONS = {Qt.MouseButton.LeftButton: 1, Qt.MouseButton.RightButton: 2, Qt.MouseButton.MiddleButton: 3}
_KEYS = {
    Qt.KeyboardModifier.ShiftModifier: "Shift",
    Qt.KeyboardModifier.ControlModifier: "Control",
    Qt.KeyboardModifier.AltModifier: "Alt",
}
_NOTCH = 120.0
_SHADOW, _BAR = QColor(0, 0, 0, 235), QColor(255, 255, 255)
#: Of the scale bar: lengths in mm, the longest part of the width it takes, and where it lies.
_BAR_LENGTHS, _BAR_PART, _BAR_MARGIN = (1, 2, 5, 10, 20, 50, 100, 200), 0.25, 14
_RING = 5.0


class Host(Protocol):
    """Who knows what is shown, and what the mouse does."""

    cuts: Cuts
    painter: Painter

    @property
    def awake(self) -> Sequence[object]:
        """The views that are shown."""
        ...

    def painting(self, plane: Plane, *, is_coarse: bool) -> Callable[[CancelEvent], npt.NDArray[np.uint8]]:
        """Return what paints a plane, (rows, columns, 4), of what is there now, in any thread."""
        ...

    def marks(self, plane: str) -> list[Mark]:
        """Return what is drawn over a plane."""
        ...

    def world_point(self) -> npt.NDArray[np.float64]:
        """Return napari's world point that is shown."""
        ...

    def press(self, view: CutView, event: CutEvent) -> list[Any]:
        """Hand a button that goes down on; return what wants to hear more."""
        ...

    def wheel(self, view: CutView, event: CutEvent) -> None:
        """Take a turn of the wheel."""
        ...

    def hover(self, model: Any, where: tuple[float, float] | None) -> None:
        """Take where the mouse is, right of and below the middle, in pixels; None when it leaves."""
        ...


class CutView(QWidget):
    """Shows a plane over a canvas between `wake` and `rest`.

    Parameters
    ----------
    canvas : QWidget
        Of the view; this one lives and dies with it.
    model : napari viewer or ViewerModel
        Of the view: its camera says how large, and, of an upright plane, where.
    host : Host
        Knows the rest.
    """

    def __init__(self, canvas: QWidget, model: Any, host: Host) -> None:
        super().__init__(canvas)
        self.setObjectName("radcnn_cut_view")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay with the canvas
        self.setMouseTracking(True)
        self.model, self.plane = model, ""
        self._host: Host | None = host
        #: Where the point of all views is, right of and below the middle, mm; None where the camera says it.
        self._offset: _Pair | None = None
        self._image: tuple[QImage, npt.NDArray[np.uint8], int] | None = None
        self._step = 2
        self._running: list[Any] = []
        self._event: CutEvent | None = None
        self.is_exact = False
        self._soon, self._rest_timer = QTimer(self), QTimer(self)
        for timer, interval, slot in (
            (self._soon, 0, self._draw_coarse),
            (self._rest_timer, _REST_MS, self._draw_exactly),
        ):
            timer.setSingleShot(True)
            timer.setInterval(interval)
            timer.timeout.connect(slot)
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        model.scene.camera.events.connect(self._on_camera)
        self.hide()

    # -- what is shown ---------------------------------------------------------------------------------------------

    def wake(self, plane: str) -> None:
        """Show a plane, or show it anew."""
        if plane != self.plane:
            self.plane, self._offset = plane, None
        if self._offset is None and self._is_turned:
            self._offset = self._by_camera()
        elif not self._is_turned:
            self._offset = None
        if self.isHidden():
            self.setGeometry(self.parentWidget().rect())
            self.show()
            self._draw_now()
        else:
            self.draw_soon()

    def rest(self) -> None:
        """Be hidden, and keep no picture."""
        self._soon.stop()
        self._rest_timer.stop()
        if self._host is not None:
            self._host.painter.drop(self)
        self.plane, self._offset, self._image, self._running, self._event = "", None, None, [], None
        self.hide()

    def part(self) -> None:
        """Keep nothing alive: the canvas is about to go."""
        self.rest()
        self._host = None
        self.model.scene.camera.events.disconnect(self._on_camera)
        self.setParent(None)

    @property
    def frame(self) -> Frame:
        """The directions of its plane."""
        return Frame.upright("Axial") if self._host is None else self._host.cuts.frames[self.plane]

    @property
    def zoom(self) -> float:
        """Pixels a mm."""
        return float(self.model.scene.camera.zoom)

    @property
    def offset(self) -> _Pair:
        """Where the point of all views is, right of and below the middle, mm."""
        return self._by_camera() if self._offset is None else self._offset

    @property
    def _is_turned(self) -> bool:
        upright = Frame.upright(self.plane)
        return not (np.allclose(self.frame.right, upright.right) and np.allclose(self.frame.down, upright.down))

    def _by_camera(self) -> _Pair:
        if self._host is None:
            return np.zeros(2)
        point = self._host.world_point()
        return np.array(planes.offset_of(self.model, point)) / self.zoom

    def shift(self, moved: npt.NDArray[np.float64]) -> None:
        """Have the picture stay in its place after the point of all views was moved in the patient, LPS mm."""
        if self._offset is not None:
            self._offset = self._offset + self.frame.on_screen(moved)

    def show_whole(self, middle: npt.NDArray[np.float64]) -> None:
        """Have a point of the patient, LPS mm, projected on the middle."""
        if self._offset is not None and self._host is not None:
            self._offset = self.frame.on_screen(self._host.cuts.center - middle)
            self.draw_soon()

    def position(self, right: float, down: float) -> npt.NDArray[np.float64]:
        """Return the place in the patient, LPS mm, of pixels right of and below the middle."""
        if self._host is None:
            return np.zeros(3)
        across, along = np.array([right, down]) / self.zoom - self.offset
        return self._host.cuts.center + self.frame.in_patient(float(across), float(along))

    def pixel(self, position: npt.ArrayLike) -> _Pair:
        """Return where places in the patient, LPS mm, are drawn, right of and below the middle, in pixels."""
        center = np.zeros(3) if self._host is None else self._host.cuts.center
        return (self.frame.on_screen(np.asarray(position, float) - center) + self.offset) * self.zoom

    def grid(self, step: int) -> Plane:
        """Return the plane with one of every `step` pixels along each side."""
        rows, columns = -(-self.height() // step), -(-self.width() // step)
        right, down = (step - self.width()) / 2, (step - self.height()) / 2
        size = step / self.zoom
        return Plane(self.position(right, down), self.frame.right, self.frame.down, (size, size), (rows, columns))

    def pan(self, right: float, down: float) -> None:
        """Move the picture by pixels."""
        if self._offset is None:
            planes.pan(self.model, right, down)
        else:
            self._offset = self._offset + np.array([right, down]) / self.zoom
        self.draw_soon()

    def enlarge(self, where: tuple[float, float], factor: float) -> None:
        """Enlarge the picture about a place, right of and below the middle, in pixels."""
        if self._offset is None:
            planes.zoom_about(self.model, planes.point_at(self.model, *where), factor)
        else:
            about = np.array(where)
            kept = about / self.zoom - self._offset
            self.model.scene.camera.zoom *= factor
            self._offset = about / self.zoom - kept
        self.draw_soon()

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw_soon(self) -> None:
        """Draw coarsely as soon as events have been heard, and fully once nothing moves any more."""
        if not self.isHidden():
            self._rest_timer.stop()
            self._soon.start()

    def _on_camera(self, _event: Any = None) -> None:
        if isalive(self):
            self.draw_soon()

    def _draw_coarse(self) -> None:
        self._order(self._step, is_coarse=True)

    def _draw_exactly(self) -> None:
        self._order(1, is_coarse=False)

    def _order(self, step: int, *, is_coarse: bool) -> None:
        """Have the picture painted beside the viewer, as everything is now."""
        if self._host is not None and self._can_draw(self._host):
            work = self._host.painting(self.grid(step), is_coarse=is_coarse)
            is_exact = step == 1 and not (is_coarse and self._host.cuts.thickness > 0)
            done = partial(self._on_painted, step, is_exact)
            self._host.painter.ask(Order(self, work, done, is_urgent=is_coarse))

    def _draw_now(self) -> None:
        """Paint a coarse picture at once, so that a view that comes is never empty, and have it painted exactly."""
        if self._host is not None and self._can_draw(self._host):
            picture = self._host.painting(self.grid(self._step), is_coarse=True)(Event())
            self._show_picture(picture, self._step, is_exact=False)
            self._rest_timer.start()

    def _can_draw(self, host: Host) -> bool:
        return self.plane in host.cuts.frames and min(self.width(), self.height()) > 0

    def _on_painted(self, step: int, is_exact: bool, picture: npt.NDArray[np.uint8], seconds: float) -> None:
        if self._host is None or not isalive(self) or self.isHidden():
            return
        self._show_picture(picture, step, is_exact=is_exact)
        most = _MOST_SECONDS / max(len(self._host.awake), 1)
        if step == self._step and seconds > most and self._step < _MOST_STEP:
            self._step += 1
        elif step == self._step and seconds < most / 3 and self._step > 1:
            self._step -= 1
        if not is_exact and not self._soon.isActive() and not self._host.painter.has(self):
            self._rest_timer.start()

    def _show_picture(self, picture: npt.NDArray[np.uint8], step: int, *, is_exact: bool) -> None:
        rows, columns = picture.shape[:2]
        image = QImage(picture.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
        self._image, self.is_exact = (image, picture, step), is_exact
        self.update()

    @property
    def is_waiting(self) -> bool:
        """Whether it is about to be drawn."""
        is_asked = self._host is not None and self._host.painter.has(self)
        return self._soon.isActive() or self._rest_timer.isActive() or is_asked

    @property
    def coarseness(self) -> int:
        """One of so many pixels along each side is sampled while it moves."""
        return self._step

    @property
    def shown(self) -> npt.NDArray[np.uint8]:
        """The picture, (rows, columns, 4), with marks and texts left out."""
        return np.zeros((0, 0, 4), np.uint8) if self._image is None else self._image[1]

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802  Qt's name
        """Paint the plane, and what lies in it."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        if self._image is not None and self._host is not None:
            image, _, step = self._image
            painter.drawImage(QRectF(0, 0, image.width() * step, image.height() * step), image)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for mark in self._host.marks(self.plane):
                self._paint_mark(painter, mark)
            self._paint_bar(painter)
        painter.end()

    def _paint_mark(self, painter: QPainter, mark: Mark) -> None:
        middle = np.array([self.width(), self.height()]) / 2
        places = [QPointF(float(x), float(y)) for x, y in self.pixel(mark.points) + middle]
        for color, width in ((_SHADOW, 4.0), (QColor(*mark.color), 2.0)):
            painter.setPen(QPen(color, width))
            if len(places) == 1:
                painter.drawEllipse(places[0], _RING, _RING)
            else:
                painter.drawPolyline(QPolygonF(places))
        if mark.text:
            top = min(places, key=lambda place: place.y())
            for shift, color in ((1, _SHADOW), (0, QColor(*mark.color))):
                painter.setPen(color)
                painter.drawText(top + QPointF(6 + shift, shift - 4), mark.text)

    def _paint_bar(self, painter: QPainter) -> None:
        fits = [length for length in _BAR_LENGTHS if length * self.zoom <= _BAR_PART * self.width()]
        if not fits:
            return
        length = fits[-1] * self.zoom
        right, bottom = self.width() - _BAR_MARGIN, self.height() - _BAR_MARGIN
        text = f"{fits[-1]} mm"
        across = painter.fontMetrics().horizontalAdvance(text)
        for color, width, shift in ((_SHADOW, 4.0, 1), (_BAR, 2.0, 0)):
            painter.setPen(QPen(color, width))
            painter.drawLine(QPointF(right - length, bottom), QPointF(right, bottom))
            painter.drawText(QPointF(right - (length + across) / 2 + shift, bottom - 5 + shift), text)

    # -- the mouse -------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Stay as large as the canvas."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget) and not self.isHidden():
            self.setGeometry(watched.rect())
            self.draw_soon()
        return super().eventFilter(watched, event)

    def leaveEvent(self, _event: QEvent | None) -> None:  # noqa: N802  Qt's name
        """Tell that the mouse is elsewhere."""
        if self._host is not None:
            self._host.hover(self.model, None)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802  Qt's name
        """Hand a button on to the tools that work in planes like this one."""
        if event is None or self._host is None or self._event is not None:
            return
        self.parentWidget().setFocus()
        self._event = self._told("mouse_press", event.position(), event.modifiers(), _BUTTONS.get(event.button(), 0))
        self._running = self._host.press(self, self._event)

    mouseDoubleClickEvent = mousePressEvent  # noqa: N815  Qt's name; two quick clicks are two

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802  Qt's name
        """Tell where the mouse is, and those who listen to a drag."""
        if event is None or self._host is None:
            return
        x, y = self._from_middle(event.position())
        self._host.hover(self.model, (x, y))
        self._go_on("mouse_move", event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802  Qt's name
        """End a drag."""
        if event is not None and event.buttons() == Qt.MouseButton.NoButton:
            self._go_on("mouse_release", event)
            self._event, self._running = None, []

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802  Qt's name
        """Go through the patient, or enlarge."""
        if event is None or self._host is None:
            return
        told = self._told("mouse_wheel", event.position(), event.modifiers(), 0)
        told.delta = (event.angleDelta().x() / _NOTCH, event.angleDelta().y() / _NOTCH)
        self._host.wheel(self, told)
        event.accept()

    def stand_in(self) -> CutModel:
        """Return what stands for the model of this view where tools ask it."""
        point = np.zeros(3) if self._host is None else self._host.world_point()
        dims = CutDims(len(point), tuple(point.tolist()))
        return CutModel(self, dims, np.stack([self.frame.down, self.frame.right]), self.zoom)

    def _go_on(self, kind: str, event: QMouseEvent) -> None:
        if self._event is None:
            return
        now = self._told(kind, event.position(), event.modifiers(), self._event.button)
        self._event.type, self._event.pos, self._event.position = kind, now.pos, now.position
        self._running = go_on(self._running)

    def _told(self, kind: str, place: QPointF, modifiers: Qt.KeyboardModifier, button: int) -> CutEvent:
        point = np.zeros(3) if self._host is None else self._host.world_point()
        point[-3:] = to_display(self.position(*self._from_middle(place)))
        held = tuple(name for key, name in _KEYS.items() if modifiers & key)
        return CutEvent(kind, np.array([place.x(), place.y()]), tuple(point.tolist()), button, held)

    def _from_middle(self, place: QPointF) -> tuple[float, float]:
        return place.x() - self.width() / 2, place.y() - self.height() / 2
