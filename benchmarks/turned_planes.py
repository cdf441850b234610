"""Turned planes of a large CT: how often they are drawn while the cross-hair is turned, and how soon they are exact."""

from __future__ import annotations

import time

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from benchmarks.common import table
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.cuts.picture import Sources, paint, sheets_of
from napari_radcnn.gui.reading.cuts.view import CutView
from napari_radcnn.gui.reading.room import Room, open_room
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import rotation
from napari_radcnn.reformatting import Plane, SlabKind
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE, SPACING = (400, 512, 512), (1.0, 0.8, 0.8)
_N_TURNS, _N_RESTS, _N_PICTURES = 20, 7, 9
_SLABS: tuple[tuple[float, SlabKind], ...] = ((0.0, "maximum"), (10.0, "maximum"), (10.0, "mean"))


def report() -> str:
    """Return the figures as Markdown."""
    grid = Geometry.from_parts(SHAPE, SPACING)
    values = np.random.default_rng(1).integers(-200, 300, SHAPE, np.int16)
    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    layer = add_to_viewer(viewer, layer_data(Volume(values, grid, VolumeMetadata("CT", "CT", "HU"))))
    room = open_room(viewer)
    if room is None:
        raise RuntimeError("the viewer has no window")
    room.choose_layout("three")
    _pump(1.0)
    viewer.dims.set_point([0, 1, 2], [200.0, 205.0, 205.0])
    rows = []
    for thickness, kind in _SLABS:
        room.desk.straighten()
        room.desk.show_slab(thickness, kind)
        rate, coarse = _turning(room)
        name = f"MIP of {thickness:g} mm" if kind == "maximum" else f"mean of {thickness:g} mm"
        one, every = _rest(room)
        exact = (f"{one * 1e3:.0f} ms", f"{every * 1e3:.0f} ms")
        rows.append((name if thickness else "planes", f"{rate:.0f}", f"1:{coarse}", *exact))
    sizes = ", ".join(f"{view.width()} x {view.height()}" for view in room.desk.awake)
    alone = [(f"{one:g} mm {kind}" if one else "plane", _picture(layer, grid, one, kind)) for one, kind in _SLABS]
    viewer.close()
    head = (
        "turned views",
        "pictures of all a second while turned",
        "pixels sampled",
        "the largest exact after the last turn",
        "all exact",
    )
    words = "; ".join(f"{name}: {seconds * 1e3:.0f} ms" for name, seconds in alone)
    return (
        f"Views of {sizes} pixels, in software, beside an upright one.\n\n{table(head, rows)}\n\n"
        f"One exact picture of 512 x 512 pixels, sampled and colored, median of nine directions: {words}."
    )


def _turning(room: Room) -> tuple[float, int]:
    """Turn the cross-hair step by step, each drawn on the screen; return the rate and how coarse it became."""
    room.turn_cross(1.0)
    _pump(0.5)  # views that come are drawn at once, and all later ones by events
    drawn = 0
    start = time.perf_counter()
    for _ in range(_N_TURNS):
        room.turn_cross(1.0)
        before = [view.shown for view in room.desk.awake]
        while any(view.shown is old for view, old in zip(room.desk.awake, before, strict=True)):
            QApplication.processEvents()
        QApplication.processEvents()  # and painted
        drawn += 1
    return drawn / (time.perf_counter() - start), max(view.coarseness for view in room.desk.awake)


def _rest(room: Room) -> tuple[float, float]:
    """Return the median times from a turn until the largest view, and all views, are sampled fully and painted."""
    found = []
    largest = max(room.desk.awake, key=lambda view: view.width() * view.height())
    for _ in range(_N_RESTS):
        _pump(0.3)
        room.turn_cross(1.0)
        start = time.perf_counter()
        took = []
        for views in ([largest], room.desk.awake):
            while not all(_is_done(view) for view in views):
                QApplication.processEvents()
            QApplication.processEvents()
            took.append(time.perf_counter() - start)
        found.append(took)
    one, every = np.median(found, axis=0).tolist()
    return one, every


def _is_done(view: CutView) -> bool:
    return view.is_exact and not view.is_waiting


def _picture(layer: napari.layers.Layer, grid: Geometry, thickness: float, kind: SlabKind) -> float:
    """Return how long one exact picture takes, median over directions."""
    middle = grid.to_world((np.array(SHAPE) - 1) / 2)
    random, found, sources = np.random.default_rng(2), [], Sources()
    for _ in range(_N_PICTURES):
        turn = rotation(*random.uniform(-180, 180, 3))
        plane = Plane.centered(middle, turn[:, 0], turn[:, 1], (0.8, 0.8), (512, 512))
        start = time.perf_counter()
        paint(sheets_of([layer], [0.0, 0.0, 0.0], sources), plane, thickness, kind)
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def _pump(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.005)
