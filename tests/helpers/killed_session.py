"""A session that plays made-up steps and says on stdout when each is done, to be killed at any moment.

Run as a program: ``python killed_session.py FOLDER SEED FIRST [STEPS [WRITE BYTES]]`` plays from step FIRST on, on the
session in FOLDER where there is one, and ends itself by SIGKILL in its WRITE-th record, of which BYTES are written.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.journal.journal import SavedSession, saved_sessions
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools import Grow, KeepLargest, Shrink
from napari_radcnn.interactive.update import MaskUpdate, whole_box
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE = (24, 60, 70)


class BallEngine:
    """Adds or takes away a ball at the last prompt; an outline fills the volume with noise, which no one can pack."""

    name = "ball"

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        pass

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        prompt = request.prompts[-1]
        if prompt.kind == "lasso":
            noise = np.random.default_rng(len(request.prompts)).integers(0, 2, SHAPE).astype(bool)
            return MaskUpdate(whole_box(SHAPE), noise)
        center = request.volume.geometry.to_index([prompt.points[0]])[0]
        distance = (np.indices(SHAPE).T - center).T * np.reshape(request.volume.geometry.spacing, (3, 1, 1, 1))
        ball = (distance**2).sum(axis=0) < (4 + 3 * len(request.prompts)) ** 2
        return MaskUpdate(whole_box(SHAPE), request.current | ball if prompt.positive else request.current & ~ball)

    def close(self) -> None:
        pass


def scan() -> Volume:
    noise = np.random.default_rng(5).integers(-900, 900, SHAPE).astype(np.int16)
    return Volume(noise, oblique_geometry(SHAPE), VolumeMetadata(name="noise"))


def open_session(folder: Path) -> PromptSession:
    """Resume the only session in a folder, or begin one."""
    found = saved_sessions(folder)
    return resumed(found[0]) if found else PromptSession(scan(), engine=BallEngine(), folder=folder)


def resumed(saved: SavedSession) -> PromptSession:
    return PromptSession.resume(saved, scan(), engine=BallEngine())


def play(session: PromptSession, seed: int, number: int) -> None:
    """Do step `number`, which depends on the session as it is and on nothing else."""
    random = np.random.default_rng([seed, number])
    kind = random.choice(["prompt", "tool", "undo", "redo", "object"], p=[0.45, 0.15, 0.2, 0.1, 0.1])
    values = [item.value for item in session.objects if not item.is_locked]
    value = int(random.choice(values)) if values else 0
    if kind == "undo" and session.can_undo:
        session.undo()
    elif kind == "redo" and session.can_redo:
        session.redo()
    elif not values or (kind == "object" and random.random() < 0.4):
        session.add_object(f"object of step {number}")
    elif kind == "tool":
        session.apply([Grow(3.0), Shrink(2.0), KeepLargest()][random.integers(3)], value)
    elif kind == "object":
        change_object(session, value, number, int(random.integers(5)))
    else:
        session.add(_prompt(random), value)


def change_object(session: PromptSession, value: int, number: int, what: int) -> None:
    if what == 0:
        session.rename(value, f"renamed in step {number}")
    elif what == 1:
        session.recolor(value, (0.5, (number % 7) / 7, 0.25))
    elif what == 2:
        session.lock(value)
    elif what == 3:
        session.reset(value)
    else:
        session.remove_object(value)


def _prompt(random: np.random.Generator) -> Prompt:
    corners = random.integers(2, np.subtract(SHAPE, 2), (3, 3))
    points = [tuple(point) for point in oblique_geometry(SHAPE).to_world(corners)]
    if random.random() < 0.2:
        return Prompt.lasso(points)
    return Prompt.point(points[0], positive=bool(random.random() < 0.7))


def die_in_write(number: int, n_bytes: int) -> None:
    """Let the process end itself in its `number`-th record from now on, of which `n_bytes` reach the file."""
    write, left = os.write, [number]

    def killing(descriptor: int, data: bytes) -> int:
        if bytes(data[:4]) in (b"\nRj\x00", b"radc"):
            left[0] -= 1
            if not left[0]:
                write(descriptor, data[:n_bytes])
                os.kill(os.getpid(), signal.SIGKILL)
        return write(descriptor, data)

    os.write = killing


def main(folder: str, seed: str, first: str, n_steps: str = "1000000", write: str = "0", n_bytes: str = "0") -> None:
    os.write(1, b"ready\n")
    session = open_session(Path(folder))
    if int(write):
        die_in_write(int(write), int(n_bytes))
    for number in range(int(first), int(first) + int(n_steps)):
        play(session, int(seed), number)
        os.write(1, b"%d\n" % number)
    session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
