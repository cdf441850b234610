"""Read a structured report of measurements (TID 1500, DICOM PS3.16): places in the patient, and measured segments.

The tree is walked here and not with highdicom's classes, which refuse a report as a whole where one group lacks a row
of the template, and know no groups but those of three templates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import NoImage, damage, floats, number, quiet, read_header, text
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.io.dicom_results.codes import code
from napari_radcnn.io.dicom_results.equipment import PRODUCT
from napari_radcnn.io.dicom_results.identifier import name_of, value_of
from napari_radcnn.io.dicom_results.read.labels import stacks_beside
from napari_radcnn.io.dicom_results.read.whole import read_whole
from napari_radcnn.results import Detection, Finding, Measurement, Report

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

#: Graphics whose points are the ends of axes, two by two (DICOM PS3.3, C.18.6.1.1 and C.18.9.1.2).
_BY_AXES = {"ELLIPSE": 2, "ELLIPSOID": 3}
_Box = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def is_report(path: str | Path) -> bool:
    """Return whether a file is a DICOM structured report; reads its header only."""
    path = Path(path)
    try:
        with quiet():
            item = read_header(path) if path.is_file() else None
    except damage():
        return False
    except OSError:
        return False
    return isinstance(item, NoImage) and item.modality == "SR"


def read_report(path: str | Path) -> Report:
    """Read the measurement groups of a DICOM structured report, ours or another program's.

    Parameters
    ----------
    path : path
        An SR file with a content tree after TID 1500, such as highdicom and dcmqi write.

    Returns
    -------
    Report
        A finding for each group, in the order of the file. ``report.detections`` are those with a place in the patient.

    Raises
    ------
    ReadError
        If it is no such report, or damaged; names the file and the cause.

    Notes
    -----
    Places are read from 3-D coordinates, and from regions drawn on an image if the image lies beside the report (in
    its folder or below it, up to 3000 files). An ellipse, a polygon or a surface becomes the smallest box around it,
    with sides along the patient's axes; a region drawn on an image is as thick as its slice. A referenced segment has
    no box: read the segmentation for its place.
    """
    path = Path(path)
    try:
        with quiet():
            item = read_header(path)
            if not isinstance(item, NoImage) or item.modality != "SR":
                raise ReadError(f"{path.name}: not a DICOM structured report (SR); `read` opens images and labels.")
            return _Reader(path, item.study_uid, read_whole(path)).report()
    except damage() as error:
        raise ReadError(f"{path.name}: the structured report is damaged ({type(error).__name__}).") from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}.") from error


class _Reader:
    def __init__(self, path: Path, study_uid: str, dataset: Dataset) -> None:
        self.path, self.study_uid, self.dataset = path, study_uid, dataset
        self.is_ours = text(dataset, "ManufacturerModelName") == PRODUCT
        self.frames_of_reference: dict[str, None] = {}
        self.lost_regions = 0
        self._places: Mapping[tuple[str, int], tuple[Frame, float]] | None = None

    def report(self) -> Report:
        groups = list(groups_of(self.dataset))
        if not groups:
            raise ReadError(
                f"{self.path.name}: a structured report (SR) without a measurement group (TID 1500); it contains "
                "nothing to show."
            )
        findings = tuple(self._finding(n, group) for n, group in enumerate(groups, 1))
        warnings = []
        if self.lost_regions:
            warnings.append(
                f"{self.lost_regions} regions are drawn on images that are not beside the report, or that have no "
                "position: their positions are unknown. Put the images into the same folder."
            )
        if len(self.frames_of_reference) > 1:
            warnings.append(
                f"The findings have {len(self.frames_of_reference)} frames of reference (FrameOfReferenceUID): not "
                "all belong to the same scan."
            )
        given = text(self.dataset, "SeriesNumber")
        return Report(
            findings,
            f"SR {given}" if given.lstrip("+-").isdigit() else "SR",
            next(iter(self.frames_of_reference), ""),
            tuple(warnings),
        )

    def _finding(self, n: int, group: Dataset) -> Finding:
        items = items_of(group, "ContentSequence")
        label = self._label(items) or f"finding {n}"
        measurements = tuple(found for item in items if (found := self._measurement(item)) is not None)
        boxes = [box for item in items if (box := self._box(item)) is not None]
        segmentation, segment = self._segment(items)
        place = _detection(label, self._score(items), boxes) if boxes else None
        value = None if segment is None else self._value(items, segment)
        return Finding(label, measurements, place, segmentation, segment, value)

    # -- words and numbers ----------------------------------------------------------------------------------------

    def _label(self, items: Sequence[Dataset]) -> str:
        """Return what the group is about: its coded finding, else its tracking identifier.

        The coded finding of our own reports is coarser than the label, which their identifier holds with a number.
        """
        identifier = identifier_in(items)
        finding = next((meaning_of(item) for item in reversed(items) if is_concept(item, "DCM", "Finding")), "")
        if self.is_ours and identifier:
            return name_of(identifier)
        return finding or identifier

    def _value(self, items: Sequence[Dataset], segment: int) -> int:
        """Return the value of a segment's label in the volume that is read from the segmentation."""
        return (value_of(identifier_in(items)) if self.is_ours else None) or segment

    def _measurement(self, item: Dataset) -> Measurement | None:
        """Return the number of a NUM item; None for other items, and for one that holds no number, which is allowed."""
        values = items_of(item, "MeasuredValueSequence")
        if text(item, "ValueType") != "NUM" or not values:
            return None
        exact = number(values[0], "FloatingPointValue", self.path)
        value = number(values[0], "NumericValue", self.path) if exact is None else exact
        if value is None or not math.isfinite(value):
            raise ReadError(
                f"{self.path.name}: a measurement of the report is not a finite number; the file is damaged."
            )
        name = _concept(item)
        unit = next((text(one, "CodeValue") for one in items_of(values[0], "MeasurementUnitsCodeSequence")), "")
        derived = [
            meaning_of(inner) for inner in items_of(item, "ContentSequence") if is_concept(inner, "DCM", "Derivation")
        ]
        return Measurement(_plain(name.meaning) if name else "measurement", value, unit, next(iter(derived), ""))

    def _score(self, items: Sequence[Dataset]) -> float:
        """Return the probability that a group states, NaN if it states none."""
        for item in items:
            found = self._measurement(item) if is_concept(item, "DCM", "Probability") else None
            if found is not None:
                value = found.value / 100 if found.unit == "%" else found.value
                return value if 0 <= value <= 1 else math.nan
        return math.nan

    def _segment(self, items: Sequence[Dataset]) -> tuple[str, int | None]:
        """Return the segmentation and the number of the segment that a group measures."""
        for item in items:
            if is_concept(item, "DCM", "ReferencedSegment") or is_concept(item, "DCM", "ReferencedSegmentationFrame"):
                for referenced in items_of(item, "ReferencedSOPSequence"):
                    segment = number(referenced, "ReferencedSegmentNumber", self.path)
                    return text(referenced, "ReferencedSOPInstanceUID"), None if segment is None else int(segment)
        return "", None

    # -- places ---------------------------------------------------------------------------------------------------

    def _box(self, item: Dataset) -> _Box | None:
        """Return the lowest and highest corner of the box around a region, LPS mm; None for what is no region."""
        kind = text(item, "ValueType")
        if kind not in ("SCOORD", "SCOORD3D"):
            return None
        size = 2 if kind == "SCOORD" else 3
        values = np.array(floats(item, "GraphicData", self.path))
        graphic = text(item, "GraphicType")
        is_whole = values.size >= size and values.size % size == 0 and bool(np.isfinite(values).all())
        if graphic in _BY_AXES:
            is_whole &= values.size == 2 * size * _BY_AXES[graphic]
        elif graphic == "CIRCLE":
            is_whole &= values.size == 4 and kind == "SCOORD"
        if not is_whole:
            raise ReadError(
                f"{self.path.name}: a region of the report lacks finite coordinates of its type (GraphicData); the "
                "file is damaged."
            )
        points = values.reshape(-1, size)
        if kind == "SCOORD3D":
            self.frames_of_reference.setdefault(text(item, "ReferencedFrameOfReferenceUID"))
            return _around(points, graphic)
        return self._around_on_image(item, points, graphic)

    def _around_on_image(self, item: Dataset, points: npt.NDArray[np.float64], graphic: str) -> _Box | None:
        place = self._place(item)
        if place is None:
            self.lost_regions += 1
            return None
        frame, thickness = place
        assert frame.position is not None
        assert frame.cosines is not None
        assert frame.pixel_spacing is not None
        self.frames_of_reference.setdefault(text(frame.tags, "FrameOfReferenceUID"))
        if graphic == "CIRCLE":  # center, and a point on the circle
            center, radius = points[0], float(np.linalg.norm(points[1] - points[0]))
            points, graphic = center + radius * np.array([[-1, 0], [1, 0], [0, -1], [0, 1]]), "ELLIPSE"
        # (column, row) from the outer corner of the first pixel, whose center is at 0.5 (DICOM PS3.3, C.18.6.1.2)
        rows, columns = frame.pixel_spacing
        in_patient = frame.position + (points - 0.5) * (columns, rows) @ frame.cosines
        low, high = _around(in_patient, graphic)
        half = np.abs(frame.normal) * thickness / 2
        return low - half, high + half

    def _place(self, item: Dataset) -> tuple[Frame, float] | None:
        """Return the image that a region is drawn on, and its thickness, mm."""
        for image in items_of(item, "ContentSequence"):
            for referenced in items_of(image, "ReferencedSOPSequence"):
                if self._places is None:
                    self._places = _places(stacks_beside(self.path, self.study_uid))
                frame = int(number(referenced, "ReferencedFrameNumber", self.path) or 1)
                return self._places.get((text(referenced, "ReferencedSOPInstanceUID"), frame))
        return None


