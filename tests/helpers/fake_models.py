"""Models for tests, with results known in closed form; registered for the length of a test."""

from __future__ import annotations

import dataclasses
import sys
import threading
from types import ModuleType

import numpy as np

from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models import ModelSpec, get_model, registry
from napari_radcnn.progress import Monitor
from napari_radcnn.results import Detection, Label
from patience import PATIENCE

STEPS = 8


class FakePipeline(ModuleType):
    """A recipe of eight short steps; what it returns follows from the task."""

    def __init__(self) -> None:
        super().__init__("fake_radcnn_pipeline")
        self.started = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.steps_done = 0
        self.error: Exception | None = None

    def plan(self, request: Request) -> Plan:
        return Plan(request.spec.name, STEPS, (4, 4, 4), 1000)

    def run(self, request: Request, monitor: Monitor) -> Outcome:
        monitor.say("starting")
        self.started.set()
        for step in range(STEPS):
            self.may_go_on.wait(PATIENCE)
            if self.error is not None:
                raise self.error
            self.steps_done += 1
            monitor.step(f"step {step + 1}")
        array = request.volume.array
        if request.spec.task == "segmentation":
            return Outcome("cpu", "float32", array=(array > np.median(array)).astype(np.uint8), facts={"a": 1})
        if request.spec.task == "detection":
            low = Detection("nodule", 0.25, (1.0, -2.0, 3.0), (4.0, 5.0, 6.0))
            return Outcome("cpu", "float32", detections=(low, dataclasses.replace(low, score=0.75)))
        if request.spec.task == "classification":
            return Outcome("cpu", "float32", probabilities={"normal": 0.08, "pneumonia": 0.92})
        return Outcome("cpu", "float32", array=np.asarray(array, np.float32) + 1, warnings=("not for diagnosis",))


def register(monkeypatch, task: str = "segmentation", name: str = "fake", **changes) -> tuple[ModelSpec, FakePipeline]:
    """Register a model for the length of a test."""
    pipeline = FakePipeline()
    module = f"fake_radcnn_pipeline_{name}"
    labels = {1: Label("bright", (1.0, 0.5, 0.0))} if task == "segmentation" else {}
    spec = dataclasses.replace(
        get_model("nlm-denoise"),
        name=name,
        title=name.title(),
        task=task,
        pipeline=f"fake_radcnn_pipeline_{name}",
        labels=labels,
        **changes,
    )
    monkeypatch.setitem(sys.modules, module, pipeline)
    monkeypatch.setitem(registry.own_models(), name, spec)
    return spec, pipeline
