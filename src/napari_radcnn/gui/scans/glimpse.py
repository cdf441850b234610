"""The slice of a scan that will be seen first, shown over the empty canvas while the scan is being read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt, QTimer
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.layers.layers import Place, layer_data
from napari_radcnn.io.dicom.headers import damage, quiet
from napari_radcnn.io.dicom.series import Series
from napari_radcnn.io.dicom.values import make_volume

#: How much of the canvas napari lets a scene take.
_PART = 0.95
_N_SHADES = 256
_WORDS, _MARGIN = "One slice; the scan is being read …", 10


@dataclass(frozen=True, eq=False)
class Glimpse:
    """A slice in colors.

    Attributes
    ----------
    pixels : (rows, columns, 3) array of uint8
        As it lies on the screen.
    extent : (down, right)
        Of all of it, mm.
    """

    pixels: npt.NDArray[np.uint8]
    extent: tuple[float, float]


def glimpse_of(series: Series, folder: Path) -> Glimpse | None:
    """Return the slice that a viewer shows first of a series; None where it is no stored slice, or cannot be read.

    Parameters
    ----------
    series : Series
        Whose headers were read. Of its pixels one slice is read.
    folder : Path
        That it lies in.
    """
    stacks = series.stacks()[0]
    if len(stacks) != 1:
        return None
    stack, place = stacks[0], Place.of(stacks[0].geometry)
    n_slices = stack.geometry.shape[0]
    whole = len(stack.frames) == n_slices > 1 and stack.sampling is None
    if not whole or place.axis_map is None or place.axis_map.order[0] != 0:
        return None
    middle = (n_slices - 1) // 2
    k = n_slices - 1 - middle if place.axis_map.flip[0] else middle
    box = (slice(k, k + 1), slice(None), slice(None))
    alone = replace(stack, frames=stack.frames[k : k + 1], geometry=stack.geometry.cropped(box))
    try:
        with quiet():
            data, arguments, _ = layer_data(make_volume(alone, "", folder, lambda _frame: None))
    except (RadcnnError, OSError, MemoryError):  # reading all of it will say what is wrong
        return None
    except damage():
        return None
    rows, columns = (float(n * step) for n, step in zip(data.shape[1:3], place.shown.spacing[1:], strict=True))
    return Glimpse(_colors(data[0], arguments), (rows, columns))


def _colors(plane: npt.NDArray[Any], arguments: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """Return a plane as napari shows it."""
    from napari.utils.colormaps import ensure_colormap

    if arguments["rgb"]:
        return np.ascontiguousarray(plane[..., :3], np.uint8)
    low, high = arguments["contrast_limits"]
    shade = np.clip((np.nan_to_num(plane.astype(np.float32)) - low) / max(high - low, 1e-12), 0, 1)
    table = np.asarray(ensure_colormap(arguments["colormap"]).map(np.linspace(0, 1, _N_SHADES)))
    return np.rint(255 * table[:, :3]).astype(np.uint8)[np.rint(shade * (_N_SHADES - 1)).astype(np.intp)]


class GlimpseView(QWidget):
    """Shows a slice where napari will show it.

    Parameters
    ----------
    canvas : QWidget
        Over which; it stays as large as that, and lets the mouse through.
    glimpse : Glimpse
        The slice.
    margins : (above, below)
        Pixels by which the canvas will be lower once the viewer is ready: the slice lies in its place from the start.
    """

    def __init__(self, canvas: QWidget, glimpse: Glimpse, margins: tuple[int, int] = (0, 0)) -> None:
        super().__init__(canvas)
        self.setObjectName("radcnn_glimpse")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._glimpse = glimpse
        above, below = margins
        place = canvas.rect().adjusted(0, above, 0, -below)
        #: Where it lies in the window, until the viewer is ready.
        self._place: QRect | None = QRect(canvas.mapTo(canvas.window(), place.topLeft()), place.size())
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        self.show()

    @property
    def zoom(self) -> float:
        """Pixels a mm."""
        place, (down, right) = self.place, self._glimpse.extent
        return _PART * min(place.height() / down, place.width() / right)

    @property
    def place(self) -> QRect:
        """Where the canvas will be that the slice is fitted to, in pixels of this widget."""
        if self._place is None:
            return self.rect()
        return QRect(self.mapFrom(self.window(), self._place.topLeft()), self._place.size())

    def settle(self) -> None:
        """Fit the slice to the canvas as it is from now on."""
        self._place = None
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Stay as large as the canvas."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
            QTimer.singleShot(0, self.raise_)  # napari puts its greeting of an empty viewer on top then
        return super().eventFilter(watched, event)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802  Qt's name
        """Paint the slice in the middle."""
        pixels, zoom, place = self._glimpse.pixels, self.zoom, self.place
        rows, columns = pixels.shape[:2]
        down, right = (zoom * length for length in self._glimpse.extent)
        image = QImage(pixels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        left, top = place.x() + (place.width() - right) / 2, place.y() + (place.height() - down) / 2
        painter.drawImage(QRectF(left, top, right, down), image)
        words = place.topLeft() + QPoint(_MARGIN, _MARGIN + painter.fontMetrics().ascent())
        for shift, color in ((1, Qt.GlobalColor.black), (0, Qt.GlobalColor.white)):
            painter.setPen(color)
            painter.drawText(words + QPoint(shift, shift), _WORDS)
        painter.end()
