"""A folder of 2,000 slices in six series dropped on the viewer: gaps between events, and when the first scan is seen.

Run it alone: ``python -m benchmarks.gui_opening``.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEvent, QMimeData, QObject, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget

import napari_radcnn as radcnn
from benchmarks.common import table
from benchmarks.gui_gaps import pump_until
from benchmarks.reading import write_series
from napari_radcnn.gui.panel.panel import panel_of

#: Of each series: slices, rows, columns.
SERIES = ((400, 512, 512), (400, 512, 512), (400, 256, 256), (320, 256, 256), (240, 256, 256), (240, 512, 512))
_TICK_MS = 5


class Gaps:
    """A timer of `_TICK_MS`, and how long it had to wait: on the clock, and of that at work in the viewer's thread."""

    def __init__(self) -> None:
        self.clock: list[float] = []
        self.work: list[float] = []
        self._last = (time.perf_counter(), time.thread_time())
        self._timer = QTimer()
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        self.clock.append(now[0] - self._last[0])
        self.work.append(now[1] - self._last[1])
        self._last = now

    def row(self, title: str) -> tuple[str, ...]:
        """Return the gaps so far and begin anew."""
        clock, work = (np.array(each) * 1000 for each in (self.clock, self.work))
        self.clock, self.work = [], []
        many = np.percentile(clock, 95)
        return title, f"{np.median(clock):.0f} ms", f"{many:.0f} ms", f"{clock.max():.0f} ms", f"{work.max():.0f} ms"


class Painted(QObject):
    """Whether a widget of a name has been painted."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.is_done = False
        QApplication.instance().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Notice that it is painted."""
        self.is_done = self.is_done or (event.type() == QEvent.Type.Paint and watched.objectName() == self._name)
        return False

    def end(self) -> None:
        """Notice nothing more."""
        QApplication.instance().removeEventFilter(self)


def canvas_widget() -> QWidget:
    """Return the widget of the viewer with its canvas."""
    from napari.qt import QtViewer

    window = next(each for each in QApplication.topLevelWidgets() if each.findChild(QtViewer) is not None)
    return window.findChild(QtViewer)


def drop(folder: Path) -> None:
    """Drop a folder on the canvas of the viewer."""
    canvas = canvas_widget()
    urls = QMimeData()
    urls.setUrls([QUrl.fromLocalFile(str(folder))])
    action, left, no = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    where = canvas.rect().center()
    QApplication.sendEvent(canvas, QDragEnterEvent(where, action, urls, left, no))
    QApplication.sendEvent(canvas, QDropEvent(QPointF(where), action, urls, left, no, QEvent.Type.Drop))


def report() -> str:
    """Return the figures as Markdown."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "disc")
        folder.mkdir()
        for n, shape in enumerate(SERIES):
            write_series(folder / f"series-{n}", np.resize(_slices(), shape))
        viewer = napari.Viewer()
        viewer.window.resize(1366, 768)
        panel_of(viewer).open("Scans")
        page = panel_of(viewer).page
        pump_until(lambda: page.warming is not None and page.warming.is_done, 60)
        pump_until(lambda: False, 2)
        rows = [_opened(viewer, page, folder, "the first time in a program")]
        viewer.layers.clear()
        pump_until(lambda: False, 2)
        rows.append(_opened(viewer, page, folder, "again"))
        viewer.close()
    head = (
        "",
        "median",
        "95 %",
        "longest",
        "longest work of the viewer's thread",
        "first picture: a slice",
        "the whole scan in the viewer",
        "`radcnn.read` of it",
    )
    return (
        "Gaps between events from the drop until all six series are listed and the first is shown, in software. The "
        "slice is painted over the canvas while the scan is read; the whole scan is there once napari has painted its "
        "layer:\n\n" + table(head, rows)
    )


def _opened(viewer: napari.Viewer, page: object, folder: Path, title: str) -> tuple[str, ...]:
    start = time.perf_counter()
    (scan,) = radcnn.read(folder / "series-0")
    alone = time.perf_counter() - start
    del scan
    seen: list[float] = []
    canvas = canvas_widget().canvas.native
    frames = canvas.frameSwapped  # after each picture of the canvas

    def on_frame() -> None:
        if len(viewer.layers) > 0:
            seen.append(time.perf_counter())

    frames.connect(on_frame)
    painted = Painted("radcnn_glimpse")
    gaps = Gaps()
    start = time.perf_counter()
    drop(folder)
    first = pump_until(lambda: painted.is_done)
    painted.end()  # Qt would ask it about each event
    pump_until(lambda: bool(seen))
    whole = seen[0] - start
    pump_until(lambda: len(list(page.tree.items())) == len(SERIES) and page.job is None)
    frames.disconnect(on_frame)
    pump_until(lambda: False, 2)
    return *gaps.row(title), f"{first:.2f} s", f"{whole:.2f} s", f"{alone:.2f} s"


def _slices() -> np.ndarray:
    j, i = np.mgrid[0:512, 0:512]
    noise = np.random.default_rng(1).normal(0, 12, (8, 512, 512))
    return (np.where((j - 256) ** 2 + (i - 240) ** 2 < 200**2, 40, -1000) + noise).astype(np.int16)


if __name__ == "__main__":
    print(report())
