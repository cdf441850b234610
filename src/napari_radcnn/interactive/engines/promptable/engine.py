"""`promptable-3d`: a network of our own that puts right what the region engine makes of prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.promptable.input import Array
from napari_radcnn.interactive.engines.promptable.look import SIZE, Drawn, Levels, View
from napari_radcnn.interactive.engines.promptable.network import CHANNELS, build_network
from napari_radcnn.interactive.engines.promptable.search import Search, settled
from napari_radcnn.interactive.engines.region.boxed import boxed_object
from napari_radcnn.interactive.engines.region.engine import PROPOSING, RegionEngine
from napari_radcnn.interactive.engines.region.stable import clear_object
from napari_radcnn.interactive.engines.specs import PROMPTABLE
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.inference.backends.base import Predictor


def promptable_network(path: Path, identity: str) -> ShippedNetwork:
    """Return the network with the weights in a file, whose SHA-256 is `identity`."""
    return ShippedNetwork(path, identity, build_network, 3, CHANNELS)


class PromptableEngine:
    """Segments with `promptable-3d`.

    The region engine proposes a mask; the network looks at it, at the object so far and at all that was said of it in a
    cube that holds them, and puts it right. Where the object reaches the end of the cube a coarser one is taken, where
    it is tiny a finer one.

    Parameters
    ----------
    settings : RunSettings
        Device and precision.
    network : ShippedNetwork, optional
        Other weights than those that ship; for those who train their own.
    """

    name = "promptable-3d"

    def __init__(self, settings: RunSettings | None = None, network: ShippedNetwork | None = None) -> None:
        self._settings = RunSettings() if settings is None else settings
        self._network = network
        self._predictor: Predictor | None = None
        self._levels: Levels | None = None
        self._region = RegionEngine(self._settings, PROPOSING)
        self.warnings: tuple[str, ...] = ()

    @property
    def spec(self) -> ModelSpec:
        """What stands on the list of models."""
        return PROMPTABLE

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Load the network, compare its backends on the middle of the scan, and average the scan for coarse looks.

        Raises
        ------
        ModelError
            If the weights are missing or damaged, or no backend can run the network.
        """
        monitor.say("preparing the scan")
        levels = self._prepared(volume)
        monitor.say("loading the network")
        if self._predictor is None:
            middle = tuple((n - 1) / 2 for n in volume.geometry.shape)
            view = View(levels, (middle[0], middle[1], middle[2]), 2 * min(volume.geometry.spacing))
            nothing = np.zeros(volume.geometry.shape, bool)
            channels = view.channels(nothing, (Prompt.point(volume.geometry.to_world(middle)),), nothing)
            self._open(channels, monitor)

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Return the object's mask where the network looked; see `Engine.predict`.

        Raises
        ------
        ModelError
            If no prompt says where the object is.
        """
        levels = self._prepared(request.volume)
        drawn = Drawn.of(request.prompts, request.volume.geometry)
        if not drawn.has_positive and not request.current.any():
            raise ModelError("Mark the object first: left-click on it, or draw a box around it.")
        clear = clear_object(request, monitor) or boxed_object(request, monitor)
        if clear is not None:
            return clear
        proposal = request.current.copy()
        proposed = self._region.predict(request, monitor)
        proposal[proposed.box] = proposed.mask
        return settled(Search(self.ask, levels, request, proposal, drawn, monitor).found(), request, drawn)

    def close(self) -> None:
        """Give its memory back."""
        if self._predictor is not None:
            self._predictor.close()
        self._predictor, self._levels = None, None

    def ask(self, channels: Array, monitor: Monitor) -> Array:
        """Return the network's logits for one cube."""
        monitor.check()
        if self._predictor is None:
            self._open(channels, monitor)
        assert self._predictor is not None
        return np.asarray(self._predictor(channels)[0])

    def _prepared(self, volume: Volume) -> Levels:
        if self._levels is None or self._levels.volume is not volume:
            self._levels = Levels(volume)
        return self._levels

    def _open(self, sample: Array, monitor: Monitor) -> None:
        from napari_radcnn.inference.backends.choice import open_predictor
        from napari_radcnn.inference.devices import default_threads

        network = self._network
        if network is None:
            network = ShippedNetwork.of(PROMPTABLE, build_network, 3, CHANNELS)
        self._predictor, self.warnings = open_predictor(
            network, (SIZE, SIZE, SIZE), self._settings, threads=default_threads(), sample=sample, monitor=monitor
        )
