"""What a model gives back: label maps, detections, classifications. A restored image is a `Volume`."""

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


@dataclass(frozen=True)
class Classification:
    """Probabilities of classes for one scan; they need not add to one where several findings may stand together.

    `evidence`, or `maps`, holds images on the scan's grid that show what spoke for the likeliest class; see
    `napari_radcnn.evidence`.
    """

    probabilities: Mapping[str, float]
    name: str = "classification"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    evidence: tuple[Volume, ...] = ()

    @property
    def maps(self) -> tuple[Volume, ...]:
        """What results of every kind call their `evidence`."""
        return self.evidence
