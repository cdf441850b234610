"""`few-clicks`: a network looks at the object from afar and from near; what the marks settle in the scan decides."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.few_clicks.anatomy import Anatomist, Anatomy
from napari_radcnn.interactive.engines.few_clicks.anew import denies, instead, is_as_answered, is_denied
from napari_radcnn.interactive.engines.few_clicks.decision import Decision, decided
from napari_radcnn.interactive.engines.few_clicks.features import Known, known_of
from napari_radcnn.interactive.engines.few_clicks.guesses import Choice
from napari_radcnn.interactive.engines.few_clicks.looks import SIZE, Looks
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.few_clicks.network import CHANNELS, build_network
from napari_radcnn.interactive.engines.few_clicks.scan import Scan
from napari_radcnn.interactive.engines.lattice import Array, Mask
from napari_radcnn.interactive.engines.region.boxed import boxed_object
from napari_radcnn.interactive.engines.region.engine import PROPOSING, RegionEngine
from napari_radcnn.interactive.engines.region.stable import clear_object
from napari_radcnn.interactive.engines.specs import FEW_CLICKS
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import MaskUpdate, box_of
from napari_radcnn.networks.safetensors import load_safetensors
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.weights import read_verified
from napari_radcnn.tasks import load
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.inference.backends.base import Predictor

#: What knows the organs of a body stands above this package.
_ANATOMIST = "napari_radcnn.models.ct_organs.around:OrgansAround"


def few_clicks_network(path: Path, identity: str) -> ShippedNetwork:
    """Return the network with the weights in a file, whose SHA-256 is `identity`."""
    return ShippedNetwork(path, identity, partial(build_network, joined=True, norm=norm_of(path)), 3, len(CHANNELS))


def norm_of(path: Path) -> str:
    """Return how the network whose weights a file holds scales features; see `build_network`."""
    return "batch" if "stem_norm.running_mean" in load_safetensors(path) else "group"


def read_decision(path: Path) -> Decision:
    """Return the small network that decides, from its file of weights.

    Raises
    ------
    ModelError
        If the file cannot be read or holds another one.
    """
    return Decision.of({name: value.float().numpy() for name, value in load_safetensors(path).items()}, path)


def read_choice(path: Path) -> Choice:
    """Return the small network that chooses between sizes, from its file of weights.

    Raises
    ------
    ModelError
        If the file cannot be read or holds another one.
    """
    return Choice.of({name: value.float().numpy() for name, value in load_safetensors(path).items()}, path)


class FewClicksEngine:
    """Segments with `few-clicks`.

    Parameters
    ----------
    settings : RunSettings
        Device and precision.
    network : ShippedNetwork, optional
        Other weights than those that ship; for those who train their own.
    decision : Decision, optional
        The same of what decides.
    anatomist : Anatomist, optional
        The same of what knows the organs of a body.
    choice : Choice or False, optional
        The same of what chooses between sizes; False to take the most likely one.
    """

    name = "few-clicks"

    def __init__(
        self,
        settings: RunSettings | None = None,
        network: ShippedNetwork | None = None,
        decision: Decision | None = None,
        anatomist: Anatomist | None = None,
        choice: Choice | Literal[False] | None = None,
    ) -> None:
        self._settings = RunSettings() if settings is None else settings
        self._network, self._decision, self._choice = network, decision, choice
        self._anatomist = load(_ANATOMIST)(self._settings) if anatomist is None else anatomist
        self._predictor: Predictor | None = None
        self._scan: Scan | None = None
        self._region = RegionEngine(self._settings, PROPOSING)
        #: What the region engine made of a first prompt, which is asked for again with every further one.
        self._proposed: tuple[Prompt, MaskUpdate] | None = None
        #: The newest answer: only what is still as it was answered may be begun anew.
        self._answered: MaskUpdate | None = None
        self.warnings: tuple[str, ...] = ()

    @property
    def spec(self) -> ModelSpec:
        """What stands on the list of models."""
        return FEW_CLICKS

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Load the network, compare its backends on the middle of the scan, and average the scan for coarse looks.

        Raises
        ------
        ModelError
            If the weights are missing or damaged, or no backend can run the network.
        """
        monitor.say("preparing the scan")
        scan = self._prepared(volume, monitor)
        monitor.say("loading the network")
        if self._predictor is None:
            middle = Prompt.point(volume.geometry.to_world([(n - 1) / 2 for n in volume.geometry.shape]))
            nothing = np.zeros(volume.geometry.shape, bool)
            marks = Marks.of((middle,), volume.geometry)
            Looks(lambda channels: self.ask(channels, monitor), scan, marks, nothing, nothing).take()

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Return the object's mask where anything was seen; see `Engine.predict`.

        Raises
        ------
        ModelError
            If no prompt says where the object is.
        """
        clear = _as_it_was(request) or clear_object(request, monitor)
        if clear is not None:
            return clear
        is_unclear = len(request.prompts) == 1 and request.forbidden is None and not request.current.any()
        known, marks = self.know(request, monitor, is_unclear=is_unclear)
        monitor.check()
        if self._decision is None:
            self._decision = read_decision(read_verified(FEW_CLICKS, FEW_CLICKS.weights[1]))
        update = decided(self._decision, known, marks, request.current, np.asarray(request.volume.geometry.spacing))
        self._answered = self._anew(request, marks, update, monitor) or update
        return self._answered

    def know(self, request: EngineRequest, monitor: Monitor, *, is_unclear: bool = False) -> tuple[Known, Marks]:
        """Return what is known of the voxels around the object, before it is decided; also for the training of that.

        `is_unclear` says that the request is a first prompt, and that `clear_object` found nothing there.
        """
        scan = self._prepared(request.volume, monitor)
        marks = Marks.of(request.prompts, request.volume.geometry)
        if marks.first is None and not request.current.any():
            raise ModelError("Mark the object first: left-click on it, or draw a box around it.")
        if request.current.any() and not len(marks.positive()):  # painted, or found in a box
            marks = marks.with_middle_of(request.current)
        monitor.say("looking")
        anatomy = self._anatomy(marks, monitor)
        organ = self._organ(anatomy, marks, request.volume.geometry)
        current = request.current
        filling = self._boxed(request, marks, anatomy, monitor)
        if filling is not None:  # what fills the box is begun with, and put right
            current = np.zeros_like(request.current)
            current[filling.box] = filling.mask
            marks, proposal = marks.with_middle_of(current), current
        elif organ is not None:
            proposal = np.zeros_like(request.current)
            proposal[organ.box] = organ.mask
        else:
            proposal = self._proposal(request, monitor, is_unclear=is_unclear)
        looks = Looks(
            lambda channels: self.ask(channels, monitor),
            scan,
            marks,
            current,
            proposal,
            is_known=organ is not None,
            choice=self._chooses(),
        )
        looks.take()
        return known_of(scan, marks, looks, current, proposal), marks

    def _anew(self, request: EngineRequest, marks: Marks, update: MaskUpdate, monitor: Monitor) -> MaskUpdate | None:
        """Return what the marks say as if nothing had been answered, where the answer was of something else."""
        choice = self._chooses()
        is_own = self._answered is not None and is_as_answered(request.current, self._answered)
        if choice is None or not is_own or not is_denied(marks, request.current, request.volume.geometry.spacing):
            return None
        assert self._scan is not None
        assert self._decision is not None
        after, nothing = request.current.copy(), np.zeros_like(request.current)
        after[update.box] = update.mask
        proposal = self._proposal(request, monitor)
        looks = Looks(lambda channels: self.ask(channels, monitor), self._scan, marks, nothing, proposal, choice=choice)
        if not looks.take_anew(after):
            return None
        known = known_of(self._scan, marks, looks, nothing, proposal)
        spacing = np.asarray(request.volume.geometry.spacing)
        return instead(decided(self._decision, known, marks, nothing, spacing), request.current)

    @staticmethod
    def _organ(anatomy: Anatomy, marks: Marks, geometry: Geometry) -> MaskUpdate | None:
        """Return the organ that was pointed at, unless it was denied."""
        organ = anatomy.organ(marks, geometry.shape)
        if organ is not None and denies(marks, organ, np.asarray(geometry.spacing)):
            return None
        return organ

    def looks_at(self, request: EngineRequest, monitor: Monitor) -> Looks:
        """Return what a first click is looked at with; for the training of what chooses its size."""
        scan = self._prepared(request.volume, monitor)
        marks = Marks.of(request.prompts, request.volume.geometry)
        proposal = self._proposal(request, monitor)
        return Looks(lambda channels: self.ask(channels, monitor), scan, marks, request.current, proposal)

    def _chooses(self) -> Choice | None:
        """Return what chooses between sizes; None where it was left out."""
        if self._choice is None:
            self._choice = read_choice(read_verified(FEW_CLICKS, FEW_CLICKS.weights[2]))
        return self._choice or None

    def close(self) -> None:
        """Give its memory back."""
        if self._predictor is not None:
            self._predictor.close()
        self._anatomist.close()
        self._predictor = self._scan = self._proposed = self._answered = None

    def _prepared(self, volume: Volume, monitor: Monitor) -> Scan:
        if self._scan is None or self._scan.volume is not volume:
            self._scan, self._proposed = Scan(volume), None
            self._anatomist.prepare(volume, monitor)
        return self._scan

    def _anatomy(self, marks: Marks, monitor: Monitor) -> Anatomy:
        """Return what the voxels around the first prompt may be."""
        if marks.first is None:
            return Anatomy(None)
        return Anatomy(self._anatomist.around(marks.first, monitor))

    @staticmethod
    def _boxed(request: EngineRequest, marks: Marks, anatomy: Anatomy, monitor: Monitor) -> MaskUpdate | None:
        """Return the organ, or else the piece of one brightness, that fills a first box; None without such a box."""
        is_first = len(request.prompts) == 1 and not request.current.any()
        if is_first and marks.box is not None and not marks.all and not marks.is_flat:
            organ = anatomy.boxed(marks.box, request.volume.geometry.shape)
            if organ is not None:
                return organ
        return boxed_object(request, monitor)

    def _proposal(self, request: EngineRequest, monitor: Monitor, *, is_unclear: bool = False) -> Mask:
        """Return what the region engine makes of the first prompt that says where the object is."""
        nothing = np.zeros(request.volume.geometry.shape, bool)
        first = next((prompt for prompt in request.prompts if prompt.positive), None)
        if first is None:
            return nothing
        if self._proposed is None or self._proposed[0] != first:
            asked = EngineRequest(request.volume, (first,), nothing.copy())
            self._proposed = first, self._region.predict(asked, monitor, is_unclear=is_unclear)
        update = self._proposed[1]
        nothing[update.box] = update.mask
        return nothing

    def ask(self, channels: Array, monitor: Monitor) -> tuple[Array, Array]:
        """Return the network's logits of the object and of its size for one cube."""
        monitor.check()
        if self._predictor is None:
            self._open(channels, monitor)
        assert self._predictor is not None
        answer = np.asarray(self._predictor(channels), np.float32)
        return answer[0], answer[1:, 0, 0, 0]

    def _open(self, sample: Array, monitor: Monitor) -> None:
        from napari_radcnn.inference.backends.choice import open_predictor
        from napari_radcnn.inference.devices import default_threads

        network = self._network
        if network is None:
            shipped = ShippedNetwork.of(FEW_CLICKS, build_network, 3, len(CHANNELS))
            network = few_clicks_network(shipped.path, shipped.identity)
        self._predictor, self.warnings = open_predictor(
            network,
            (SIZE, SIZE, SIZE),
            self._settings,
            threads=default_threads(),
            sample=sample,
            outputs="values",
            monitor=monitor,
        )


def _as_it_was(request: EngineRequest) -> MaskUpdate | None:
    """Return the object unchanged where the newest prompt takes away what is not part of it; None otherwise."""
    newest = request.prompts[-1] if request.prompts else None
    box = box_of(request.current)
    if newest is None or newest.positive or box is None:
        return None
    drawn = rasterize(newest, request.volume.geometry)
    if drawn is None or (request.current[drawn.box] & drawn.mask).any():
        return None
    return MaskUpdate(box, request.current[box].copy())
