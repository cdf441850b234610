"""A classification as a card: a bar for every class, and how far the networks that were asked agree."""

from __future__ import annotations

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_radcnn.gui.parts.widgets import wrapped_label
from napari_radcnn.results import Classification

#: Of the most likely class and of the others; both stand out from napari's dark and its light theme.
_MOST, _OTHER = QColor("#3f8fd2"), QColor("#7d8794")
_BAR_HEIGHT = 14


class Bar(QWidget):
    """A horizontal bar that is filled as far as a probability, with a mark at one half."""

    def __init__(self, share: float, color: QColor) -> None:
        super().__init__()
        self.share, self._color = min(1.0, max(0.0, share)), color
        self.setMinimumSize(60, _BAR_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Draw the groove, the filled part and the mark."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        whole = QRectF(0, 0, self.width(), self.height())
        groove = QColor(self._color)
        groove.setAlphaF(0.22)
        painter.setBrush(groove)
        painter.drawRoundedRect(whole, 3, 3)
        painter.setBrush(self._color)
        painter.drawRoundedRect(QRectF(0, 0, whole.width() * self.share, whole.height()), 3, 3)
        mark = self.palette().windowText().color()
        mark.setAlphaF(0.6)
        painter.fillRect(QRectF(whole.width() / 2 - 0.5, 0, 1, whole.height()), mark)
        painter.end()


class ClassificationCard(QFrame):
    """Shows one classification; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        layout = QVBoxLayout(self)
        self.title = wrapped_label()
        self.title.setTextFormat(Qt.TextFormat.PlainText)  # the scan's name is anybody's
        self.title.setStyleSheet("font-weight: bold")
        layout.addWidget(self.title)
        self._place = QVBoxLayout()
        layout.addLayout(self._place)
        self.note = wrapped_label()
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.note)
        self._bars: QWidget | None = None
        #: What is shown, most likely first: the class, its probability as text, its bar.
        self.rows: list[tuple[str, str, Bar]] = []
        self.hide()

    def show_result(self, result: Classification | None) -> None:
        """Replace what is shown; None hides the card."""
        self.rows = []
        if self._bars is not None:
            self._place.removeWidget(self._bars)
            self._bars.deleteLater()
            self._bars = None
        if result is None:
            self.hide()
            return
        self._bars = QWidget()
        grid = QGridLayout(self._bars)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setColumnStretch(1, 1)
        ordered = sorted(result.probabilities.items(), key=lambda pair: -pair[1])
        for number, (name, probability) in enumerate(ordered):
            bar, told = Bar(probability, _OTHER if number else _MOST), f"{probability:.2f}"
            label = QLabel(name)
            label.setTextFormat(Qt.TextFormat.PlainText)
            value = QLabel(told)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for column, widget in enumerate((label, bar, value)):
                grid.addWidget(widget, number, column)
            self.rows.append((name, told, bar))
        self._place.addWidget(self._bars)
        self.title.setText(result.name)
        self.note.setText(_agreement(result))
        self.show()


def _agreement(result: Classification) -> str:
    """Return how many looks the probabilities are the mean of, and how far they differ."""
    facts = result.provenance.get("facts", {})
    research = "For research; not for diagnosis."
    if "members" not in facts:
        return research
    looks = f"Mean of {facts['members']} networks, {facts['views']} views each"
    return f"{looks}; standard deviation between them {facts['spread']:.2f}. {research}"
