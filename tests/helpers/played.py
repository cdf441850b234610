"""The Interactive segmentation dock with a mouse and keys that are played as a window system sends them."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication, QOpenGLWidget

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.interactive.dock import InteractiveDock
from napari_radcnn.gui.layers.layers import layer_data, to_display
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.interactive.engines import registry
from napari_radcnn.phantom import oblique_geometry, world_field
from screens import MOVE_MS, pump
from toy_engine import BallEngine

LEFT, RIGHT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
PLAIN = Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
#: The order of napari's axes in which each plane is shown.
ORDERS = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
WAIT_MS = 60_000


def scan(shape=(14, 18, 16), orientation="AIL", name="T1"):
    """Return ``3x + 5y + 7z`` on an anisotropic grid whose axes run otherwise than napari's."""
    usual = Geometry.from_parts(shape, (3.0, 1.5, 2.0), (-11.0, 7.5, 20.25))
    return named(world_field(usual.reoriented(usual.axis_map(orientation))), name)


def named(volume, name):
    return replace(volume, metadata=replace(volume.metadata, name=name))


def oblique_scan():
    return world_field(oblique_geometry((14, 30, 34)))


def use_engine(monkeypatch, engine=None):
    """Let the engine on the list be a ball round each click."""
    made = BallEngine(radius=2.2, name="region") if engine is None else engine
    module = ModuleType("napari_radcnn.interactive.engines.played")
    module.Played = lambda settings: made
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = replace(registry.OWN["region"], pipeline=f"{module.__name__}:Played")
    monkeypatch.setitem(registry.OWN, "region", spec)
    return made


class Played:
    """A viewer with the dock, and a mouse in its canvas."""

    def __init__(self, make_napari_viewer, qtbot, *volumes) -> None:
        self.qtbot = qtbot
        self.viewer = make_napari_viewer(show=True)
        self.viewer.window.resize(1000, 620)
        self.scans = []
        for volume in volumes:
            add_to_viewer(self.viewer, layer_data(volume))
            self.scans.append(next(layer for layer in self.viewer.layers if layer.name.startswith(volume.name)))
        _, dock = self.viewer.window.add_plugin_dock_widget("napari-radcnn", "Interactive segmentation")
        assert isinstance(dock, InteractiveDock)
        self.dock = dock
        dock.engine_combo.setCurrentIndex(dock.engine_combo.findData("region"))
        qtbot.waitUntil(lambda: not dock.saved.is_looking, timeout=WAIT_MS)
        self.canvas = dock.window().findChild(QOpenGLWidget)
        self.viewer.reset_view()
        pump()

    @property
    def editing(self):
        return self.dock.editing

    @property
    def session(self):
        return self.dock.editing.session

    def start(self):
        self.qtbot.mouseClick(self.dock.start_button, LEFT)
        return self.idle()

    @property
    def warning(self):
        """The line that says what went wrong; empty where nothing did."""
        return "" if self.dock.warning_label.isHidden() else self.dock.warning_label.text()

    def idle(self):
        """Wait until nothing is left to do."""
        self.qtbot.waitUntil(lambda: self.editing is None or not self.editing.steps.unfinished, timeout=WAIT_MS)
        pump()
        return self

    def wait(self, condition):
        self.qtbot.waitUntil(condition, timeout=WAIT_MS)

    # -- where -----------------------------------------------------------------------------------------------------

    def show(self, plane, position):
        """Show the slice through an LPS position in a plane."""
        self.viewer.dims.order = ORDERS[plane]
        self.viewer.dims.set_point(range(3), to_display(position))
        self.viewer.reset_view()
        pump()

    def pixel(self, position):
        """Return where on the canvas an LPS position of the shown slice is drawn; in 3-D the middle."""
        camera = self.viewer.scene.camera
        if self.viewer.dims.ndisplay == 3:
            return QPointF(self.canvas.width() / 2, self.canvas.height() / 2)
        along = to_display(position)[list(self.viewer.dims.displayed)]
        offset = (along - np.array(camera.center)[-2:]) * camera.zoom
        _, vertical, horizontal = (str(side) for side in camera.orientation)
        down = offset[0] if vertical == "down" else -offset[0]
        right = offset[1] if horizontal == "right" else -offset[1]
        return QPointF(self.canvas.width() / 2 + right, self.canvas.height() / 2 + down)

    # -- mouse and keys --------------------------------------------------------------------------------------------

    def press(self, position, button=LEFT, modifiers=PLAIN):
        self.mouse(QEvent.Type.MouseButtonPress, position, button, button, modifiers)

    def move(self, position, button=LEFT, modifiers=PLAIN):
        self.qtbot.wait(MOVE_MS)
        self.mouse(QEvent.Type.MouseMove, position, NONE, button, modifiers)

    def release(self, position, button=LEFT, modifiers=PLAIN):
        self.mouse(QEvent.Type.MouseButtonRelease, position, button, NONE, modifiers)

    def mouse(self, kind, position, button, buttons, modifiers=PLAIN):
        where = self.pixel(position)
        event = QMouseEvent(kind, where, QPointF(self.canvas.mapToGlobal(where.toPoint())), button, buttons, modifiers)
        QApplication.sendEvent(self.canvas, event)
        pump(2)

    def click(self, position, button=LEFT):
        self.press(position, button)
        self.release(position, button)

    def drag(self, positions, button=LEFT, modifiers=PLAIN):
        self.press(positions[0], button, modifiers)
        for position in positions[1:]:
            self.move(position, button, modifiers)
        self.release(positions[-1], button, modifiers)

    def wheel(self, position, steps, modifiers=PLAIN):
        from qtpy.QtCore import QPoint

        where = self.pixel(position)
        place = QPointF(self.canvas.mapToGlobal(where.toPoint()))
        delta = QPoint(0, 120 * steps)
        event = QWheelEvent(where, place, QPoint(0, 0), delta, NONE, modifiers, Qt.ScrollPhase.NoScrollPhase, False)
        QApplication.sendEvent(self.canvas, event)
        pump(2)

    def key(self, key, modifiers=PLAIN, text=""):
        """Press and release a key with the focus in the canvas."""
        self.key_down(key, modifiers, text)
        self.key_up(key, modifiers, text)

    def key_down(self, key, modifiers=PLAIN, text=""):
        QApplication.sendEvent(self.canvas, QKeyEvent(QEvent.Type.KeyPress, key, modifiers, text))
        pump(2)

    def key_up(self, key, modifiers=PLAIN, text=""):
        QApplication.sendEvent(self.canvas, QKeyEvent(QEvent.Type.KeyRelease, key, modifiers, text))
        pump(2)

    def undo(self):
        self.key(Qt.Key.Key_Z, CONTROL, "\x1a")
        self.idle()

    def redo(self):
        self.key(Qt.Key.Key_Z, CONTROL | SHIFT, "\x1a")
        self.idle()


def center_of(mask):
    """Return the middle of the True voxels as an index."""
    return np.argwhere(mask).mean(0)
