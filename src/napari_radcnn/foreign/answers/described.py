"""How a foreign network that answers once for a whole scan is run: what it is shown, and what its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from napari_radcnn.foreign.answers.clinical import ClinicalValue
from napari_radcnn.foreign.processing.steps import Orient, Space, Step
from napari_radcnn.geometry import Shape
from napari_radcnn.results import ClassKind, OperatingPoint

Activation = Literal["softmax", "sigmoid", "none"]
#: How sure a regression says it is: not at all; always alike; by its second output, a standard deviation or the
#: logarithm of a variance; or by three outputs, the lower end, the value and the upper end.
IntervalKind = Literal["none", "fixed", "deviation", "log-variance", "quantiles"]


@dataclass(frozen=True)
class Classes:
    """Numbers that are, or become, probabilities of classes.

    Attributes
    ----------
    names : tuple of str
        The classes; of ordinal ones the lowest grade first.
    kind : {"exclusive", "multi-label", "ordinal"}
        Whether one of them is so, any number of them, or they are grades.
    activation : str
        What makes probabilities of the network's numbers.
    is_cumulative : bool
        Whether a grade's number says "at least this grade": one number fewer than grades.
    temperature : float
        Logits are divided by it.
    thresholds : tuple of float
        From which probability a class counts; of grades, from which probability of "at least" each but the lowest is
        reached. Empty: 0.5, and of exclusive classes the likeliest.
    operating_points : tuple of (str, OperatingPoint)
        Classes, and the thresholds that they were tested at.
    """

    names: tuple[str, ...]
    kind: ClassKind = "exclusive"
    activation: Activation = "softmax"
    is_cumulative: bool = False
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    operating_points: tuple[tuple[str, OperatingPoint], ...] = ()

    @property
    def count(self) -> int:
        """How many numbers the network answers with."""
        if self.is_cumulative or (self.kind == "exclusive" and self.activation == "sigmoid"):
            return len(self.names) - 1
        return len(self.names)

    def mismatch(self, shape: tuple[int, ...], dims: int) -> str:  # noqa: ARG002  as of the other answers
        """Return what differs from an answer of a shape, without the batch; empty where nothing does."""
        return _numbers_mismatch(shape, self.count, f"{self.count} for the {len(self.names)} classes")


@dataclass(frozen=True)
class Quantity:
    """A number with a unit.

    Attributes
    ----------
    name : str
        What it is: ``"bone age"``.
    unit : str
        UCUM's code where there is one: ``"mo"``, ``"mm"``, ``"1"``.
    slope, intercept : float
        From the network's number to the value: of a calibration line, or of the training's scale.
    limits : (low, high) or None
        What the value can be.
    interval : str
        How sure it is, see `IntervalKind`.
    half_width : float
        For ``"fixed"``, in the unit.
    level : float
        What share of such intervals holds the true value, 0..1.
    """

    name: str
    unit: str
    slope: float = 1.0
    intercept: float = 0.0
    limits: tuple[float, float] | None = None
    interval: IntervalKind = "none"
    half_width: float = 0.0
    level: float = 0.95

    @property
    def count(self) -> int:
        """How many numbers the network answers with."""
        return {"none": 1, "fixed": 1, "deviation": 2, "log-variance": 2, "quantiles": 3}[self.interval]

    def mismatch(self, shape: tuple[int, ...], dims: int) -> str:  # noqa: ARG002  as of the other answers
        """Return what differs from an answer of a shape, without the batch; empty where nothing does."""
        kind = "no" if self.interval == "none" else f"a {self.interval}"
        return _numbers_mismatch(shape, self.count, f"{self.count} for a value with {kind} interval")


@dataclass(frozen=True)
class Hazards:
    """How likely an event is to come.

    Attributes
    ----------
    event : str
        Which: ``"death"``.
    form : {"log-hazard", "intervals"}
        One number, the logarithm of a hazard ratio (Cox); or the hazard of each interval of time.
    unit : str
        Of times, UCUM's code.
    times : tuple of float
        In rising order: of the baseline, or the end of each interval.
    baseline : tuple of float
        The cumulative hazard at each time where the risk is 0; of a log-hazard.
    reference : float
        Subtracted from the network's number: what it says of the baseline.
    activation : {"none", "sigmoid"}
        What makes hazards of numbers for each interval.
    cuts, groups
        As of `napari_radcnn.results.Survival`.
    """

    event: str
    form: Literal["log-hazard", "intervals"] = "log-hazard"
    unit: str = ""
    times: tuple[float, ...] = ()
    baseline: tuple[float, ...] = ()
    reference: float = 0.0
    activation: Literal["none", "sigmoid"] = "sigmoid"
    cuts: tuple[float, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many numbers the network answers with."""
        return 1 if self.form == "log-hazard" else len(self.times)

    def mismatch(self, shape: tuple[int, ...], dims: int) -> str:  # noqa: ARG002  as of the other answers
        """Return what differs from an answer of a shape, without the batch; empty where nothing does."""
        what = "a log-hazard" if self.form == "log-hazard" else "the intervals of time"
        return _numbers_mismatch(shape, self.count, f"{self.count} for {what}")