def identifier_in(items: Sequence[Dataset]) -> str:
    """Return the tracking identifier of a group."""
    found = [_plain(text(item, "TextValue")) for item in items if is_concept(item, "DCM", "TrackingIdentifier")]
    return found[-1] if found else ""


# -- the tree -----------------------------------------------------------------------------------------------------


def groups_of(dataset: Dataset) -> Iterator[Dataset]:
    """Give the measurement groups, wherever they stand."""
    left = [dataset]
    while left:
        item = left.pop()
        if is_concept(item, "DCM", "MeasurementGroup"):
            yield item
        else:
            left += reversed(items_of(item, "ContentSequence"))


def items_of(item: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; ValueError where something else stands in its place."""
    element = item.get(keyword)
    if element is None:
        return []
    if not isinstance(element, MutableSequence) or not all(hasattr(one, "get") for one in element):
        raise ValueError(f"{keyword} is not a sequence")
    return list(element)


def is_concept(item: Dataset, scheme: str, keyword: str) -> bool:
    """Whether an item has this concept name; codes of older dictionaries (SRT) count as those that replaced them."""
    found = _concept(item)
    return found is not None and found == code(scheme, keyword)


def _concept(item: Dataset) -> Code | None:
    from pydicom.sr.coding import Code

    for name in items_of(item, "ConceptNameCodeSequence"):
        return Code(text(name, "CodeValue"), text(name, "CodingSchemeDesignator"), text(name, "CodeMeaning"))
    return None


def meaning_of(item: Dataset) -> str:
    """Return the words of an item's coded value."""
    return next((_plain(text(concept, "CodeMeaning")) for concept in items_of(item, "ConceptCodeSequence")), "")


def _plain(words: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:64]


# -- boxes --------------------------------------------------------------------------------------------------------


def _around(points: npt.NDArray[np.float64], graphic: str) -> _Box:
    """Return the smallest box around a graphic in the patient, sides along the axes."""
    if graphic not in _BY_AXES:
        return points.min(0), points.max(0)
    ends = points.reshape(-1, 2, 3)
    center = points.mean(0)
    # the support of an ellipsoid along a direction is the root of the sum of its squared half axes along it
    half = np.sqrt((((ends[:, 1] - ends[:, 0]) / 2) ** 2).sum(0))
    return center - half, center + half


def _detection(label: str, score: float, boxes: Sequence[_Box]) -> Detection:
    """Return the box around all regions of a group."""
    low = np.min([box[0] for box in boxes], axis=0)
    high = np.max([box[1] for box in boxes], axis=0)
    x, y, z = ((low + high) / 2).tolist()
    dx, dy, dz = (high - low).tolist()
    return Detection(label, score, (x, y, z), (dx, dy, dz))


def _places(stacks: Sequence[Stack]) -> dict[tuple[str, int], tuple[Frame, float]]:
    """Return the frames with a known place and their thickness, by instance and number of the frame."""
    return {
        (frame.instance.uid, frame.index + 1): (frame, stack.geometry.spacing[0])
        for stack in stacks
        for frame in stack.frames
        if frame.pixel_spacing is not None and frame.tile is None
    }
