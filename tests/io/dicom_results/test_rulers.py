"""Rulers as structured reports."""

from __future__ import annotations

from dataclasses import replace

import highdicom
import numpy as np
import pytest

import napari_radcnn as radcnn
from dciodvfy import errors_in
from dcmqi_reader import groups_in
from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io.dicom_results import read_ruler_report, write_ruler_report
from napari_radcnn.measure import Ruler
from napari_radcnn.phantom import rotation, world_field
from solids import center_of, grids

RULERS = {
    "distance": ((0, 0), (30, 40)),
    "angle": ((20, 0), (0, 0), (-30, 51)),
    "cobb": ((0, 0), (17, 1), (1, 20), (19, 29)),
    "bidirectional": ((0, 0), (6, 0), (3, -4), (3, 5)),
    "ellipse": ((0, -3), (0, 3), (-5, 0), (5, 0)),
    "rectangle": ((0, 0), (6, 0), (6, 2.5), (0, 2.5)),
    "freehand": ((0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (0, 3)),
    "sphere": ((0, 0), (0, 10)),
}


def test_report_of_rulers(tmp_path):
    """Every kind, oblique in an oblique series: no error of dciodvfy, and highdicom and our readers find the same."""
    grid = grids()["oblique"]
    scan = world_field(grid)
    scan = scan.with_array(np.round(scan.array).astype(np.int16), units="HU")
    write_dicom_series(tmp_path / "ct", scan, modality="CT")
    (scan,) = radcnn.read(tmp_path / "ct")
    turn, center = rotation(20.0, -35.0, 50.0), center_of(grid)
    space = scan.metadata.frame_of_reference_uid
    rulers = [
        Ruler(
            kind,
            tuple(tuple(row) for row in (center + np.array([(*p, 0.0) for p in flat]) @ turn.T).tolist()),
            f"lesion {kind}",
            "2026-03-01" if kind == "bidirectional" else "",
            kind == "bidirectional",
            kind == "bidirectional",
            space,
        )
        for kind, flat in RULERS.items()
    ]
    measured = [ruler.measure(scan) for ruler in rulers]
    target = tmp_path / "rulers.sr.dcm"
    write_ruler_report(rulers, target, scan, measured, "HU")
    assert errors_in(target) == set()
    found = read_ruler_report(target)
    assert [(ruler.name, ruler.visit, ruler.is_target, ruler.is_node) for ruler in found] == [
        (ruler.name, ruler.visit, ruler.is_target, ruler.is_node) for ruler in rulers
    ]
    for one, other in zip(found, rulers, strict=True):
        assert one.kind == other.kind
        assert one.frame_of_reference_uid == space
        assert one.sizes == pytest.approx(other.sizes, rel=1e-4)
    report = highdicom.sr.srread(target)
    groups = report.content.get_image_measurement_groups()
    groups += report.content.get_planar_roi_measurement_groups()
    groups += report.content.get_volumetric_roi_measurement_groups()
    theirs = sorted(float(one.value) for group in groups for one in group.get_measurements())
    scales = {"volume_ml": 1000.0}
    ours = [value * scales.get(key, 1.0) for row in measured for key, value in row.items() if key != "voxels"]
    assert theirs == pytest.approx(sorted(ours), abs=1e-5)
    # dcmqi, ruler by ruler
    for group, row in zip(groups_in(target, tmp_path), measured, strict=True):
        wanted = [value * scales.get(key, 1.0) for key, value in row.items() if key != "voxels"]
        assert sorted(float(one["value"]) for one in group["measurementItems"]) == pytest.approx(
            sorted(wanted), abs=1e-5
        )
    findings = radcnn.read_report(target).findings
    assert [finding.label for finding in findings] == [ruler.name for ruler in rulers]
    sphere = {(one.name, one.derivation): one.value for one in findings[-1].measurements}
    assert sphere["Attenuation Coefficient", "Mean"] == pytest.approx(measured[-1]["mean"])
    assert sphere["Diameter", ""] == pytest.approx(20)
    # without a unit nobody knows what the values of a CT are: sizes only
    write_ruler_report(rulers, tmp_path / "sizes.sr.dcm", scan, measured)
    names = {
        one["quantity"]["CodeMeaning"]
        for g in groups_in(tmp_path / "sizes.sr.dcm", tmp_path)
        for one in g["measurementItems"]
    }
    assert names == {"Length", "Angle", "Cobb angle", "Long axis", "Short axis", "Area", "Diameter", "Volume"}
    # what cannot be reported
    for wrong, message in (([], "no rulers"), ([replace(rulers[0], frame_of_reference_uid="1.9")], "another patient")):
        with pytest.raises(WriteError, match=message):
            write_ruler_report(wrong, tmp_path / "x.sr.dcm", scan)
    with pytest.raises(WriteError, match="already exists"):
        write_ruler_report(rulers, target, scan)
    with pytest.raises(ReadError, match="not a DICOM structured report"):
        read_ruler_report(next((tmp_path / "ct").iterdir()))
    assert not (tmp_path / "x.sr.dcm").exists()
