"""Seconds from a prompt to the updated mask in a CT of 256 x 512 x 512 voxels, with history and autosave.

The scan is a thin-slice chest CT, resampled. The objects are what has a class's HU and hangs together within a ball;
they give the clicks their places, no more: it is time that is measured, not overlap. Each click goes through a session
in the three parts in which a viewer does it (check, predict, put into the label map).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import napari_radcnn as radcnn
from benchmarks.common import table
from benchmarks.interactive.clicks import network_of, opened
from napari_radcnn.errors import RadcnnError
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.devices import default_threads
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import Engine
from napari_radcnn.interactive.engines.promptable.engine import PromptableEngine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.simulate import next_click
from napari_radcnn.interactive.tools.paint import Paint
from napari_radcnn.interactive.update import Mask
from napari_radcnn.preprocessing import resize
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession
from napari_radcnn.spec.weights import read_verified
from napari_radcnn.volume import Volume

_SCAN = "ct_chest_thin/ct_hu.nii.gz"
_SHAPE = (256, 512, 512)
_CLICKS_EACH = 4
#: Strokes and undos are done so often.
_STROKES = 5
#: Objects are looked for on every n-th voxel.
_STEP = 4


@dataclass(frozen=True)
class _Kind:
    name: str
    low: float
    high: float
    radius: float  # mm


_KINDS = (
    _Kind("lung", -950, -700, 70),
    _Kind("bone", 250, 1500, 40),
    _Kind("soft tissue", 0, 120, 60),
    _Kind("a part of soft tissue", 0, 120, 25),
    _Kind("a small part of soft tissue", 0, 120, 8),
)


def measure(data: Path, engines: Sequence[str], settings: RunSettings, weights: Path | None = None) -> dict[str, Any]:
    """Return the seconds of every engine as JSON types.

    Parameters
    ----------
    data : Path
        The folder that holds the chest CT.
    engines : sequence of str
        Their names. Of ``promptable-3d`` every look is computed in float32 by PyTorch as well.
    settings : RunSettings
        Of the engines.
    weights : Path, optional
        Of ``promptable-3d``, where others than those in the package are measured.
    """
    volume = large_scan(data)
    objects = objects_of(volume)
    found: dict[str, Any] = {"shape": list(volume.shape), "objects": [name for name, _ in objects], "engines": {}}
    for engine in engines:
        try:
            opened_engine = opened(engine, settings, weights)
            if engine == "promptable-3d":
                opened_engine = Compared(settings, weights)
            found["engines"][engine] = _engine(volume, objects, opened_engine)
        except RadcnnError as error:
            found["engines"][engine] = {"failed": str(error)}
    return found


def large_scan(data: Path) -> Volume:
    """Return the chest CT resampled to 256 x 512 x 512 voxels, int16 HU."""
    scan = radcnn.read(data / _SCAN)[0]
    array = np.rint(resize(scan.array, _SHAPE, "linear")).astype(np.int16)
    metadata = replace(scan.metadata, modality="CT", units="HU")
    return Volume(array, scan.geometry.with_shape(_SHAPE), metadata)


def objects_of(volume: Volume) -> list[tuple[str, Mask]]:
    """Return an object of each kind: the piece round the most interior voxel of its HU that lies in no other object."""
    from scipy import ndimage

    array, spacing = volume.array, np.array(volume.geometry.spacing)
    coarse = array[::_STEP, ::_STEP, ::_STEP]
    left = np.zeros(coarse.shape, bool)
    # The outer sixth of a slice holds arms, table and air.
    left[:, *(slice(n // 6, n - n // 6) for n in coarse.shape[1:])] = True
    found = []
    for kind in _KINDS:
        depth = ndimage.distance_transform_edt(left & (coarse >= kind.low) & (coarse <= kind.high), spacing * _STEP)
        seed = np.array(np.unravel_index(int(depth.argmax()), depth.shape)) * _STEP
        box, ball = _ball(seed, kind.radius, spacing, volume.shape)
        part = array[box]
        pieces, _ = ndimage.label(ball & (part >= kind.low) & (part <= kind.high))
        mask = np.zeros(volume.shape, bool)
        mask[box] = pieces == pieces[tuple(seed - [extent.start for extent in box])]
        left &= ~mask[::_STEP, ::_STEP, ::_STEP]
        found.append((kind.name, mask))
    return found


def _ball(
    center: np.ndarray, radius: float, spacing: np.ndarray, shape: Sequence[int]
) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box of a ball of a radius in mm, and the ball in it."""
    reach = np.ceil(radius / spacing).astype(int)
    box = tuple(slice(max(0, c - r), min(n, c + r + 1)) for c, r, n in zip(center, reach, shape, strict=True))
    steps = [(np.arange(e.start, e.stop) - c) * s for e, c, s in zip(box, center, spacing, strict=True)]
    distance = sum(step**2 for step in np.meshgrid(*steps, indexing="ij", sparse=True))
    return box, distance <= radius**2


class Compared(PromptableEngine):
    """`promptable-3d`, each of whose looks is computed once more the plain way: PyTorch, processor, float32."""

    def __init__(self, settings: RunSettings, weights: Path | None) -> None:
        path = read_verified(self.spec, self.spec.weights[0]) if weights is None else weights
        super().__init__(settings, network_of(path))
        self._plain = TorchPredictor(network_of(path).torch_module(), 3, "float32", default_threads())
        self.looks: list[float] = []
        self.plain_looks: list[float] = []

    def ask(self, channels: np.ndarray, monitor: Monitor) -> np.ndarray:
        """Return the network's logits for one cube, as computed fast."""
        started = time.perf_counter()
        answer = super().ask(channels, monitor)
        answered = time.perf_counter()
        self._plain(channels)
        self.looks.append(answered - started)
        self.plain_looks.append(time.perf_counter() - answered)
        return answer


