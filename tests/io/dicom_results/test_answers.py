"""Answers for a whole scan as reports and tables: the numbers that are read back are those of the answer."""

from __future__ import annotations

import json

import pytest
from pydicom import dcmread

import napari_radcnn as radcnn
from answering import answer_with, describe_answer, value_keys, write_network
from dciodvfy import errors_in
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.cli import main
from napari_radcnn.errors import WriteError
from napari_radcnn.io import read_report
from napari_radcnn.operations import evaluate
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Classification, Regression, Survival

ANSWERS = {
    "classes": Classification({"normal": 0.25, "mass": 0.75}),
    "value": Regression(96.5, "mo", (84.0, 109.0), "bone age", 0.9),
    "bare value": Regression(3.25, "1", None, "score"),
    "risk": Survival(0.7, "death", "mo", ((12.0, 0.9), (36.0, 0.66)), (0.4,), ("low", "high")),
}
EXPECTED = {
    "classes": [("normal", [("Probability", 0.25, "1")]), ("mass", [("Probability", 0.75, "1")])],
    "value": [
        (
            "bone age",
            [
                ("bone age", 96.5, "mo"),
                ("90 % interval, lower end", 84.0, "mo"),
                ("90 % interval, upper end", 109.0, "mo"),
            ],
        )
    ],
    "bare value": [("score", [("score", 3.25, "1")])],
    "risk": [
        (
            "death",
            [
                ("risk", 0.7, "1"),
                ("probability to be free of it at 12 mo", 0.9, "1"),
                ("probability to be free of it at 36 mo", 0.66, "1"),
            ],
        )
    ],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_report_holds_the_numbers_with_their_units(tmp_path, name):
    write_dicom_series(tmp_path / "series", world_field(oblique()))
    path = radcnn.write(ANSWERS[name], tmp_path / "a.sr.dcm", reference=tmp_path / "series")
    found = read_report(path).findings
    assert [(one.label, [(m.name, m.value, m.unit) for m in one.measurements]) for one in found] == EXPECTED[name]
    dataset, (image, *_) = dcmread(path), sorted((tmp_path / "series").iterdir())
    assert dataset.StudyInstanceUID == dcmread(image).StudyInstanceUID
    assert dataset.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert errors_in(path) == set()
    with pytest.raises(WriteError, match="original DICOM series"):
        radcnn.write(ANSWERS[name], tmp_path / "b.sr.dcm")


def test_without_the_patient_no_typed_words_are_left(tmp_path):
    write_dicom_series(tmp_path / "series", world_field(oblique()))
    typed = Regression(3.0, "mm", None, "size of Mr Smith's nodule")
    path = radcnn.write(typed, tmp_path / "a.sr.dcm", reference=tmp_path / "series", deidentify=True)
    assert b"Smith" not in path.read_bytes()
    assert read_report(path).findings[0].measurements[0].value == 3.0


def test_tables_are_what_evaluate_takes(tmp_path):
    for name, answer in ANSWERS.items():
        radcnn.write(answer, tmp_path / f"{name}.csv")
    assert (tmp_path / "classes.csv").read_text() == "case,normal,mass\nclasses,0.25,0.75\n"
    assert (tmp_path / "value.csv").read_text() == (
        "case,value,low,high,unit,quantity\nvalue,96.5,84.0,109.0,mo,bone age\n"
    )
    assert (tmp_path / "risk.csv").read_text().splitlines()[0] == "case,risk,group,event,free_at_12_mo,free_at_36_mo"
    (tmp_path / "true.csv").write_text("case,value\nvalue,90\n")
    assert evaluate(tmp_path / "true.csv", tmp_path / "value.csv")["value"]["mae"] == 6.5
    (tmp_path / "class.csv").write_text("case,class\nclasses,mass\n")
    assert evaluate(tmp_path / "class.csv", tmp_path / "classes.csv")["classification"]["accuracy"] == 1
    (tmp_path / "times.csv").write_text("case,time,event\nrisk,90,1\n")
    assert evaluate(tmp_path / "times.csv", tmp_path / "risk.csv")["survival"]["n"] == 1


def test_the_shell_writes_the_same_number_everywhere(tmp_path, monkeypatch):
    answer_with(monkeypatch, lambda patch: patch.mean((1, 2, 3)))
    write_dicom_series(tmp_path / "series", world_field(oblique()))
    path = write_network(tmp_path / "net.onnx", [[1.0]], [0.0])
    describe_answer(tmp_path / "net.json", **value_keys())
    words = ["run", str(path), str(tmp_path / "series"), "--device", "cpu", "--anyway", "-o"]
    for suffix in (".json", ".csv", ".sr.dcm"):
        assert main([*words, str(tmp_path / f"out{suffix}")]) == 0
    value = json.loads((tmp_path / "out.json").read_text())["value"]
    assert float((tmp_path / "out.csv").read_text().splitlines()[1].split(",")[1]) == value
    assert read_report(tmp_path / "out.sr.dcm").findings[0].measurements[0].value == pytest.approx(value, abs=1e-6)
    found = radcnn.regress(radcnn.read(tmp_path / "series")[0], radcnn.open_model(path), anyway=True)
    assert found.value == value
