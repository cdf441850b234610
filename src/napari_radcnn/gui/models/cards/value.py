"""A value that a model read off a scan as a card: the number with its unit, and its interval on a scale."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPolygonF
from qtpy.QtWidgets import QFrame, QSizePolicy, QVBoxLayout, QWidget

from napari_radcnn.gui.parts.widgets import wrapped_label
from napari_radcnn.results import Regression

#: Stands out from napari's dark and its light theme.
_COLOR, _DOUBT = QColor("#3f8fd2"), QColor("#d08a2e")
_BAND, _MARK, _EDGE = 10, 8, 8


class ValueScale(QWidget):
    """A scale with a mark at the value and a band over its interval.

    Parameters
    ----------
    value : float
        Where the mark is.
    interval : (float, float) or None
        What the band covers.
    ends : (float, float)
        Of the scale.
    is_within : bool
        Whether the value lies where the model can answer.
    """

    def __init__(
        self, value: float, interval: tuple[float, float] | None, ends: tuple[float, float], is_within: bool
    ) -> None:
        super().__init__()
        self.value, self.interval, self.ends, self._is_within = value, interval, ends, is_within
        self.setMinimumSize(120, _MARK + _BAND + self.fontMetrics().height() + 6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def place(self, value: float) -> float:
        """Return where a value lies, in pixels from the left; beyond the ends of the scale it lies on them."""
        low, high = self.ends
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return _EDGE + share * (self.width() - 2 * _EDGE)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Draw the groove, the band, the mark above it and the ends of the scale below."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        color = _COLOR if self._is_within else _DOUBT
        groove = QColor(color)
        groove.setAlphaF(0.22)
        painter.setBrush(groove)
        left, right = self.place(self.ends[0]), self.place(self.ends[1])
        painter.drawRoundedRect(QRectF(left, _MARK + 2, right - left, _BAND), 3, 3)
        if self.interval is not None:
            band = QColor(color)
            band.setAlphaF(0.65)
            painter.setBrush(band)
            first, last = (self.place(end) for end in self.interval)
            painter.drawRect(QRectF(first, _MARK + 2, max(1.0, last - first), _BAND))
        text = self.palette().windowText().color()
        painter.setBrush(text)
        at = self.place(self.value)
        top = QPolygonF([QPointF(at - _MARK / 2, 0), QPointF(at + _MARK / 2, 0), QPointF(at, _MARK)])
        painter.drawPolygon(top)
        painter.fillRect(QRectF(at - 0.75, _MARK, 1.5, _BAND + 2), text)
        painter.setPen(text)
        below = QRectF(0, _MARK + _BAND + 3, self.width(), self.height() - _MARK - _BAND - 3)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{self.ends[0]:.4g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{self.ends[1]:.4g}")
        painter.end()


class ValueCard(QFrame):
    """Shows one value; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        layout = QVBoxLayout(self)
        self.title, self.value, self.interval, self.note = (wrapped_label() for _ in range(4))
        for label in (self.title, self.value, self.interval, self.note):
            label.setTextFormat(Qt.TextFormat.PlainText)  # names are anybody's
            layout.addWidget(label)
        self.title.setStyleSheet("font-weight: bold")
        self.value.setStyleSheet("font-size: 18px")
        self.scale: ValueScale | None = None
        self._layout = layout
        self.hide()

    def show_result(self, result: Regression | None) -> None:
        """Replace what is shown; None hides the card."""
        if self.scale is not None:
            self._layout.removeWidget(self.scale)
            self.scale.deleteLater()
            self.scale = None
        if result is None:
            self.hide()
            return
        unit = "" if result.unit == "1" else f" {result.unit}"
        self.title.setText(result.name)
        self.value.setText(f"{result.quantity}: {result.value:.4g}{unit}")
        told = "The model gives no uncertainty."
        if result.interval is not None:
            low, high = result.interval
            told = f"{100 * result.level:g} % interval {low:.4g} to {high:.4g}{unit}"
        self.interval.setText(told)
        is_within = result.limits is None or result.limits[0] <= result.value <= result.limits[1]
        ends = _ends(result)
        if ends is not None:
            self.scale = ValueScale(result.value, result.interval, ends, is_within)
            self._layout.insertWidget(3, self.scale)
        research = "For research; not for diagnosis."
        self.note.setText(research if is_within else f"Outside the range of the model. {research}")
        self.show()


def _ends(result: Regression) -> tuple[float, float] | None:
    """Return the ends of the scale: what the value can be, else twice its interval; None where neither is known."""
    if result.limits is not None:
        return result.limits
    if result.interval is None or result.interval[0] == result.interval[1]:
        return None
    low, high = result.interval
    return low - (high - low) / 2, high + (high - low) / 2
