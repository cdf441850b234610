"""An engine whose answers are known in closed form: all voxels with a value that a prompt covers."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.interactive.engines import registry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.specs import DEFAULT_ENGINE
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import MaskUpdate, whole_box
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume


class ValueEngine:
    """The object is every voxel whose value a positive prompt covers and no negative one does; a lasso is not known."""

    def __init__(self, settings=None, name: str = "region") -> None:
        self.settings, self.name = settings, name
        self.answered = 0
        self.on_answer = lambda: None

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        monitor.say("preparing")

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        monitor.say("looking")
        if request.prompts[-1].kind == "lasso":
            raise ModelError("This engine takes no lasso; draw a scribble.")
        array = request.volume.array
        values = {True: set(), False: set()}
        for prompt in request.prompts:
            covered = rasterize(prompt, request.volume.geometry)
            values[prompt.positive] |= set(array[covered.box][covered.mask].tolist())
        self.answered += 1
        self.on_answer()
        mask = np.isin(array, sorted(values[True] - values[False]))
        return MaskUpdate(whole_box(array.shape), mask)

    def close(self) -> None:
        pass


def register(monkeypatch, *names: str) -> list[ValueEngine]:
    """Let engines of the list be this one for the length of a test; return those that get opened."""
    made: list[ValueEngine] = []
    module = ModuleType("napari_radcnn.interactive.engines.by_value")

    def maker(name: str):
        def make(settings):
            made.append(ValueEngine(settings, name))
            return made[-1]

        return make

    for number, name in enumerate(names or (DEFAULT_ENGINE, "region")):
        setattr(module, f"Engine{number}", maker(name))
        spec = replace(registry.OWN[name], pipeline=f"{module.__name__}:Engine{number}")
        monkeypatch.setitem(registry.OWN, name, spec)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return made
