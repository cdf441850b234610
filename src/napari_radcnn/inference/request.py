"""What a pipeline is given and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

import numpy.typing as npt

from napari_radcnn.discovery import BROKEN, Package, blamed, reason_of
from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.progress import Monitor
from napari_radcnn.provenance import identify
from napari_radcnn.results import ClassKind, Detection, OperatingPoint
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.volume import Volume


class Sink(Protocol):
    """Where labels go that do not fit into memory; `napari_radcnn.io.omezarr.growing.GrowingLabels` is one."""

    @property
    def mark_reached(self) -> int:
        """What an earlier run that was killed marked last; 0 at the start."""
        ...

    def write(self, box: Box, values: npt.NDArray[Any]) -> None:
        """Put labels in their place on the grid of the request's volume."""
        ...

    def mark(self, reached: int) -> None:
        """Note that everything up to here is written; a pipeline that is given it again goes on from it."""
        ...


@dataclass(frozen=True, eq=False)
class Request:
    """One run: which model, on what, how.

    Attributes
    ----------
    spec : ModelSpec
        The model.
    volume : Volume
        The scan, in its own order.
    options : object
        An instance of ``spec.options``.
    settings : RunSettings
        Device and precision.
    threads : int
        CPU threads it may take.
    others : tuple of Volume
        For a model of several inputs: those after the first, in the order of ``spec.inputs``, on the grid of `volume`.
    sink : Sink or None
        Where labels are written as soon as they are final, instead of into `Outcome.array`.
    streams : bool
        Whether there is a sink, or will be one when it is run.
    original : Volume or None
        The scan as it was opened, where `volume` is a copy with its gaps filled.
    anyway : bool
        Whether it is run on a scan that the model was not made for.
    """

    spec: ModelSpec
    volume: Volume
    options: Any
    settings: RunSettings
    threads: int
    others: tuple[Volume, ...] = ()
    sink: Sink | None = None
    streams: bool = False
    original: Volume | None = None
    anyway: bool = False

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """All inputs, in the order of ``spec.inputs``."""
        return (self.volume, *self.others)

    def scan_sha256(self) -> str:
        """Return the hash of the scan, as a manifest has it."""
        return str(identify(self.volume if self.original is None else self.original)["sha256"])


@dataclass(frozen=True)
class Decided:
    """What a classifier says of its classes besides their probabilities: the `Outcome.answer` of one.

    Attributes
    ----------
    kind, thresholds, operating_points
        As of `napari_radcnn.results.Classification`.
    """

    kind: ClassKind = "exclusive"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    operating_points: Mapping[str, tuple[OperatingPoint, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a pipeline found.

    Attributes
    ----------
    array : (k, j, i) array or None
        Labels, or the restored image, on the grid of the request's volume; None where they went to the request's sink.
    maps : mapping of str to (k, j, i) array
        Further images on the grid of `array`, such as how sure the labels are; by name, float32.
    detections : tuple of Detection
        For a detector.
    probabilities : mapping of str to float
        For a classifier.
    device, precision : str
        Where and how it was computed.
    facts : mapping
        Figures that belong into the manifest, such as an estimated noise level.
    warnings : tuple of str
        What the user must be told before relying on it.
    opening_seconds : float
        The part of the run's time that opening the model took, whatever the scan.
    doubts : tuple of str
        Why the model may not suit the scan, found while it ran.
    answer : object
        What was found for a task of another kind, or what is said of probabilities besides; the function of its task
        makes the result of it.
    numbers : mapping of str to float
        Figures that are the answer itself: a replay compares them.
    geometry : Geometry or None
        The grid of a restored `array` where it is not that of the request's volume.
    """

    device: str
    precision: str
    array: npt.NDArray[Any] | None = None
    maps: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    detections: tuple[Detection, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    opening_seconds: float = 0.0
    geometry: Geometry | None = None
    answer: Any = None
    doubts: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


class Pipeline(Protocol):
    """A pipeline; a module with these two functions is one."""

    def plan(self, request: Request) -> Plan:
        """Return what the run will cost, without importing torch."""
        ...

    def run(self, request: Request, monitor: Monitor) -> Outcome:
        """Run the model; `monitor` takes one step a patch."""
        ...


def get_pipeline(spec: ModelSpec) -> Pipeline:
    """Return the pipeline of a model.

    Raises
    ------
    ModelError
        If the module it names cannot be imported.
    """
    try:
        pipeline = cast(Pipeline, import_module(spec.pipeline))
    except BROKEN as error:
        raise ModelError(
            f"The model '{spec.name}' cannot be run: '{spec.pipeline}' cannot be loaded: {reason_of(error)}."
        ) from error
    return pipeline if spec.package is None else _AddedPipeline(pipeline, spec.name, spec.package)


class _AddedPipeline:
    """The pipeline of a model of an installed package, whose errors name the package."""

    def __init__(self, pipeline: Pipeline, name: str, package: Package) -> None:
        self._pipeline, self._what, self._package = pipeline, f"The model '{name}'", package
        self.STREAMS = bool(getattr(pipeline, "STREAMS", False))

    def plan(self, request: Request) -> Plan:
        """As of a `Pipeline`."""
        with blamed(self._package, self._what, ModelError):
            plan = self._pipeline.plan(request)
            if not isinstance(plan, Plan):
                raise TypeError(f"its plan is a {type(plan).__name__}, expected a Plan")
        return plan

    def run(self, request: Request, monitor: Monitor) -> Outcome:
        """As of a `Pipeline`."""
        with blamed(self._package, self._what, ModelError):
            outcome = self._pipeline.run(request, monitor)
            if not isinstance(outcome, Outcome):
                raise TypeError(f"it returned a {type(outcome).__name__}, expected an Outcome")
        return outcome
