"""Write rulers as a structured report, TID 1500 (DICOM PS3.16), in patient coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import check_target
from napari_radcnn.io.dicom.headers import damage, text
from napari_radcnn.io.dicom_results.codes import code
from napari_radcnn.io.dicom_results.identifier import identifier_of
from napari_radcnn.io.dicom_results.read.rulers import read_ruler_report
from napari_radcnn.io.dicom_results.source import Reference, find_series
from napari_radcnn.io.dicom_results.write.figures import quantity_of
from napari_radcnn.io.dicom_results.write.maker import label_name, maker_of, silent
from napari_radcnn.io.dicom_results.write.report import report_content, report_failure, write_report_document
from napari_radcnn.measure.rulers import Ruler
from napari_radcnn.results import Detections

if TYPE_CHECKING:
    from highdicom.sr import Measurement

    from napari_radcnn.io.dicom_results.deidentify import Deidentifier
    from napari_radcnn.io.dicom_results.source import Source

#: Size of a ruler -> name, unit, factor.
_SIZES = {
    "length_mm": (("SCT", "Length"), "Millimeter", 1.0),
    "angle_deg": (("DCM", "Angle"), "Degree", 1.0),
    "long_axis_mm": (("SCT", "LongAxis"), "Millimeter", 1.0),
    "short_axis_mm": (("SCT", "ShortAxis"), "Millimeter", 1.0),
    "area_mm2": (("SCT", "Area"), "SquareMillimeter", 1.0),
    "diameter_mm": (("SCT", "Diameter"), "Millimeter", 1.0),
    "volume_ml": (("SCT", "Volume"), "CubicMillimeter", 1000.0),
}
_VALUES = {
    "mean": ("SCT", "Mean"),
    "sd": ("SCT", "StandardDeviation"),
    "min": ("SCT", "Minimum"),
    "max": ("SCT", "Maximum"),
}
#: How far a point may lie from where it was when it is read back, mm: coordinates are float32.
_TOLERANCE_MM = 0.01


def write_ruler_report(
    rulers: Sequence[Ruler],
    target: str | Path,
    reference: Reference,
    measured: Sequence[Mapping[str, float | int | None]] = (),
    unit: str = "",
    overwrite: bool = False,
    deidentifier: Deidentifier | None = None,
) -> None:
    """Write rulers as a report: a measurement group each, read back before the file takes its name.

    Parameters
    ----------
    rulers : sequence of Ruler
        At least one, all in the patient space of the scan.
    target : path
        ``x.sr.dcm``.
    reference : path or Volume
        The DICOM series that they were drawn on.
    measured : sequence of mapping
        What `Ruler.measure` gave for each; their sizes by default.
    unit : str
        Of the values of the scan; values in one that DICOM has no word for are left out.
    overwrite : bool
        Whether it may exist.
    deidentifier : Deidentifier, optional
        Takes the patient out of it.

    Raises
    ------
    WriteError
        If there are no rulers, one lies in another patient space, there is no DICOM series, or the file cannot be
        written.
    """
    target = Path(target)
    check_target(target, overwrite)
    if not rulers:
        raise WriteError(f"{target}: there are no rulers to report.")
    try:
        source = replace(find_series(Detections(()), target, reference), deidentifier=deidentifier)
        source.check(target)
    except WriteError as error:  # says what images are written as
        raise WriteError(str(error).replace(".nii.gz instead", ".csv instead")) from error
    space = text(source.headers[0], "FrameOfReferenceUID")
    for ruler in rulers:
        if ruler.frame_of_reference_uid not in ("", space):
            raise WriteError(
                f"{target}: the ruler '{ruler.name or ruler.kind}' lies in another patient space (frame of reference) "
                "than the scan; choose the scan that it was drawn on."
            )
    figures = list(measured) or [dict(ruler.sizes) for ruler in rulers]
    maker = maker_of({})
    try:
        with silent():
            groups = [
                _group(n, ruler, found, source, unit)
                for n, (ruler, found) in enumerate(zip(rulers, figures, strict=True), 1)
            ]
            write_report_document(
                report_content(groups, source),
                source.headers,
                source,
                maker,
                target,
                overwrite,
                lambda path: _check(path, target, rulers),
                names=[ruler.name for ruler in rulers],
                is_3d=True,
            )
    except damage() as error:
        raise report_failure(target, error) from error


def _check(path: Path, target: Path, rulers: Sequence[Ruler]) -> None:
    """Read the report back, and compare kinds and points."""
    try:
        found = read_ruler_report(path)
    except ReadError as error:
        raise WriteError(
            f"{target}: the report was written and then removed, because it cannot be read back ({error})"
        ) from error
    is_same = len(found) == len(rulers) and all(map(_is_same, found, rulers))
    if not is_same:
        raise WriteError(
            f"{target}: the report was written and then removed, because its rulers differ from the intended ones. "
            "Write .csv instead, and please report this."
        )


def _is_same(one: Ruler, other: Ruler) -> bool:
    """Whether two rulers are drawn alike; of a sphere the point on it does not count, of axes their order."""
    if one.kind != other.kind or len(one.points) != len(other.points):
        return False
    sizes = np.array(list(one.sizes.values())) - np.array(list(other.sizes.values()))
    apart = np.linalg.norm(one.positions[:, None] - other.positions[None], axis=-1)
    if one.kind == "sphere":
        apart = apart[:1, :1]
    return bool(apart.min(0).max() <= _TOLERANCE_MM and apart.min(1).max() <= _TOLERANCE_MM and abs(sizes).max() < 0.1)


def _group(n: int, ruler: Ruler, found: Mapping[str, float | int | None], source: Source, unit: str) -> Any:
    """Return the measurement group of a ruler: TID 1410 of a region, 1411 of a sphere, 1501 of lines."""
    import highdicom.sr as sr
    from highdicom import UID

    header = source.headers[0]
    space, modality = header.FrameOfReferenceUID, text(header, "Modality")
    common: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(
            uid=UID(ruler.uid) if ruler.uid else UID(),
            identifier=identifier_of(label_name(ruler.name or ruler.kind), n),
        ),
        "finding_type": code("SCT", "LymphNode" if ruler.is_node else "Lesion"),
    }
    if ruler.visit:
        common["time_point_context"] = sr.TimePointContext(time_point=label_name(ruler.visit))
    if ruler.is_target:
        common["qualitative_evaluations"] = [
            sr.QualitativeEvaluation(name=code("DCM", "BaselineCategory"), value=code("DCM", "TargetLesionAtBaseline"))
        ]
    points = ruler.positions
    if ruler.kind == "sphere":
        radius = float(np.linalg.norm(points[1] - points[0]))
        ends = np.array([points[0] + sign * radius * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)])
        series = sr.SourceSeriesForSegmentation(header.SeriesInstanceUID)
        surface = sr.VolumeSurface("ELLIPSOID", ends, frame_of_reference_uid=space, source_series=series)
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_volume_surface=surface, measurements=_measurements(found, unit, modality), **common
        )
    if ruler.kind in ("ellipse", "rectangle", "freehand"):
        kind = "ELLIPSE" if ruler.kind == "ellipse" else "POLYGON"
        drawn = _long_first(points) if kind == "ELLIPSE" else np.concatenate([points, points[:1]])
        region = sr.ImageRegion3D(kind, drawn, frame_of_reference_uid=space)
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region, measurements=_measurements(found, unit, modality), **common
        )
    return sr.MeasurementsAndQualitativeEvaluations(measurements=_of_lines(ruler, found, space), **common)


def _long_first(points: np.ndarray) -> np.ndarray:
    """Return the ends of the longer axis of an ellipse first, as DICOM has them (PS3.3, C.18.9.1.2)."""
    first, second = (np.linalg.norm(points[n + 1] - points[n]) for n in (0, 2))
    return points if first >= second else points[[2, 3, 0, 1]]


def _of_lines(ruler: Ruler, found: Mapping[str, float | int | None], space: str) -> list[Measurement]:
    """Return the measurements of a ruler of lines, each inferred from the lines it was drawn with."""
    import highdicom.sr as sr

    points = ruler.positions
    lines = {
        "distance": {"length_mm": [points]},
        "angle": {"angle_deg": [points]},
        "cobb": {"angle_deg": [points[:2], points[2:]]},
    }
    if ruler.kind == "bidirectional":
        both = _long_first(points)
        wanted = {"long_axis_mm": [both[:2]], "short_axis_mm": [both[2:]]}
    else:
        wanted = lines[ruler.kind]
    measurements = []
    for key, drawn in wanted.items():
        name, unit, factor = _SIZES[key]
        if ruler.kind == "cobb":
            name = ("SCT", "CobbAngle")
        measurements.append(
            sr.Measurement(
                name=code(*name),
                value=_number(float(found[key] or 0.0) * factor),
                unit=code("UCUM", unit),
                referenced_coordinates=[
                    sr.CoordinatesForMeasurement3D("POLYLINE", line, frame_of_reference_uid=space) for line in drawn
                ],
            )
        )
    return measurements


def _measurements(found: Mapping[str, float | int | None], unit: str, modality: str) -> list[Measurement]:
    import highdicom.sr as sr

    sizes = [
        sr.Measurement(name=code(*name), value=_number(float(found[key] or 0.0) * factor), unit=code("UCUM", ucum))
        for key, (name, ucum, factor) in _SIZES.items()
        if found.get(key) is not None
    ]
    quantity = quantity_of(unit, modality)
    if quantity is None:
        return sizes
    values = [
        sr.Measurement(
            name=code(*quantity[0]),
            value=_number(float(found[key] or 0.0)),
            unit=code("UCUM", quantity[1]),
            derivation=code(*derivation),
        )
        for key, derivation in _VALUES.items()
        if found.get(key) is not None
    ]
    return sizes + values


def _number(value: float) -> float:
    return round(value, 6)
