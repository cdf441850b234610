"""Runs over cohorts: what is done stays done, what fails is told, what changed is done anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import cohorts
import napari_radcnn as radcnn
import toy_package
from napari_radcnn.cli import main
from napari_radcnn.cohort import Step, read_chain, run
from napari_radcnn.cohort.results.table import Log, Table, read_log, read_table
from napari_radcnn.cohort.work.workers import Here
from napari_radcnn.errors import CancelledError, ExitStatus, ModelError, OptionError, RadcnnError, ReadError, WriteError


@pytest.fixture(autouse=True, scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let the cheap model be found in this process."""
    place = cohorts.lay_out_model(tmp_path_factory.mktemp("models"))
    with toy_package.installed(place):
        yield place


def _run(cases: Path, out: Path, what: object = cohorts.MODEL, **how: object) -> object:
    return run(what, cases, out, workers=Here(), **how)  # type: ignore[arg-type]


def _events(out: Path, kind: str) -> list[str]:
    return [event["case"] for event in read_log(out / "log.jsonl") if event["event"] == kind]


def test_every_case_has_its_result_manifest_row_and_line(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 3), tmp_path / "out"
    summary = _run(cases, out, options={"value": 150.0})
    assert (summary.n_done, summary.n_failed, summary.n_kept) == (3, 0, 0)
    rows = cohorts.rows_of(out)
    assert list(rows) == ["c000", "c001", "c002"]
    for number, row in enumerate(rows.values()):
        assert (row["state"], row["reason"], row["age"], row["patient"]) == (
            "done",
            "",
            str(40 + number),
            f"p{number // 2}",
        )
        assert float(row["bright_ml"]) == pytest.approx(cohorts.expected_ml(number), abs=1e-4)
        (labels,) = radcnn.read(out / f"c{number:03}" / "toy-waiting.nii.gz")
        assert int((labels.array == 1).sum()) == 10 + number
        manifest = json.loads((out / f"c{number:03}" / "toy-waiting.nii.gz.radcnn.json").read_text())
        assert manifest["options"]["value"] == 150.0
        assert manifest["input"]["path"] == str(tmp_path / "in" / f"scan{number:03}.nii.gz")
    assert list(rows["c000"]) == ["case", "patient", "state", "reason", "age", "bright_ml", "warnings", "seconds"]
    assert not (out / ".radcnn-work").exists()
    assert _events(out, "answered") == ["c000", "c001", "c002"]


def test_failures_stop_nothing_and_say_why(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 5, {4: 9004}), tmp_path / "out"
    (tmp_path / "in" / "scan000.nii.gz").unlink()
    (tmp_path / "in" / "scan001.nii.gz").write_bytes((tmp_path / "in" / "scan002.nii.gz").read_bytes()[:200])
    told: list[str] = []
    summary = _run(cases, out, tell=told.append)
    assert (summary.n_done, summary.n_failed) == (2, 3)
    assert told == ["1 of 5 cases lack a file (c000); they will be listed as failed."]
    reasons = {case: row["reason"] for case, row in cohorts.rows_of(out).items() if row["state"] == "failed"}
    assert "no such file" in reasons["c000"]
    assert "scan001.nii.gz" in reasons["c001"]
    assert "memory" in reasons["c004"]
    # put right, they are done, and nothing else is
    for number in (0, 1, 4):
        radcnn.write(cohorts.scan(number), tmp_path / "in" / f"scan{number:03}.nii.gz", overwrite=True)
    summary = _run(cases, out)
    assert (summary.n_done, summary.n_kept) == (5, 2)
    assert _events(out, "kept") == ["c002", "c003"]


def test_what_changed_is_done_anew_and_nothing_else(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 4), tmp_path / "out"
    _run(cases, out)
    before = cohorts.hashes_of(out)
    table = cohorts.table_without_times(out)
    # a copy with another time is the same scan; another scan is not; a result that was touched is not whole
    shutil.copyfile(tmp_path / "in" / "scan000.nii.gz", tmp_path / "copy")
    shutil.move(tmp_path / "copy", tmp_path / "in" / "scan000.nii.gz")
    radcnn.write(cohorts.scan(7), tmp_path / "in" / "scan001.nii.gz", overwrite=True)
    (out / "c002" / "toy-waiting.nii.gz").write_bytes(b"spoiled")
    assert _run(cases, out).n_kept == 2
    assert sorted(_events(out, "again")) == ["c001", "c002"]
    after = cohorts.hashes_of(out)
    assert {case for case in before if before[case] != after[case]} == {"c001"}
    assert float(cohorts.rows_of(out)["c001"]["bright_ml"]) == pytest.approx(cohorts.expected_ml(7), abs=1e-4)
    assert [row["bright_ml"] for row in table[2:]] == [row["bright_ml"] for row in cohorts.table_without_times(out)[2:]]
    told: list[str] = []
    summary = _run(cases, out, options={"value": 50.0}, tell=told.append)
    assert summary.n_kept == 0
    assert told == ["changed since the last run, and computed again: option value of 'toy-waiting': 100.0 -> 50.0."]


