"""What travels with a case: its own files and no others, and what its file does not hold; nothing of whose it is."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import answering
import cohorts
import films
import napari_radcnn as radcnn
import small_classifier
import toy_package
from dicom_factory import write_dicom_series
from napari_radcnn import operations
from napari_radcnn.cohort import run
from napari_radcnn.cohort.chain import chain_of, resolve
from napari_radcnn.cohort.cluster import single, workers
from napari_radcnn.cohort.cluster.sending import pack_inputs, packed, unpack_results, unpacked
from napari_radcnn.cohort.jobs import Answer, Job, Placed
from napari_radcnn.cohort.reading import files_of, hash_of, locate, told_of, with_told
from napari_radcnn.cohort.results.record import Record, stat_of
from napari_radcnn.cohort.steps.numbers import numbers_of_result
from napari_radcnn.cohort.steps.running import run_case
from napari_radcnn.cohort.work.hands import MOST_TRIES
from napari_radcnn.cohort.work.workers import CaseProgress, Here
from napari_radcnn.networks.outputs import pack
from napari_radcnn.phantom import head, oblique_geometry


@pytest.fixture
def export(tmp_path: Path) -> tuple[Path, dict[str, list[Path]]]:
    """Return a folder with two series whose files lie side by side, and their files by SeriesInstanceUID."""
    folder, found = tmp_path / "export", {}
    folder.mkdir()
    for number, shape in enumerate(((5, 12, 10), (7, 9, 8))):
        uid = f"1.2.826.0.1.{number}"
        written = write_dicom_series(
            tmp_path / str(number), head(oblique_geometry(shape)), modality="MR", series_uid=uid
        )
        found[uid] = [path.rename(folder / f"{number}-{path.name}") for path in written]
    return folder, found


def _job(path: Path, which: str = "", **about: object) -> Job:
    return Job("a", {"image": Placed(str(path), which, about=about)}, (), {}, {}, str(path.parent / "out" / "w" / "1"))


def test_of_a_folder_of_several_series_only_the_one_that_is_named_travels(export, tmp_path: Path) -> None:
    folder, found = export
    for uid, files in found.items():
        assert files_of(folder, uid) == sorted(files)
        job = _job(folder, uid)
        sent = pack_inputs(job)
        with zipfile.ZipFile(io.BytesIO(sent)) as archive:
            assert sorted(archive.namelist()) == [f"0/export/{path.name}" for path in sorted(files)]
        there = unpacked(job, sent, tmp_path / uid).inputs["image"]
        assert (Path(there.path).name, there.which) == ("export", uid)
        assert {path.name for path in Path(there.path).iterdir()} == {path.name for path in files}
    assert len(files_of(folder)) == 12
    first, second = found
    before = {uid: hash_of(folder, uid) for uid in found}
    assert len({*before.values(), hash_of(folder)}) == 3
    # what changes another series changes nothing about this one
    found[second][0].write_bytes(found[second][0].read_bytes() + b"\0\0")
    assert hash_of(folder, first) == before[first]
    assert hash_of(folder, second) != before[second]
    known = {"image": {"path": str(folder), "which": first, "stat": [], "sha256": before[first]}}
    assert Record("a", "a", [], known).has_inputs(_job(folder, first))
    assert not Record("a", "a", [], known | {"image": known["image"] | {"which": second}}).has_inputs(
        _job(folder, second)
    )


def test_a_file_older_than_its_archive_can_say_travels(tmp_path: Path) -> None:
    radcnn.write(cohorts.scan(2), tmp_path / "scan.nii.gz")
    os.utime(tmp_path / "scan.nii.gz", (0, 0))
    job = _job(tmp_path / "scan.nii.gz")
    there = unpacked(job, pack_inputs(job), tmp_path / "there").inputs["image"]
    assert Path(there.path).read_bytes() == (tmp_path / "scan.nii.gz").read_bytes()
    assert there.shown == str(tmp_path / "scan.nii.gz")


def test_what_is_known_of_a_radiograph_travels_and_whose_it_is_does_not(tmp_path: Path) -> None:
    film = films.read_film(
        tmp_path / "film", films.waves(), modality="DX", PatientOrientation=["R", "F"], PatientName="Meier^Anna",
        PatientID="P77", SeriesDescription="Thorax Meier", PhotometricInterpretation="MONOCHROME1",
        WindowCenter=1000, WindowWidth=900, ViewPosition="PA",
    )  # fmt: skip
    assert film.metadata.sides is not None
    told = json.loads(json.dumps(told_of(film)))
    assert "Meier" not in str(told)
    assert "P77" not in str(told)
    assert film.metadata.series_uid not in str(told)
    radcnn.write(film, tmp_path / "plain.nii")
    (plain,) = radcnn.read(tmp_path / "plain.nii")
    back = with_told(plain, told).metadata
    same = ("modality", "sides", "is_inverted", "is_placed", "window_center", "window_width", "acquisition", "units")
    for name in same:
        assert getattr(back, name) == getattr(film.metadata, name), name
    assert (back.is_inverted, back.is_placed, back.sides.row) == (True, False, "R")
    # of a scan that has its place
    scan = cohorts.scan(1)
    scan = replace(scan, metadata=replace(scan.metadata, padding_value=-1.0))
    assert with_told(cohorts.scan(2), told_of(scan)).metadata.padding_value == -1.0
    assert told_of(scan)["sides"] is None


class _There:
    """A cluster whose one worker is this process; everything that would travel does."""

    def __init__(self, *_: object, **__: object) -> None:
        self.address = "nowhere"

    def work(self, jobs: Iterator[Job], progress: CaseProgress, _cancel: object) -> Iterator[tuple[Job, Answer]]:
        for job in jobs:
            with tempfile.TemporaryDirectory() as place:
                there = Job.from_dict(json.loads(json.dumps(job.to_dict())))
                there = unpacked(there, pack_inputs(job), Path(place))
                answer = run_case(there, progress=partial(progress, job.case))
                unpack_results(packed(answer, Path(there.staging)), Path(job.staging))
            yield job, Answer.from_dict(json.loads(json.dumps(answer.to_dict())))


def test_evidence_of_a_classifier_comes_back_as_it_is_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_classifier.register(monkeypatch)
    monkeypatch.setattr(single, "Cluster", _There)
    film = films.read_film(tmp_path / "film", films.waves(), modality="DX", PatientOrientation=["L", "F"])
    options = {"explain": True}
    here = operations.run(film, spec, options)
    away = single.run_elsewhere([film], spec, options, "nowhere")
    assert isinstance(here, radcnn.Classification)
    assert isinstance(away, radcnn.Classification)
    assert away.probabilities == here.probabilities
    kinds = [image.name.rpartition(" · ")[2] for image in here.evidence]
    assert kinds[0] == "Grad-CAM"
    assert [image.name for image in away.evidence] == [f"{away.name} · {kind}" for kind in kinds]
    for theirs, mine in zip(away.evidence, here.evidence, strict=True):
        assert theirs.array.tolist() == mine.array.tolist()
        assert theirs.geometry.is_close(mine.geometry)
        assert (theirs.metadata.sides, theirs.metadata.is_placed) == (mine.metadata.sides, False)
    for key in ("model", "options", "input", "result", "facts", "warnings", "suitability"):
        assert away.provenance[key] == here.provenance[key], key


def test_risks_findings_and_clinical_values_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "Cluster", _There)
    answering.answer_with(monkeypatch, lambda patch: patch.mean((1, 2, 3)).sum(keepdims=True))
    boxes = [np.array([[1.0, 2, 1, 4, 5, 3], [2, 0, 0, 3, 2, 2]]), np.array([0.9, 0.4]), np.zeros(2)]
    listing = SimpleNamespace(
        backend="torch", device="cpu", precision="float32", agreement=None, measured_on=None, close=lambda: None
    )
    there = type("There", (SimpleNamespace,), {"__call__": lambda *_: pack(boxes)})(**vars(listing))
    monkeypatch.setattr("napari_radcnn.foreign.detection.run.open_file_network", lambda *_, **__: (there, ()))
    age = {"name": "age", "unit": "a", "limits": [0, 120], "mean": 50, "std": 10}
    groups = {"names": ["low", "high"], "cuts": [1.0]}
    keys = {
        "risk": answering.risk_keys(values=[age], values_as="channels", groups=groups),
        "boxes": {"task": "detection", "classes": ["nodule"], "form": "boxes"},
    }
    for name, options in (("risk", {"age": "63"}), ("boxes", {"threshold": 0.5})):
        folder = tmp_path / name
        folder.mkdir()
        path = answering.write_network(folder / "net.ts", [[0.0]], [0.0])
        answering.describe_answer(folder / "net.json", name=name, **keys[name])
        spec = answering.open_trusted(path)
        here = operations.run(answering.scan(), spec, options)
        (sha256,) = (file.sha256 for file in spec.files)
        away = single.run_elsewhere([answering.scan()], spec, options, "tls://there:1", trust=sha256)
        assert type(away) is type(here)
        assert numbers_of_result(away) == numbers_of_result(here)
        assert away.provenance["result"] == here.provenance["result"]
        assert away.provenance["options"] == here.provenance["options"] == {**spec.options().__dict__, **options}
        assert away.name == here.name


def test_a_model_that_was_sent_is_called_as_whoever_sent_it_calls_it(tmp_path: Path) -> None:
    with toy_package.installed(cohorts.lay_out_model(tmp_path / "models")):
        (step,) = resolve(chain_of(cohorts.MODEL))
        step = replace(step, title="mine")
        for number, corner in ((1, 0), (2, 9004)):
            radcnn.write(cohorts.scan(number, corner), tmp_path / f"{number}.nii")
            job = Job(
                "c", {"image": Placed(str(tmp_path / f"{number}.nii"))}, (step,), {step.name: "k"},
                {step.name: "result.nii"}, str(tmp_path / f"out{number}"), origins={step.name: "/models/mine"},
            )  # fmt: skip
            answer = run_case(job)
            if corner:
                assert "to run 'mine' on" in answer.reason
                assert answer.is_short
                continue
            assert answer.steps[0].warnings == ["'mine' does not state what it was made for."]
            made_by = json.loads((tmp_path / "out1" / "result.nii.radcnn.json").read_text())
            assert (made_by["model"]["name"], made_by["model"]["origin"]) == ("mine", "/models/mine")
            assert made_by["suitability"]["reasons"] == made_by["warnings"] == answer.steps[0].warnings


def test_the_plan_of_a_run_elsewhere_says_nothing_of_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_radcnn.inference import plan as module

    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    scan = head(oblique_geometry((9, 14, 12)))
    here = operations.plan(scan, "brain-extraction")
    away = operations.plan(scan, "brain-extraction", elsewhere="tls://cluster:8786")
    (more,) = set(here.warnings) - set(away.warnings)
    assert more.startswith("This run needs about")
    assert len(here.warnings) == len(away.warnings) + 1
    assert here.first_seconds is not None
    assert (away.seconds, away.first_seconds) == (None, None)
    assert away.suitability == here.suitability
    assert away.summary() == (
        "Run by a worker of tls://cluster:8786: its time and memory are not known before the run."
    )


def test_a_cell_that_no_system_takes_for_a_name_is_no_file(tmp_path: Path) -> None:
    remark = "x" * 400 + "#2"
    assert locate(remark, tmp_path) == (tmp_path / ("x" * 400), "2")
    cases = cohorts.write_cohort(tmp_path / "in", 2)
    lines = cases.read_text().splitlines()
    cases.write_text("\n".join([f"{lines[0]},remark", f"{lines[1]},{remark}", f"c001,p0,{remark},41,"]) + "\n")
    summary = run("convert", cases, tmp_path / "out", workers=Here())
    assert (summary.n_done, list(summary.failed)) == (1, ["c001"])
    assert "no such file" in summary.failed["c001"]


def test_a_scan_that_cannot_be_read_any_more_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_radcnn.cohort.results import record

    cases, out = cohorts.write_cohort(tmp_path / "in", 3), tmp_path / "out"
    assert run("convert", cases, out, workers=Here()).n_done == 3
    spoiled = tmp_path / "in" / "scan001.nii.gz"

    def denied(path: Path) -> list[object]:
        if path == spoiled:
            raise PermissionError(13, "Permission denied", str(path))
        return stat_of(path)

    monkeypatch.setattr(record, "stat_of", denied)
    spoiled.write_bytes(b"no scan")
    summary = run("convert", cases, out, workers=Here())
    assert (summary.n_done, summary.n_kept, list(summary.failed)) == (2, 2, ["c001"])
    monkeypatch.undo()
    radcnn.write(cohorts.scan(1), spoiled, overwrite=True)
    assert run("convert", cases, out, workers=Here()).n_done == 3


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:evil", "", "a//b", "."]
)
def test_an_answer_names_no_file_outside_of_the_folder_of_its_case(name):
    done = {"name": "s", "key": "k", "described": {}, "numbers": {}, "warnings": [], "seconds": 0.0}
    for files, extra in (({name: "0"}, []), ({"mask.nii.gz": "0"}, [name])):
        plain = {"case": "a", "state": "done", "reason": "", "steps": [done | {"files": files, "extra": extra}]}
        with pytest.raises(ValueError, match="outside of the folder of the case"):
            Answer.from_dict(plain)
    whole = done | {"files": {"mask.nii.gz": "0", "deep/labels.ome.zarr": "1"}, "extra": ["mask.nii.gz.radcnn.json"]}
    plain = {"case": "a", "state": "done", "reason": "", "steps": [whole]}
    assert Answer.from_dict(plain).steps[0].files == whole["files"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"files": {"../../elsewhere": "0"}}, "the file '../../elsewhere' lies outside of the folder of the case"),
        ({"case": "b"}, "it is of the case 'b'"),
        ("[]", "the answer of a worker cannot be used"),
    ],
)
def test_an_answer_that_cannot_be_used_is_a_lost_one(tmp_path, answer, told):
    done = {"name": "s", "key": "k", "described": {}, "numbers": {}, "extra": [], "warnings": [], "seconds": 0.0}
    text = answer
    if not isinstance(answer, str):
        steps = [done | {"files": answer.get("files", {})}]
        text = json.dumps({"case": answer.get("case", "a"), "state": "done", "reason": "", "steps": steps})
    future = SimpleNamespace(status="finished", result=lambda: (text, b""))
    cluster = workers.Cluster("tcp://127.0.0.1:1", send=True)
    cluster._watch = SimpleNamespace(address_of=lambda name: "")
    task = workers._Task(_job(tmp_path / "a.nii"), None, frozenset(), ["before"] * (MOST_TRIES - 1), frozenset())
    found = cluster._answer(task, future)
    assert found.state == "failed"
    assert told in found.reason
