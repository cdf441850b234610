"""Write what a model says of a whole scan as a structured report, TID 1500: probabilities, a value, a risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.errors import WriteError
from napari_radcnn.files import check_target
from napari_radcnn.io.dicom.headers import damage
from napari_radcnn.io.dicom_results.codes import code, label_codes, own_code
from napari_radcnn.io.dicom_results.identifier import identifier_of
from napari_radcnn.io.dicom_results.source import Reference, Source, find_series
from napari_radcnn.io.dicom_results.write.maker import Maker, label_name, maker_of, silent
from napari_radcnn.io.dicom_results.write.report import (
    algorithm_of,
    report_content,
    report_failure,
    write_report_document,
)
from napari_radcnn.results import Classification, Regression, Survival

if TYPE_CHECKING:
    from napari_radcnn.io.dicom_results.deidentify import Deidentifier

#: How long a code may be.
_MOST = 16
#: A name of what is measured, its number, UCUM's code of its unit, and the words for a code of DICOM's instead.
_Number = tuple[str, float, str, str]


def write_answer_report(
    result: Classification | Regression | Survival,
    target: Path,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentifier: Deidentifier | None = None,
) -> None:
    """Write an answer as a report on the series: a measurement group for each class, or one for a value or a risk.

    Parameters
    ----------
    result : Classification, Regression or Survival
        Its numbers become measurements; names that DICOM has no code for are given one of our own, with their words.
    target, overwrite, reference, deidentifier
        As of `napari_radcnn.io.dicom_results.write.report.write_report`.

    Raises
    ------
    WriteError
        If there is no DICOM series.
    """
    check_target(target, overwrite)
    source = replace(find_series(result, target, reference), deidentifier=deidentifier)
    source.check(target)
    maker = maker_of(result.provenance)
    listed = _groups(result)
    try:
        with silent():
            groups = [_group(n, name, numbers, source, maker) for n, (name, numbers) in enumerate(listed, 1)]
            wanted = [[one.value for one in group.get_measurements()] for group in groups]
            write_report_document(
                report_content(groups, source),
                source.headers,
                source,
                maker,
                target,
                overwrite,
                wanted,
                names=[name for name, _ in listed],
                is_3d=False,
            )
    except damage() as error:
        raise report_failure(target, error) from error


def _groups(result: Classification | Regression | Survival) -> list[tuple[str, list[_Number]]]:
    """Return what is measured of what."""
    if isinstance(result, Classification):
        return [(name, [("", float(share), "1", "Probability")]) for name, share in result.probabilities.items()]
    if isinstance(result, Regression):
        numbers: list[_Number] = [(result.quantity, float(result.value), result.unit, "")]
        if result.interval is not None:
            level = f"{100 * result.level:g} % interval"
            ends = zip(("lower", "upper"), result.interval, strict=True)
            numbers += [(f"{level}, {which} end", float(end), result.unit, "") for which, end in ends]
        return [(result.quantity, numbers)]
    unit = f" {result.unit}" if result.unit else ""
    free = [(f"probability to be free of it at {time:g}{unit}", share, "1", "") for time, share in result.event_free]
    return [(result.event, [("risk", float(result.risk), "1", ""), *free])]


def _group(n: int, name: str, numbers: Sequence[_Number], source: Source, maker: Maker) -> Any:
    from highdicom import UID
    from highdicom.sr import (
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )

    category, kind = label_codes(name)
    measured = [
        Measurement(
            name=code("DCM", keyword) if keyword else own_code(label_name(words)),
            value=round(value, 6),
            unit=_unit(unit),
        )
        for words, value, unit, keyword in numbers
    ]
    images = [
        SourceImageForMeasurementGroup(
            referenced_sop_class_uid=header.SOPClassUID, referenced_sop_instance_uid=header.SOPInstanceUID
        )
        for header in source.headers
    ]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(), identifier=identifier_of(label_name(name), n)),
        finding_category=category,
        finding_type=kind,
        algorithm_id=algorithm_of(maker),
        measurements=measured,
        source_images=images,
    )


def _unit(unit: str) -> Any:
    from pydicom.sr.coding import Code

    if unit in ("", "1"):
        return code("UCUM", "NoUnits")
    if len(unit) > _MOST:
        raise WriteError(f"The unit '{unit[:40]}' is too long for a report; write .json instead.")
    return Code(unit, "UCUM", unit)
