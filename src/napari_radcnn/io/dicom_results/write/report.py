"""Write measurements as a structured report, TID 1500 (DICOM PS3.16): volumes of segments, places of detections."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import atomic_path, check_target, together, where
from napari_radcnn.io.dicom.headers import damage, quiet
from napari_radcnn.io.dicom_results.codes import code, label_codes
from napari_radcnn.io.dicom_results.equipment import MANUFACTURER, PRODUCT, SERIAL_NUMBER
from napari_radcnn.io.dicom_results.identifier import identifier_of
from napari_radcnn.io.dicom_results.read.report import read_report
from napari_radcnn.io.dicom_results.read.segmentation import read_segmentation
from napari_radcnn.io.dicom_results.source import Reference, Source, find_series, find_source, turned
from napari_radcnn.io.dicom_results.write.figures import figures_of
from napari_radcnn.io.dicom_results.write.maker import (
    Maker,
    in_unicode,
    label_name,
    long_string,
    maker_of,
    series_number,
    silent,
    software_version,
)
from napari_radcnn.io.dicom_results.write.segmentation import write_segmentation
from napari_radcnn.io.guard import label_places
from napari_radcnn.results import Detection, Detections, LabelMap

if TYPE_CHECKING:
    from highdicom.sr import Measurement, MeasurementReport, VolumetricROIMeasurementsAndQualitativeEvaluations
    from pydicom import Dataset

    from napari_radcnn.io.dicom_results.deidentify import Deidentifier

#: What a report's name ends with, and that of the segmentation it refers to.
REPORT_SUFFIX, SEGMENTATION_SUFFIX = ".sr.dcm", ".seg.dcm"
#: How far a side of a box may lie from where it was: coordinates are float32.
_TOLERANCE_MM = 0.01


def write_report(
    label_map: LabelMap,
    target: Path,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentifier: Deidentifier | None = None,
    table: Mapping[str, Any] | None = None,
) -> None:
    """Write the volumes of the labels as a report, and the segmentation that it refers to beside it.

    Parameters
    ----------
    label_map : LabelMap
        As `write_segmentation` takes it.
    target : path
        ``x.sr.dcm``; the segmentation is ``x.seg.dcm``. If that exists and holds the same labels, it is used as it is.
    overwrite : bool
        Whether they may exist.
    reference : path or Volume, optional
        The DICOM series, where the label map does not know it.
    deidentifier : Deidentifier, optional
        Takes the patient out of both; a segmentation that is there already is then not used.
    table : mapping, optional
        As `napari_radcnn.measure.segments` returns it: its diameters, shapes and values are reported as well.

    Raises
    ------
    WriteError
        As `write_segmentation` does.
    """
    check_target(target, overwrite)
    segmentation = target.with_name(target.name[: -len(REPORT_SUFFIX)] + SEGMENTATION_SUFFIX)
    source, axes = find_source(label_map, target, reference)
    source = replace(source, deidentifier=deidentifier)
    source.check(target)
    is_new = deidentifier is not None or not _holds(segmentation, source, turned(label_map, axes)[0])
    maker = maker_of(label_map.provenance)
    try:
        with silent(), together():
            if is_new:
                write_segmentation(label_map, segmentation, overwrite, reference, deidentifier)
            dataset = _header(where(segmentation))
            groups = [
                _segment_group(dataset, item, source, label_map, maker, table) for item in dataset.SegmentSequence
            ]
            evidence = [*source.headers, dataset]
            names = [str(item.TrackingID) for item in dataset.SegmentSequence]
            wanted = [[one.value for one in group.get_measurements()] for group in groups]
            write_report_document(
                report_content(groups, source),
                evidence,
                source,
                maker,
                target,
                overwrite,
                wanted,
                names=names,
                is_3d=False,
            )
    except damage() as error:
        raise report_failure(target, error) from error


def write_detection_report(
    detections: Detections,
    target: Path,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentifier: Deidentifier | None = None,
) -> None:
    """Write detections as a report: each an ellipsoid in the patient, with its score.

    Parameters
    ----------
    detections : Detections
        Boxes in the patient. The ellipsoid that touches the sides of a box stands for it, since DICOM has no boxes.
    target, overwrite, reference, deidentifier
        As in `write_report`.

    Raises
    ------
    WriteError
        If there is no DICOM series, or nothing was found.
    """
    check_target(target, overwrite)
    if not detections.boxes:
        raise WriteError(f"{target}: there are no findings to report; write .json instead.")
    source = replace(find_series(detections, target, reference), deidentifier=deidentifier)
    source.check(target)
    maker = maker_of(detections.provenance)
    try:
        with silent():
            groups = [_box_group(n, found, source, maker) for n, found in enumerate(detections.boxes, 1)]
            wanted = [
                _numbers(found, [one.value for one in group.get_measurements()])
                for found, group in zip(detections.boxes, groups, strict=True)
            ]
            names = [found.label for found in detections.boxes]
            write_report_document(
                report_content(groups, source),
                source.headers,
                source,
                maker,
                target,
                overwrite,
                wanted,
                names=names,
                is_3d=True,
            )
    except damage() as error:
        raise report_failure(target, error) from error


def report_failure(target: Path, error: Exception) -> WriteError:
    """Return what is told where headers of the series do not allow a report."""
    return WriteError(
        f"{target}: the original DICOM series of the scan does not allow a report on it ({type(error).__name__}); "
        "write .json or .nii.gz instead."
    )


def _holds(segmentation: Path, source: Source, array: Any) -> bool:
    """Whether the file holds exactly these labels on this series."""
    if not segmentation.is_file():
        return False
    try:
        found = read_segmentation(segmentation, [source.stack])
    except ReadError:
        return False
    return len(found) == 1 and np.array_equal(found[0].array, array)


def _header(path: Path) -> Dataset:
    from pydicom import dcmread

    with quiet():
        return dcmread(path)


# -- content ------------------------------------------------------------------------------------------------------


def _segment_group(
    segmentation: Dataset,
    segment: Dataset,
    source: Source,
    label_map: LabelMap,
    maker: Maker,
    table: Mapping[str, Any] | None,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return the measurements of a segment; its tracking identifiers are those of the segmentation (TID 1411)."""
    from highdicom.sr import (
        CodedConcept,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    number = int(segment.SegmentNumber)
    present = sorted(label_places(label_map.array, label_map.geometry))
    value = present[number - 1]
    cubic = label_map.volume_ml(value) * 1000.0
    measured = [] if table is None else figures_of(table, value, source.headers[0])
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(source.headers[0].SeriesInstanceUID),
        ),
        finding_category=CodedConcept.from_dataset(segment.SegmentedPropertyCategoryCodeSequence[0]),
        finding_type=CodedConcept.from_dataset(segment.SegmentedPropertyTypeCodeSequence[0]),
        algorithm_id=algorithm_of(maker),
        measurements=[_measurement(code("SCT", "Volume"), cubic, code("UCUM", "CubicMillimeter")), *measured],
    )


