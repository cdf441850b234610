"""Tools that ask the scan's values on a CT of 512 x 512 x 400 voxels: how soon they are seen, how long they take.

The real viewer with its page. What is seen is timed from what the user does to the end of the next frame, beside the
next slice, which is what napari itself takes; software rendering. The scan is drawn: a body, organs and noise. CPU
times of the whole process stand beside those of the clock, which other work on the machine lengthens.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

import numpy as np
from qtpy.QtCore import QPointF

from benchmarks.common import table
from benchmarks.interactive.loop import Screen, pump_until
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.tools import GrowFromSeeds, Paint, Scissors, Threshold, TraceLevel, similar_range
from napari_radcnn.interactive.tools.base import Tool
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume, VolumeMetadata

_SHAPE, _SPACING = (400, 512, 512), (1.0, 0.8, 0.8)
_ROUNDS = 7
#: HU: air, body, and the organs, ellipsoids by their middle and half axes, as shares of the shape.
_AIR, _BODY, _NOISE = -1000, 20, 12
_ORGANS = (
    (110, (0.5, 0.55, 0.35), (0.2, 0.16, 0.14)),
    (160, (0.5, 0.58, 0.68), (0.14, 0.1, 0.08)),
    (400, (0.5, 0.75, 0.5), (0.45, 0.06, 0.06)),
)


def scan() -> Volume:
    """Return a CT with three organs."""
    k, j, i = np.ogrid[tuple(slice(0, n) for n in _SHAPE)]
    share = [axis / n for axis, n in zip((k, j, i), _SHAPE, strict=True)]
    noise = np.random.default_rng(0).normal(0, _NOISE, _SHAPE[1:]).astype(np.int16)
    body = ((share[1] - 0.5) / 0.36) ** 2 + ((share[2] - 0.5) / 0.45) ** 2 < 1
    values = np.where(np.broadcast_to(body, _SHAPE), np.int16(_BODY), np.int16(_AIR))
    for value, middle, half in _ORGANS:
        far = sum(((s - m) / h) ** 2 for s, m, h in zip(share, middle, half, strict=True))
        values[far < 1] = value
    values += noise
    return Volume(values, Geometry.from_parts(_SHAPE, _SPACING), VolumeMetadata(name="drawn CT", modality="CT"))


def report() -> str:
    """Return the times as Markdown."""
    before = os.environ.get("RADCNN_SESSIONS")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RADCNN_SESSIONS"] = folder
        volume = scan()
        seen, steps = _seen(volume), _steps(volume)
        if before is None:
            del os.environ["RADCNN_SESSIONS"]
        else:
            os.environ["RADCNN_SESSIONS"] = before
    own = np.median(seen["the next slice, no tool"], axis=0)
    rows = []
    for what, times in seen.items():
        median, longest = np.median(times, axis=0), np.max(times, axis=0)
        told = (f"{value:.0f} ms" for value in (median[0], longest[0], median[1]))
        rows.append((what, *told, f"{median[0] / own[0]:.1f}", f"{median[1] / own[1]:.1f}"))
    return "\n\n".join(
        (
            f"A drawn CT of {' x '.join(map(str, _SHAPE))} voxels.",
            table(("until it is seen", "median", "longest", "CPU", "times the next slice", "the same, CPU"), rows),
            table(
                ("until it is a step", "median", "CPU"),
                [(what, f"{clock:.2f} s", f"{used:.2f} s") for what, (clock, used) in steps.items()],
            ),
        )
    )


def _seen(volume: Volume) -> dict[str, list[tuple[float, float]]]:
    """Return the milliseconds until something is seen, of the clock and of the processor."""
    screen = Screen(volume)
    screen.start("region")
    palette, found = screen.dock.palette_box, dict[str, list[tuple[float, float]]]()
    middle = np.asarray(
        volume.geometry.to_world([n * share for n, share in zip(_SHAPE, (0.5, 0.55, 0.35), strict=True)])
    )
    screen.show(middle)
    pump_until(lambda: False, 1.0)

    def timed(what: str, act: Callable[[int], object], rounds: int = _ROUNDS) -> None:
        for n in range(rounds):
            used = time.process_time()
            clock = screen.to_frame(lambda n=n: act(n))
            if np.isfinite(clock):  # a frame that was drawn
                found.setdefault(what, []).append((clock, 1000 * (time.process_time() - used)))
            pump_until(lambda: False, 0.2)

    def next_slice(n: int) -> None:
        screen.viewer.dims.set_current_step(0, _SHAPE[0] // 2 + n + 1)

    timed("the next slice, no tool", next_slice)
    timed("the brush is chosen, first time", lambda _n: palette.choose("brush"), 1)
    timed("the threshold is chosen, first time", lambda _n: palette.choose("threshold"), 1)
    timed("another range of the threshold", lambda n: palette.threshold_box.set_range(50 + 5 * n, 200))
    timed("the next slice, with the threshold's preview", next_slice)
    palette.choose("trace")
    where = screen.show(middle)
    timed("the contour under the mouse", lambda n: screen.hover(where + QPointF(n, 0)))
    screen.dock.end()
    pump_until(lambda: screen.dock.editing is None)
    screen.viewer.close()
    return found


def _steps(volume: Volume) -> dict[str, tuple[float, float]]:
    """Return the median seconds from a tool to its step, of the clock and of the processor, each in its own session."""
    geometry = volume.geometry

    def at(*shares: float) -> tuple[float, float, float]:
        x, y, z = geometry.to_world([n * share for n, share in zip(_SHAPE, shares, strict=True)]).tolist()
        return x, y, z

    first, second, nothing = at(0.5, 0.55, 0.35), at(0.5, 0.58, 0.68), at(0.5, 0.3, 0.5)
    low, high = similar_range(volume, first, 15.0)
    corners = [at(0.5, *corner) for corner in ((0.4, 0.2), (0.4, 0.4), (0.6, 0.4), (0.6, 0.2))]
    seeds: list[tuple[Tool, int]] = [(Paint([place], 5.0), n) for n, place in enumerate((first, second, nothing), 1)]
    threshold: list[tuple[Tool, int]] = [(Threshold(80, 300), 1)]
    jobs: dict[str, tuple[list[tuple[Tool, int]], Tool]] = {
        "threshold of the whole scan": ([], Threshold(80, 300)),
        "threshold within the object": (threshold, Threshold(130, None, "keep")),
        "level tracing": ([], TraceLevel(first)),
        "a dab of the smart brush, 30 mm wide": ([], Paint([first], 15.0, low=low, high=high, is_connected=True)),
        "scissors through all slices": (threshold, Scissors(corners)),
        "grow from seeds, two organs: preview": (seeds, GrowFromSeeds(3, 60.0, is_coarse=True)),
        "grow from seeds, two organs": (seeds, GrowFromSeeds(3, 60.0)),
    }
    found = {}
    for what, (made_before, tool) in jobs.items():
        seconds = []
        for _ in range(3):
            with PromptSession(volume, autosave=False) as session:
                for _, value in made_before or [(tool, 1)]:
                    if value > len(session.objects):
                        session.add_object()
                for each, value in made_before:
                    session.apply(each, value)
                started, used = time.perf_counter(), time.process_time()
                change = session.apply(tool, 1)
                seconds.append((time.perf_counter() - started, time.process_time() - used))
                if change.box is None:
                    raise SystemExit(f"{what}: nothing changed")
        clock, used = np.median(seconds, axis=0).tolist()
        found[what] = clock, used
    return found


if __name__ == "__main__":
    print(report())