_CHAIN = """
steps:
- denoise: nlm-denoise
  name: quiet
  options: {noise_level: 1.0e-6}
- segment: toy-waiting
  name: bright
  options: {value: %s}
- evaluate:
  inputs: {reference: truth}
- measure
"""


def test_a_chain_hands_results_on_and_a_later_option_redoes_only_what_follows(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 2), tmp_path / "out"
    text = cases.read_text().replace(",age", ",age,truth").splitlines()
    for number in range(2):
        array = (cohorts.scan(number).array > 100).astype("uint8")
        radcnn.write(
            radcnn.LabelMap(array, cohorts.scan(0).geometry, {1: radcnn.Label("bright")}),
            tmp_path / "in" / f"truth{number}.nii.gz",
        )
        text[number + 1] += f",truth{number}.nii.gz"
    cases.write_text("\n".join(text) + "\n")
    chain = tmp_path / "chain.yaml"
    chain.write_text(_CHAIN % 100.0)
    _run(cases, out, chain)
    row = cohorts.rows_of(out)["c001"]
    assert float(row["bright: bright_ml"]) == pytest.approx(cohorts.expected_ml(1), abs=1e-4)
    assert float(row["evaluate: label 1 dice"]) == 1.0
    bright = cohorts.scan(1).array[cohorts.scan(1).array > 100]
    assert float(row["measure: bright volume_ml"]) == pytest.approx(cohorts.expected_ml(1), rel=1e-6)
    assert float(row["measure: bright mean"]) == bright.mean()  # of the scan, and not of what it was denoised to
    assert "truth" not in row
    assert sorted(path.name for path in (out / "c001").iterdir()) == [
        "bright.nii.gz", "bright.nii.gz.radcnn.json", "evaluate.json", "measure.json", "quiet.nii.gz",
        "quiet.nii.gz.radcnn.json",
    ]  # fmt: skip
    made = json.loads((out / "c001" / "bright.nii.gz.radcnn.json").read_text())
    assert made["input"]["path"].endswith("quiet.nii.gz")
    denoised = (out / "c001" / "quiet.nii.gz").stat().st_mtime_ns
    chain.write_text(_CHAIN % 250.0)
    assert _run(cases, out, chain).n_kept == 0
    assert (out / "c001" / "quiet.nii.gz").stat().st_mtime_ns == denoised
    again = [event for event in read_log(out / "log.jsonl") if event["event"] == "again"]
    assert [event["steps"] for event in again] == [["bright", "evaluate", "measure"]] * 2
    assert float(cohorts.rows_of(out)["c001"]["bright: bright_ml"]) == 0.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: [", "not YAML"),
        ("- segment: toy-waiting", "a chain is 'steps:'"),
        ("steps: [{segment: toy-waiting, denoise: nlm-denoise}]", "it names 2 operations"),
        ("steps: [{segment: toy-waiting, option: {}}]", "'option' is unknown"),
        ("steps: [{segment: }]", "needs the name of a model"),
        ("steps: [segment]", "needs the name of a model"),
        ("steps: [{segment: toy-waiting}, {segment: toy-waiting}]", "two steps are called 'toy-waiting'"),
        ("steps: [{segment: toy-waiting, name: ../x}]", "cannot be the name"),
        ("steps: [{denoise: toy-waiting}]", "is for segmentation, not for 'denoise'"),
        ("steps: [{segment: toy-waiting, options: {brighter: 1}}]", "Unknown option 'brighter'"),
        ("steps: [{segment: toy-waiting, inputs: {scan: image}}]", "has no input 'scan'"),
        ("steps: [{convert: , options: {key: 1}}]", "those of 'convert' are: deidentify"),
        ("steps: [{segment: toy-waiting, suffix: .png}]", "png"),
        ("steps: [{denoise: nlm-denoise, name: a}, {evaluate: , inputs: {prediction: a}}]", "'a' gives image"),
    ],
)
def test_a_chain_that_makes_no_sense_is_refused_before_the_work(tmp_path: Path, text: str, said: str) -> None:
    cases, chain = cohorts.write_cohort(tmp_path / "in", 1), tmp_path / "chain.yaml"
    chain.write_text(text)
    with pytest.raises(RadcnnError) as caught:
        _run(cases, tmp_path / "out", chain)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_step_may_stand_there_as_a_word(tmp_path: Path) -> None:
    chain = tmp_path / "chain.yml"
    chain.write_text("steps: [convert]")
    assert read_chain(chain) == (Step("convert", "convert"),)


