"""How much a running model disturbs the viewer: gaps between ticks of a 20 ms timer that also scrolls.

``python benchmarks/gui_gaps.py [SCAN] [--model NAME]`` with a display, or under ``xvfb-run``. Prints median, 95th
percentile and maximum in ms, idle and while the model runs, and how long Cancel takes.
"""

from __future__ import annotations

import argparse
import time

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_radcnn import io
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers import layer_data
from napari_radcnn.gui.show import add_to_viewer
from napari_radcnn.phantom import head


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

    def report(self, title: str) -> None:
        """Print the gaps between the ticks so far and begin anew."""
        gaps = np.diff(self.times) * 1000
        low, high = np.percentile(gaps, (50, 95))
        print(f"{title}: median {low:.0f} ms, 95 % {high:.0f} ms, max {gaps.max():.0f} ms, {len(gaps)} ticks")
        self.times.clear()


def pump_until(condition, limit: float = 600.0) -> float:
    """Process events until the condition holds and return the seconds it took."""
    start = time.perf_counter()
    while not condition() and time.perf_counter() - start < limit:
        QApplication.processEvents()
        time.sleep(0.001)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", nargs="?", help="a scan; by default a head phantom of 120 x 192 x 176 voxels")
    parser.add_argument("--model", default="brain-extraction")
    arguments = parser.parse_args()
    grid = Geometry.from_parts((120, 192, 176), (1.6, 1.0, 1.1), (-96.25, -94.5, -94.0))
    volume = io.read(arguments.scan)[0] if arguments.scan else head(grid)
    viewer = napari.Viewer()
    viewer.window.resize(1200, 800)
    add_to_viewer(viewer, layer_data(volume))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    dock.model_combo.setCurrentIndex(dock.model_combo.findData(arguments.model))
    dock.update_plan()
    ticks = Ticks(viewer)
    start = time.perf_counter()
    pump_until(lambda: time.perf_counter() - start > 4)
    ticks.report("idle   ")
    dock.run()
    seconds = pump_until(lambda: dock.job is None)
    ticks.report("running")
    print(f"run: {seconds:.1f} s, {dock.message_label.text()}")
    dock.update_plan()
    dock.run()
    start = time.perf_counter()
    pump_until(lambda: time.perf_counter() - start > seconds / 3)
    dock.cancel()
    print(f"cancel, asked after {seconds / 3:.1f} s: {pump_until(lambda: dock.job is None):.2f} s")
    viewer.close()


if __name__ == "__main__":
    main()
