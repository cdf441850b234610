"""The command line with structured reports: what is in them, and their findings in another format."""

from __future__ import annotations

import json

import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.cli import main
from napari_radcnn.io import is_report
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Detection, Detections

BOXES = (
    Detection("nodule", 0.75, (12.5, -40.25, 101.0), (8.0, 6.0, 5.0)),
    Detection("nodule", 0.25, (-3.0, 8.0, 90.5), (4.0, 4.5, 3.0)),
)


@pytest.fixture
def report(tmp_path):
    write_dicom_series(tmp_path / "series", world_field(oblique()))
    path = tmp_path / "found.sr.dcm"
    radcnn.write(Detections(BOXES, "CT · lung-nodules"), path, reference=tmp_path / "series")
    return path


def test_info_lists_the_findings(report, capsys):
    assert main(["info", str(report)]) == 0
    out = capsys.readouterr().out
    assert "2 findings" in out
    assert "nodule · at 12.5, -40.2, 101.0 mm · 8.0 x 6.0 x 5.0 mm" in out


def test_info_as_json_holds_places_and_scores(report, capsys):
    assert main(["info", str(report), "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["report"]["findings"]
    assert [round(finding["score"], 6) for finding in findings] == [0.75, 0.25]
    assert findings[0]["center_mm"] == pytest.approx(BOXES[0].center, abs=1e-3)
    assert findings[1]["size_mm"] == pytest.approx(BOXES[1].size, abs=1e-3)


def test_convert_writes_the_findings(report, tmp_path, capsys):
    assert main(["convert", str(report), str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["detections"]
    assert [one["label"] for one in found] == ["nodule", "nodule"]
    assert found[0]["center_mm"] == pytest.approx(BOXES[0].center, abs=1e-3)
    assert main(["convert", str(report), str(tmp_path / "found.nii.gz")]) == 3
    assert ".json or .csv" in capsys.readouterr().err


def test_only_reports_are_reports(report, tmp_path):
    assert is_report(report)
    (image, *_) = (tmp_path / "series").iterdir()
    (tmp_path / "text.dcm").write_text("no DICOM at all")
    for path in (image, tmp_path, tmp_path / "text.dcm", tmp_path / "missing.dcm"):
        assert not is_report(path)
