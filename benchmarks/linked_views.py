"""Linked planes on a large CT: how long they take to open, to move and to show a stroke, beside one view."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from benchmarks.common import table
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.room import open_room
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
    seconds = _timed(lambda: room.choose_layout("three"))
    planes_mb = _megabytes() - before
    linked = _median(lambda: _move(viewer), _N_MOVES)
    stroke = _median(lambda: _paint(viewer, drawn), _N_MOVES)
    before, start = _megabytes(), time.perf_counter()
    room.choose_layout("four")
    _pump(0.3)
    solid = room.layouts.panes[2]
    while not solid.is_ready:
        _pump(0.05)
    solid_seconds, solid_mb = time.perf_counter() - start, _megabytes() - before
    room.choose_layout("one")
    leaks = [_opened(room) for _ in range(_N_OPENED)]
    viewer.close()
    rows = [
        ("open three planes", f"{seconds:.1f} s, {planes_mb:.0f} MB", ""),
        ("the scan in 3-D, in the background", f"{solid_seconds:.1f} s, {solid_mb:.0f} MB", ""),
        ("move the point in one view", f"{1000 * single:.0f} ms", "1"),
        ("move it in three planes", f"{1000 * linked:.0f} ms", f"{linked / single:.1f}"),
        ("show a change of labels in three planes", f"{1000 * stroke:.0f} ms", f"{stroke / single:.1f}"),
        (f"memory after {_N_OPENED} times four-up and back", f"{leaks[-1] - leaks[4]:+.0f} MB since the fifth", ""),
    ]
    return table(("what", "median", "times one view"), rows)


def _move(viewer: napari.Viewer) -> None:
    viewer.dims.set_point([0, 1, 2], [value + 1.6 for value in viewer.dims.point])
    QApplication.processEvents()


def _paint(viewer: napari.Viewer, layer: napari.layers.Labels) -> None:
    index = tuple(round(step) for step in layer.world_to_data(viewer.dims.point))
    layer.data[tuple(slice(n - 4, n + 5) for n in index)] += 1
    layer.refresh(extent=False, thumbnail=False)
    QApplication.processEvents()


def _opened(room: object) -> float:
    room.choose_layout("four")  # type: ignore[attr-defined]
    _pump(0.1)
    room.choose_layout("one")  # type: ignore[attr-defined]
    _pump(0.1)
    gc.collect()
    return _megabytes()


def _median(act: Callable[[], None], n: int) -> float:
    return float(np.median([_timed(act) for _ in range(n)]))


def _timed(act: Callable[[], None]) -> float:
    start = time.perf_counter()
    act()
    QApplication.processEvents()
    return time.perf_counter() - start


def _pump(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6
