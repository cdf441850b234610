"""What is left of viewers that were opened, laid out and closed, beside the same without this package."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import ROOT, give_back, table

if TYPE_CHECKING:
    import napari

_N_ROUNDS, _N_FIRST = 50, 5
_SHAPE = (60, 128, 128)
#: Opened by the layouts four, one, three and four.
_N_CANVASES = 6
_LIMIT_S = 3600


def report() -> str:
    """Return the figures as Markdown; each kind of viewer in a process of its own."""
    rows = []
    kinds = (
        ("napari's own layers", "control"),
        (f"the same and {_N_CANVASES} further canvases of napari", "canvases"),
        ("a scan with labels, four-up", "room"),
    )
    for name, kind in kinds:
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.viewer_leaks", kind, str(_N_ROUNDS)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT_S,
        )
        rows.append((name, *found.stdout.strip().splitlines()[-1].split("\t")))
    head = ("viewer", "viewers and canvases alive", "widgets more", "Python objects a round", "MB a round")
    return f"{_N_ROUNDS} rounds, counted from the {_N_FIRST}th.\n\n{table(head, rows)}"


def measure(kind: str, n_rounds: int) -> tuple[int, int, float, float]:
    """Return what is left after rounds of opening and closing a viewer.

    Parameters
    ----------
    kind : str
        ``"room"``, a scan of ours in all layouts; ``"control"``, the same layers without this package;
        ``"canvases"``, these and as many further canvases as the layouts take.
    n_rounds : int
        The first five are not counted: caches fill.

    Returns
    -------
    tuple
        Viewers and canvases that are alive, further widgets, Python objects a round, MB a round.
    """
    from qtpy.QtWidgets import QApplication

    references: list[weakref.ref] = []
    widgets = objects = 0
    megabytes = 0.0
    first = min(_N_FIRST, n_rounds - 1)
    for n in range(n_rounds):
        references += _round(kind)
        _clean()
        print(n + 1, len(QApplication.allWidgets()), len(gc.get_objects()), round(_megabytes()), file=sys.stderr)
        if n == first - 1:
            widgets, objects, megabytes = len(QApplication.allWidgets()), len(gc.get_objects()), _megabytes()
    counted = n_rounds - first
    alive = sum(reference() is not None for reference in references)
    more = len(QApplication.allWidgets()) - widgets
    return (
        alive,
        more,
        round((len(gc.get_objects()) - objects) / counted, 1),
        round((_megabytes() - megabytes) / counted, 2),
    )


def _round(kind: str) -> list[weakref.ref]:
    import napari
    import numpy as np
    from napari.qt import QtViewer

    values = np.random.default_rng(1).integers(-200, 300, _SHAPE, np.int16)
    labels = np.zeros(_SHAPE, np.uint8)
    labels[20:40, 30:90, 30:90] = 1
    viewer = napari.Viewer()
    if kind != "room":
        viewer.add_image(values, scale=(2.0, 0.8, 0.8))
        viewer.add_labels(labels, scale=(2.0, 0.8, 0.8))
        _pump(0.3)
        if kind == "canvases":
            for _ in range(_N_CANVASES):
                _further_canvas(viewer)
    else:
        from napari_radcnn.geometry import Geometry
        from napari_radcnn.gui.layers.layers import layer_data
        from napari_radcnn.gui.reading.cuts.solids import SolidLook
        from napari_radcnn.gui.reading.room import open_room
        from napari_radcnn.gui.reading.show import add_to_viewer
        from napari_radcnn.results import Label, LabelMap
        from napari_radcnn.volume import Volume, VolumeMetadata

        grid = Geometry.from_parts(_SHAPE, (2.0, 0.8, 0.8))
        add_to_viewer(viewer, layer_data(Volume(values, grid, VolumeMetadata("CT", "CT", "HU"))))
        add_to_viewer(viewer, layer_data(LabelMap(labels, grid, {1: Label("a")})))
        room = open_room(viewer)
        for name in ("four", "one", "three", "four"):
            room.choose_layout(name)  # type: ignore[union-attr]
            viewer.dims.set_point(range(3), (30.0, 40.0, 50.0))
            _pump(0.4)
        room.turn_cross(20.0)  # type: ignore[union-attr]
        room.desk.show_slab(5.0)  # type: ignore[union-attr]
        room.show_solid(SolidLook("CT bone", frozenset({"Coronal"}), are_surfaces=True))  # type: ignore[union-attr]
        _pump(1.0)
    references = [weakref.ref(viewer)]
    references += [weakref.ref(widget) for widget in _children(viewer, QtViewer)]
    viewer.close()
    return references


def _further_canvas(viewer: napari.Viewer) -> None:
    """Open a canvas with the layers of a viewer, and close it."""
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.qt import QtViewer

    model = ViewerModel()
    widget = QtViewer(model)
    for layer in viewer.layers:
        model.layers.append(Layer.create(*layer.as_layer_data_tuple()))
    widget.show()
    _pump(0.2)
    model.layers.clear()
    widget.close()
    widget.deleteLater()
    _pump(0.1)


def _children(viewer: object, kind: type) -> list[object]:
    """Return the canvases of a viewer and its models: all that there are, since earlier viewers are gone or counted."""
    from qtpy.QtWidgets import QApplication

    widgets = [each for each in QApplication.allWidgets() if isinstance(each, kind)]
    return [*widgets, *(each.viewer for each in widgets if each.viewer is not viewer)]


def _pump(seconds: float) -> None:
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        time.sleep(0.005)


def _clean() -> None:
    """Let go of all that nobody needs."""
    for _ in range(3):
        _pump(0.1)
        gc.collect()
    give_back()


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    print(*measure(sys.argv[1], int(sys.argv[2])), sep="\t")
