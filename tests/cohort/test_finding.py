"""Cases found in folders: what was chosen, why, and what is in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.cli import main
from napari_radcnn.cohort import find_cases, parse_rules, read_list
from napari_radcnn.cohort.cases import folder_name
from napari_radcnn.cohort.finding.names import told_apart
from napari_radcnn.cohort.finding.rules import Facts, parse_rule
from napari_radcnn.cohort.reading import locate, read_scan
from napari_radcnn.errors import OptionError, ReadError
from napari_radcnn.phantom import head, oblique_geometry


@pytest.mark.parametrize(
    ("rule", "facts", "fits"),
    [
        ("CT, chest, at least 50 slices", Facts("CT", "THORAX Chest 1.0", 50), True),
        ("CT, chest, at least 50 slices", Facts("CT", "THORAX Chest 1.0", 49), False),
        ("more than 50 slices", Facts("CT", "", 50), False),
        ("fewer than 50 slices", Facts("CT", "", 49), True),
        ("20 to 60 slices", Facts("MR", "", 61), False),
        ("up to 2 mm", Facts("MR", "", 60, 2.0), True),
        ("up to 2 mm", Facts("MR", "", 60, 2.5), False),
        ("up to 2 mm", Facts("MR", "", 60), False),
        ("T1: MRI, t1", Facts("MR", "t1_mprage_sag"), True),
        ("T1: MRI, t1", Facts("MR", "T1w"), True),
        ("T1: MRI, t1", Facts("MR", "trace t10"), False),
        ("T1: MRI, t1", Facts("MR", "post1"), False),
        ("t1, not post contrast", Facts("MR", "t1 post_contrast"), False),
        ("PET", Facts("PT", ""), True),
        ("PET", Facts("CT", "pet"), False),
    ],
)
def test_rules_say_what_a_person_would(rule: str, facts: Facts, fits: bool) -> None:
    assert (parse_rule(rule).against(facts) == "") is fits


@pytest.mark.parametrize("texts", [["T1:"], ["case: CT"], ["CT", "MR"], ["T1: t1; t1: t1"]])
def test_rules_that_say_nothing_or_twice_are_refused(texts: list[str]) -> None:
    with pytest.raises(OptionError):
        parse_rules(texts)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export: two studies of Ann, one of Bob, and one of another person with Bob's number."""
    folder = tmp_path_factory.mktemp("export")

    def series(
        name: str, shape: tuple[int, int, int], study: str, number: int, words: str, who: str, **more: str
    ) -> None:
        patient, person = who.split(" ")
        write_dicom_series(
            folder / name, head(oblique_geometry(shape)), modality="MR", study_uid=study, series_number=number,
            SeriesDescription=words, PatientID=patient, PatientName=person, **more,
        )  # fmt: skip

    series("ann/s1", (3, 9, 8), "1.2.1", 1, "localizer", "A1 Ann", StudyDate="20200102")
    series("ann/s2", (7, 9, 8), "1.2.1", 2, "t1_mprage", "A1 Ann", StudyDate="20200102")
    series("ann/s3", (5, 9, 8), "1.2.1", 3, "t2_tse", "A1 Ann", StudyDate="20200102")
    series("ann/s4", (6, 9, 8), "1.2.2", 1, "t1_mprage", "A1 Ann", StudyDate="20210304")
    series("mixed", (6, 9, 8), "1.2.3", 4, "t1 se", "B2 Bob")
    series("mixed", (6, 9, 8), "1.2.3", 5, "t1 se post", "B2 Bob", prefix="XX")
    series("other", (6, 9, 8), "1.2.4", 1, "t1", "B2 Carl")
    return folder


def test_an_export_becomes_a_case_for_each_study(export: Path, tmp_path: Path) -> None:
    cases = {case.name: case for case in find_cases(export, parse_rules(["T1: MR, t1, at least 6 slices", "T2: t2"]))}
    assert sorted(cases) == ["A1_20200102", "A1_20210304", "B2_20240102-1", "B2_20240102-2"]
    first = cases["A1_20200102"]
    assert Path(first.values["T1"]) == export / "ann" / "s2"
    assert Path(first.values["T2"]) == export / "ann" / "s3"
    assert "series 2 't1_mprage' (7 slices), the only one of 3 with MR, t1, at least 6 slices" in first.why
    assert not first.doubt
    # what is missing, what fits twice, and who shares a number: in doubt
    assert "no scan for T2" in cases["A1_20210304"].doubt
    assert "T2" not in cases["A1_20210304"].values
    bobs = [cases["B2_20240102-1"], cases["B2_20240102-2"]]
    assert all("2 patients have the ID 'B2'" in case.doubt for case in bobs)
    (mixed,) = (case for case in bobs if "mixed" in case.values["T1"])
    assert "2 scans fit T1" in mixed.doubt
    # two series in one folder: the cell names the series, and that one is read
    path, which = locate(mixed.values["T1"], tmp_path)
    assert path == export / "mixed"
    assert read_scan(path, which).metadata.series_uid == which


def test_without_a_rule_the_largest_series_is_chosen_and_localizers_are_not(export: Path) -> None:
    cases = {case.name: case for case in find_cases(export)}
    assert Path(cases["A1_20200102"].values["image"]) == export / "ann" / "s2"
    assert "2 scans fit image" in cases["A1_20200102"].doubt
    assert not cases["A1_20210304"].doubt


