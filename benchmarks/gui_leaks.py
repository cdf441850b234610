"""What is left in memory of viewers that were opened, in which a model was run, and that were closed again.

napari leaves objects of its own behind with each viewer; rounds without the plugin count them. glibc keeps memory for
each thread that work runs on, which looks like a leak until all of it is in use: it is measured with it and without.
Run it alone: ``python -m benchmarks.gui_leaks [rounds]``.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import weakref
from collections import Counter
from collections.abc import Callable

import napari
import numpy as np
import psutil
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from benchmarks.common import ROOT, give_back, table
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.panel.table import PAGES
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head

ROUNDS = 50
_LIMIT_S = 900
_GRID = Geometry.from_parts((24, 32, 28), (8.0, 6.0, 7.0), (-91.0, -90.0, -88.0))
#: What napari keeps of each piece of work until the program ends; it holds a line of text.
_KEPT_BY_NAPARI = "napari_radcnn.gui.parts.job._Errand"


def pump(seconds: float) -> None:
    """Process events, those that delete too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        time.sleep(0.002)


def ours() -> Counter[str]:
    """Return how many objects of this package's classes there are, and Qt's own objects and windows."""
    for _ in range(3):
        gc.collect()
        pump(0.05)
    kinds = (type(each) for each in gc.get_objects())
    found = Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    counted = Counter({name: n for name, n in found.items() if name.startswith("napari_radcnn.")})
    del counted[_KEPT_BY_NAPARI]
    counted["widgets of Qt"] = len(QApplication.allWidgets())
    return counted


def open_run_close(model: str) -> list[weakref.ref[object]]:
    """Open a viewer with a scan, turn to every page, run a model, and close; return what should be gone then."""
    viewer = napari.Viewer()
    scan = add_to_viewer(viewer, layer_data(head(_GRID)))
    panel = panel_of(viewer)
    panel.open("Scans")
    for each in PAGES:
        panel.turn(each.name)
    panel.open("Models")
    dock = panel.page
    dock.model_combo.setCurrentIndex(dock.model_combo.findData(model))
    dock.update_plan()
    _wait(lambda: not dock.is_planning)
    dock.run()
    _wait(lambda: dock.job is None)
    if len(viewer.layers) != 2:
        raise RuntimeError(f"{model} gave no result: {dock.panel.message_label.text()}")
    gone = [viewer, scan, viewer.layers[1], scan.data, panel, *(panel.turn(each.name) for each in PAGES)]
    found = [weakref.ref(each) for each in gone]
    pump(0.2)
    viewer.close()
    return found


def without_plugin() -> list[weakref.ref[object]]:
    """Open a viewer with an image and labels, and close it."""
    viewer = napari.Viewer()
    values = np.asarray(head(_GRID).array)
    viewer.add_image(values)
    viewer.add_labels((values > 300).astype(np.uint8))
    pump(0.3)
    viewer.close()
    return [weakref.ref(viewer)]


def alive(references: list[weakref.ref[object]]) -> list[str]:
    """Return the kinds of what is still there."""
    found = [reference() for reference in references]
    return [type(each).__name__ for each in found if each is not None]


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"nothing came within {_LIMIT_S} s")
        pump(0.02)


def _measured(round_of: Callable[[], list[weakref.ref[object]]], rounds: int) -> tuple[str, ...]:
    for _ in range(3):
        round_of()
    before, objects, memory = ours(), len(gc.get_objects()), _megabytes()
    references = [reference for _ in range(rounds) for reference in _closed(round_of)]
    after = ours()
    more = sum((after - before).values())
    growth = (len(gc.get_objects()) - objects) / rounds
    return f"{more}", f"{len(alive(references))}", f"{growth:.0f}", f"{_megabytes() - memory:+.1f} MB"


def _closed(round_of: Callable[[], list[weakref.ref[object]]]) -> list[weakref.ref[object]]:
    references = round_of()
    pump(0.1)
    gc.collect()
    return references


def _megabytes() -> float:
    give_back()
    return psutil.Process().memory_info().rss / 1e6


def report() -> str:
    """Return the figures as Markdown, of a process as it usually is and of one whose threads share their memory."""
    shared = {"As it usually is": {}, "With one arena of glibc for all threads": {"MALLOC_ARENA_MAX": "1"}}
    return "\n\n".join(f"{title}:\n\n{_measured_apart(more)}" for title, more in shared.items())


def _measured_apart(more: dict[str, str]) -> str:
    """Return the figures of a process of its own, with further variables in its environment."""
    words = [sys.executable, "-m", "benchmarks.gui_leaks", str(ROUNDS)]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, check=True)
    return done.stdout[done.stdout.index("|") :].strip()


def measured(rounds: int) -> str:
    """Return the figures of a number of rounds as Markdown."""
    rows = [
        ("napari alone: open, close", *_measured(without_plugin, rounds)),
        ("open, all pages, run, close", *_measured(lambda: open_run_close("brain-extraction"), rounds)),
    ]
    head_line = (
        f"{rounds} times",
        "objects of this package and widgets left",
        "viewers, layers, voxels, pages left",
        "Python objects more each time",
        "memory",
    )
    return table(head_line, rows)


if __name__ == "__main__":
    print(measured(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