@dataclass(frozen=True)
class Points:
    """Places of landmarks: a map for each, or coordinates.

    Attributes
    ----------
    names : tuple of str
        The landmarks.
    form : {"heat-maps", "coordinates"}
        What the network answers with.
    activation : str
        What makes scores of its numbers: of a map ``"softmax"`` is over all voxels.
    position : {"peak", "mean"}
        Of a map: its greatest voxel, or the mean place weighted with it.
    unit : {"voxel", "fraction", "signed"}
        Of coordinates: voxels of what the network saw, the center of the first is 0; or 0..1, or -1..1, from edge to
        edge.
    is_reversed : bool
        Whether coordinates come with the last axis first: x, y, z.
    has_scores : bool
        Whether a score follows the coordinates of each.
    least_score : float
        Below it a landmark is not found.
    is_by_axis : bool
        Whether the numbers of all landmarks along one axis come before those along the next; scores come last.
    """

    names: tuple[str, ...]
    form: Literal["heat-maps", "coordinates"] = "heat-maps"
    activation: Activation = "none"
    position: Literal["peak", "mean"] = "peak"
    unit: Literal["voxel", "fraction", "signed"] = "voxel"
    is_reversed: bool = False
    has_scores: bool = False
    least_score: float = 0.0
    is_by_axis: bool = False

    def mismatch(self, shape: tuple[int, ...], dims: int) -> str:
        """Return what differs from an answer of a shape, without the batch; empty where nothing does."""
        names = len(self.names)
        if self.form == "heat-maps":
            if len(shape) == dims + 1 and shape[0] == names:
                return ""
            given = " x ".join(map(str, shape))
            return f"returns {given} numbers, but {{}} expects {names} maps of {dims} dimensions"
        count = names * (dims + self.has_scores)
        return _numbers_mismatch(shape, count, f"{count} for {names} landmarks of {dims} coordinates")


@dataclass(frozen=True)
class Vector:
    """Numbers that mean something only beside others of the same network.

    Attributes
    ----------
    length : int
        How many.
    is_normalized : bool
        Whether they are divided by their length.
    """

    length: int
    is_normalized: bool = False

    def mismatch(self, shape: tuple[int, ...], dims: int) -> str:  # noqa: ARG002  as of the other answers
        """Return what differs from an answer of a shape, without the batch; empty where nothing does."""
        return _numbers_mismatch(shape, self.length, f"{self.length} for the embedding")


#: What the numbers of a network that answers once for a whole scan can mean.
Answer = Classes | Quantity | Hazards | Points | Vector


def _numbers_mismatch(shape: tuple[int, ...], count: int, expected: str) -> str:
    """Return what differs from a row of numbers; ``{}`` stands for what expects them."""
    return "" if prod(shape) == count else f"returns {prod(shape)} numbers, but {{}} expects {expected}"


@dataclass(frozen=True)
class Answering:
    """How a network is run once for a whole scan.

    Attributes
    ----------
    scans : int
        How many it takes.
    channels : int
        Of its input.
    steps : tuple
        What is done to the scans, in order.
    shape : tuple of int
        What it sees, along its axes; with a leading 1 for a network of two dimensions.
    answer : Classes, Quantity, Hazards, Points or Vector
        What its numbers mean.
    spatial_dims : int
        2 or 3.
    slices : {"one", "mean", "max"}
        What a network of two dimensions makes of several slices: nothing, the mean of what it says of each, or of
        classes the greatest.
    stored_order : tuple of int
        Without an `Orient`: which axis of the scan is each of the network's axes.
    is_as_stored : bool
        Whether a scan whose low values are to be shown bright (DICOM MONOCHROME1) is shown to it as stored; else it is
        turned round, so that what is bright on the screen is high.
    values : tuple of ClinicalValue
        What it is given besides; they are the last of its channels.
    parts : tuple of int
        As of `napari_radcnn.spec.patches.NetworkFile`.
    is_apart : bool
        Whether each scan is brought to the patch by itself, as views of a radiograph are.
    """

    scans: int
    channels: int
    steps: tuple[Step, ...]
    shape: Shape
    answer: Answer
    spatial_dims: int = 3
    slices: Literal["one", "mean", "max"] = "one"
    stored_order: Shape = (0, 1, 2)
    is_as_stored: bool = False
    values: tuple[ClinicalValue, ...] = ()
    parts: tuple[int, ...] = ()
    is_apart: bool = False

    @property
    def orientation(self) -> str | None:
        """Three letters for the network's axes; None where it takes a scan as it is stored."""
        return next((step.axes for step in self.steps if isinstance(step, Orient)), None)

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Spacing it works at, mm along its axes; None where it takes the scan's own."""
        return next((step.spacing for step in self.steps if isinstance(step, Space)), None)
