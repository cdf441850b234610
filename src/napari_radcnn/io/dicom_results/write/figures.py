"""What was measured in a segment as measurements of a report: DICOM's codes for columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_radcnn.io.dicom.headers import text
from napari_radcnn.io.dicom_results.codes import code

if TYPE_CHECKING:
    from highdicom.sr import Measurement
    from pydicom import Dataset

#: Column of the table, name (scheme and keyword), unit in UCUM: what does not depend on the scan's unit.
_SHAPES = (
    ("longest_diameter_mm", ("SCT", "Length"), "Millimeter"),
    ("axial_diameter_mm", ("SCT", "LongAxis"), "Millimeter"),
    ("axial_perpendicular_mm", ("SCT", "ShortAxis"), "Millimeter"),
    ("maximum_3d_diameter_mm", ("IBSI", "Maximum3DDiameterOfAMesh"), "Millimeter"),
    ("sphericity", ("IBSI", "Sphericity"), "NoUnits"),
)
#: Column of the table, and the derivation (CID 7464).
_VALUES = (
    ("mean", ("SCT", "Mean")),
    ("sd", ("SCT", "StandardDeviation")),
    ("min", ("SCT", "Minimum")),
    ("median", ("SCT", "Median")),
    ("max", ("SCT", "Maximum")),
    ("suv_peak", ("DCM", "PeakValueWithinROI")),
)
#: Unit of the table -> what is measured, and its unit.
_QUANTITIES = {
    "HU": (("DCM", "AttenuationCoefficient"), "HounsfieldUnit"),
    "SUVbw": (("DCM", "StandardizedUptakeValue"), "StandardizedUptakeValueBodyWeight"),
    "": (("DCM", "MRSignalIntensity"), "NoUnits"),
}


def figures_of(table: Mapping[str, Any], value: int, header: Dataset) -> list[Measurement]:
    """Return the measurements of a label; values in a unit that DICOM has no word for are left out.

    Parameters
    ----------
    table : mapping
        As `napari_radcnn.measure.segments` returns it.
    value : int
        The label.
    header : Dataset
        Of an image of the scan.
    """
    from highdicom.sr import Measurement
    from pydicom.sr.coding import Code

    row: Mapping[str, Any] = next((row for row in table["labels"] if row["label"] == value), {})
    found = [
        Measurement(name=code(*name), value=_number(row[key]), unit=code("UCUM", unit))
        for key, name, unit in _SHAPES
        if row.get(key) is not None
    ]
    known = quantity_of(table["unit"], text(header, "Modality"))
    if known is None:
        return found
    quantity, ucum = known
    if table["unit"] == "SUVbw":
        grams = Code("g", "UCUM", "gram")  # g/ml times ml; pydicom's dictionary has no gram
        of_pet = (
            ("mtv_ml", "MetabolicVolume", code("UCUM", "CubicMillimeter"), 1000.0),
            ("tlg", "TotalLesionGlycolysis", grams, 1.0),
        )
        found += [
            Measurement(name=code("DCM", name), value=_number(row[key] * factor), unit=ucum_unit)
            for key, name, ucum_unit, factor in of_pet
            if row.get(key) is not None
        ]
    return found + [
        Measurement(
            name=code(*quantity), value=_number(row[key]), unit=code("UCUM", ucum), derivation=code(*derivation)
        )
        for key, derivation in _VALUES
        if row.get(key) is not None
    ]


def quantity_of(unit: str, modality: str) -> tuple[tuple[str, str], str] | None:
    """Return what is measured in a unit of a scan, and DICOM's word for the unit; None for one without.

    Values without a unit are the signal of an MR; in a scan of another modality nobody knows what they are.
    """
    return None if not unit and modality != "MR" else _QUANTITIES.get(unit)


def left_out(unit: str, modality: str) -> str:
    """Return a line on values that no report can hold; empty where it can."""
    if quantity_of(unit, modality) is not None:
        return ""
    return (
        f"DICOM has no word for values in {unit or 'a unit that is not known'}: the report holds sizes only; .csv "
        "holds the values as well."
    )


def _number(value: float) -> float:
    return round(float(value), 6)
