"""What a model gives back: label maps, detections, classifications, values. A restored image is a `Volume`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Label as Label, Volume, VolumeMetadata


class Result(Protocol):
    """What every result has, whatever the task: a `LabelMap`, `Volume`, `Detections`, `Classification`, ...

    Attributes
    ----------
    name : str
        What a layer of it is called.
    provenance : mapping
        What made it: the run's manifest; empty for what was read from a file.
    warnings : tuple of str
        What the user must be told before relying on it.
    maps : tuple of Volume
        Images that come with it: how sure it is, what spoke for it. Their names end in `` · `` and what they show.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  described above

    @property
    def provenance(self) -> Mapping[str, Any]: ...  # noqa: D102

    @property
    def warnings(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def maps(self) -> tuple[Volume, ...]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A class for every voxel, on the grid of the scan it was made from.

    Parameters
    ----------
    array : (k, j, i) array of unsigned integer
        0 is background.
    geometry : Geometry
        The grid.
    labels : mapping of int to Label
        The classes, without background.
    name : str
        What a layer is called, such as ``"T1 · brain-extraction"``.
    provenance : mapping
        What made it: the run's manifest; empty for a label map that was read from a file.
    warnings : tuple of str
        What the user must be told before relying on it.
    metadata : VolumeMetadata
        Of the scan it was made from: DICOM objects refer to it.
    maps : tuple of Volume
        Further images on this grid that the model gave, such as how sure it is of each voxel; named
        ``"T1 · brain-extraction · entropy"``.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    labels: Mapping[int, Label]
    name: str = "labels"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metadata: VolumeMetadata = field(default_factory=VolumeMetadata)
    maps: tuple[Volume, ...] = ()

    def __post_init__(self) -> None:
        if tuple(self.array.shape) != self.geometry.shape:
            raise GeometryError(
                f"The labels have shape {self.array.shape}, but their geometry has {self.geometry.shape}."
            )
        if not np.issubdtype(self.array.dtype, np.unsignedinteger):
            raise GeometryError(f"Labels must be unsigned integers, got {self.array.dtype}.")

    def volume_ml(self, label: int) -> float:
        """Return the volume of one class, in milliliters."""
        return float(np.count_nonzero(self.array == label)) * self.geometry.voxel_volume / 1000.0


#: What somebody who looked at a finding made of it; a candidate was not decided on.
FindingState = Literal["candidate", "accepted", "rejected"]


@dataclass(frozen=True)
class Detection:
    """One finding: a box in the patient, sides along the world axes.

    Attributes
    ----------
    label : str
        What was found.
    score : float
        0..1; NaN for a finding that was read from a report which states none.
    center, size : tuple of float
        ``(x, y, z)`` and ``(dx, dy, dz)``, LPS mm.
    state : {"candidate", "accepted", "rejected"}
        What was decided of it.
    """

    label: str
    score: float
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    state: FindingState = "candidate"

    @property
    def diameter(self) -> float:
        """The longest side of the box, mm."""
        return max(self.size)


@dataclass(frozen=True)
class Detections:
    """The findings in one scan, best first; `evidence`, or `maps`, as in `Classification`."""

    boxes: tuple[Detection, ...]
    name: str = "detections"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    evidence: tuple[Volume, ...] = ()

    @property
    def maps(self) -> tuple[Volume, ...]:
        """What results of every kind call their `evidence`."""
        return self.evidence


@dataclass(frozen=True)
class Measurement:
    """A number of a report.

    Attributes
    ----------
    name : str
        What was measured: ``"Volume"``, ``"Diameter"``.
    value : float
        Finite.
    unit : str
        UCUM's code of the unit: ``"mm3"``, ``"mm"``, ``"[hnsf'U]"``; ``"1"`` for a number without one.
    derivation : str
        ``"Mean"``, ``"Maximum"``, ... where the number stands for many values, else empty.
    """

    name: str
    value: float
    unit: str
    derivation: str = ""


@dataclass(frozen=True)
class Finding:
    """One group of measurements of a report.

    Attributes
    ----------
    label : str
        What was measured: ``"lung nodule"``.
    measurements : tuple of Measurement
        In the order of the report.
    box : Detection or None
        Its place in the patient, where the report draws one.
    segmentation_uid : str
        SOPInstanceUID of the DICOM segmentation that it measures a segment of, else empty.
    segment : int or None
        The number of that segment in the file.
    label_value : int or None
        The value of its label in the label volume that is read from the segmentation: the segment's number, or the
        one that the label had when this program wrote it.
    """

    label: str
    measurements: tuple[Measurement, ...]
    box: Detection | None = None
    segmentation_uid: str = ""
    segment: int | None = None
    label_value: int | None = None


@dataclass(frozen=True)
class Report:
    """What a report of measurements holds.

    Attributes
    ----------
    findings : tuple of Finding
        In the order of the report.
    name : str
        Modality and series number.
    frame_of_reference_uid : str
        DICOM's name of the patient space that the places lie in, empty where there are none.
    warnings : tuple of str
        What the user must be told before relying on it.
    """

    findings: tuple[Finding, ...]
    name: str = "report"
    frame_of_reference_uid: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def detections(self) -> Detections:
        """The findings that have a place, best first; those without a score last."""
        boxes = [finding.box for finding in self.findings if finding.box is not None]
        boxes.sort(key=lambda box: -1.0 if math.isnan(box.score) else box.score, reverse=True)
        return Detections(tuple(boxes), self.name, warnings=self.warnings)


#: Whether one of the classes is so, any number of them may be, or they are grades, the lowest first.
ClassKind = Literal["exclusive", "multi-label", "ordinal"]
#: From which probability a class counts where its model states nothing.
_HALF = 0.5


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold at which a class was tested.

    Attributes
    ----------
    name : str
        What it is for: ``"screening"``.
    threshold : float
        From which probability the class counts, 0..1.
    sensitivity, specificity : float
        The share of those with it that it then finds, and of those without it that it leaves alone, 0..1.
    """

    name: str
    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Classification:
    """Probabilities of classes for one scan.

    Parameters
    ----------
    probabilities : mapping of str to float
        0..1 for each class; they add to one unless several may stand together. Of grades the lowest first.
    name, provenance, warnings
        As of `LabelMap`.
    evidence : tuple of Volume
        Images on the scan's grid that show what spoke for the likeliest class, see `napari_radcnn.evidence`; `maps` is
        their other name.
    kind : {"exclusive", "multi-label", "ordinal"}
        Whether one of the classes is so, any number of them may be, or they are grades.
    thresholds : mapping of str to float
        From which probability a class counts, 0.5 where it is not named; of a grade, from which probability of "at
        least this" it is reached. Of exclusive classes only one may be named, of two.
    operating_points : mapping of str to tuple of OperatingPoint
        By class, the thresholds that its model was tested at.

    Examples
    --------
    >>> Classification({"F0": 0.1, "F1": 0.3, "F2": 0.6}, kind="ordinal").decided
    ('F2',)
    """

    probabilities: Mapping[str, float]
    name: str = "classification"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    evidence: tuple[Volume, ...] = ()
    kind: ClassKind = "exclusive"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    operating_points: Mapping[str, tuple[OperatingPoint, ...]] = field(default_factory=dict)

    @property
    def maps(self) -> tuple[Volume, ...]:
        """What results of every kind call their `evidence`."""
        return self.evidence

    def threshold(self, name: str) -> float:
        """Return from which probability a class counts, or "at least this grade" does."""
        return self.thresholds.get(name, _HALF)

    @property
    def at_least(self) -> dict[str, float]:
        """Of grades: the probability that it is this one or a higher, 0..1; 1 for the lowest."""
        names, shares = list(self.probabilities), list(self.probabilities.values())
        return {name: 1.0 if number == 0 else sum(shares[number:]) for number, name in enumerate(names)}

    @property
    def decided(self) -> tuple[str, ...]:
        """The class or grade that it comes to; of classes that may stand together all that count, perhaps none."""
        if not self.probabilities:
            return ()
        names = list(self.probabilities)
        if self.kind == "multi-label":
            return tuple(name for name in names if self.probabilities[name] >= self.threshold(name))
        if self.kind == "ordinal":
            reached = [name for name in names[1:] if self.at_least[name] >= self.threshold(name)]
            return (reached[-1] if reached else names[0],)
        if len(names) == 2 and self.thresholds:  # an operating point: the other class is what is not this one
            named = next(iter(self.thresholds))
            is_so = self.probabilities[named] >= self.thresholds[named]
            return (named if is_so else next(name for name in names if name != named),)
        return (max(names, key=lambda name: self.probabilities[name]),)


@dataclass(frozen=True)
class Regression:
    """A value that a model read off a scan.

    Parameters
    ----------
    value : float
        Finite.
    unit : str
        UCUM's code where there is one: ``"mo"``, ``"mm"``; ``"1"`` for a number without one.
    interval : (float, float) or None
        Lower and upper end, in the same unit; None where the model does not say how sure it is.
    quantity : str
        What it is: ``"bone age"``.
    level : float
        What share of such intervals holds the true value, by the model's word, 0..1.
    limits : (float, float) or None
        What the value can be.
    name, provenance, warnings, maps
        As of `LabelMap`.
    """

    value: float
    unit: str
    interval: tuple[float, float] | None = None
    quantity: str = "value"
    level: float = 0.95
    limits: tuple[float, float] | None = None
    name: str = "value"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    maps: tuple[Volume, ...] = ()


@dataclass(frozen=True)
class Survival:
    """The risk of an event that a model tells from a scan.

    Parameters
    ----------
    risk : float
        Finite; higher where the event is expected earlier. Risks of one model can be compared, no others.
    event : str
        What may come: ``"death"``.
    unit : str
        UCUM's code of the unit of times: ``"mo"``; empty where there are none.
    event_free : tuple of (float, float)
        Times in rising order, and the probability, 0..1, that the event has not come by then.
    cuts : tuple of float
        From which risk each group but the first begins, in rising order.
    groups : tuple of str
        Names of the groups, the lowest risk first: one more than `cuts`; both may be empty.
    name, provenance, warnings, maps
        As of `LabelMap`.

    Examples
    --------
    >>> Survival(0.4, "death", cuts=(-0.5, 0.4), groups=("low", "middle", "high")).group
    'high'
    """

    risk: float
    event: str = "the event"
    unit: str = ""
    event_free: tuple[tuple[float, float], ...] = ()
    cuts: tuple[float, ...] = ()
    groups: tuple[str, ...] = ()
    name: str = "survival"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    maps: tuple[Volume, ...] = ()

    @property
    def group(self) -> str:
        """The name of the group that the risk lies in; empty where the model states none."""
        return self.groups[sum(self.risk >= cut for cut in self.cuts)] if self.groups else ""


@dataclass(frozen=True)
class Landmark:
    """A named place in the patient.

    Attributes
    ----------
    name : str
        What lies there.
    position : tuple of float
        ``(x, y, z)``, LPS mm.
    score : float
        0..1; NaN where the model gives none.
    """

    name: str
    position: tuple[float, float, float]
    score: float = math.nan


@dataclass(frozen=True)
class Landmarks:
    """The landmarks that were found in one scan, in the order of their model.

    Parameters
    ----------
    points : tuple of Landmark
        Those that were found; what was looked for and not found stands among the warnings.
    name, provenance, warnings, maps
        As of `LabelMap`.
    """

    points: tuple[Landmark, ...]
    name: str = "landmarks"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    maps: tuple[Volume, ...] = ()


@dataclass(frozen=True)
class Embedding:
    """Numbers by which a model knows a scan: scans that it takes for alike lie near each other.

    Parameters
    ----------
    vector : tuple of float
        Finite; they mean something only beside others of the same model.
    name, provenance, warnings, maps
        As of `LabelMap`.
    """

    vector: tuple[float, ...]
    name: str = "embedding"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    maps: tuple[Volume, ...] = ()
