"""A classification as a card: a bar for every class or a scale of grades, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from qtpy.QtCore import QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QComboBox, QFrame, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_radcnn.gui.parts.widgets import narrow_combo, wrapped_label
from napari_radcnn.results import Classification, OperatingPoint

#: Of the most likely class and of the others; both stand out from napari's dark and its light theme.
_MOST, _OTHER = QColor("#3f8fd2"), QColor("#7d8794")
_BAR_HEIGHT = 14
_SCALE_HEIGHT = 36


class Bar(QWidget):
    """A horizontal bar that is filled as far as a probability, with a mark from where on it counts."""

    def __init__(self, share: float, color: QColor, mark: float = 0.5) -> None:
        super().__init__()
        self.share, self._color, self.mark = min(1.0, max(0.0, share)), color, mark
        self.setMinimumSize(40, _BAR_HEIGHT)
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
        painter.fillRect(QRectF(whole.width() * self.mark - 0.5, 0, 1, whole.height()), mark)
        painter.end()


class GradeScale(QWidget):
    """Grades from the lowest to the highest, filled as far as each is likely, with a frame around what it comes to."""

    def __init__(self, shares: Mapping[str, float], decided: str) -> None:
        super().__init__()
        self.shares, self.decided = dict(shares), decided
        self.setMinimumSize(80, _SCALE_HEIGHT + self.fontMetrics().height() + 4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Draw the grades side by side, their names below."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = self.width() / max(1, len(self.shares))
        text = self.palette().windowText().color()
        for number, (name, share) in enumerate(self.shares.items()):
            box = QRectF(number * width + 1, 1, width - 2, _SCALE_HEIGHT)
            is_decided = name == self.decided
            color = QColor(_MOST if is_decided else _OTHER)
            painter.setPen(Qt.PenStyle.NoPen)
            filled = box.height() * min(1.0, max(0.0, share))
            groove = QColor(color)
            groove.setAlphaF(0.22)
            painter.fillRect(box, groove)
            painter.fillRect(QRectF(box.left(), box.bottom() - filled, box.width(), filled), color)
            painter.setPen(text)
            if is_decided:
                painter.drawRect(box)
            below = QRectF(number * width, _SCALE_HEIGHT + 2, width, self.height() - _SCALE_HEIGHT - 2)
            shown = self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, int(width) - 2)
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, shown)
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
        self.answer = wrapped_label()
        self.answer.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.answer)
        self._place = QVBoxLayout()
        layout.addLayout(self._place)
        self.note = wrapped_label()
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.note)
        self._bars: QWidget | None = None
        #: What is shown: the class or grade, its probability as text, its bar.
        self.rows: list[tuple[str, str, Bar]] = []
        #: By class, the choice of its operating point and what is told of it.
        self.points: dict[str, tuple[QComboBox, QLabel]] = {}
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
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 2)
        if result.kind == "ordinal":
            grid.addWidget(GradeScale(result.probabilities, result.decided[0]), 0, 0, 1, 3)
        for number, row in enumerate(_rows(result), 1):
            self._add_row(grid, number, row)
        self._add_points(grid, result)
        self._place.addWidget(self._bars)
        self.title.setText(result.name)
        self.answer.setText(_answer(result))
        self.answer.setVisible(bool(self.answer.text()))
        self.note.setText(_agreement(result))
        self.show()

    def _add_points(self, grid: QGridLayout, result: Classification) -> None:
        """Offer the operating points of each class that has some, and tell what the chosen one does."""
        self.points = {}
        for name, points in result.operating_points.items():
            combo, told = narrow_combo(), wrapped_label()
            combo.addItem(f"{name}: counts from {result.threshold(name):.2f}", None)
            for point in points:
                combo.addItem(f"{name}: {point.name} ({point.threshold:.2f})", point)
                if point.threshold == result.threshold(name):
                    combo.setCurrentIndex(combo.count() - 1)
            chosen = combo.currentData()
            if chosen is not None:
                combo.removeItem(0)  # the threshold is one of the points
                told.setText(_told_of(chosen))
            told.setTextFormat(Qt.TextFormat.PlainText)
            told.setVisible(chosen is not None)
            combo.activated.connect(partial(self._choose, result, name, combo))
            for widget in (combo, told):
                grid.addWidget(widget, grid.rowCount(), 0, 1, 3)
            self.points[name] = (combo, told)

    def _choose(self, result: Classification, name: str, combo: QComboBox, index: int) -> None:
        point = combo.itemData(index)
        if isinstance(point, OperatingPoint):
            # shown again once the combo box that was clicked is done with its click
            changed = replace(result, thresholds={**result.thresholds, name: point.threshold})
            QTimer.singleShot(0, partial(self.show_result, changed))

    def _add_row(self, grid: QGridLayout, number: int, row: _Row) -> None:
        bar = Bar(row.share, _MOST if row.is_marked else _OTHER, row.threshold)
        label, told = wrapped_label(), f"{row.share:.2f}"
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setText(row.name)
        value = QLabel(f"{told} ✓" if row.is_counted else told)
        value.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, widget in enumerate((label, bar, value)):
            grid.addWidget(widget, number, column)
        bar.setToolTip(f"Counts as present from {row.threshold:.2f}")
        self.rows.append((row.name, told, bar))


@dataclass(frozen=True)
class _Row:
    name: str
    share: float
    threshold: float
    is_marked: bool
    is_counted: bool = False


def _rows(result: Classification) -> list[_Row]:
    """Return a row a class, the likeliest first; of grades one for each that may be reached, the lowest first."""
    if result.kind == "ordinal":
        reached = {name: share >= result.threshold(name) for name, share in result.at_least.items()}
        return [
            _Row(f"≥ {name}", share, result.threshold(name), reached[name], reached[name])
            for name, share in list(result.at_least.items())[1:]
        ]
    ordered = sorted(result.probabilities.items(), key=lambda pair: -pair[1])
    if result.kind == "multi-label":
        present = result.decided
        return [_Row(name, share, result.threshold(name), name in present, name in present) for name, share in ordered]
    return [_Row(name, share, _mark(result, name), name in result.decided) for name, share in ordered]


def _told_of(point: OperatingPoint) -> str:
    """Return what an operating point does, in people."""
    found, wolf = round(100 * point.sensitivity), round(100 * (1 - point.specificity))
    return f"At this point it detects {found} of 100 who have it, with false alarms in {wolf} of 100 who do not."


def _mark(result: Classification, name: str) -> float:
    """Return from where on one of two classes counts: the operating point, seen from either of them."""
    if not result.thresholds or name in result.thresholds:
        return result.threshold(name)
    return 1 - next(iter(result.thresholds.values()))


def _answer(result: Classification) -> str:
    """Return what it comes to, where the bars alone do not say it."""
    if result.kind == "ordinal":
        return f"Grade: {result.decided[0]}"
    if result.kind == "multi-label":
        return f"Present: {', '.join(result.decided) or 'none of them'}"
    return (
        f"{result.decided[0]} (operating point {next(iter(result.thresholds.values())):.2f})"
        if result.thresholds
        else ""
    )


def _agreement(result: Classification) -> str:
    """Return how many looks the probabilities are the mean of, and how far they differ."""
    facts = result.provenance.get("facts", {})
    research = "For research; not for diagnosis."
    if "members" not in facts:
        return research
    looks = f"Mean of {facts['members']} networks, {facts['views']} views each"
    return f"{looks}; standard deviation between them {facts['spread']:.2f}. {research}"
