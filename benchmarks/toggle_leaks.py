"""What one viewer keeps of what is switched on and off in it: layouts, turned planes and slabs, 3-D, scans with time.

Each in a process of its own. Run it alone: ``python -m benchmarks.toggle_leaks KIND [rounds]``.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import napari
import nibabel
import numpy as np
import psutil

from benchmarks.common import ROOT, give_back, table
from benchmarks.gui_leaks import ours, pump
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.cuts.solids import SolidLook
from napari_radcnn.gui.reading.room import Room, open_room
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

ROUNDS, _FIRST = 50, 5
_SHAPE, _SPACING = (60, 128, 128), (2.0, 0.8, 0.8)
_POINTS = (32, 32, 20, 30)
_LIMIT_S = 3600
KINDS = {
    "layouts": "four-up and one",
    "turned": "planes turned, a slab, and upright again",
    "solid": "bone in 3-D, clipped, with surfaces, and one view",
    "time": "a scan with 30 time points opened, played and closed",
}


def report() -> str:
    """Return the figures as Markdown."""
    rows = []
    for kind, title in KINDS.items():
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.toggle_leaks", kind, str(ROUNDS)],
            cwd=ROOT,
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT_S,
        )
        rows.append((title, *found.stdout.strip().splitlines()[-1].split("\t")))
    head = (f"{ROUNDS} times", "objects of this package and widgets more", "Python objects a round", "MB a round")
    return f"In one viewer, since the {_FIRST}th time, all threads in one arena of glibc:\n\n{table(head, rows)}"


def measure(kind: str, rounds: int) -> tuple[int, float, float]:
    """Switch on and off in one viewer, and return what is left since the first rounds.

    Returns
    -------
    (int, float, float)
        Objects of this package and widgets more, Python objects a round, MB a round.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "points.nii")
        nibabel.save(nibabel.Nifti1Image(np.random.default_rng(3).integers(0, 900, _POINTS, np.int16), np.eye(4)), path)
        viewer, room = _viewer()
        rounds_of: dict[str, Callable[[], None]] = {
            "layouts": lambda: _layouts(room),
            "turned": lambda: _turned(room),
            "solid": lambda: _solid(room),
            "time": lambda: _time(viewer, path),
        }
        one = rounds_of[kind]
        for _ in range(_FIRST):
            one()
        before, objects, memory = ours(), len(gc.get_objects()), _megabytes()
        for n in range(rounds):
            one()
            print(n + 1, round(_megabytes()), file=sys.stderr)
        more = sum((ours() - before).values())
        found = more, (len(gc.get_objects()) - objects) / rounds, (_megabytes() - memory) / rounds
        viewer.close()
    return found


def _viewer() -> tuple[napari.Viewer, Room]:
    grid = Geometry.from_parts(_SHAPE, _SPACING)
    values = np.random.default_rng(1).integers(-200, 300, _SHAPE, np.int16)
    labels = np.zeros(_SHAPE, np.uint8)
    labels[20:40, 30:90, 30:90] = 1
    viewer = napari.Viewer()
    add_to_viewer(viewer, layer_data(Volume(values, grid, VolumeMetadata("CT", "CT", "HU"))))
    add_to_viewer(viewer, layer_data(LabelMap(labels, grid, {1: Label("a")})))
    room = open_room(viewer)
    if room is None:
        raise RuntimeError("the viewer has no window")
    return viewer, room


def _layouts(room: Room) -> None:
    for name in ("four", "one"):
        room.choose_layout(name)
        pump(0.4)


def _turned(room: Room) -> None:
    room.choose_layout("three")
    room.turn_cross(20.0)
    pump(0.3)
    room.desk.show_slab(10.0)
    pump(0.3)
    room.turn_cross(5.0)  # and upright again while it is being painted
    pump(0.02)
    room.straighten()
    room.desk.show_slab(0.0)
    pump(0.2)


def _solid(room: Room) -> None:
    room.choose_layout("four")
    room.show_solid(SolidLook("CT bone", frozenset({"Coronal"}), are_surfaces=True))
    pump(0.8)
    room.show_solid(SolidLook())
    room.choose_layout("one")
    pump(0.3)


def _time(viewer: napari.Viewer, path: Path) -> None:
    for layer in viewer.open(str(path), plugin="napari-radcnn"):
        for step in range(0, _POINTS[3], 5):
            viewer.dims.set_current_step(0, step)
            pump(0.05)
        viewer.layers.remove(layer)
    pump(0.1)


def _megabytes() -> float:
    give_back()
    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    counts = measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
    print(f"{counts[0]}\t{counts[1]:.0f}\t{counts[2]:+.2f}")
