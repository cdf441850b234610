"""Compare a CT with the one before, with mouse and keys, and take pictures of it; a step of ``make docs-pictures``.

``python docs/comparing_session.py CT FOLDER`` runs it alone. The scan before is the same one, moved, with a date and a
frame of reference of its own. A step that does not do what it says ends the script.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from reading_session import SIZES, wait  # beside this script

import napari_radcnn as radcnn
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.belonging import identity, made_of
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.results import Label, LabelMap

_SHIFT = Qt.KeyboardModifier.ShiftModifier
_ALT_SHIFT = Qt.KeyboardModifier.AltModifier | _SHIFT
#: How the earlier scan lies on its table, LPS mm.
_APART = (12.0, -7.0, 40.0)
#: In the middle of a large vessel of the CT, LPS mm.
_PLACE = (16.0, -161.0, 370.0)


def dated(scan: radcnn.Volume, name: str, date: str, apart: tuple[float, float, float]) -> radcnn.Volume:
    """Return a scan as another visit would have it."""
    affine = scan.geometry.affine.copy()
    affine[:3, 3] += apart
    about = replace(scan.metadata, name=name, study_date=date, study_uid=date, frame_of_reference_uid=date)
    return replace(scan, geometry=Geometry(scan.geometry.shape, affine), metadata=about)


def bright(scan: radcnn.Volume) -> LabelMap:
    """Return the bones of a CT as labels."""
    return LabelMap(
        (scan.array > 250).astype(np.uint8),
        scan.geometry,
        {1: Label("bone", (1.0, 0.55, 0.1))},
        "bone",
        {},
        (),
        scan.metadata,
    )


def compare(path: Path, size: tuple[int, int], folder: Path) -> None:
    """Put two scans side by side, declare the same place, and look at two planes of each.

    Parameters
    ----------
    path : path
        A CT.
    size : (width, height)
        Of the screen.
    folder : Path
        Where the pictures go.
    """
    scan = radcnn.read(path)[0]
    prior, now = dated(scan, "CT 2024", "2024-03-11", _APART), dated(scan, "CT 2025", "2025-03-04", (0.0, 0.0, 0.0))
    viewer = napari.Viewer()
    viewer.window.resize(*size)
    before = add_to_viewer(viewer, layer_data(prior))
    before.visible = False
    add_to_viewer(viewer, made_of(layer_data(bright(prior)), identity(before)))
    room, first = open_room(viewer), add_to_viewer(viewer, layer_data(now))
    viewer.layers.selection.active = first
    wait(limit=1.0)

    def key(key: Qt.Key, how: Qt.KeyboardModifier = _SHIFT) -> None:
        room.overlay.window().activateWindow()
        wait(lambda: room.overlay.window().isActiveWindow(), 5)
        QTest.keyClick(room.overlay.parentWidget(), key, how)
        wait(limit=0.3)

    def done(what: str, *, is_right: bool) -> None:
        if not is_right:
            raise RuntimeError(f"not done: {what}")

    def save(name: str) -> None:
        folder.mkdir(exist_ok=True)
        wait(limit=1.0)
        viewer.screenshot(str(folder / f"beside-{name}-{size[0]}.png"), canvas_only=False, flash=False)

    key(Qt.Key.Key_F8)
    done("two scans side by side", is_right=room.layouts.name == "two" and room.beside.others == [before])
    save("unlinked")
    viewer.dims.set_point([0, 1, 2], list(_PLACE[::-1]))
    room.beside.move_to(before, np.add(_PLACE, _APART)[::-1])
    key(Qt.Key.Key_F11)
    link = room.beside.link_to(before)
    done("the same place", is_right=link is not None and bool(np.abs(np.subtract(link.offset, _APART)).max() < 3))
    key(Qt.Key.Key_L, _ALT_SHIFT)
    done("outlines in both", is_right=room.beside.shows_outlines)
    key(Qt.Key.Key_1, Qt.KeyboardModifier.AltModifier)
    save("two")
    key(Qt.Key.Key_F9)
    done("two planes of each", is_right=len(room.layouts.models) == 4)
    save("grid")
    viewer.close()


def main(path: Path, folder: Path) -> None:
    """Compare them on every size of a screen."""
    for size in SIZES:
        compare(path, size, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