def _touch(folder: Path, *names: str) -> None:
    scan = head(oblique_geometry((3, 5, 4)))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        radcnn.write(scan, folder / name)


def test_a_bids_tree_has_a_row_for_each_session_and_a_column_for_each_suffix(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_label-lesion_mask.nii.gz",
        "sub-02/anat/sub-02_run-1_T1w.nii.gz",
        "sub-02/anat/sub-02_run-2_T1w.nii.gz",
    )
    found = find_cases(tmp_path)
    assert found.columns == ("FLAIR", "T1w")
    first, second = found
    assert (first.name, first.patient, sorted(first.values)) == ("sub-01_ses-a", "01", ["FLAIR", "T1w"])
    assert not first.doubt
    assert second.values["T1w"].endswith("sub-02_run-1_T1w.nii.gz")
    assert "2 scans fit T1w" in second.doubt


def test_files_of_a_folder_are_cases_and_by_rule_the_inputs_of_one(tmp_path: Path) -> None:
    _touch(tmp_path / "flat", "a.nii.gz", "b.nii.gz", "b_mask.nii.gz", "b.nrrd")
    found = {case.name: case for case in find_cases(tmp_path / "flat")}
    assert sorted(found) == ["a", "b-1", "b-2", "b_mask"]
    assert "mask" in found["b_mask"].doubt
    assert not found["a"].doubt
    _touch(tmp_path / "deep", "p1/t1.nii.gz", "p1/flair.nii.gz", "p2/t1.nii.gz")
    first, second = find_cases(tmp_path / "deep", parse_rules(["T1: t1; FLAIR: flair"]))
    assert {key: Path(cell).name for key, cell in first.values.items()} == {"T1": "t1.nii.gz", "FLAIR": "flair.nii.gz"}
    assert "no scan for FLAIR" in second.doubt


def test_rules_on_slices_read_the_headers_of_image_files(tmp_path: Path) -> None:
    thick = oblique_geometry((9, 5, 4)).with_spacing((7.5, 0.8, 0.7))
    for name, scan in (("thin", head(oblique_geometry((9, 5, 4)))), ("thick", head(thick))):
        for suffix in (".nii.gz", ".nrrd", ".mha"):
            radcnn.write(scan, tmp_path / f"{name}{suffix[1:3]}{suffix}")
    (tmp_path / "broken.nii.gz").write_bytes(b"no scan")
    found = {case.name: case for case in find_cases(tmp_path, parse_rules(["at least 4 slices, up to 3 mm"]))}
    assert {name for name, case in found.items() if not case.doubt} == {"thinni", "thinnr", "thinmh"}
    assert "(9 slices), the only scan" in found["thinnr"].why
    assert "thickmh.mha (3 slices): 3 slices" in found["thickmh"].doubt
    assert "unknown number of slices" in found["broken"].doubt


def test_scans_whose_names_begin_alike_are_cases_of_their_own(tmp_path: Path) -> None:
    _touch(tmp_path / "flat", "IMG_001.nii.gz", "IMG_002.nii.gz", "IMG_003.nii.gz", "IMG_003_mask.nii.gz")
    found = find_cases(tmp_path / "flat", parse_rules(["at least 3 slices, not mask"]))
    assert [(case.name, case.doubt) for case in found] == [(f"IMG_00{n}", "") for n in (1, 2, 3)]
    # but not where the rule tells the scans of one case apart
    _touch(tmp_path / "pairs", "a_t1.nii.gz", "a_flair.nii.gz", "b_t1.nii.gz", "b_t1_again.nii.gz", "c_t1.nii.gz")
    found = {case.name: case for case in find_cases(tmp_path / "pairs", parse_rules(["t1"]))}
    assert list(found) == ["a", "b", "c"]
    assert [name for name, case in found.items() if case.doubt] == ["b"]


def test_names_that_are_alike_get_numbers_that_nobody_has(tmp_path: Path) -> None:
    found = told_apart(["x" * 130 + "a", "x" * 130 + "b", "s", "S", "s-1", "t/1", "t 1"])
    assert [name[-3:] for name in found] == ["x-1", "x-2", "s-2", "S-3", "s-1", "1-1", "1-2"]
    assert len({folder_name(name).casefold() for name in found}) == 7
    _touch(tmp_path / "flat", "a.nii.gz", "a.nrrd", "a-1.nii.gz", "A.nii.gz")
    assert sorted(case.name for case in find_cases(tmp_path / "flat")) == ["A-2", "a-1", "a-3", "a-4"]


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_scans_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match=name):
        find_cases(tmp_path / name)


def test_the_command_writes_the_list_and_tells_the_doubts(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cases.csv"
    assert main(["cohort", "list", str(export), "-o", str(out), "--want", "T1: t1", "--want", "T2: t2"]) == 0
    told = capsys.readouterr().out
    assert "in doubt: A1_20210304: no scan for T2" in told
    assert "4 cases, 3 in doubt" in told
    assert [case.name for case in read_list(out).doubtful] == ["A1_20210304", "B2_20240102-1", "B2_20240102-2"]
    assert main(["cohort", "list", str(export), "-o", str(out)]) == 3
    assert "already exists" in capsys.readouterr().err
