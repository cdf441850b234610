"""Drawings for the pages of the panel, in the colors of the theme."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QLineF, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

#: Drawn on a square of this side; larger than shown, for screens of high resolution.
_SIDE = 64
_WIDTH = 4.5


def icon(name: str, color: QColor) -> QIcon:
    """Return the drawing of a name: scans, view, models, segment, findings, measure, fusion, cohort or export."""
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(color, _WIDTH, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    _DRAWINGS[name](painter, color)
    painter.end()
    return QIcon(pixmap)


def _scans(painter: QPainter, _color: QColor) -> None:
    """Draw slices that lie behind each other."""
    for shift in (0, 11, 22):
        path = QPainterPath()
        path.addRoundedRect(QRectF(8 + shift, 30 - shift, 26, 26), 4, 4)
        painter.drawPath(path)


def _view(painter: QPainter, _color: QColor) -> None:
    """Draw four windows."""
    painter.drawRoundedRect(QRectF(8, 8, 48, 48), 5, 5)
    painter.drawLines([QLineF(32, 8, 32, 56), QLineF(8, 32, 56, 32)])


def _models(painter: QPainter, color: QColor) -> None:
    """Draw a small network."""
    inputs, outputs = (QPointF(12, 16), QPointF(12, 48)), (QPointF(52, 32),)
    hidden = (QPointF(32, 12), QPointF(32, 32), QPointF(32, 52))
    painter.drawLines([QLineF(a, b) for a in inputs for b in hidden] + [QLineF(a, b) for a in hidden for b in outputs])
    painter.setBrush(color)
    for point in (*inputs, *hidden, *outputs):
        painter.drawEllipse(point, 4, 4)


def _segment(painter: QPainter, color: QColor) -> None:
    """Draw an outline with a point in it."""
    path = QPainterPath(QPointF(12, 34))
    path.cubicTo(8, 8, 36, 6, 46, 16)
    path.cubicTo(62, 30, 54, 56, 36, 56)
    path.cubicTo(20, 56, 14, 48, 12, 34)
    painter.drawPath(path)
    painter.setBrush(color)
    painter.drawEllipse(QPointF(34, 34), 5, 5)


def _findings(painter: QPainter, _color: QColor) -> None:
    """Draw a lens."""
    painter.drawEllipse(QPointF(27, 27), 17, 17)
    painter.drawLine(QLineF(40, 40, 56, 56))


def _measure(painter: QPainter, _color: QColor) -> None:
    """Draw a ruler."""
    painter.drawPolygon([QPointF(8, 44), QPointF(44, 8), QPointF(56, 20), QPointF(20, 56)])
    painter.drawLines([QLineF(17 + 9 * n, 35 - 9 * n, 22 + 9 * n, 40 - 9 * n) for n in range(4)])


def _fusion(painter: QPainter, _color: QColor) -> None:
    """Draw two disks that lie over each other."""
    painter.drawEllipse(QPointF(24, 32), 17, 17)
    painter.drawEllipse(QPointF(40, 32), 17, 17)


def _cohort(painter: QPainter, _color: QColor) -> None:
    """Draw a table."""
    painter.drawRoundedRect(QRectF(8, 10, 48, 44), 5, 5)
    painter.drawLines([QLineF(8, 24, 56, 24), QLineF(8, 39, 56, 39), QLineF(26, 24, 26, 54)])


def _export(painter: QPainter, _color: QColor) -> None:
    """Draw an arrow out of a tray."""
    painter.drawPolyline([QPointF(8, 40), QPointF(8, 56), QPointF(56, 56), QPointF(56, 40)])
    painter.drawLine(QLineF(32, 44, 32, 9))
    painter.drawPolyline([QPointF(19, 22), QPointF(32, 8), QPointF(45, 22)])


_DRAWINGS: dict[str, Callable[[QPainter, QColor], None]] = {
    "scans": _scans,
    "view": _view,
    "models": _models,
    "segment": _segment,
    "findings": _findings,
    "measure": _measure,
    "fusion": _fusion,
    "cohort": _cohort,
    "export": _export,
}
