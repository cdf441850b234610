"""``radcnn info`` on what is no scan: findings, classes, manifests, scripts, sessions, models; text and JSON."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from grids import oblique
from journals import begin, put, start_bytes
from model_factory import unet, write_bundle
from napari_radcnn.cli import main
from napari_radcnn.foreign.pack import pack
from napari_radcnn.interactive.journal.journal import Journal
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Classification, Detection, Detections, LabelMap
from napari_radcnn.schemas import MANIFEST, PACK, SESSION

MADE = {
    "schema": MANIFEST,
    "model": {"name": "finder", "version": "1.2", "task": "detection"},
    "input": {"name": "CT 3", "path": "/scans/3"},
    "started": "2026-11-28T10:00:00+00:00",
    "warnings": ["The slices are thick."],
}
FOUND = Detections(
    (
        Detection("nodule", 0.75, (12.5, -40.25, 101.0), (8.0, 6.0, 5.0), "accepted"),
        Detection("nodule", math.nan, (-3.0, 8.0, 90.5), (4.0, 4.5, 3.0)),
    ),
    provenance=MADE,
)
SESSION_HEADER = {"schema": SESSION, "engine": "region", "input": {"name": "T1", "path": "/scans/t1.nii.gz"}}


def told(capsys: pytest.CaptureFixture[str], path: Path) -> list[str]:
    assert main(["info", str(path)]) == 0
    return capsys.readouterr().out.splitlines()


def described(capsys: pytest.CaptureFixture[str], path: Path) -> dict:
    assert main(["info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == str(path)
    return found


def refused(capsys: pytest.CaptureFixture[str], path: Path, status: int = 3) -> str:
    for more in ([], ["--json"]):
        assert main(["info", str(path), *more]) == status
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_findings(tmp_path, capsys, suffix):
    path = tmp_path / f"found{suffix}"
    write_with_manifest(FOUND, path)
    assert told(capsys, path) == [
        "found · 2 findings",
        "  1  nodule · score 0.75 · at 12.5, -40.2, 101.0 mm · 8.0 x 6.0 x 5.0 mm · accepted",
        "  2  nodule · at -3.0, 8.0, 90.5 mm · 4.0 x 4.5 x 3.0 mm · candidate",
        "made by finder 1.2 on CT 3",
        "warning: The slices are thick.",
    ]
    found = described(capsys, path)
    assert found["findings"]["name"] == "found"
    assert found["findings"]["made_by"] == "finder 1.2"
    assert found["findings"]["detections"] == [
        {
            "label": "nodule",
            "score": 0.75,
            "center_mm": [12.5, -40.25, 101.0],
            "size_mm": [8.0, 6.0, 5.0],
            "state": "accepted",
        },
        {
            "label": "nodule",
            "score": None,
            "center_mm": [-3.0, 8.0, 90.5],
            "size_mm": [4.0, 4.5, 3.0],
            "state": "candidate",
        },
    ]
    assert found["warnings"] == ["The slices are thick."]


def test_findings_alone_and_damaged(tmp_path, capsys):
    path = radcnn.write(Detections(FOUND.boxes[:1]), tmp_path / "a.json")
    assert told(capsys, path)[0] == "a · 1 finding"
    assert len(told(capsys, path)) == 2
    assert "made_by" not in described(capsys, path)["findings"]
    path.write_text('{"detections": [{"label": "x"}]}')
    assert "a.json contains no valid detections" in refused(capsys, path)
    table = radcnn.write(FOUND, tmp_path / "a.csv")
    table.write_text(table.read_text().replace("12.5", "left"))
    assert "a.csv contains no valid detections; expected: columns label, score, x_mm" in refused(capsys, table)


def test_findings_beside_a_manifest_of_a_newer_version_are_still_listed(tmp_path, capsys):
    path = tmp_path / "found.json"
    write_with_manifest(FOUND, path)
    beside = tmp_path / "found.json.radcnn.json"
    beside.write_text(beside.read_text().replace(MANIFEST, "radcnn-manifest/2"))
    assert "found.json.radcnn.json: written by a newer version" in told(capsys, path)[-1]
    assert described(capsys, path)["warnings"] == [told(capsys, path)[-1].removeprefix("warning: ")]


def test_classes(tmp_path, capsys):
    write_with_manifest(Classification({"well": 0.25, "ill": 0.75}, provenance=MADE), tmp_path / "c.json")
    assert told(capsys, tmp_path / "c.json")[:4] == [
        "c · 2 classes",
        "     ill 0.750",
        "     well 0.250",
        "made by finder 1.2 on CT 3",
    ]
    assert described(capsys, tmp_path / "c.json")["classification"]["probabilities"] == {"well": 0.25, "ill": 0.75}
    (tmp_path / "c.json").write_text('{"probabilities": {"well": "surely"}}')
    assert "c.json contains no class probabilities" in refused(capsys, tmp_path / "c.json")


def test_a_manifest(tmp_path, capsys):
    write_with_manifest(FOUND, tmp_path / "found.json")
    path = tmp_path / "found.json.radcnn.json"
    assert told(capsys, path) == [
        "the manifest of found.json",
        "made by finder 1.2 (detection)",
        "scan: CT 3 · /scans/3",
        "started: 2026-11-28T10:00:00+00:00",
        "warning: The slices are thick.",
    ]
    found = described(capsys, path)["manifest"]
    assert found.pop("files").keys() == {"found.json"}
    assert found == {**MADE, "output": "found.json"}
    path.write_text(json.dumps({**MADE, "steps": [{"undo": 1}]}))
    assert told(capsys, path)[0] == "the manifest of a result · 1 step"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "it is not valid JSON"),
        ("[]", 'does not say "schema": "radcnn-manifest/1"'),
        ('{"schema": "radcnn-manifest/2"}', "written by a newer version of napari-radcnn"),
        ('{"schema": "radcnn-manifest/10"}', "(radcnn-manifest/10; this version reads radcnn-manifest/1): update"),
        ('{"schema": "radcnn-manifest/0"}', 'does not say "schema"'),
        ('{"schema": ["radcnn-manifest/2"]}', 'does not say "schema"'),
    ],
)
def test_manifests_that_are_none_or_newer(tmp_path, capsys, content, words):
    path = tmp_path / "a.json.radcnn.json"
    path.write_text(content)
    err = refused(capsys, path)
    assert words in err
    assert str(path) in err


def test_a_script(tmp_path, capsys):
    path = tmp_path / "s.json"
    path.write_text('{"engine": "region", "steps": [{"add": "liver"}, {"undo": 1}]}')
    assert told(capsys, path)[0] == "a script of 2 steps · engine region"
    assert described(capsys, path)["script"] == {"engine": "region", "steps": 2}
    path.write_text('{"steps": [{"jump": "liver"}]}')
    assert "step 1" in refused(capsys, path)


def test_a_session(tmp_path, capsys):
    journal = Journal.create(tmp_path, SESSION_HEADER)
    for payload in (b"one", b"two"):
        journal.append("step", payload)
    journal.append("undo", b"")
    assert "1 step · engine region · open now" in told(capsys, journal.path)[0]
    journal.close()
    for path in (journal.path, journal.path / "journal.radcnn"):
        first, scan, saved = told(capsys, path)
        assert first == "an interactive session of 1 step · engine region · unfinished; the viewer offers to resume it"
        assert scan == "scan: T1 · /scans/t1.nii.gz"
        assert saved.startswith("saved: 20")
    found = described(capsys, journal.path)["session"]
    assert found["saved"].endswith("+00:00")
    assert {key: found[key] for key in ("engine", "steps", "is_open", "is_finished", "input")} == {
        "engine": "region",
        "steps": 1,
        "is_open": False,
        "is_finished": False,
        "input": {"name": "T1", "path": "/scans/t1.nii.gz"},
    }


def test_sessions_that_are_damaged_newer_or_were_never_begun(tmp_path, capsys):
    newer = Journal.create(tmp_path, {**SESSION_HEADER, "schema": "radcnn-session/2"})
    newer.append("step", b"one")
    newer.close()
    assert "(radcnn-session/2; this version reads radcnn-session/1): update" in refused(capsys, newer.path)
    assert "has format 2" in refused(capsys, put(tmp_path / "form", start_bytes(b"{}", schema=2)))
    assert "damaged" in refused(capsys, put(tmp_path / "broken", start_bytes(b"{}").replace(b"{}", b"{{")))
    assert "before its first step" in refused(capsys, put(tmp_path / "begun", start_bytes(b"{}")))


def test_a_session_without_words_about_its_scan(tmp_path, capsys):
    journal = begin(tmp_path)
    journal.close()
    assert told(capsys, journal.path)[1] == "scan: ? · not read from a file"
    assert described(capsys, journal.path)["session"]["engine"] is None


def test_models_and_packs(tmp_path, capsys):
    bundle = write_bundle(tmp_path / "bundle", unet(2))
    assert told(capsys, bundle)[0].startswith("a model: two-organs · segmentation · license ")
    assert described(capsys, bundle)["model"]["task"] == "segmentation"
    path = pack(radcnn.open_model(bundle), tmp_path / "two.radcnn-model.zip", licence="MIT", card="# Two organs")
    assert told(capsys, path)[-1] == f"install it: radcnn models install {path}"
    assert described(capsys, path)["pack"]["name"] == "two-organs"
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for info, content in members.items():
            archive.writestr(info, content.replace(PACK.encode(), b"radcnn-pack/2"))
    err = refused(capsys, path, status=4)
    assert err == (
        "radcnn: two.radcnn-model.zip: written by a newer version of napari-radcnn (radcnn-pack/2; this version reads "
        "radcnn-pack/1): update napari-radcnn.\n"
    )
    for arguments in (["models", "verify", str(path)], ["models", "install", str(path)]):
        assert main(arguments) == 4
        assert capsys.readouterr().err == err


def test_a_newer_manifest_is_neither_replayed_nor_played(tmp_path, capsys):
    scan = radcnn.write(world_field(oblique()), tmp_path / "scan.nii.gz")
    path = tmp_path / "a.nii.gz.radcnn.json"
    path.write_text(json.dumps({**MADE, "schema": "radcnn-manifest/2", "output": "a.nii.gz", "steps": [{"undo": 1}]}))
    for arguments in (["replay", str(path)], ["interact", str(scan), str(path), "-o", str(tmp_path / "b.nii.gz")]):
        assert main(arguments) == 3
        assert "written by a newer version of napari-radcnn (radcnn-manifest/2" in capsys.readouterr().err
    assert not (tmp_path / "b.nii.gz").exists()


def test_labels_and_scans_are_listed_as_before(tmp_path, capsys):
    array = np.zeros(oblique().shape, np.uint8)
    array[1, 2, 3] = 1
    path = radcnn.write(LabelMap(array, oblique(), {}), tmp_path / "labels.nii.gz")
    assert told(capsys, path)[0].startswith("  1  labels · NIfTI · 3 x 4 x 5 · ")
    assert [volume["shape"] for volume in described(capsys, path)["volumes"]] == [[3, 4, 5]]
    (tmp_path / "notes.txt").write_text("hello")
    assert "not an image in a supported format" in refused(capsys, tmp_path / "notes.txt")
    assert "no such file" in refused(capsys, tmp_path / "none")
