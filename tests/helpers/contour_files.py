"""Contours (RTSTRUCT) as files, on a scan that was read from DICOM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dicom_factory import save
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume


def box(geometry: Geometry, k: float, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Return the corners, in the patient, of a rectangle on slice k between two (j, i)."""
    (a, b), (c, d) = low, high
    return geometry.to_world([(k, a, b), (k, a, d), (k, c, d), (k, c, b)])


def write_contours(
    path: Path, scan: Volume, regions: dict[str, list[np.ndarray]], kind: str = "CLOSED_PLANAR", first: int = 1, **more
):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", generate_uid()
    dataset.Modality, dataset.StudyInstanceUID = "RTSTRUCT", scan.metadata.study_uid
    dataset.SeriesInstanceUID, dataset.SeriesNumber = generate_uid(), 9
    frame, study, series = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = scan.metadata.series_uid
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = scan.metadata.frame_of_reference_uid, [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for n, (name, contours) in enumerate(regions.items(), first):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = n, name
        item.ReferencedROINumber, item.ContourSequence = n, []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType = kind
            contour.ContourData = [f"{value:.6f}" for value in np.ravel(points)]
            contour.NumberOfContourPoints = len(points)
            item.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(item)
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return save(dataset, path)