def _box_group(
    n: int, detection: Detection, source: Source, maker: Maker
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    from highdicom import UID
    from highdicom.sr import (
        GraphicTypeValues3D,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumeSurface,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    category, kind = label_codes(detection.label)
    center, half = np.asarray(detection.center, float), np.asarray(detection.size, float) / 2
    # the ends of the three axes, two by two (DICOM PS3.3, C.18.9.1.2, ELLIPSOID)
    ends = np.array([center + sign * half * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)])
    header = source.headers[0]
    measurements = [_measurement(code("SCT", "Diameter"), detection.diameter, code("UCUM", "Millimeter"))]
    if not math.isnan(detection.score):
        measurements.insert(0, _measurement(code("DCM", "Probability"), detection.score, code("UCUM", "NoUnits")))
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(), identifier=identifier_of(label_name(detection.label), n)),
        referenced_volume_surface=VolumeSurface(
            GraphicTypeValues3D.ELLIPSOID,
            ends,
            frame_of_reference_uid=header.FrameOfReferenceUID,
            source_series=SourceSeriesForSegmentation(header.SeriesInstanceUID),
        ),
        finding_category=category,
        finding_type=kind,
        algorithm_id=algorithm_of(maker),
        measurements=measurements,
    )


def _measurement(name: Any, value: float, unit: Any) -> Measurement:
    from highdicom.sr import Measurement

    return Measurement(name=name, value=round(float(value), 6), unit=unit)


