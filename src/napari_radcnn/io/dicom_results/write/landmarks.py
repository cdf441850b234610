"""Write landmarks as a structured report, TID 1500: a point in the patient for each (TID 1410, DICOM PS3.16)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_radcnn.errors import WriteError
from napari_radcnn.files import check_target
from napari_radcnn.io.dicom.headers import damage
from napari_radcnn.io.dicom_results.codes import code, own_code
from napari_radcnn.io.dicom_results.identifier import identifier_of
from napari_radcnn.io.dicom_results.source import Reference, Source, find_series
from napari_radcnn.io.dicom_results.write.maker import Maker, label_name, maker_of, silent
from napari_radcnn.io.dicom_results.write.report import (
    algorithm_of,
    report_content,
    report_failure,
    write_report_document,
)
from napari_radcnn.results import Landmark, Landmarks

if TYPE_CHECKING:
    from napari_radcnn.io.dicom_results.deidentify import Deidentifier


def write_landmark_report(
    landmarks: Landmarks,
    target: Path,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentifier: Deidentifier | None = None,
) -> None:
    """Write landmarks as a report on the series: a measurement group for each, with its point and its score.

    Parameters
    ----------
    landmarks : Landmarks
        Points in the patient, LPS mm. Their names, of which DICOM has no code, are given one of our own.
    target, overwrite, reference, deidentifier
        As of `napari_radcnn.io.dicom_results.write.report.write_report`.

    Raises
    ------
    WriteError
        If there is no DICOM series, or no landmark was found.
    """
    check_target(target, overwrite)
    if not landmarks.points:
        raise WriteError(f"{target}: there are no landmarks to report; write .json instead.")
    try:
        source = replace(find_series(landmarks, target, reference), deidentifier=deidentifier)
        source.check(target)
    except WriteError as error:  # says what images are written as
        raise WriteError(str(error).replace(".nii.gz instead", ".json instead")) from error
    maker = maker_of(landmarks.provenance)
    try:
        with silent():
            groups = [_group(n, point, source, maker) for n, point in enumerate(landmarks.points, 1)]
            wanted = [[*point.position, 0.0, 0.0, 0.0, *_scores(point)] for point in landmarks.points]
            write_report_document(
                report_content(groups, source),
                source.headers,
                source,
                maker,
                target,
                overwrite,
                wanted,
                names=[point.name for point in landmarks.points],
                is_3d=True,
            )
    except damage() as error:
        raise report_failure(target, error) from error


def _scores(point: Landmark) -> list[float]:
    return [] if math.isnan(point.score) else [round(float(point.score), 6)]


def _group(n: int, point: Landmark, source: Source, maker: Maker) -> Any:
    from highdicom import UID
    from highdicom.sr import (
        GraphicTypeValues3D,
        ImageRegion3D,
        Measurement,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        TrackingIdentifier,
    )

    name = label_name(point.name)
    place = ImageRegion3D(
        GraphicTypeValues3D.POINT, np.array([point.position], float), source.headers[0].FrameOfReferenceUID
    )
    scores = [
        Measurement(name=code("DCM", "Probability"), value=score, unit=code("UCUM", "NoUnits"))
        for score in _scores(point)
    ]
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(), identifier=identifier_of(name, n)),
        referenced_region=place,
        finding_category=code("SCT", "SpatialAndRelationalConcept"),
        finding_type=own_code(name),
        algorithm_id=algorithm_of(maker),
        measurements=scores or None,
    )
