"""An engine without a network for tests of sessions: a ball round each click."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from napari_radcnn.errors import ModelError
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume
from patience import PATIENCE


@dataclass
class BallEngine:
    """Adds or takes away the voxels within `radius` mm of the first point of the newest prompt."""

    radius: float = 5.0
    name: str = "ball"
    closed: int = 0
    prepared: list[Volume] = field(default_factory=list)
    requests: list[EngineRequest] = field(default_factory=list)
    #: Where set, `predict` waits until `go_on` is.
    go_on: Event | None = None
    entered: Event = field(default_factory=Event)
    is_broken: bool = False

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        self.prepared.append(volume)

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        self.requests.append(request)
        self.entered.set()
        if self.go_on is not None:
            assert self.go_on.wait(PATIENCE)
        monitor.check()
        if self.is_broken:
            raise ModelError("The engine 'ball' is broken.")
        newest = request.prompts[-1]
        ball = rasterize(Prompt.scribble(newest.points[:1], radius=self.radius), request.volume.geometry)
        if ball is None:
            raise ModelError("The engine 'ball' needs the first point of a prompt inside.")
        before = request.current[ball.box]
        return MaskUpdate(ball.box, before | ball.mask if newest.positive else before & ~ball.mask)

    def close(self) -> None:
        self.closed += 1
