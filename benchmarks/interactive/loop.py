"""Whether the viewer goes on while an engine works: gaps between ticks of a 5 ms timer, and how soon a brush is seen.

The real viewer with the real dock, in which a mouse is played: events go to the canvas as a window system sends them.
The scan is the CT of 256 x 512 x 512 voxels of `interactive_latency`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QOpenGLWidget

from benchmarks.common import table
from benchmarks.interactive.latency import large_scan, objects_of
from napari_radcnn.gui.layers.layers import layer_data, to_display
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.interactive.simulate import Click, next_click
from napari_radcnn.interactive.update import Mask
from napari_radcnn.volume import Volume

_INTERVAL_MS = 5
_IDLE_SECONDS = 3.0
#: Of a brush stroke: moves of the mouse, and pixels of the screen from one to the next.
_MOVES, _STEP = 40, 3
_SLICES = 21
_PATIENCE = 600.0


class Ticks:
    """A timer that keeps the time of each of its ticks."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        self.times.append(time.perf_counter())

    def stop(self) -> None:
        """End: a timer that goes on in forgotten objects may fire while a worker's thread clears them away."""
        self._timer.stop()
        self._timer.timeout.disconnect(self._tick)

    def begin(self) -> None:
        """Forget what was before now."""
        self.times[:] = [time.perf_counter()]

    def gaps(self) -> dict[str, float]:
        """Return the gaps since `begin`, ms."""
        gaps = np.diff([*self.times, time.perf_counter()]) * 1000
        low, high = np.percentile(gaps, (50, 95))
        return {"median": float(low), "p95": float(high), "longest": float(gaps.max())}