def test_bids_derivatives_keep_the_entities_of_their_scans(tmp_path: Path) -> None:
    anat = tmp_path / "bids" / "sub-01" / "ses-1" / "anat"
    anat.mkdir(parents=True)
    radcnn.write(cohorts.scan(1), anat / "sub-01_ses-1_run-2_T1w.nii.gz")
    out = tmp_path / "derivatives"
    _run(tmp_path / "bids", out, inputs={"image": "T1w"}, layout="bids")
    folder = out / "sub-01" / "ses-1" / "anat"
    assert (folder / "sub-01_ses-1_run-2_desc-toywaiting_dseg.nii.gz").is_file()
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    assert _run(tmp_path / "bids", out, inputs={"image": "T1w"}, layout="bids").n_kept == 1


def test_convert_is_an_operation_and_writes_in_another_format(tmp_path: Path) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 1)
    _run(cases, tmp_path / "out", [Step("raw", "convert", suffix=".nrrd")])
    (volume,) = radcnn.read(tmp_path / "out" / "c000" / "raw.nrrd")
    assert volume.array.tolist() == cohorts.scan(0).array.tolist()
    assert cohorts.rows_of(tmp_path / "out")["c000"]["slices"] == "5"


def test_convert_has_a_command_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 2)
    words = ["cohort", "convert", str(cases), "-o", str(tmp_path / "out"), "--suffix", ".mha"]
    assert main([*words, "--option", "deidentify=true"]) == 0
    assert "2 cases done, 0 failed" in capsys.readouterr().out
    (volume,) = radcnn.read(tmp_path / "out" / "c001" / "convert.mha")
    assert volume.array.tolist() == cohorts.scan(1).array.tolist()
    # a case without a result is not what a script may take for success, nor for a run that could not begin
    (tmp_path / "in" / "scan000.nii.gz").unlink()
    assert main([*words, "--option", "deidentify=true"]) == ExitStatus.INCOMPLETE == 6
    assert "1 cases done (1 of them before), 1 failed" in capsys.readouterr().out
    assert main([*words[:2], str(tmp_path / "none.csv"), *words[3:]]) == ExitStatus.INPUT_OUTPUT
    assert main([*words, "--option", "deidentify"]) == 2
    assert "expected NAME=VALUE" in capsys.readouterr().err
    chain = tmp_path / "chain.yaml"
    chain.write_text("steps: [convert]")
    assert main(["cohort", "run", str(chain), str(cases), "-o", str(tmp_path / "o"), "--suffix", ".mha"]) == 2


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(WriteError, match=r"other files \(thesis.txt\)"):
        _run(cases, tmp_path / "out")
    with pytest.raises(WriteError, match="does not exist"):
        _run(cases, tmp_path / "no" / "out")
    # another run: of another model, or of cases none of which are here
    _run(cases, tmp_path / "mine")
    with pytest.raises(WriteError, match="belongs to another run"):
        _run(cases, tmp_path / "mine", "convert")
    others = tmp_path / "in" / "others.csv"
    others.write_text("case,image\nx,scan000.nii.gz\n")
    with pytest.raises(WriteError, match="belongs to another run"):
        _run(others, tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir() if path.is_dir()) == ["c000", "records"]


def test_cases_of_the_same_names_but_of_other_scans_are_another_run(tmp_path: Path) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 2)
    _run(cases, tmp_path / "mine")
    before = cohorts.hashes_of(tmp_path / "mine")
    others = tmp_path / "in" / "others.csv"
    others.write_text("case,image\nc000,scan001.nii.gz\nc001,scan000.nii.gz\n")
    with pytest.raises(WriteError, match="belongs to another run"):
        _run(others, tmp_path / "mine")
    assert cohorts.hashes_of(tmp_path / "mine") == before
    # scans that were moved, with their list, are the same scans: one that is suffices
    shutil.copytree(tmp_path / "in", tmp_path / "moved")
    radcnn.write(cohorts.scan(9), tmp_path / "moved" / "scan000.nii.gz", overwrite=True)
    summary = _run(tmp_path / "moved" / "cases.csv", tmp_path / "mine")
    assert (summary.n_done, summary.n_kept) == (2, 1)
    # and in the list of the run itself all of them may have changed
    for number in range(2):
        radcnn.write(cohorts.scan(5), tmp_path / "moved" / f"scan{number:03}.nii.gz", overwrite=True)
    assert _run(tmp_path / "moved" / "cases.csv", tmp_path / "mine").n_kept == 0


