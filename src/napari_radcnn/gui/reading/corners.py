"""Text in the corners of a canvas, painted by Qt over the picture: in no layer, and in no picture of the canvas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetrics, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.parts.on_screen import is_on_screen

_TEXT, _SHADOW, _LINE = QColor(240, 236, 200), QColor(0, 0, 0, 235), QColor(120, 220, 255, 190)
_BRUSH, _WARNING = QColor(255, 240, 120), QColor(255, 170, 60)
#: Where the dark rim of text is painted, pixels; that of a letter of the patient's sides is seen on bone, too.
_THIN = ((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (1, 0))
_WIDE = tuple((across, down) for across in (-2, -1, 0, 1, 2) for down in (-2, -1, 0, 1, 2) if across or down)
#: As large and as white as those that napari draws in the first view.
_LETTER, _LETTER_POINTS = QColor(255, 255, 255), 14
_MARGIN = 7
#: To either side of the middle, kept free of the lines in the corners for the letters.
_LETTER_ROOM = 16
#: A space where no line ends.
_TIE = "\u00a0"
#: Of the cross-hair, left free about the point, in pixels.
_GAP = 12.0
#: Radius of its handles, in pixels.
_KNOB = 4.0


OnMouse = Callable[[tuple[float, float] | None], None]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that is painted over a canvas.

    Attributes
    ----------
    image : QImage
        With its own transparency.
    left, top, width, height : float
        Where, in pixels from the middle of the canvas.
    """

    image: QImage
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Ring:
    """A circle with a word beside it.

    Attributes
    ----------
    x, y, radius : float
        In pixels, from the middle of the canvas.
    color : (red, green, blue)
        0 to 255.
    text : str
        What it stands for.
    """

    x: float
    y: float
    radius: float
    color: tuple[int, int, int]
    text: str = ""


@dataclass(frozen=True)
class Corners:
    """What is painted over a canvas.

    Attributes
    ----------
    top_left, top_right, bottom_left : tuple of str
        Lines of text.
    private : tuple of str
        Lines that stand on the screen, below those on the upper left, and in no picture of it.
    letters : mapping of str to str
        The letters at the ``"top"``, ``"bottom"``, ``"left"`` and ``"right"`` edge, where the scene has none.
    cross : (x, y) or None
        Where the cross-hair is, in pixels from the middle of the canvas; None without one.
    arms : two of (x, y)
        Unit vectors along the lines of the cross-hair.
    reach : float
        Of its handles, as a part of the shorter side of the view; 0 without handles.
    circle : (x, y, radius) or None
        The circle of a brush, in pixels, its middle from that of the canvas; None without one.
    warnings : tuple of str
        Lines that warn, in color, below those on the upper right.
    pictures : tuple of Picture
        What lies over the scan, below everything else.
    rings : tuple of Ring
        Findings of another scan.
    """

    top_left: tuple[str, ...] = ()
    top_right: tuple[str, ...] = ()
    bottom_left: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    letters: Mapping[str, str] = field(default_factory=dict)
    cross: tuple[float, float] | None = None
    arms: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))
    reach: float = 0.0
    circle: tuple[float, float, float] | None = None
    warnings: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    rings: tuple[Ring, ...] = ()


def broken(lines: Sequence[str], metrics: QFontMetrics, width: int) -> list[str]:
    """Return lines that are no wider than a number of pixels: long ones go on in the next, a long word is shortened.

    They go on where a point stands between two things, so that no number is parted from its unit or side.
    """
    found = []
    for line in lines:
        now = ""
        things = line.split(" · ")
        whole = [
            each.replace(" ", _TIE) if metrics.horizontalAdvance(f"{each} ·") <= width else each for each in things
        ]
        for word in f"{_TIE}· ".join(whole).split(" "):
            longer = f"{now} {word}" if now else word
            if now and metrics.horizontalAdvance(longer) > width:
                found.append(now)
                longer = word
            now = metrics.elidedText(longer, Qt.TextElideMode.ElideMiddle, max(width, 1)) if longer == word else longer
        found.append(now)
    return [line.replace(_TIE, " ") for line in found]


