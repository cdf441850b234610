"""``radcnn evaluate`` on findings and on tables of classes."""

import json
import math
from dataclasses import replace

import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.cli import main
from napari_radcnn.io.reports import read_detections
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Detection, Detections


def _write(path, *boxes):
    path.parent.mkdir(exist_ok=True)
    listed = [{"label": "x", "score": s, "center_mm": [x, 0, 0], "size_mm": [10, 10, 10]} for x, s in boxes]
    path.write_text(json.dumps({"detections": listed}))
    return str(path)


def test_findings_of_one_scan_and_of_folders(tmp_path, capsys):
    first = _write(tmp_path / "reference" / "a.json", (0, None), (50, None))
    second = _write(tmp_path / "found" / "a.json", (1, 0.9), (200, 0.5))
    assert main(["evaluate", first, second, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["detections"]
    assert (found["scans"], found["present"], found["sensitivity"], found["average_precision"]) == (1, 2, 0.5, 0.5)
    _write(tmp_path / "reference" / "b.json", (0, None))
    _write(tmp_path / "found" / "b.json", (0, 0.4))
    (tmp_path / "found" / "a.radcnn.json").write_text("{}")  # the manifest of a run
    assert main(["evaluate", str(tmp_path / "reference"), str(tmp_path / "found")]) == 0
    told = capsys.readouterr().out
    assert "scans: 2\n" in told
    assert "sensitivity: 0.6667\n" in told
    assert "froc 0.5: 0.6667\n" in told
    _write(tmp_path / "found" / "c.json")
    assert main(["evaluate", str(tmp_path / "reference"), str(tmp_path / "found")]) == 3
    assert "c.json is in only one of" in capsys.readouterr().err


def test_findings_are_read_as_they_were_written(tmp_path):
    boxes = (Detection("a", 0.25, (1.0, -2.0, 3.5), (4.0, 5.0, 6.0)), Detection("b", 0.125, (0.0,) * 3, (1.0,) * 3))
    radcnn.write(Detections(boxes), tmp_path / "found.json")
    assert read_detections(tmp_path / "found.json").boxes == boxes
    decided = replace(boxes[0], label="a, or not", state="rejected")
    for one in (boxes, (decided, boxes[1])):
        radcnn.write(Detections(one), tmp_path / "found.csv", overwrite=True)
        assert read_detections(tmp_path / "found.csv").boxes == one
    radcnn.write(Detections((replace(boxes[0], score=math.nan),)), tmp_path / "found.csv", overwrite=True)
    assert math.isnan(read_detections(tmp_path / "found.csv").boxes[0].score)


def test_findings_of_every_format_are_compared(tmp_path, capsys):
    boxes = (Detection("a", 0.25, (1.0, -2.0, 3.5), (4.0, 5.0, 6.0)), Detection("b", 0.5, (30.0,) * 3, (1.0,) * 3))
    write_dicom_series(tmp_path / "series", world_field(oblique()))
    paths = [str(tmp_path / name) for name in ("found.json", "found.csv", "found.sr.dcm")]
    for path in paths:
        reference = tmp_path / "series" if path.endswith(".dcm") else None
        radcnn.write(Detections(boxes), path, reference=reference)
    for other in paths[1:]:
        assert main(["evaluate", paths[0], other, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["detections"]
        assert (found["scans"], found["present"], found["sensitivity"]) == (1, 2, 1.0)


def test_findings_and_something_else_are_refused(tmp_path, capsys):
    radcnn.write(world_field(oblique()), tmp_path / "a.nii.gz")
    _write(tmp_path / "b.json", (0, 0.5))
    (tmp_path / "c.csv").write_text("case,class\np1,ill\n")
    radcnn.write(read_detections(tmp_path / "b.json"), tmp_path / "b.csv")
    for one, other in (("a.nii.gz", "b.json"), ("b.json", "c.csv"), ("b.csv", "c.csv")):
        assert main(["evaluate", str(tmp_path / one), str(tmp_path / other)]) == 3
        assert "compare two files of the same kind" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"detections": [{"label": "x"}]}',
        '{"detections": [{"label": "x", "center_mm": [1, 2], "size_mm": [1, 2, 3]}]}',
        '{"detections": [{"label": "x", "center_mm": [1, 2, NaN], "size_mm": [1, 2, 3]}]}',
        '{"detections": [{"label": "x", "center_mm": [1, 2, 3], "size_mm": [1, 2, -3]}]}',
    ],
)
def test_what_holds_no_findings_is_refused(tmp_path, capsys, text):
    (tmp_path / "a.json").write_text(text)
    assert main(["evaluate", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 3
    assert "a.json contains no valid detections" in capsys.readouterr().err


def test_tables_of_classes(tmp_path, capsys):
    truth, given = tmp_path / "truth.csv", tmp_path / "given.csv"
    truth.write_text("case,class\np1,ill\np2,well\np3,ill\n")
    given.write_text("case,ill,well\np3,0.4,0.6\np1,0.8,0.2\np2,0.3,0.7\n")  # in another order
    assert main(["evaluate", str(truth), str(given), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["classification"]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["classes"]["ill"]["auc"] == 1
    assert main(["evaluate", str(truth), str(given)]) == 0
    told = capsys.readouterr().out
    assert "accuracy: 0.6667\n" in told
    assert "classes ill auc_interval: 1 .. 1\n" in told


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("case,ill,well\np1,0.5,0.5\n", 3, "have different cases"),
        ("case,ill,well\np1,0.5\n", 3, "line 2: 2 values, but 3 names"),
        ("case,ill,well\np1,0.5,0.5\np1,0.5,0.5\n", 3, "occurs twice"),
        ("case,ill,well\n", 3, "contains no table"),
        ("case,ill,well\np1,a,0\np2,0,1\n", 3, "not a number"),
        ("case,ill,other\np1,1,0\np2,0,1\n", 2, "the class 'well'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, capsys, text, status, said):
    truth, given = tmp_path / "truth.csv", tmp_path / "given.csv"
    truth.write_text("case,class\np1,ill\np2,well\n")
    given.write_text(text)
    assert main(["evaluate", str(truth), str(given)]) == status
    assert said in capsys.readouterr().err


def test_a_tolerance_below_none_is_refused(tmp_path, capsys):
    assert main(["evaluate", "a", "b", "--tolerance", "-1"]) == 2
    assert "--tolerance is -1" in capsys.readouterr().err
