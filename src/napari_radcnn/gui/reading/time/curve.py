"""The value at one place through all time points: taken from the layer, and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.layers.layers import points_of, to_patient
from napari_radcnn.gui.reading import words
from napari_radcnn.gui.reading.windowing import look_for

_BACK, _TEXT, _AXIS = QColor(24, 24, 28), QColor(225, 225, 215), QColor(120, 120, 120)
_LINE, _NOW = QColor(120, 220, 255), QColor(255, 200, 80)
_HEIGHT = 130
#: How bright red, green and blue are (ITU-R BT.601).
_GRAY = np.array((0.299, 0.587, 0.114))
#: Left of the curve for its values, above and below it for its words.
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 14, 22, 20


@dataclass(frozen=True)
class Curve:
    """What is drawn.

    Attributes
    ----------
    title : str
        Scan and place.
    unit : str
        Of the values; empty where unknown.
    values : (n,) array of float
        In that unit, one for each time point; NaN where there is none.
    labels : tuple of str
        What the time points are called.
    axis : str
        What they are: ``"time"``.
    now : int
        The one that is shown, from 0.
    """

    title: str
    unit: str
    values: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    axis: str
    now: int

    @property
    def table(self) -> str:
        """The numbers as lines with tabs, as a table of another program takes them."""
        head = f"{self.axis}\tvalue{f' ({self.unit})' if self.unit else ''}"
        rows = zip(self.labels, self.values.tolist(), strict=True)
        return "\n".join([head, *(f"{label}\t{value!r}" for label, value in rows)])


def values_at(layer: Any, point: npt.ArrayLike) -> npt.NDArray[Any] | None:
    """Return what a layer shows at a place at all of its time points.

    Parameters
    ----------
    layer : napari layer
        With time points.
    point : (n,) array
        In napari's world, of which the last three coordinates count.

    Returns
    -------
    (t,) or (t, 3) array or None
        None outside of the scan, and where it has no time points or these are not in memory.
    """
    points = points_of(layer)
    if points is None or not all(volume.is_loaded for volume in points.volumes):
        return None
    place = np.asarray(point, float)[-3:]
    world = (float(layer.translate[0]), *place.tolist())
    index = np.rint(np.asarray(layer.world_to_data(world), float)[-3:]).astype(int)
    data = layer.data[0] if layer.multiscale else layer.data
    if (index < 0).any() or (index >= np.array(data.shape[1:4])).any():
        return None
    k, j, i = (int(n) for n in index)
    return np.asarray(data[:, k, j, i])


def curve_at(layer: Any, point: npt.ArrayLike) -> Curve | None:
    """Return the curve of a layer at a place; None where there is none. Of colors their brightness is taken."""
    points, values = points_of(layer), values_at(layer, point)
    if points is None or values is None:
        return None
    look = look_for(layer)
    numbers = values.astype(float)
    numbers = numbers @ _GRAY if numbers.ndim == 2 else numbers * look.factor
    where = words.position(to_patient(np.asarray(point, float)).tolist()) if points.volume.metadata.is_placed else ""
    title = " · ".join(part for part in (layer.name, where) if part)
    return Curve(title, look.unit, numbers, points.labels, points.axis, points.shown)


class CurveView(QWidget):
    """Draws a curve; a click shows the time point below the mouse.

    Parameters
    ----------
    go : callable
        Called with the number of a time point, from 0.
    """

    def __init__(self, go: Callable[[int], None]) -> None:
        super().__init__()
        self.setObjectName("radcnn_time_curve")
        self.setFixedHeight(_HEIGHT)
        self._go = go
        self.curve: Curve | None = None
        self.hint = ""

    def show_curve(self, curve: Curve | None, hint: str = "") -> None:
        """Show a curve, or in its place why there is none."""
        self.curve, self.hint = curve, hint
        self.setToolTip("" if curve is None else "Click: show this time point")
        self.update()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802  Qt's name
        """Show the time point below the mouse."""
        if event is not None:
            self._follow_mouse(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802  Qt's name
        """Go along while the button is held."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._follow_mouse(event)

    def _follow_mouse(self, event: QMouseEvent) -> None:
        if self.curve is not None:
            last = len(self.curve.values) - 1
            part = (event.position().x() - _LEFT) / max(self.width() - _LEFT - _RIGHT, 1)
            self._go(int(np.clip(round(part * last), 0, last)))

    def place_of(self, number: int) -> float:
        """Return how far from the left a time point is drawn, in pixels."""
        last = max(len(self.curve.values) - 1 if self.curve is not None else 1, 1)
        return _LEFT + (self.width() - _LEFT - _RIGHT) * number / last

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802  Qt's name
        """Paint the axes, the curve, and the time point that is shown."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), _BACK)
        painter.setPen(_TEXT)
        curve = self.curve
        finite = np.array([]) if curve is None else curve.values[np.isfinite(curve.values)]
        if curve is None or not finite.size:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.hint)
            painter.end()
            return
        low, high = float(finite.min()), float(finite.max())
        shown = words.number(float(curve.values[curve.now]))
        painter.drawText(
            _LEFT, 15, f"{curve.title} · {curve.axis} {curve.labels[curve.now]}: {shown} {curve.unit}".rstrip()
        )
        bottom, top = self.height() - _BOTTOM, _TOP
        painter.setPen(_AXIS)
        painter.drawLine(QPointF(_LEFT, bottom), QPointF(self.width() - _RIGHT, bottom))
        painter.drawLine(QPointF(_LEFT, top), QPointF(_LEFT, bottom))
        painter.setPen(_TEXT)
        for value, y in ((high, top + 5), (low, bottom)):
            text = words.number(value)
            painter.drawText(QPointF(_LEFT - 6 - painter.fontMetrics().horizontalAdvance(text), y), text)
        for n, alignment in ((0, 0.0), (len(curve.values) - 1, 1.0)):
            text = f"{curve.axis} {curve.labels[n]}" if n == 0 else curve.labels[n]
            across = painter.fontMetrics().horizontalAdvance(text)
            painter.drawText(QPointF(self.place_of(n) - alignment * across, self.height() - 5), text)
        parts = (curve.values - low) / (high - low) if high > low else np.full(len(curve.values), 0.5)
        heights = bottom - (bottom - top) * parts
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(_NOW, 1))
        painter.drawLine(QPointF(self.place_of(curve.now), top), QPointF(self.place_of(curve.now), bottom))
        painter.setPen(QPen(_LINE, 1.5))
        places = [QPointF(self.place_of(n), float(y)) for n, y in enumerate(heights) if np.isfinite(y)]
        painter.drawPolyline(QPolygonF(places))
        if len(places) <= 60:
            for place in places:
                painter.drawEllipse(place, 2.0, 2.0)
        painter.end()