def test_a_column_of_the_list_that_is_called_as_a_number_keeps_its_values(tmp_path: Path) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 2)
    cases.write_text(cases.read_text().replace(",age", ",bright_ml"))
    _run(cases, tmp_path / "out")
    rows = cohorts.rows_of(tmp_path / "out")
    assert [row["bright_ml"] for row in rows.values()] == ["40", "41"]
    for number, row in enumerate(rows.values()):
        assert float(row["toy-waiting: bright_ml"]) == pytest.approx(cohorts.expected_ml(number), abs=1e-4)


@pytest.mark.parametrize("name", ["records", "Results.csv"])
def test_a_case_cannot_take_a_name_of_the_run(tmp_path: Path, name: str) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 1)
    cases.write_text(cases.read_text().replace("c000", name))
    with pytest.raises(ReadError, match="rename it"):
        _run(cases, tmp_path / "out")


def test_what_cannot_be_begun_says_so(tmp_path: Path) -> None:
    cases = cohorts.write_cohort(tmp_path / "in", 1)
    with pytest.raises(ModelError, match="no model 'toy-watin'"):
        _run(cases, tmp_path / "out", "toy-watin")
    with pytest.raises(OptionError, match="jobs"):
        run(cohorts.MODEL, cases, tmp_path / "out", jobs=0)
    with pytest.raises(OptionError, match="layout 'flat'"):
        _run(cases, tmp_path / "out", layout="flat")
    with pytest.raises(OptionError, match=r"no input 'imgae' .*; there are: image"):
        _run(cases, tmp_path / "out", inputs={"imgae": "image"})
    with pytest.raises(WriteError, match=r"0 of 1 cases were done and are kept. Solve this, or choose another folder"):
        _run(cases, tmp_path / ("x" * 300))
    assert not (tmp_path / "out").exists()


def test_cancelled_between_cases_it_keeps_what_was_done(tmp_path: Path) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 4), tmp_path / "out"

    class AfterTwo:
        def is_set(self) -> bool:
            return (out / "results.csv").exists() and len(list(read_table(out / "results.csv"))) >= 2

    with pytest.raises(CancelledError, match=r"2 of 4 cases were done and are kept"):
        _run(cases, out, cancel=AfterTwo())
    assert _run(cases, out).n_kept == 2


def test_a_full_disk_ends_the_run_and_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_radcnn.cohort import run as module

    cases, out = cohorts.write_cohort(tmp_path / "in", 3), tmp_path / "out"
    commit = module.__globals__["commit"]
    left = [1]

    def full(*given: object) -> object:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        return commit(*given)

    monkeypatch.setitem(module.__globals__, "commit", full)
    with pytest.raises(WriteError, match=r"No space left on device; 1 of 3 cases were done and are kept"):
        _run(cases, out)
    monkeypatch.undo()
    assert _run(cases, out).n_kept == 1
    # even where it is full for the last of all, the table in its order
    monkeypatch.setattr(Table, "put_in_order", lambda *_: full())
    left.clear()
    with pytest.raises(WriteError, match=r"3 of 3 cases were done and are kept. Make room"):
        _run(cases, out)
    monkeypatch.undo()
    assert _run(cases, out).n_kept == 3


def test_a_full_disk_does_not_hide_that_a_run_was_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases, out = cohorts.write_cohort(tmp_path / "in", 3), tmp_path / "out"
    tell = Log.tell

    def full(log: Log, event: str, **what: object) -> None:
        if event == "cancelled":
            raise OSError(28, "No space left on device")
        tell(log, event, **what)

    class AfterOne:
        def is_set(self) -> bool:
            return (out / "results.csv").exists() and len(list(read_table(out / "results.csv"))) >= 1

    monkeypatch.setattr(Log, "tell", full)
    with pytest.raises(CancelledError, match=r"1 of 3 cases were done and are kept"):
        _run(cases, out, cancel=AfterOne())


def test_a_disk_that_is_full_for_whoever_works_ends_the_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_radcnn.io import with_manifest

    cases, out = cohorts.write_cohort(tmp_path / "in", 3), tmp_path / "out"

    def full(result: object, path: Path, **how: object) -> None:
        raise WriteError(f"{path}: No space left on device.") from OSError(28, "No space left on device")

    monkeypatch.setattr(with_manifest, "write_with_manifest", full)
    with pytest.raises(WriteError, match=r"the disk is full; 0 of 3 cases were done and are kept"):
        _run(cases, out)
    monkeypatch.undo()
    assert _run(cases, out).n_done == 3


def test_what_a_killed_process_wrote_half_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"event": "began"}\n{"event": "answ')
    Log(tmp_path / "log.jsonl").tell("ended")
    assert [event["event"] for event in read_log(tmp_path / "log.jsonl")] == ["began", "ended"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    (tmp_path / "t.csv").write_text("case,state\na,done\nb,do")
    assert list(read_table(tmp_path / "t.csv")) == [{"case": "a", "state": "done"}]
