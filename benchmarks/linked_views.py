"""Linked planes on a large CT: how long they take to open, to move and to show a stroke, beside one view."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import napari
import numpy as np
import numpy.typing as npt
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from benchmarks.common import give_back, table
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.room import Room, open_room
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE = (400, 512, 512)
_N_MOVES, _N_OPENED = 15, 50


def report() -> str:
    """Return the figures as Markdown."""
    grid = Geometry.from_parts(SHAPE, (1.0, 0.8, 0.8))
    values = np.random.default_rng(1).integers(-200, 300, SHAPE, np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[100:200, 150:350, 150:350] = 1
    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    add_to_viewer(viewer, layer_data(Volume(values, grid, VolumeMetadata("CT", "CT", "HU"))))
    drawn = add_to_viewer(viewer, layer_data(LabelMap(labels, grid, {1: Label("a")})))
    room = open_room(viewer)
    if room is None:
        raise RuntimeError("the viewer has no window")
    _pump(1.0)
    single = _median(lambda: _move(viewer), _N_MOVES)
    before = _megabytes()
    opened = _timed(lambda: room.choose_layout("three"))
    planes_mb = _megabytes() - before
    linked = _median(lambda: _move(viewer), _N_MOVES)
    viewer.layers.selection.active = drawn
    drawn.mode, drawn.selected_label, drawn.brush_size = "paint", 3, 12
    strokes = [_stroke(room, n) for n in range(3)]
    drawn.mode = "pan_zoom"
    before, start = _megabytes(), _now()
    room.choose_layout("four")
    _pump(0.3)
    solid = room.layouts.panes[2]
    while not solid.is_ready:
        _pump(0.05)
    solid_seconds, solid_mb = _now() - start, _megabytes() - before
    room.choose_layout("one")
    leaks = [_opened(room) for _ in range(_N_OPENED)]
    viewer.close()
    rows = [
        ("open three planes", *_cells(opened, 1.0), f"{planes_mb:.0f} MB"),
        ("the scan in 3-D, in the background", *_cells(solid_seconds, 1.0), f"{solid_mb:.0f} MB"),
        ("move the point in one view", *_cells(single), "1"),
        ("move it in three planes", *_cells(linked), f"{linked[1] / single[1]:.1f} times one view"),
        *(
            (f"a stroke's next piece, drawn in the {room_plane} plane, seen in all three", *_cells(stroke), "")
            for room_plane, stroke in zip(("axial", "coronal", "sagittal"), strokes, strict=True)
        ),
        (f"memory after {_N_OPENED} times four-up and back", "", "", f"{leaks[-1] - leaks[4]:+.0f} MB since the fifth"),
    ]
    return table(("what", "median", "CPU of the viewer's thread", ""), rows)


def _cells(found: npt.NDArray[np.float64], unit: float = 1e-3) -> tuple[str, str]:
    """Return time and CPU in words, in seconds or in ms."""
    return tuple(f"{part / unit:.{1 if unit == 1 else 0}f} {'s' if unit == 1 else 'ms'}" for part in found)  # type: ignore[return-value]


def _move(viewer: napari.Viewer) -> None:
    viewer.dims.set_point([0, 1, 2], [value + 1.6 for value in viewer.dims.point])
    QApplication.processEvents()


def _stroke(room: Room, number: int) -> npt.NDArray[np.float64]:
    """Draw with the mouse in a view; return the median from a move until each plane is drawn with what it painted."""
    name = room.layouts.models[0].layers.selection.active.name
    views = room.layouts.models[:3]
    canvas = (room.overlay if number == 0 else room.layouts.panes[number - 1].overlay).parentWidget()
    right, down = planes.offset_of(views[number], views[0].dims.point)
    start = np.array([canvas.width() / 2 + right, canvas.height() / 2 + down])
    stride = np.array([3, 2])
    drawn, due = dict.fromkeys(range(3), 0), dict[int, int]()
    for n, widget in enumerate(_widgets(views)):
        widget.canvas.events.draw.connect(lambda _event, n=n: drawn.update({n: drawn[n] + 1}), position="last")
        views[n].layers[name].events.set_data.connect(lambda _event, n=n: due.update({n: drawn[n]}))
    _mouse(canvas, QEvent.Type.MouseButtonPress, start)
    _pump(0.3)
    found = []
    for step in range(1, _N_MOVES + 1):
        _pump(0.05)  # vispy leaves out moves that come faster than 60 in a second
        due.clear()
        due[number] = drawn[number]  # there napari paints without slicing again
        begun = _now()
        _mouse(canvas, QEvent.Type.MouseMove, start + step * stride)
        while not (len(due) == 3 and all(drawn[n] > due[n] for n in due)):
            QApplication.processEvents()
            time.sleep(0.001)
        found.append(_now() - begun)
    _mouse(canvas, QEvent.Type.MouseButtonRelease, start + _N_MOVES * stride)
    _pump(0.5)
    return np.asarray(np.median(found, axis=0))


def _widgets(models: Sequence[object]) -> list[QtViewer]:
    """Return the widgets that show models of viewers."""
    found = [each for each in QApplication.allWidgets() if isinstance(each, QtViewer)]
    return [next(each for each in found if each.viewer is model) for model in models]


def _mouse(canvas: QWidget, kind: QEvent.Type, where: npt.NDArray[np.float64]) -> None:
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    button = none if kind == QEvent.Type.MouseMove else left
    buttons = none if kind == QEvent.Type.MouseButtonRelease else left
    point = QPointF(*where)
    everywhere = QPointF(canvas.mapToGlobal(point.toPoint()))
    plain = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(canvas, QMouseEvent(kind, point, everywhere, button, buttons, plain))


def _opened(room: Room) -> float:
    room.choose_layout("four")
    _pump(0.1)
    room.choose_layout("one")
    _pump(0.1)
    gc.collect()
    give_back()
    return _megabytes()


def _median(act: Callable[[], None], n: int) -> npt.NDArray[np.float64]:
    return np.asarray(np.median([_timed(act) for _ in range(n)], axis=0))


def _timed(act: Callable[[], None]) -> npt.NDArray[np.float64]:
    start = _now()
    act()
    QApplication.processEvents()
    return _now() - start


def _now() -> npt.NDArray[np.float64]:
    """Return the time of the clock and the CPU time of this thread, s."""
    return np.array([time.perf_counter(), time.thread_time()])


def _pump(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6
