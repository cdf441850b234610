"""The factor from a PET scan's values to SUV by body weight.

The rule is QIBA's vendor-neutral pseudo-code for SUV; where something it needs is missing or implausible there is
no factor, and a reason instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.frames import Frame, FrameTags
from napari_radcnn.io.dicom.headers import Instance, Values, damage, number, text, texts
from napari_radcnn.io.dicom.units import pet_units

Tags = FrameTags | Values
_PHILIPS = (0x7053, "Philips PET Private Group")
_GE = (0x0009, "GEMS_PETD_01")
#: Plausible values; 370 Bq is 370 MBq written in the wrong unit.
_DOSE_BECQUEREL = (1e6, 5e9)
_WEIGHT_KG = (1.0, 400.0)
#: An offset from UTC at the end of a date and time.
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)\s*$")
#: What must be the same in all slices of one volume.
_SAME_IN_ALL = ("Units", "DecayCorrection", "CorrectedImage", "PatientWeight", "SeriesDate", "SeriesTime")
_DRUG = "RadiopharmaceuticalInformationSequence"
_DRUG_VALUES = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)
_MADE_LATER = "SUV: the series was made after the scan, which is assumed to have started with its earliest acquisition."
_MOST_HALF_LIVES = 6.0
#: Where only times are given, an injection "after" the scan was the evening before, if that is this recent.
_MOST_OVER_MIDNIGHT = timedelta(hours=12)

#: What an enhanced PET says instead of CorrectedImage (DICOM PS3.3, C.8.22.3).
_ENHANCED_CORRECTIONS = {"DecayCorrected": "DECY", "AttenuationCorrected": "ATTN"}


class _NoSuvError(Exception):
    """Why there is no factor."""


def suvbw_factor(frames: Sequence[Frame], series: Sequence[Instance]) -> tuple[float | None, list[str]]:
    """Return the factor by which the rescaled values of a PET scan become SUVbw in g/ml, and what to say about it.

    Parameters
    ----------
    frames : sequence of Frame
        All frames of the volume.
    series : sequence of Instance
        All files of its series: those of a dynamic scan are corrected to the start of its first volume.

    Returns
    -------
    float or None
        ``SUVbw = value * factor``; None where it cannot be computed honestly.
    list of str
        Why not, or what was assumed.
    """
    try:
        return _factor(frames, series)
    except (_NoSuvError, ReadError) as error:
        return None, [f"SUV is not available: {str(error).rstrip('.')}. The values are shown as stored."]


def _factor(frames: Sequence[Frame], series: Sequence[Instance]) -> tuple[float, list[str]]:
    first = frames[0]
    _check_agreement(frames)
    tags, path = first.tags, first.path
    units = pet_units(first)
    if units == "GML":
        suv_type = text(tags, "SUVType").upper()
        if suv_type not in ("", "BW"):
            raise _NoSuvError(f"the values are already SUV, but of type {suv_type}, not by body weight")
        return 1.0, []
    if units not in ("BQML", "CNTS"):
        raise _NoSuvError(f"the units of the values are '{units or 'missing'}', not BQML")
    to_activity = 1.0
    if units == "CNTS":
        direct = _philips(frames, 0x00)
        if direct is not None and direct > 0:
            return direct, []
        activity = _philips(frames, 0x09)
        if activity is None or not activity > 0:
            raise _NoSuvError(
                "the units of the values are CNTS (counts), and the file has no factor to convert them to activity"
            )
        to_activity = activity
    corrections = {value for text_ in texts(tags, "CorrectedImage") for value in text_.upper().split("\\")}
    corrections |= {code for keyword, code in _ENHANCED_CORRECTIONS.items() if text(tags, keyword).upper() == "YES"}
    if not {"ATTN", "DECY"} <= corrections:
        raise _NoSuvError("the values are not corrected for attenuation and decay (CorrectedImage lacks ATTN or DECY)")
    weight = number(tags, "PatientWeight", path)
    if weight is None or not weight > 0:
        raise _NoSuvError("the patient's weight is missing")
    if not _WEIGHT_KG[0] <= weight <= _WEIGHT_KG[1]:
        raise _NoSuvError(f"a weight of {weight:g} kg is implausible")
    dose, notes = _decayed_dose(frames, series)
    return to_activity * weight * 1000.0 / dose, notes


def _check_agreement(frames: Sequence[Frame]) -> None:
    """Refuse a factor that would be one slice's and not another's."""
    first = frames[0]
    for keyword in _SAME_IN_ALL:
        stated = _plain(text(first.tags, keyword))
        other = next((frame for frame in frames if _plain(text(frame.tags, keyword)) != stated), None)
        if other is not None:
            raise _NoSuvError(f"{first.label} and {other.label} differ in {keyword}")
    drugs: dict[bytes | int, Frame] = {}  # parsed only where the bytes differ
    for frame in frames:
        drugs.setdefault(frame.instance.raw(_DRUG) or id(frame.instance), frame)
    known = {frame.label: _drug_values(frame) for frame in drugs.values()}
    for label, values in known.items():
        if values != known[first.label]:
            raise _NoSuvError(f"{first.label} and {label} differ in {_DRUG}")


def _plain(value: str) -> str | float:
    """Return a number as such: it may be written in several ways."""
    try:
        return float(value)
    except ValueError:
        return value


def _drug_values(frame: Frame) -> list[str | float]:
    try:
        return [_plain(text(frame.tags.get(_DRUG)[0], keyword)) for keyword in _DRUG_VALUES]
    except damage():  # the sequence is missing, and is asked for later on
        return []


def _decayed_dose(frames: Sequence[Frame], series: Sequence[Instance]) -> tuple[float, list[str]]:
    """Return the dose at the time to which the values are decay-corrected, Bq."""
    first = frames[0]
    try:
        drug = first.tags.get(_DRUG)[0]
    except damage() as error:
        raise _NoSuvError("the RadiopharmaceuticalInformationSequence is missing") from error
    dose = number(drug, "RadionuclideTotalDose", first.path)
    if dose is None or not dose > 0:
        raise _NoSuvError("the injected dose (RadionuclideTotalDose) is missing")
    if not _DOSE_BECQUEREL[0] <= dose <= _DOSE_BECQUEREL[1]:
        raise _NoSuvError(f"a dose of {dose:g} Bq is implausible (MBq written as Bq?)")
    correction = text(first.tags, "DecayCorrection").upper()
    if correction == "ADMIN":
        return dose, []
    corrected_to = None if correction else _date_time(text(first.tags, "DecayCorrectionDateTime"), first)
    if correction != "START" and corrected_to is None:
        raise _NoSuvError(f"the decay correction is '{correction or 'missing'}', neither START nor ADMIN")
    half_life = number(drug, "RadionuclideHalfLife", first.path)
    if half_life is None or not half_life > 0:
        raise _NoSuvError("the half-life of the radionuclide is missing")
    scan, assumed = (corrected_to, []) if corrected_to is not None else _scan_start(frames, series)
    injection, notes = _injection(drug, first, scan)
    waited = (scan - injection).total_seconds()
    if not (waited > 0 or (waited == 0 and corrected_to is not None)) or not waited < _MOST_HALF_LIVES * half_life:
        raise _NoSuvError(f"the injection time does not match the scan: they are {waited / 60:.0f} minutes apart")
    return dose * math.pow(2.0, -waited / half_life), [*assumed, *notes]


def _scan_start(frames: Sequence[Frame], instances: Sequence[Instance]) -> tuple[datetime, list[str]]:
    """Return the time to which START corrects: the series', unless the series was made after the acquisition.

    All images of a series are corrected to one time (DICOM PS3.3, C.8.9.1), so that the first acquisition of the
    whole series counts, not that of the volume.
    """
    first = frames[0]
    series = _moment(text(first.tags, "SeriesDate"), text(first.tags, "SeriesTime"))
    items: list[Frame | Instance] = [*frames, *instances]
    acquisitions = [(_acquired(item.tags), item) for item in items]
    known = [(moment, item) for moment, item in acquisitions if moment is not None]
    earliest, start = min(known, key=lambda pair: pair[0]) if known else (None, None)
    if series is not None and earliest is None:
        return series, ["SUV: AcquisitionTime is missing; the scan is assumed to have started at SeriesTime."]
    if series is not None and earliest is not None and series <= earliest:
        return series, []
    ge = first.tags.private_text(_GE, 0x0D)
    if ge and (moment := _date_time(ge, first)) is not None:
        return moment, []
    if earliest is None or start is None:
        raise _NoSuvError("the time of the scan is missing")
    unknown = [item.path.name for moment, item in acquisitions if moment is None]
    if unknown:
        raise _NoSuvError(f"{unknown[0]} has no AcquisitionTime, and the series was reconstructed after the scan")
    _check_is_first(start)
    return earliest, [_MADE_LATER]


def _acquired(tags: Tags) -> datetime | None:
    stated = _moment(text(tags, "AcquisitionDate"), text(tags, "AcquisitionTime"))
    return stated or _date_time(text(tags, "AcquisitionDateTime"))


def _check_is_first(start: Frame | Instance) -> None:
    """Refuse the earliest of the files that were opened where the scan began before it.

    FrameReferenceTime lies within the frame, counted in ms from the time to which the series is corrected (DICOM
    PS3.3, C.8.9.4).
    """
    reference = number(start.tags, "FrameReferenceTime", start.path)
    duration = number(start.tags, "ActualFrameDuration", start.path)
    if reference is not None and duration is not None and 0 < duration < reference - 1000:
        raise _NoSuvError(
            f"the first frames of the scan are missing: according to its FrameReferenceTime, {start.path.name} was "
            f"acquired {reference / 60000:.0f} minutes after the start of the scan; open the whole series"
        )


def _injection(drug: Any, first: Frame, scan: datetime) -> tuple[datetime, list[str]]:
    stated = text(drug, "RadiopharmaceuticalStartDateTime")
    if stated:
        moment = _date_time(stated, first)
        if moment is None:
            raise _NoSuvError("the injection time (RadiopharmaceuticalStartDateTime) is damaged")
        return moment, []
    # the day of the scan, not of the series, which may be made of it days later
    moment = _moment(scan.strftime("%Y%m%d"), text(drug, "RadiopharmaceuticalStartTime"))
    if moment is None:
        raise _NoSuvError("the injection time is missing")
    if moment <= scan:
        return moment, []
    moment -= timedelta(days=1)
    if scan - moment >= _MOST_OVER_MIDNIGHT:
        raise _NoSuvError("the injection time lies after the scan")
    return moment, ["SUV: the injection is assumed to have been on the day before the scan, before midnight."]


def _moment(date: str, time: str) -> datetime | None:
    return _date_time(date.replace(".", "") + time.replace(":", "")) if date and time else None


def _date_time(value: str, frame: Frame | None = None) -> datetime | None:
    """Return a DICOM date and time in the zone of the file's other times.

    A value may carry its own offset from UTC (DICOM PS3.5, 6.2, DT); the others' is TimezoneOffsetFromUTC. Where the
    file does not say that, both are taken to be the same.
    """
    match = _OFFSET.search(value)
    digits = value[: match.start()] if match else value.strip()
    shift = timedelta()
    if match and frame is not None:
        general = _OFFSET.search(text(frame.instance.tags, "TimezoneOffsetFromUTC"))
        shift = _utc_offset(general) - _utc_offset(match) if general else shift
    whole, _, fraction = digits.partition(".")
    if not whole.isdigit() or len(whole) < 10:
        return None
    try:
        moment = datetime.strptime(whole[:14].ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment + shift + timedelta(seconds=float(f"0.{fraction}") if fraction.isdigit() else 0.0)


def _utc_offset(match: re.Match[str]) -> timedelta:
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return -offset if match[1] == "-" else offset


def _philips(frames: Sequence[Frame], offset: int) -> float | None:
    """Return Philips's factor, which must be the same in all slices."""
    values = {frame.tags.private_text(_PHILIPS, offset) for frame in frames}
    if len(values) > 1:
        raise _NoSuvError("the slices have different private factors")
    try:
        return float(values.pop())
    except ValueError:
        return None