class _Player:
    """A session with the autosave a user has, that times its parts."""

    def __init__(self, volume: Volume, engine: Engine, folder: str) -> None:
        self.session = PromptSession(volume, engine=engine, folder=Path(folder), autosave=True)
        self._engine = engine
        self.clicks: list[float] = []
        self.predictions: list[float] = []
        self.plain: list[float] = []

    def click(self, prompt: Prompt) -> None:
        """Give a prompt in three parts; what was computed only to be compared does not count."""
        n_before = len(self._plain_looks())
        started = time.perf_counter()
        pending = self.session.begin(prompt)
        asked = time.perf_counter()
        update = self.session.predict(pending)
        answered = time.perf_counter()
        self.session.commit(pending, update)
        ended = time.perf_counter()
        plain = sum(self._plain_looks()[n_before:])
        looks = sum(self._engine.looks[n_before:]) if isinstance(self._engine, Compared) else 0.0
        self.clicks.append(ended - started - plain)
        self.predictions.append(answered - asked - plain)
        self.plain.append(ended - started - looks)

    def _plain_looks(self) -> list[float]:
        return self._engine.plain_looks if isinstance(self._engine, Compared) else []


def _figures(clicks: Sequence[float]) -> dict[str, float]:
    median, slow = np.percentile(clicks, (50, 95))
    return {"clicks": len(clicks), "median": float(median), "p95": float(slow)}


def _engine(volume: Volume, objects: Sequence[tuple[str, Mask]], engine: Engine) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        player = _Player(volume, engine, folder)
        first = _warm_up(player.session, objects[-1][1])
        if isinstance(engine, Compared):
            first -= sum(engine.plain_looks)
            engine.looks.clear()
            engine.plain_looks.clear()
        for _, truth in objects:
            _play(player, truth)
        found: dict[str, Any] = {**_figures(player.clicks), "first_click": first}
        found["engine_median"] = float(np.median(player.predictions))
        found["stroke"], found["undo"] = _strokes(player.session, objects[0][1])
        if isinstance(engine, Compared):
            looks = {"looks": len(engine.looks), "look": float(np.median(engine.looks))}
            found |= looks
            found["float32"] = {**_figures(player.plain), "look": float(np.median(engine.plain_looks))}
        player.session.close()
        return found


def _warm_up(session: PromptSession, truth: Mask) -> float:
    """Click once into an object that is thrown away, and return the seconds: what is done once for a scan is in it."""
    value = session.add_object().value
    click = next_click(truth, session.mask(value), session.geometry.spacing)
    seconds = _timed(lambda: session.add(click.prompt(session.geometry)))
    session.remove_object(value)
    return seconds


def _play(player: _Player, truth: Mask) -> None:
    """Click into one object."""
    session = player.session
    value = session.add_object().value
    taken = []
    for _ in range(_CLICKS_EACH):
        click = next_click(truth, session.mask(value), session.geometry.spacing, taken)
        if click is None:
            return
        taken.append(click.index)
        player.click(click.prompt(session.geometry))


def _strokes(session: PromptSession, truth: Mask) -> tuple[float, float]:
    """Return the median seconds of a brush stroke 60 mm long and 10 mm wide through an object, and of undoing it."""
    click = next_click(truth, np.zeros_like(truth), session.geometry.spacing)
    middle = session.geometry.to_world(click.index)
    session.add_object()
    strokes, undos = [], []
    for n in range(_STROKES):
        line = middle + np.linspace((-30.0, 3.0 * n, 0.0), (30.0, 3.0 * n, 0.0), 30)
        stroke = Paint(points=tuple(tuple(point) for point in line.tolist()), radius=5.0)
        strokes.append(_timed(lambda stroke=stroke: session.apply(stroke)))
        undos.append(_timed(session.undo))
        session.redo()
    return float(np.median(strokes)), float(np.median(undos))


def _timed(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def text(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    size = " x ".join(str(n) for n in found["shape"])
    head = ("engine", "clicks", "median", "95 %", "of it the engine", "first click", "brush stroke", "undo")
    rows, notes = [], []
    for engine, row in found["engines"].items():
        if "failed" in row:
            notes.append(f"{engine}: {row['failed']}")
            continue
        own = (f"{row['engine_median']:.3f} s", f"{row['first_click']:.2f} s")
        rows.append((engine, *_cells(row), *own, *(f"{row[key] * 1000:.1f} ms" for key in ("stroke", "undo"))))
        if "float32" in row:
            plain = row["float32"]
            rows.append((f"{engine}, PyTorch in float32", *_cells(plain), "-", "-", "-", "-"))
            notes.append(
                f"{engine}: {row['looks']} looks of the network, each computed both ways, one after the other: "
                f"{row['look']:.3f} s against {plain['look']:.3f} s in PyTorch, float32 (medians), "
                f"{plain['look'] / row['look']:.1f} times as fast."
            )
    objects = ", ".join(found["objects"])
    what = (
        f"A chest CT of {size} voxels; {_CLICKS_EACH} clicks each into {len(found['objects'])} objects ({objects}), "
        "with history and autosave, after a first click."
    )
    return "\n\n".join([what, table(head, rows), *notes])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return str(row["clicks"]), f"{row['median']:.3f} s", f"{row['p95']:.3f} s"