class Screen:
    """A viewer with the dock on a scan, and a mouse in its canvas."""

    def __init__(self, volume: Volume) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1400, 900)
        add_to_viewer(self.viewer, layer_data(volume))
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-radcnn", "Interactive segmentation")
        self.canvas = self.dock.window().findChild(QOpenGLWidget)
        self.frames: list[float] = []
        self.canvas.frameSwapped.connect(lambda: self.frames.append(time.perf_counter()))
        self.failures: list[str] = []
        pump_until(lambda: False, _IDLE_SECONDS)

    def start(self, engine: str) -> None:
        """Begin a session and wait for it."""
        self.dock.engine_combo.setCurrentIndex(self.dock.engine_combo.findData(engine))
        self.dock.start()
        self.dock.editing.failed.connect(self.failures.append)
        pump_until(lambda: bool(self.failures) or self.dock.editing is None or self.dock.editing.is_open)
        if not self.failures and self.dock.editing is None:
            self.failures.append(self.dock.message_label.text())
        pump_until(lambda: False, _IDLE_SECONDS)

    def to_frame(self, do: Callable[[], object]) -> float:
        """Return the milliseconds from doing something to the end of the next frame; infinite where none comes."""
        self.frames.clear()
        started = time.perf_counter()
        do()
        pump_until(lambda: bool(self.frames), 5.0)
        return (self.frames[0] - started) * 1000 if self.frames else float("inf")

    def show(self, position: np.ndarray) -> QPointF:
        """Scroll to a position, LPS mm, and return where it is on the canvas."""
        world = np.asarray(to_display(position), float)
        self.viewer.dims.set_point(range(3), world)
        offset = (world - np.asarray(self.viewer.scene.camera.center))[list(self.viewer.dims.displayed)]
        down, right = offset * self.viewer.scene.camera.zoom
        return QPointF(self.canvas.width() / 2 + right, self.canvas.height() / 2 + down)

    def press(self, where: QPointF, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
        """Press a button."""
        self._send(QEvent.Type.MouseButtonPress, where, button, button)

    def move(self, where: QPointF) -> None:
        """Move with the left button down."""
        self._send(QEvent.Type.MouseMove, where, Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton)

    def hover(self, where: QPointF) -> None:
        """Move with no button down."""
        self._send(QEvent.Type.MouseMove, where, Qt.MouseButton.NoButton, Qt.MouseButton.NoButton)

    def release(self, where: QPointF, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
        """Let go of a button."""
        self._send(QEvent.Type.MouseButtonRelease, where, button, Qt.MouseButton.NoButton)

    def wait(self) -> None:
        """Process events until nothing is left to compute."""
        pump_until(lambda: not self.dock.editing.steps.unfinished)

    def _send(self, kind: QEvent.Type, where: QPointF, button: Qt.MouseButton, buttons: Qt.MouseButton) -> None:
        place = self.canvas.mapToGlobal(where.toPoint())
        event = QMouseEvent(kind, where, QPointF(place), button, buttons, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self.canvas, event)


def pump_until(condition: Callable[[], bool], limit: float = _PATIENCE) -> float:
    """Process events until the condition holds and return the seconds it took."""
    start = time.perf_counter()
    while not condition() and time.perf_counter() - start < limit:
        QApplication.processEvents()
        time.sleep(0.0005)
    return time.perf_counter() - start


def measure(data: Path, engines: Sequence[str], clicks_each: int = 3) -> dict[str, Any]:
    """Return gaps and delays of every engine as JSON types."""
    volume = large_scan(data)
    objects = objects_of(volume)
    found: dict[str, Any] = {"shape": list(volume.shape), "engines": {}}
    before = os.environ.get("RADCNN_SESSIONS")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RADCNN_SESSIONS"] = folder
        for engine in engines:
            found["engines"][engine] = _engine(volume, objects, engine, clicks_each)
        if before is None:
            del os.environ["RADCNN_SESSIONS"]
        else:
            os.environ["RADCNN_SESSIONS"] = before
    return found


def _engine(volume: Volume, objects: Sequence[tuple[str, Mask]], engine: str, clicks_each: int) -> dict[str, Any]:
    screen = Screen(volume)  # first: a timer needs the application that comes with it
    ticks = Ticks()
    try:
        return _measured(screen, ticks, volume, objects, engine, clicks_each)
    finally:
        ticks.stop()


def _measured(
    screen: Screen,
    ticks: Ticks,
    volume: Volume,
    objects: Sequence[tuple[str, Mask]],
    engine: str,
    clicks_each: int,
) -> dict[str, Any]:
    found: dict[str, Any] = {"scroll_to_frame": _scroll(screen, ticks), "scroll": ticks.gaps()}
    screen.start(engine)
    if screen.failures:
        screen.viewer.close()
        return {"failed": screen.failures[0]}
    first, middle = (_middle(volume, objects[n][1]) for n in (-1, 0))
    ticks.begin()
    pump_until(lambda: False, _IDLE_SECONDS)
    found["idle"] = ticks.gaps()
    ticks.begin()
    click_at(screen, volume, first)
    found["first_click"] = ticks.gaps()
    seconds = []
    for _, truth in objects:
        screen.dock.add_object()
        screen.wait()
        taken: list[Any] = []
        for _ in range(clicks_each):
            session = screen.dock.editing.session
            click = next_click(truth, session.mask(session.active), volume.geometry.spacing, taken)
            if click is None:
                break
            taken.append(click.index)
            ticks.begin()
            seconds.append(click_at(screen, volume, click))
            found.setdefault("clicks", []).append(ticks.gaps())
    found["seconds"] = seconds
    ticks.begin()
    screen.dock.palette_box.choose("brush")  # the first time, a layer for strokes is added
    pump_until(lambda: False, 0.5)
    found["brush_chosen"] = ticks.gaps()
    ticks.begin()
    found["brush_to_frame"] = _brush(screen, volume, middle)
    found["brush"] = ticks.gaps()
    found["failures"] = screen.failures
    screen.dock.end()
    pump_until(lambda: screen.dock.editing is None)
    screen.viewer.close()
    return found


def _middle(volume: Volume, truth: Mask) -> Click:
    click = next_click(truth, np.zeros_like(truth), volume.geometry.spacing)
    if click is None:
        raise ValueError("an object without voxels")
    return click


def click_at(screen: Screen, volume: Volume, click: Click) -> float:
    """Click and wait for the mask; return the seconds."""
    screen.dock.palette_box.choose("point")
    where = screen.show(volume.geometry.to_world(click.index))
    button = Qt.MouseButton.LeftButton if click.positive else Qt.MouseButton.RightButton
    n_prompts = _n_prompts(screen)
    started = time.perf_counter()
    screen.press(where, button)
    screen.release(where, button)
    screen.wait()
    if not screen.failures and _n_prompts(screen) != n_prompts + 1:
        raise RuntimeError(f"a click at {where} of the canvas was not taken: {screen.dock.message_label.text()}")
    return time.perf_counter() - started


def _n_prompts(screen: Screen) -> int:
    return sum(len(prompts) for prompts in screen.dock.editing.state.prompts.values())


def _scroll(screen: Screen, ticks: Ticks) -> list[float]:
    """Scroll through the scan; return the milliseconds from each slice to its frame: what napari itself takes."""
    ticks.begin()
    first = int(screen.viewer.dims.current_step[0])
    return [screen.to_frame(lambda n=n: screen.viewer.dims.set_current_step(0, first + n)) for n in range(1, _SLICES)]


def _brush(screen: Screen, volume: Volume, middle: Click) -> list[float]:
    """Draw a stroke; return the milliseconds from each move of the mouse to the next frame."""
    screen.dock.palette_box.radius_spin.setValue(5.0)
    where = screen.show(volume.geometry.to_world(middle.index))
    pump_until(lambda: False, 0.5)
    places = [where + QPointF(n * _STEP, 0) for n in range(_MOVES + 1)]
    screen.press(places[0])
    delays = [screen.to_frame(lambda place=place: screen.move(place)) for place in places[1:]]
    screen.release(places[-1])
    screen.wait()
    return delays


def text(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rows, notes = [], []
    for engine, row in found["engines"].items():
        if "failed" in row:
            notes.append(f"{engine}: {row['failed']}")
            continue
        notes += [f"{engine}: {line}" for line in row["failures"]]
        clicks = row["clicks"]
        median, slow = np.percentile(row["seconds"], (50, 95))
        longest = {key: max(click[key] for click in clicks) for key in ("median", "p95", "longest")}
        title = f"{len(clicks)} clicks, the worst of each"
        rows += [
            (engine, "scrolling, before the session", *_gaps(row["scroll"]), _delay("slice", row["scroll_to_frame"])),
            (engine, "nothing", *_gaps(row["idle"]), "-"),
            (engine, "the first click", *_gaps(row["first_click"]), "-"),
            (engine, title, *_gaps(longest), f"click to mask {median:.2f} s, 95 % {slow:.2f} s"),
            (engine, "the brush is chosen", *_gaps(row["brush_chosen"]), "-"),
            (engine, "a brush stroke", *_gaps(row["brush"]), _delay("mouse", row["brush_to_frame"])),
        ]
    size = " x ".join(str(n) for n in found["shape"])
    what = (
        f"Gaps between ticks of a {_INTERVAL_MS} ms timer in the viewer, a CT of {size} voxels, software rendering. "
        "Clicks and strokes are mouse events sent to the canvas. Scrolling tells what drawing a frame takes by itself."
    )
    return "\n\n".join([what, table(("engine", "meanwhile", "median", "95 %", "longest", ""), rows), *notes])


def _delay(what: str, delays: Sequence[float]) -> str:
    median, slow = np.percentile(delays, (50, 95))
    return f"{what} to frame {median:.0f} ms, 95 % {slow:.0f} ms, longest {max(delays):.0f} ms"


def _gaps(gaps: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{gaps[key]:.0f} ms" for key in ("median", "p95", "longest"))
