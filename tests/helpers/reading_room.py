"""A viewer with a scan, its reading room, and a mouse and keys in its canvases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import grids
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data, to_display
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.volume import VolumeMetadata
from screens import MOVE_MS, pump

LEFT, RIGHT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
PLAIN, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
#: Larger than those of `grids`, and lying as they do.
SHAPE = (9, 14, 17)
SCANS = {name: Geometry(SHAPE, make().affine) for name, make in grids.ALL.items() if name != "oblique"} | {
    "oblique": oblique_geometry(SHAPE),
    "flipped": grids.axial().reoriented(grids.axial().axis_map("IAR")),
}


def field(geometry, name="field"):
    """Return a scan whose values are those of the closed form."""
    return replace(world_field(geometry), metadata=VolumeMetadata(name=name, modality="CT", units="HU"))


def canvas_of(pane):
    """Return the widget of a further view that the mouse is over."""
    return pane.widget.canvas.native


class Reading:
    """A viewer that shows scans.

    Parameters
    ----------
    make_napari_viewer, qtbot
        The fixtures.
    volumes : Volume
        What is shown.
    """

    def __init__(self, make_napari_viewer, qtbot, *volumes) -> None:
        self.qtbot = qtbot
        self.viewer = make_napari_viewer(show=True)
        self.viewer.window.resize(1000, 700)
        self.layers = [add_to_viewer(self.viewer, layer_data(volume)) for volume in volumes]
        self.room = open_room(self.viewer)
        self.canvas = self.room.overlay.parentWidget()
        self.canvas.window().activateWindow()
        pump()
        self.viewer.reset_view()
        pump()

    def show(self, *volumes):
        """Show other scans instead, as they are first seen: axial, whole, with the windows of their files."""
        self.viewer.layers.clear()
        self.layers = [add_to_viewer(self.viewer, layer_data(volume)) for volume in volumes]
        self.viewer.dims.order = tuple(range(self.viewer.dims.ndim))
        pump()
        self.viewer.reset_view()
        pump()

    def key(self, key, modifiers=PLAIN):
        self.canvas.window().activateWindow()
        self.qtbot.waitUntil(self.canvas.window().isActiveWindow)
        QTest.keyClick(self.canvas, key, modifiers)
        pump(3)

    def mouse(self, kind, where, button=LEFT, buttons=LEFT, modifiers=PLAIN, canvas=None):
        canvas = canvas or self.canvas
        where = QPointF(*where)
        event = QMouseEvent(kind, where, QPointF(canvas.mapToGlobal(where.toPoint())), button, buttons, modifiers)
        QApplication.sendEvent(canvas, event)
        pump(2)

    def move(self, where, buttons=LEFT, modifiers=PLAIN, canvas=None):
        """Move the mouse, with buttons down, no faster than vispy listens."""
        self.qtbot.wait(MOVE_MS)
        self.mouse(QEvent.Type.MouseMove, where, NONE, buttons, modifiers, canvas)

    def drag(self, points, button=LEFT, modifiers=PLAIN, canvas=None):
        """Press at the first of some points of a canvas, in pixels, move over the others, and let go."""
        self.mouse(QEvent.Type.MouseButtonPress, points[0], button, button, modifiers, canvas)
        for point in points[1:]:
            self.move(point, button, modifiers, canvas)
        self.mouse(QEvent.Type.MouseButtonRelease, points[-1], button, NONE, modifiers, canvas)

    def click(self, point, button=LEFT, canvas=None):
        self.drag([point], button, canvas=canvas)

    def hover(self, point, canvas=None):
        """Move the mouse, and wait until the line below the pictures can have changed."""
        self.move(point, NONE, canvas=canvas)
        self.qtbot.wait(50)

    def wheel(self, n, modifiers=PLAIN, canvas=None):
        """Turn the wheel over the middle by n notches, down where negative."""
        canvas = canvas or self.canvas
        where = QPointF(canvas.rect().center())
        everywhere = QPointF(canvas.mapToGlobal(canvas.rect().center()))
        for _ in range(abs(n)):
            turn = QPoint(0, 120 if n > 0 else -120)
            event = QWheelEvent(where, everywhere, QPoint(), turn, NONE, modifiers, Qt.ScrollPhase.NoScrollPhase, False)
            QApplication.sendEvent(canvas, event)
        pump(2)

    def pixel(self, position, viewer=None, canvas=None):
        """Return where on a canvas an LPS position of the shown slice is drawn, by the closed form."""
        viewer, canvas = viewer or self.viewer, canvas or self.canvas
        camera = viewer.scene.camera
        along = np.array(to_display(position))[[axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed]]
        offset = (along - np.array(camera.center)[-2:]) * camera.zoom
        _, vertical, horizontal = (str(side) for side in camera.orientation)
        down = offset[0] if vertical == "down" else -offset[0]
        right = offset[1] if horizontal == "right" else -offset[1]
        return canvas.width() / 2 + right, canvas.height() / 2 + down
