"""A task of its own for tests, as somebody would add one: the brightest voxel of a scan as a landmark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fake_models
from napari_radcnn.files import atomic_path
from napari_radcnn.inference.request import Outcome
from napari_radcnn.tasks import TASKS, ResultKind, Task
from napari_radcnn.volume import Volume


@dataclass(frozen=True)
class Landmarks:
    """Named places ``(x, y, z)`` in the patient, LPS mm."""

    places: Mapping[str, tuple[float, float, float]]
    name: str = "landmarks"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    maps: tuple[Volume, ...] = ()


def build(request, outcome, name, made_by, warnings):
    return Landmarks({"brightest": outcome.answer}, name, made_by, warnings)


def numbers(result):
    return [(name, f"{x:.1f} {y:.1f} {z:.1f} mm") for name, (x, y, z) in result.places.items()]


def write(result, path, overwrite=False):
    with atomic_path(path, overwrite) as temporary:
        temporary.write_text(json.dumps({"landmarks": result.places}), encoding="utf-8")


def compare(reference: Path, prediction: Path, tolerance_mm):
    if not all(path.name.endswith(".landmarks.json") for path in (reference, prediction)):
        return None
    first, second = (json.loads(path.read_text())["landmarks"] for path in (reference, prediction))
    return {
        "landmarks": {
            name: {"distance_mm": float(np.linalg.norm(np.subtract(first[name], second[name])))} for name in first
        }
    }


KIND = ResultKind(
    "landmarks",
    Landmarks,
    "landmarks are",
    {".landmarks.json": "toy_task:write"},
    numbers="toy_task:numbers",
    compare="toy_task:compare",
)


def register(monkeypatch):
    """Add the task to the table and a model for it to the list, for the length of a test."""
    monkeypatch.setitem(TASKS, "localization", Task(KIND, "toy_task_page:LandmarksPage", "toy_task:build"))
    _, pipeline = fake_models.register(monkeypatch, "localization", "brightest")

    def run(request, monitor):
        volume = request.volume
        index = np.unravel_index(np.argmax(volume.array), volume.shape)
        return Outcome("cpu", "float32", answer=tuple(volume.geometry.to_world(index).tolist()))

    pipeline.run = run