class CornersOverlay(QWidget):
    """Paints `Corners` over a canvas and lets the mouse through.

    Parameters
    ----------
    canvas : QWidget
        Of a napari viewer; the overlay lives and dies with it.
    corners : callable
        Returns what is to be painted now.
    on_mouse : callable
        Called with where the mouse has moved to, right of and below the middle, in pixels; with None when it leaves.
    """

    def __init__(self, canvas: QWidget, corners: Callable[[], Corners], on_mouse: OnMouse) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._corners, self._on_mouse = corners, on_mouse
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        self.show()

    def part(self) -> None:
        """Paint no more, and keep nothing alive: the canvas is about to go."""
        self._corners, self._on_mouse = Corners, lambda _where: None
        self.hide()
        self.setParent(None)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Stay as large as the canvas, and hear of every move of the mouse: vispy leaves out some that come fast."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        elif event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent):
            self._on_mouse((event.position().x() - self.width() / 2, event.position().y() - self.height() / 2))
        elif event.type() == QEvent.Type.Leave:
            self._on_mouse(None)
        return super().eventFilter(watched, event)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802  Qt's name
        """Paint the lines of text, the cross-hair and the circle of a brush."""
        corners = self._corners()
        painter = QPainter(self)
        self._paint_others(painter, corners)
        self._paint_cross(painter, corners)
        self._paint_circle(painter, corners)
        metrics = painter.fontMetrics()
        height, room = metrics.lineSpacing(), self.width() // 2 - _MARGIN - _LETTER_ROOM
        private = corners.private if is_on_screen(painter) else ()
        below = broken(corners.bottom_left, metrics, room)
        top = _MARGIN + metrics.ascent()
        bottom = self.height() - _MARGIN - height * (len(below) - 1)
        for lines, start, is_right in (
            (broken((*corners.top_left, *private), metrics, room), top, False),
            (broken(corners.top_right, metrics, room), top, True),
            (below, bottom, False),
        ):
            for n, line in enumerate(lines):
                x = self.width() - _MARGIN - metrics.horizontalAdvance(line) if is_right else _MARGIN
                self._paint_line(painter, line, QPointF(x, start + n * height))
        start = top + height * len(broken(corners.top_right, metrics, room))
        for n, line in enumerate(broken(corners.warnings, metrics, room)):
            x = self.width() - _MARGIN - metrics.horizontalAdvance(line)
            self._paint_line(painter, line, QPointF(x, start + n * height), _WARNING)
        self._paint_letters(painter, corners.letters)
        painter.end()

    def _paint_others(self, painter: QPainter, corners: Corners) -> None:
        """Paint what is seen of another scan."""
        middle = QPointF(self.width() / 2, self.height() / 2)
        for each in corners.pictures:
            where = QRectF(each.left, each.top, each.width, each.height).translated(middle)
            painter.drawImage(where, each.image)
        for ring in corners.rings:
            at = middle + QPointF(ring.x, ring.y)
            painter.setPen(QPen(QColor(*ring.color), 2))
            painter.drawEllipse(at, ring.radius, ring.radius)
            if ring.text:
                self._paint_line(painter, ring.text, at + QPointF(ring.radius, -ring.radius), QColor(*ring.color))

    def _paint_letters(self, painter: QPainter, letters: Mapping[str, str]) -> None:
        font = painter.font()
        font.setPointSize(_LETTER_POINTS)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        for edge, letter in letters.items():
            across, up = metrics.horizontalAdvance(letter), metrics.ascent()
            x = {"left": _MARGIN, "right": self.width() - _MARGIN - across}.get(edge, (self.width() - across) // 2)
            y = {"top": _MARGIN + up, "bottom": self.height() - _MARGIN}.get(edge, (self.height() + up) // 2)
            self._paint_line(painter, letter, QPointF(x, y), _LETTER, _WIDE)

    @staticmethod
    def _paint_line(
        painter: QPainter, line: str, where: QPointF, color: QColor = _TEXT, rim: Sequence[tuple[int, int]] = _THIN
    ) -> None:
        painter.setPen(_SHADOW)
        for across, down in rim:
            painter.drawText(where + QPointF(across, down), line)
        painter.setPen(color)
        painter.drawText(where, line)

    def _paint_circle(self, painter: QPainter, corners: Corners) -> None:
        if corners.circle is None:
            return
        x, y, radius = corners.circle
        middle = QPointF(self.width() / 2 + x, self.height() / 2 + y)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for color, width in ((_SHADOW, 3.0), (_BRUSH, 1.4)):  # seen on air and on bone
            painter.setPen(QPen(color, width))
            painter.drawEllipse(middle, radius, radius)

    def _paint_cross(self, painter: QPainter, corners: Corners) -> None:
        if corners.cross is None:
            return
        x, y = self.width() / 2 + corners.cross[0], self.height() / 2 + corners.cross[1]
        painter.setPen(QPen(_LINE, 1))
        middle, far = QPointF(x, y), float(self.width() + self.height() + abs(x) + abs(y))
        for right, down in corners.arms:
            for way in (-1.0, 1.0):
                arm = QPointF(way * right, way * down)
                painter.drawLine(middle + arm * _GAP, middle + arm * far)
                if corners.reach:
                    painter.drawEllipse(middle + arm * corners.reach * min(self.width(), self.height()), _KNOB, _KNOB)
