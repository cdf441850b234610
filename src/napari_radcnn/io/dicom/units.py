"""The unit that a frame's rescaled values have, as far as its file says."""

from __future__ import annotations

import math

from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import number, text

_PET_UNITS = {"BQML": "Bq/ml", "CNTS": "counts", "GML": "g/ml"}
#: UCUM codes of the units of an enhanced PET.
_UCUM = {"bq/ml": "BQML", "{counts}": "CNTS", "g/ml{suvbw}": "GML"}


def units_of(frame: Frame, modality: str) -> str:
    """Return the unit of the rescaled values; empty where it is unknown."""
    if modality == "PT":
        units = pet_units(frame)
        return _PET_UNITS.get(units, units.lower())
    if modality == "RTDOSE":
        return "Gy" if text(frame.instance.tags, "DoseUnits").upper() == "GY" else ""
    kind = text(frame.tags, "RescaleType")
    if modality == "CT" and frame.tags.get("RescaleIntercept") is not None and kind.upper() in ("", "HU"):
        return "HU"
    return kind if kind.upper() not in ("US", "") else ""


def pet_units(frame: Frame) -> str:
    """Return Units, or for an enhanced PET the unit of its real world values, where they are the rescaled ones."""
    units = text(frame.tags, "Units").upper()
    codes = frame.tags.get("MeasurementUnitsCodeSequence")
    if units or not codes:
        return units
    pairs = (("RealWorldValueSlope", "RescaleSlope", 1.0), ("RealWorldValueIntercept", "RescaleIntercept", 0.0))
    for real, plain, usual in pairs:
        values = [number(frame.tags, keyword, frame.path) for keyword in (real, plain)]
        if not math.isclose(*(usual if value is None else value for value in values), rel_tol=1e-6):
            return ""
    return _UCUM.get(text(codes[0], "CodeValue").lower(), "")
