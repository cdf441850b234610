"""Statistics of segments as structured reports: the numbers of the table, for dcmqi, highdicom and us."""

from __future__ import annotations

import highdicom
import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dciodvfy import errors_in
from dcmqi_reader import groups_in, numbers_in
from dicom_factory import write_dicom_series
from napari_radcnn.cli import main
from napari_radcnn.measure import segments
from napari_radcnn.phantom import world_field
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Label
from solids import ellipsoid, grids

GRID = grids()["oblique"]
#: Column -> name and derivation in a report, unit, factor.
SIZES = {
    "volume_ml": ("Volume", "", "mm3", 1000),
    "longest_diameter_mm": ("Length", "", "mm", 1),
    "axial_diameter_mm": ("Long axis", "", "mm", 1),
    "axial_perpendicular_mm": ("Short axis", "", "mm", 1),
    "maximum_3d_diameter_mm": ("Maximum 3D Diameter of a Mesh", "", "mm", 1),
    "sphericity": ("Sphericity", "", "1", 1),
}
DERIVED = {"mean": "Mean", "sd": "Standard Deviation", "min": "Minimum", "median": "Median", "max": "Maximum"}


def values(quantity, unit):
    return {column: (quantity, derivation, unit, 1) for column, derivation in DERIVED.items()}


CT = SIZES | values("Attenuation Coefficient", "[hnsf'U]")
SUV = "Standardized Uptake Value"
PET = {
    **SIZES,
    **values(SUV, "g/ml{SUVbw}"),
    "suv_peak": (SUV, "Peak Value Within ROI", "g/ml{SUVbw}", 1),
    "mtv_ml": ("Metabolic Volume", "", "mm3", 1000),
    "tlg": ("Total Lesion Glycolysis", "", "g", 1),
}


def write(folder, modality):
    """Write a series, CT or PET: 70 kg, 370 MBq of F-18 an hour before the scan."""
    scan = world_field(GRID)
    scan = scan.with_array(np.round(scan.array - scan.array.min() * (modality == "PT")).astype(np.int16))
    more = {}
    if modality == "PT":
        drug = pydicom.Dataset()
        drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = "370000000", "6586.2"
        drug.RadiopharmaceuticalStartTime = "091500"
        more = {"RadiopharmaceuticalInformationSequence": [drug], "CorrectedImage": ["ATTN", "DECY"]}
        more |= {"Units": "BQML", "DecayCorrection": "START", "PatientWeight": "70"}
    write_dicom_series(folder, scan, modality=modality, **more)
    (read,) = radcnn.read(folder)
    return read


@pytest.mark.parametrize(("modality", "columns"), [("CT", CT), ("PT", PET)])
def test_the_numbers_of_a_report(tmp_path, capsys, modality, columns):
    scan = write(tmp_path / "scan", modality)
    array = ellipsoid(GRID, (22.0, 15.0, 12.0), np.eye(3)).astype(np.uint8) * 3
    array[2:5, 3:9, 4:12] = 7
    found = LabelMap(array, scan.geometry, {3: Label("liver"), 7: Label("spleen")}, "labels")
    radcnn.write(found, tmp_path / "labels.seg.dcm", reference=tmp_path / "scan")
    target = tmp_path / "t.sr.dcm"
    words = ["measure", str(tmp_path / "labels.seg.dcm"), "--image", str(tmp_path / "scan")]
    is_pet = modality == "PT"
    assert main([*words, *["--suv"] * is_pet, "-o", str(target)]) == 0
    assert errors_in(target) == set()
    (labels,) = radcnn.read(tmp_path / "labels.seg.dcm")
    rows = segments(labels, scan, is_pet)["labels"]
    theirs, findings = groups_in(target, tmp_path), radcnn.read_report(target).findings
    groups = highdicom.sr.srread(target).content.get_volumetric_roi_measurement_groups()
    assert len(theirs) == len(findings) == len(groups) == len(rows) == 2
    for row, one, ours, group in zip(rows, theirs, findings, groups, strict=True):
        wanted = {
            (name, derivation): (pytest.approx(row[column] * factor, abs=1e-5), unit)
            for column, (name, derivation, unit, factor) in columns.items()
        }
        assert numbers_in(one) == wanted
        assert {(each.name, each.derivation): (each.value, each.unit) for each in ours.measurements} == wanted
        assert sorted(each.value for each in group.get_measurements()) == pytest.approx(
            sorted(value.expected for value, _ in wanted.values()), abs=1e-5
        )
    # what DICOM has no word for is told, and the sizes are written all the same
    capsys.readouterr()
    if is_pet:
        assert main([*words, "-o", str(tmp_path / "b.sr.dcm")]) == 0
        assert "DICOM has no word for values in Bq/ml" in capsys.readouterr().err
        (one, _) = groups_in(tmp_path / "b.sr.dcm", tmp_path)
        assert {name for name, _ in numbers_in(one)} == {name for name, *_ in SIZES.values()}
