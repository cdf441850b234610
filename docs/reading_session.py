"""Read a CT as a radiologist would, with mouse and keys, and take pictures of it; a step of ``make docs-pictures``.

``python docs/reading_session.py CT X Y Z FOLDER`` runs it alone; x, y, z lies in a large vessel, LPS mm. What each
step took is counted and printed; a step that does not do what it says ends the script.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

import napari_radcnn as radcnn
from napari_radcnn.gui.layers.layers import layer_data, to_display, to_patient
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.cuts.solids import SolidLook
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.gui.reading.show import add_to_viewer

SIZES = ((1366, 768), (1920, 1080))
_PLAIN, _ALT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.AltModifier
_LEFT, _NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


class Reader:
    """Hands, and a count of what they do.

    Parameters
    ----------
    path : path
        A CT.
    size : (width, height)
        Of the screen.
    folder : Path
        Where pictures go.
    """

    def __init__(self, path: Path, size: tuple[int, int], folder: Path) -> None:
        self.size, self.folder = size, folder
        self.actions = 0
        self.rows: list[tuple[str, int]] = []
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*size)
        self.layer = add_to_viewer(self.viewer, layer_data(radcnn.read(path)[0]))
        self.room = open_room(self.viewer)
        wait(limit=1.0)
        self.viewer.reset_view()

    def canvas(self, plane: str) -> tuple[object, QWidget]:
        """Return the model and the canvas of the view of a plane."""
        for model, overlay in (
            (self.viewer, self.room.overlay),
            *((p.model, p.overlay) for p in self.room.layouts.panes),
        ):
            if planes.plane_of(model) == plane:
                return model, overlay.parentWidget()
        raise RuntimeError(f"no view shows the {plane} plane")

    def pixel(self, plane: str, position: Sequence[float]) -> tuple[float, float]:
        """Return where a position in the patient is drawn in the view of a plane."""
        model, canvas = self.canvas(plane)
        right, down = planes.offset_of(model, to_display(position))
        return canvas.width() / 2 + right, canvas.height() / 2 + down

    def key(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = _PLAIN) -> None:
        self.actions += 1
        self.room.overlay.window().activateWindow()
        wait(lambda: self.room.overlay.window().isActiveWindow(), 5)
        QTest.keyClick(self.room.overlay.parentWidget(), key, modifiers)
        wait(limit=0.3)

    def drag(self, plane: str, points: Sequence[tuple[float, float]], modifiers: Qt.KeyboardModifier = _PLAIN) -> None:
        """Press the left button at the first point of a view, in pixels, move over the others, and let go."""
        self.actions += 1
        canvas = self.canvas(plane)[1]
        kinds = [QEvent.Type.MouseButtonPress, *[QEvent.Type.MouseMove] * (len(points) - 1)]
        for kind, point in (*zip(kinds, points, strict=True), (QEvent.Type.MouseButtonRelease, points[-1])):
            button = _NONE if kind == QEvent.Type.MouseMove else _LEFT
            buttons = _NONE if kind == QEvent.Type.MouseButtonRelease else _LEFT
            where = QPointF(*point)
            everywhere = QPointF(canvas.mapToGlobal(where.toPoint()))
            QApplication.sendEvent(canvas, QMouseEvent(kind, where, everywhere, button, buttons, modifiers))
            wait(limit=0.03)
        wait(limit=0.3)

    def hover(self, plane: str, position: Sequence[float]) -> None:
        model, canvas = self.canvas(plane)
        where = QPointF(*self.pixel(plane, position))
        everywhere = QPointF(canvas.mapToGlobal(where.toPoint()))
        for each in self.room.layouts.models:
            each.mouse_over_canvas = each is model
        wait(limit=0.05)
        QApplication.sendEvent(canvas, QMouseEvent(QEvent.Type.MouseMove, where, everywhere, _NONE, _NONE, _PLAIN))
        wait(limit=0.3)

    def scroll(self, plane: str, notches: int) -> None:
        self.actions += 1
        canvas = self.canvas(plane)[1]
        center = canvas.rect().center()
        turn, phase = QPoint(0, 120 if notches > 0 else -120), Qt.ScrollPhase.NoScrollPhase
        for _ in range(abs(notches)):
            event = QWheelEvent(
                QPointF(center), QPointF(canvas.mapToGlobal(center)), QPoint(), turn, _NONE, _PLAIN, phase, False
            )
            QApplication.sendEvent(canvas, event)
        wait(limit=0.2)

    def done(self, what: str, *, is_right: bool) -> None:
        """Note how many actions something took."""
        if not is_right:
            raise RuntimeError(f"not done: {what}")
        self.rows.append((what, self.actions))
        self.actions = 0

    def save(self, name: str) -> None:
        self.folder.mkdir(exist_ok=True)
        wait(limit=0.5)
        path = self.folder / f"reading-{name}-{self.size[0]}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)


def read(path: Path, vessel: Sequence[float], size: tuple[int, int], folder: Path) -> list[tuple[str, int]]:
    """Go through a CT and return what was done with how many keys, clicks, drags and turns of the wheel.

    Parameters
    ----------
    path : path
        A CT of the trunk.
    vessel : (x, y, z)
        LPS mm, inside a large vessel.
    size : (width, height)
        Of the screen.
    folder : Path
        Where the pictures go.
    """
    reader = Reader(path, size, folder)
    viewer, room, layer = reader.viewer, reader.room, reader.layer
    wanted = to_display(vessel)

    def is_there() -> bool:
        step = np.array(layer.metadata["radcnn"]["place"].shown.spacing)
        return bool((np.abs(np.array(viewer.dims.point) - wanted) <= step).all())

    reader.key(Qt.Key.Key_1, _ALT)
    reader.done("abdomen window", is_right=list(layer.contrast_limits) == [-160, 240])
    reader.drag("Axial", [(300, 200), (330, 190), (360, 180)], Qt.KeyboardModifier.ShiftModifier)
    reader.done("window by hand", is_right=list(layer.contrast_limits) != [-160, 240])
    reader.key(Qt.Key.Key_1, _ALT)
    reader.done("back to the preset", is_right=list(layer.contrast_limits) == [-160, 240])
    reader.key(Qt.Key.Key_F7)
    reader.done("three planes and 3-D", is_right=len(room.layouts.models) == 4)
    wait(lambda: room.layouts.panes[2].is_ready, 120)
    reader.scroll("Axial", round((viewer.dims.point[0] - wanted[0]) / layer.scale[0]) * planes.towards_feet(viewer))
    reader.done("to the level of a vessel", is_right=abs(viewer.dims.point[0] - wanted[0]) <= layer.scale[0])
    reader.drag("Axial", [reader.pixel("Axial", vessel)])
    reader.done("all planes to the vessel", is_right=is_there())
    reader.hover("Axial", vessel)
    reader.save("four")
    for plane in ("Axial", "Coronal", "Sagittal"):
        before = tuple(viewer.dims.point)
        reader.scroll(plane, -3)
        reader.done(f"three {plane.lower()} slices on", is_right=tuple(viewer.dims.point) != before)
        reader.scroll(plane, 3)
        reader.done("and back", is_right=np.allclose(viewer.dims.point, before))
    _turn(reader)
    _segment(reader, vessel)
    reader.key(Qt.Key.Key_F5)
    reader.done("one plane", is_right=len(room.layouts.models) == 1)
    reader.key(Qt.Key.Key_F3)
    reader.done("coronal plane, upright", is_right=planes.plane_of(viewer) == "Coronal")
    viewer.close()
    return reader.rows


def _turn(reader: Reader) -> None:
    """Turn the planes about the vessel, thicken them, and show the bones in 3-D; and take all of it back."""
    room, cuts = reader.room, reader.room.desk.cuts
    corners, canvas = room._own_corners(), room.overlay.parentWidget()
    size = np.array([canvas.width(), canvas.height()])
    middle, reach = size / 2 + corners.cross, corners.reach * size.min()
    ring = [middle + reach * np.array([np.cos(a), np.sin(a)]) for a in np.radians(np.linspace(0, 25, 8))]
    reader.drag("Axial", [tuple(place) for place in ring])
    reader.done("planes turned by 25 degrees", is_right=abs(cuts.degrees("Coronal") - 25) < 0.5)
    for _ in range(4):
        reader.key(Qt.Key.Key_PageUp, _ALT)
    reader.done("slabs of 10 mm", is_right=cuts.thickness == 10)
    reader.key(Qt.Key.Key_F7, Qt.KeyboardModifier.ShiftModifier)
    wait(lambda: room.layouts.panes[2].is_ready, 120)
    reader.done("bones in 3-D", is_right=room.solid_look.preset == "CT bone")
    wait(lambda: all(view.is_exact and not view.is_waiting for view in room.desk.awake), 30)
    reader.save("turned")
    room.show_solid(SolidLook())
    room.desk.show_slab(0)
    reader.key(Qt.Key.Key_F8)
    wait(lambda: room.layouts.panes[2].is_ready, 120)
    reader.done("upright again", is_right=not room.desk.awake)


def _segment(reader: Reader, vessel: Sequence[float]) -> None:
    """Mark a vessel by a click and a stroke in the coronal plane at the side."""
    viewer = reader.viewer
    viewer.layers.selection.active = reader.layer
    panel_of(viewer).open("Interactive segmentation")
    dock = panel_of(viewer).page
    dock.engine_combo.setCurrentIndex(dock.engine_combo.findData("region"))
    dock.start()
    wait(lambda: dock.editing is not None and dock.editing.is_open, 120)
    session = dock.editing.session
    reader.actions = 0

    def idle() -> bool:
        return not dock.editing.steps.unfinished

    def is_labelled(position: Sequence[float]) -> bool:
        index = tuple(np.rint(reader.layer.metadata["radcnn"]["place"].native.to_index(position)).astype(int))
        return bool(session.labels[index])

    dock.palette_box.choose("point")
    reader.drag("Coronal", [reader.pixel("Coronal", vessel)])
    wait(idle, 300)
    reader.done("a click in the coronal plane", is_right=is_labelled(vessel))
    dock.palette_box.choose("brush")
    above = np.array(vessel) + np.array((0.0, 0.0, 9.0))
    reader.drag("Coronal", [reader.pixel("Coronal", position) for position in (vessel, (vessel + above) / 2, above)])
    wait(idle, 120)
    reader.done("a stroke in the coronal plane", is_right=is_labelled(above))
    reader.save("session")
    found = np.array(viewer.dims.point)
    print("point of all views, LPS mm:", np.round(to_patient(found), 1).tolist())


def wait(condition: Callable[[], bool] = lambda: False, limit: float = 1.0) -> None:
    """Process events until the condition holds, or for `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.005)


def main(path: Path, vessel: Sequence[float], folder: Path) -> None:
    """Read a CT on every size of a screen and print how many actions each thing took."""
    for size in SIZES:
        rows = read(path, np.array(vessel), size, folder)
        print(f"{size[0]} x {size[1]}\n\n| what | actions |\n|---|---|")
        print("\n".join(f"| {what} | {actions} |" for what, actions in rows), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [float(number) for number in sys.argv[2:5]], Path(sys.argv[5]))
