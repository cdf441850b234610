"""Read contours (RTSTRUCT) as label volumes on the slices of the series they were drawn on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom.headers import damage, floats, number, quiet, text
from napari_radcnn.io.dicom.stacks import Stack
from napari_radcnn.io.dicom_results.read.masks import Place, label_volumes
from napari_radcnn.io.dicom_results.read.whole import read_whole
from napari_radcnn.volume import Volume, VolumeMetadata

if TYPE_CHECKING:
    from pydicom import Dataset

#: How far from a slice, in parts of the slice spacing, a contour may lie and still be drawn on it.
_OFF_SLICE = 0.5
#: Above this the contour is drawn on the nearest slice with a word about it.
_TOLD_OFF_SLICE = 0.1
#: Kinds of contours that enclose an area (DICOM PS3.3, C.8.8.6.3). The XOR kind says outright what holes need.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")

#: The polygons of one region: slice -> list of (n, 2) arrays of (j, i).
_Polygons = dict[int, list[npt.NDArray[np.float64]]]


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
        One, or several where regions overlap; ``metadata.label_names`` holds the names of the regions.

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
    stack = _stack(path, dataset, stacks)
    geometry = stack.geometry
    names, regions, warnings = _regions(path, dataset, geometry)
    if not names:
        raise ReadError(f"{path.name}: a set of contours (RTSTRUCT) without a closed contour on the series beside it.")

    def slices(label: int) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        for k, polygons in regions[label].items():
            yield k, _filled(polygons, geometry.shape[1:])

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
    return label_volumes(names, slices, place, metadata, path)


def _stack(path: Path, dataset: Dataset, stacks: Sequence[Stack]) -> Stack:
    """Return the volume that the contours refer to (DICOM PS3.3, C.8.8.5), else one in their frame of reference."""
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
        raise ReadError(
            f"{path.name}: a set of contours (RTSTRUCT), not an image: the series they were drawn on is not in the "
            "folder; put both into one folder and open it."
        )
    return (by_series or by_frame)[0]


def _regions(
    path: Path, dataset: Dataset, geometry: Geometry
) -> tuple[dict[int, str], dict[int, _Polygons], list[str]]:
    """Return the names and the polygons of the regions, numbered 1, 2, ..., and what was left out."""
    given = {
        int(number(roi, "ROINumber", path) or 0): text(roi, "ROIName")
        for roi in dataset.get("StructureSetROISequence", [])
    }
    names: dict[int, str] = {}
    regions: dict[int, _Polygons] = {}
    warnings: list[str] = []
    without = moved = beside = 0
    for item in dataset.get("ROIContourSequence", []):
        polygons: _Polygons = defaultdict(list)
        for contour in item.get("ContourSequence", []):
            points = _points(path, contour)
            if points is None:
                continue
            index = geometry.to_index(points)
            k = round(float(np.mean(index[:, 0])))
            off = float(np.abs(index[:, 0] - k).max())
            if off > _OFF_SLICE or not 0 <= k < geometry.shape[0]:
                beside += 1
                continue
            moved += off > _TOLD_OFF_SLICE
            polygons[k].append(index[:, 1:])
        if not polygons:
            without += 1
            continue
        label = len(names) + 1
        roi = int(number(item, "ReferencedROINumber", path) or 0)
        names[label] = given.get(roi) or f"region {roi}"
        regions[label] = dict(polygons)
    if without:
        warnings.append(f"{without} regions have no closed contour on this series (points, lines): left out.")
    if beside:
        warnings.append(f"{beside} contours do not lie in a slice of the series: left out.")
    if moved:
        warnings.append(f"{moved} contours lie between slices: each was drawn on the nearest one.")
    return names, regions, warnings


def _points(path: Path, contour: Dataset) -> npt.NDArray[np.float64] | None:
    """Return the (n, 3) points of a closed contour, LPS mm; None for other kinds."""
    if text(contour, "ContourGeometricType").upper() not in _CLOSED:
        return None
    values = np.array(floats(contour, "ContourData", path))
    if values.size < 9 or values.size % 3 or not np.isfinite(values).all():
        raise ReadError(f"{path.name}: a contour holds no triples of finite numbers (ContourData); it is damaged.")
    points: npt.NDArray[np.float64] = values.reshape(-1, 3)
    return points


def _filled(polygons: list[npt.NDArray[np.float64]], shape: Any) -> npt.NDArray[np.bool_]:
    """Return the area of the polygons of one slice; inside two of them is a hole (DICOM PS3.3, C.8.8.6.3)."""
    from skimage.measure import grid_points_in_poly

    mask = np.zeros(shape, bool)
    for polygon in polygons:
        low = np.clip(np.floor(polygon.min(0)), 0, shape).astype(int)
        high = np.clip(np.ceil(polygon.max(0)) + 1, 0, shape).astype(int)
        if (high <= low).any():
            continue
        inside = grid_points_in_poly(tuple(high - low), polygon - low)
        mask[low[0] : high[0], low[1] : high[1]] ^= inside
    return mask