def algorithm_of(maker: Maker) -> Any:
    """Return the model that found what is measured; None where that was no model."""
    from highdicom.sr import AlgorithmIdentification

    if not maker.is_automatic:
        return None
    return AlgorithmIdentification(name=maker.model, version=maker.version or "unknown")


@dataclass(frozen=True)
class _Device:
    """The observer: this program (TID 1002, 1004)."""

    def context(self) -> Any:
        from highdicom import UID
        from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext

        identity = DeviceObserverIdentifyingAttributes(
            uid=UID.from_uuid(_DEVICE),
            name=PRODUCT,
            manufacturer_name=MANUFACTURER,
            model_name=f"{PRODUCT} {software_version()}",
            serial_number=SERIAL_NUMBER,
        )
        device = ObserverContext(observer_type=code("DCM", "Device"), observer_identifying_attributes=identity)
        return ObservationContext(observer_device_context=device)


#: The name of this program as an observer, the same in every report: a program is one device, not one a run.
_DEVICE = "5f0c1b0e-6f0e-4e5e-9a53-0d5a5f3f7a11"


def report_content(groups: Sequence[Any], source: Source) -> MeasurementReport:
    """Return the tree of a report of some measurement groups."""
    from highdicom.sr import LanguageOfContentItemAndDescendants, MeasurementReport
    from pydicom.sr.coding import Code

    return MeasurementReport(
        observation_context=_Device().context(),
        procedure_reported=code("SCT", "ImagingProcedure"),
        imaging_measurements=list(groups),
        title=code("DCM", "ImagingMeasurementReport"),
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            Code("en-US", "RFC5646", "English (United States)")
        ),
        # the image library (TID 1600) describes single frames
        referenced_images=None if source.is_multi_frame else source.headers,
    )


def write_report_document(
    content: MeasurementReport,
    evidence: Sequence[Dataset],
    source: Source,
    maker: Maker,
    target: Path,
    overwrite: bool,
    wanted: Sequence[Sequence[float]] | Callable[[Path], None],
    *,
    names: Sequence[str],
    is_3d: bool,
) -> None:
    """Write the report, whose groups must then hold the `wanted` numbers; `names` are those of labels in it.

    In the place of numbers stands what is called with the file before it takes its name, and raises if it is not right.

    Coordinates in the patient need Comprehensive 3D SR (DICOM PS3.3, A.35.13).
    """
    from highdicom import UID
    from highdicom.sr import Comprehensive3DSR, EnhancedSR

    document = Comprehensive3DSR if is_3d else EnhancedSR
    with atomic_path(target, overwrite) as temporary:
        report = document(
            evidence=evidence,
            content=content[0],
            series_instance_uid=UID(),
            series_number=series_number(source.headers[0], 3),
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=PRODUCT,
            software_versions=software_version(),
            device_serial_number=SERIAL_NUMBER,
            series_description=long_string(f"Measurements {maker.title}"),
        )
        if source.deidentifier is not None:
            source.deidentifier.mark(report)
        in_unicode(report, names)
        report.save_as(temporary)
        if callable(wanted):
            wanted(temporary)
        else:
            _verify(temporary, target, wanted)


def _verify(path: Path, target: Path, wanted: Sequence[Sequence[float]]) -> None:
    """Read the report back, and compare its measurements and places."""
    try:
        found = [
            _numbers(finding.box, [one.value for one in finding.measurements]) for finding in read_report(path).findings
        ]
    except ReadError as error:
        raise WriteError(
            f"{target}: the report was written and then removed, because it cannot be read back."
        ) from error
    is_same = len(found) == len(wanted) and all(
        len(one) == len(other) and np.allclose(one, other, rtol=1e-6, atol=_TOLERANCE_MM)
        for one, other in zip(found, wanted, strict=True)
    )
    if not is_same:
        raise WriteError(
            f"{target}: the report was written and then removed, because its measurements or positions differ from "
            "the intended ones. Write .json instead, and please report this."
        )


def _numbers(box: Detection | None, values: Sequence[float]) -> list[float]:
    return [*(() if box is None else (*box.center, *box.size)), *values]
