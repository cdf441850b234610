"""Lists of cases: read and written in four formats, and what is wrong with one, said before the work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_radcnn.cohort import read_list, write_list
from napari_radcnn.cohort.cases import check_carried, inputs_for, missing_files, shared_files
from napari_radcnn.errors import ReadError

_ROWS = [
    {"case": "a", "patient": "p1", "T1": "scans/a t1.nii.gz", "FLAIR": "scans/a, flair.nii.gz", "age": "61"},
    {"case": "b/2", "patient": "p2", "T1": "scans/b.nii.gz", "FLAIR": "scans/b_fl.nii.gz", "age": ""},
]


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Return a list whose files are there."""
    (tmp_path / "scans").mkdir()
    for row in _ROWS:
        for name in ("T1", "FLAIR"):
            (tmp_path / row[name]).touch()
    return _write(tmp_path / "cases.json", json.dumps({"cases": _ROWS}))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".json"])
def test_a_list_is_the_same_in_every_format(listed: Path, suffix: str) -> None:
    first = read_list(listed)
    # written elsewhere, so that relative paths must change
    (listed.parent / "lists").mkdir()
    written = write_list(first, listed.parent / "lists" / f"again{suffix}")
    again = read_list(written)
    assert again.columns == ("T1", "FLAIR", "age")
    assert [(case.name, case.patient) for case in again] == [("a", "p1"), ("b/2", "p2")]
    assert [case.values.get("age") for case in again] == ["61", None]
    assert [(again.folder / case.values["FLAIR"]).resolve() for case in again] == [
        (listed.parent / row["FLAIR"]).resolve() for row in _ROWS
    ]
    assert [case.folder for case in again] == ["a", "b_2"]
    assert not missing_files(again, ("T1", "FLAIR"))


def test_a_list_of_german_excel_has_semicolons_and_a_mark_at_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes("\ufeffcase;image;note\nä;x.nii;1,5\n\n".encode())
    (case,) = read_list(tmp_path / "cases.csv")
    assert (case.name, dict(case.values)) == ("ä", {"image": "x.nii", "note": "1,5"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the list is empty"),
        ("case,image\n", "holds no cases"),
        ("name,image\na,b\n", "no column 'case'"),
        ("case,image\na,1.nii\nb,2.nii\na,3.nii\n", "twice (rows 2 and 4)"),
        ("case,patient,image\na,p1,1.nii\na,p2,2.nii\n", "two patients, 'p1' (row 2) and 'p2' (row 3)"),
        ("case,image\na/b,1.nii\na b,2.nii\n", "would share the folder 'a_b'"),
        ("case,image\na,1.nii\n,2.nii\n", "row 3 has no name"),
        ("case,image,image\na,1.nii,2.nii\n", "the column 'image' appears twice"),
        ("case,image\na,1.nii,2.nii\n", "row 2 has 3 cells, but the header has 2"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_list(_write(tmp_path / "cases.csv", text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("cases.json", b'{"cases": [1]}'), ("cases.json", b"{"), ("cases.xlsx", b"PK no"), ("cases.csv", b"case\n\xff\n")],
)
def test_a_damaged_list_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match=name):
        read_list(tmp_path / name)


def test_inputs_are_columns_and_a_close_name_is_offered(listed: Path) -> None:
    cases = read_list(listed)
    assert inputs_for(cases, ("t1", "FLAIR")) == {"t1": "T1", "FLAIR": "FLAIR"}
    assert inputs_for(cases, ("image",), {"image": "flair"}) == {"image": "FLAIR"}
    with pytest.raises(ReadError, match="did you mean 'FLAIR'"):
        inputs_for(cases, ("FLAIRR",))
    with pytest.raises(ReadError, match="there are: T1, FLAIR, age"):
        inputs_for(cases, ("image",))  # two columns name files: neither is taken
    assert check_carried(cases, ("T1", "FLAIR")) == ("age",)


def test_a_column_that_is_called_otherwise_is_not_offered_and_the_same_scan_twice_is_seen(tmp_path: Path) -> None:
    text = "case,T1,FLAIR,age\na,x,f,1\nb,x,g,2\nc,x,f,3\nd,,,4\ne,,,5\n"
    cases = read_list(_write(tmp_path / "cases.csv", text))
    with pytest.raises(ReadError, match="for the input 'image'; there are: T1, FLAIR, age"):
        inputs_for(cases, ("image",))
    assert shared_files(cases, ("T1", "FLAIR")) == [("a", "c")]
    assert shared_files(cases, ("T1",)) == [("a", "b"), ("a", "c")]


def test_the_only_column_with_files_is_the_image(tmp_path: Path) -> None:
    (tmp_path / "x.nii").touch()
    cases = read_list(_write(tmp_path / "cases.csv", "case,age,scan\na,50,x.nii\nb,50,y.nii\nc,50,\n"))
    assert inputs_for(cases, ("image",)) == {"image": "scan"}
    missing = missing_files(cases, ["scan"])
    assert list(missing) == ["b", "c"]
    assert "y.nii: no such file" in missing["b"]
    # what never ends is not begun with
    cases = read_list(_write(tmp_path / "devices.csv", "case,image\na,/dev/null\nb,x.nii\n"))
    assert missing_files(cases, ["image"]) == {"a": "/dev/null: neither a file nor a folder; check the name."}


def test_a_column_of_the_results_cannot_come_from_the_list(tmp_path: Path) -> None:
    cases = read_list(_write(tmp_path / "cases.csv", "case,image,State\na,x.nii,1\n"))
    with pytest.raises(ReadError, match="'State'; rename it"):
        check_carried(cases, ("image",))


def test_a_hundred_thousand_rows_are_read(tmp_path: Path) -> None:
    rows = "".join(f"case{n},scan{n}.nii.gz,{n % 90}\n" for n in range(100_000))
    cases = read_list(_write(tmp_path / "cases.csv", f"case,image,age\n{rows}"))
    assert len(cases) == 100_000
    assert cases.cases[-1].row == 100_001
