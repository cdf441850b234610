"""Read contours (RTSTRUCT) as label volumes on the slices of the series they were drawn on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom.headers import damage, floats, number, quiet, text
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.io.dicom_results.read.areas import Polygon, Polygons, filled_region
from napari_radcnn.io.dicom_results.read.masks import Place, label_volumes
from napari_radcnn.io.dicom_results.read.whole import read_whole
from napari_radcnn.volume import Label, Volume, VolumeMetadata

if TYPE_CHECKING:
    from pydicom import Dataset

#: How far from a slice, in parts of the slice spacing, a contour may lie and still be drawn on it.
_OFF_SLICE = 0.5
#: Above this the contour is drawn on the nearest slice with a word about it.
_TOLD_OFF_SLICE = 0.1
#: Larger numbers of regions are no values of labels.
_LARGEST_NUMBER = 65535
#: Fewer points enclose no area.
_LEAST_POINTS = 3
#: Kinds of contours that enclose an area (DICOM PS3.3, C.8.8.6.3). The XOR kind says outright what holes need.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def read_contours(path: Path, stacks: Sequence[Stack] = ()) -> list[Volume]:
    """Rasterize closed contours: a voxel belongs to a region if its center lies inside.

    Parameters
    ----------
    path : path
        An RTSTRUCT file.
    stacks : sequence of Stack
        Volumes of the study; the one the contours refer to gives the grid.

    Returns
    -------
    list of Volume
        One, or several where regions overlap; values are the ROINumbers, or 1, 2, ... where these are none from 1 to
        65535; ``labels`` are names and colors of the regions.

    Raises
    ------
    ReadError
        If the series is not there, no region has closed contours, or the file is damaged.
    """
    with quiet():
        try:
            return _volumes(path, read_whole(path), stacks)
        except damage() as error:
            raise ReadError(f"{path.name}: the contours are damaged ({type(error).__name__}).") from error


def _volumes(path: Path, dataset: Dataset, stacks: Sequence[Stack]) -> list[Volume]:
    stack = _stack(path, dataset, [stack for stack in stacks if stack.frames[0].position is not None], stacks)
    geometry = stack.geometry
    labels, regions, warnings = _regions(path, dataset, geometry)
    if not labels:
        raise ReadError(f"{path.name}: a set of contours (RTSTRUCT) without a closed contour on the series beside it.")
    areas = {value: filled_region(regions[value], geometry.shape[1:]) for value in labels}
    for value, label in labels.items():
        warnings += areas[value].doubts(label.name)

    def slices(value: int) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        for k, area in areas[value].slices.items():
            yield k, area.on(geometry.shape[1:])

    given = text(dataset, "SeriesNumber")
    is_number = given.lstrip("+-").isdigit()
    metadata = VolumeMetadata(
        name=f"RTSTRUCT {given}" if is_number else "RTSTRUCT",
        modality="RTSTRUCT",
        description=text(dataset, "SeriesDescription"),
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        series_number=int(given) if is_number else None,
        source=path,
        source_format="DICOM",
    )
    place = Place(geometry, text(stack.frames[0].tags, "FrameOfReferenceUID"), tuple(warnings))
    return label_volumes(labels, slices, place, metadata, path)


def _stack(path: Path, dataset: Dataset, stacks: Sequence[Stack], others: Sequence[Stack]) -> Stack:
    """Return the volume that the contours refer to (DICOM PS3.3, C.8.8.5), else one in their frame of reference.

    Raises
    ------
    ReadError
        If it is not among the volumes; says where it is a radiograph, which `others` has.
    """
    frames, series = set(), set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence", []):
        frames.add(text(frame, "FrameOfReferenceUID"))
        for study in frame.get("RTReferencedStudySequence", []):
            series |= {text(item, "SeriesInstanceUID") for item in study.get("RTReferencedSeriesSequence", [])}
    for roi in dataset.get("StructureSetROISequence", []):
        frames.add(text(roi, "ReferencedFrameOfReferenceUID"))
    by_series = [stack for stack in stacks if text(stack.frames[0].tags, "SeriesInstanceUID") in series]
    by_frame = [stack for stack in stacks if text(stack.frames[0].tags, "FrameOfReferenceUID") in frames - {""}]
    if not (by_series or by_frame):
        if any(text(stack.frames[0].tags, "SeriesInstanceUID") in series for stack in others):
            raise ReadError(
                f"{path.name}: a set of contours (RTSTRUCT) that refers to a radiograph, which has no place in the "
                "patient, while contours are positions in the patient: export it as a segmentation (SEG)."
            )
        raise ReadError(
            f"{path.name}: a set of contours (RTSTRUCT), not an image: the series they were drawn on is not in the "
            "folder; put both into one folder and open that folder."
        )
    return (by_series or by_frame)[0]


def _regions(
    path: Path, dataset: Dataset, geometry: Geometry
) -> tuple[dict[int, Label], dict[int, Polygons], list[str]]:
    """Return names, colors and the polygons of the regions by their numbers, and what was left out."""
    given = {
        int(number(roi, "ROINumber", path) or 0): text(roi, "ROIName")
        for roi in dataset.get("StructureSetROISequence", [])
    }
    labels: dict[int, Label] = {}
    regions: dict[int, Polygons] = {}
    values: dict[int, int] = {}
    warnings: list[str] = []
    lines: Counter[int] = Counter()
    without = moved = beside = 0
    for item in dataset.get("ROIContourSequence", []):
        polygons: Polygons = defaultdict(list)
        for contour in item.get("ContourSequence", []):
            points = _points(path, contour)
            if points is None:
                continue
            if len(points) < _LEAST_POINTS:
                lines[int(number(item, "ReferencedROINumber", path) or 0)] += 1
                continue
            index = geometry.to_index(points)
            k = round(float(np.mean(index[:, 0])))
            off = float(np.abs(index[:, 0] - k).max())
            if off > _OFF_SLICE or not 0 <= k < geometry.shape[0]:
                beside += 1
                continue
            moved += off > _TOLD_OFF_SLICE
            is_xor = text(contour, "ContourGeometricType").upper() == "CLOSEDPLANAR_XOR"
            polygons[k].append(Polygon(index[:, 1:], is_xor))
        if not polygons:
            without += 1
            continue
        stated = number(item, "ReferencedROINumber", path)
        roi = int(stated or 0)
        value = len(labels) + 1
        if stated is not None:  # a region may come in several items
            value = values.setdefault(roi, value)
        labels.setdefault(value, Label(given.get(roi) or f"region {roi}", _color(item)))
        before = regions.get(value, {})
        regions[value] = {k: [*before.get(k, []), *polygons.get(k, [])] for k in (*before, *polygons)}
    labels, regions = _by_number(labels, regions, {value: roi for roi, value in values.items()})
    if without:
        warnings.append(f"{without} regions have no closed contour on this series (points, lines): left out.")
    if lines:
        numbers = ", ".join(str(roi) for roi in sorted(lines))
        warnings.append(
            f"{lines.total()} closed contours have fewer than {_LEAST_POINTS} points and enclose nothing (ROINumber "
            f"{numbers}): left out."
        )
    if beside:
        warnings.append(f"{beside} contours do not lie in a slice of the series: left out.")
    if moved:
        warnings.append(f"{moved} contours lie between slices: each was drawn on the nearest slice.")
    return labels, regions, warnings


def _by_number(
    labels: dict[int, Label], regions: dict[int, Polygons], numbers: Mapping[int, int]
) -> tuple[dict[int, Label], dict[int, Polygons]]:
    """Return names and polygons by the numbers that the file gives, where each has one that labels can have."""
    if not all(1 <= numbers.get(value, 0) <= _LARGEST_NUMBER for value in labels):
        return labels, regions
    return (
        {numbers[value]: label for value, label in labels.items()},
        {numbers[value]: regions[value] for value in labels},
    )


def _points(path: Path, contour: Dataset) -> npt.NDArray[np.float64] | None:
    """Return the (n, 3) points of a closed contour, LPS mm; None for other kinds."""
    if text(contour, "ContourGeometricType").upper() not in _CLOSED:
        return None
    values = np.array(floats(contour, "ContourData", path))
    if values.size % 3 or not np.isfinite(values).all():
        raise ReadError(
            f"{path.name}: a contour is not a list of finite x, y, z coordinates (ContourData); the file is damaged."
        )
    points: npt.NDArray[np.float64] = values.reshape(-1, 3)
    return points


def _color(item: Dataset) -> tuple[float, float, float] | None:
    """Return the color of a region; None where it has none, or a damaged one."""
    try:
        parts = [int(part) for part in item.get("ROIDisplayColor") or ()]
    except (TypeError, ValueError):
        return None
    if len(parts) != 3 or not all(0 <= part <= 255 for part in parts):
        return None
    red, green, blue = (part / 255 for part in parts)
    return red, green, blue
