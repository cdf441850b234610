"""What stands on the screen, and in no picture of it."""

from __future__ import annotations

from qtpy.QtGui import QPainter


def is_on_screen(painter: QPainter) -> bool:
    """Whether a widget that is painted now is on the screen, and not in a picture: a screenshot, the clipboard.

    Qt paints a widget on the screen straight into the image behind its window, and into a picture (`QWidget.grab`) by
    way of a painter that was begun on that picture, so that the image below it is not itself being painted on.
    """
    engine = painter.paintEngine()
    device = None if engine is None else engine.paintDevice()
    return device is not None and bool(device.paintingActive())
