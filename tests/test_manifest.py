"""The schema of manifests: made, read, compared; what is none is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from napari_radcnn import manifest
from napari_radcnn.cli import main
from napari_radcnn.errors import ReadError
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import doubts_of, manifest_path, read_beside
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap

MODEL = manifest.describe_model("fake", "2", "segmentation", "MIT", [("w.pt", "ab")])
RUN = manifest.of_run(
    model=MODEL,
    options={"strength": 1.0},
    settings={"device": "auto", "precision": "auto"},
    computed={"device": "cpu", "precision": "float32", "threads": 2},
    first_input={"path": "/scan.nii", "sha256": "cd"},
    inputs={},
    result={"sha256": "ef"},
    facts={"a": 1},
    warnings=("careful",),
    started="2026-01-02T03:04:05+00:00",
    seconds=1.23456,
)


def test_the_manifest_of_a_run_holds_what_it_always_held():
    assert list(RUN) == [
        "schema", "model", "options", "settings", "device", "precision", "threads", "input", "result", "facts",
        "warnings", "versions", "system", "started", "seconds",
    ]  # fmt: skip
    assert RUN["schema"] == "radcnn-manifest/1"
    assert list(MODEL) == ["name", "version", "task", "licence", "weights"]
    assert MODEL["weights"] == [{"file": "w.pt", "sha256": "ab"}]
    assert (RUN["seconds"], RUN["warnings"]) == (1.235, ["careful"])
    assert json.loads(json.dumps(RUN)) == RUN
    assert manifest.task_of(RUN) == "segmentation"


def test_the_manifest_of_a_session_names_several_engines_only_where_there_were_several():
    words = {"settings": {}, "scan": {}, "steps": [{"add": "a"}], "step_times": ["t"], "started": "t"}
    one = manifest.of_session(engines=[MODEL], **words)
    two = manifest.of_session(engines=[MODEL, {**MODEL, "name": "other"}], **words)
    assert "engines" not in one
    assert [engine["name"] for engine in two["engines"]] == ["fake", "other"]
    assert (two["engine"], two["model"], two["schema"]) == ("fake", MODEL, "radcnn-manifest/1")
    assert manifest.task_of(one) == "interactive"


def test_a_manifest_is_read_from_beside_its_file(tmp_path):
    path = tmp_path / "out.nii.gz"
    assert manifest.manifest_path(path).name == "out.nii.gz.radcnn.json"
    assert manifest.read_beside(path) == {}
    manifest.manifest_path(path).write_text(json.dumps({**RUN, "output": "out.nii.gz"}))
    assert manifest.read_beside(path) == RUN
    assert manifest.read_manifest(manifest.manifest_path(path))["output"] == "out.nii.gz"
    for text in ("[]", "{", "[" * 100_000):
        manifest.manifest_path(path).write_text(text)
        assert manifest.read_beside(path) == {}


@pytest.mark.parametrize(
    "read", [manifest.read_manifest, lambda path: manifest.read_beside(path.with_suffix("").with_suffix(""))]
)
def test_a_newer_schema_is_refused_in_one_line(tmp_path, read):
    path = tmp_path / "out.nii.radcnn.json"
    path.write_text(json.dumps({**RUN, "schema": "radcnn-manifest/12"}))
    with pytest.raises(ReadError, match=r"radcnn-manifest/12.*update napari-radcnn") as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "not the manifest of a run"),
        ([], "not the manifest of a run"),
        ({}, "not the manifest of a run"),
        ({**RUN, "schema": "other/1"}, "does not name an input"),
        ({**RUN, "input": {**RUN["input"], "path": None}}, "does not name an input"),
        ({**RUN, "input": "x"}, "not the manifest of a run"),
        ({**RUN, "model": {}}, "not the manifest of a run"),
        ({key: value for key, value in RUN.items() if key != "options"}, "not the manifest of a run"),
    ],
)
def test_what_cannot_be_made_again_is_refused(found, problem):
    manifest.check_replayable(RUN, "x")
    with pytest.raises(ReadError, match=f"^x .*{problem}"):
        manifest.check_replayable(found, "x")


def test_two_results_are_the_same_where_their_hashes_are():
    assert manifest.is_same_result(RUN, {"result": {"sha256": "ef"}}) is True
    assert manifest.is_same_result(RUN, {"result": {"sha256": "00"}}) is False
    assert manifest.is_same_result(RUN, {}) is None
    assert manifest.is_same_result({"result": {}}, RUN) is None


# -- the files that it tells of ---------------------------------------------------------------------------------------


def labels_of(run: int) -> LabelMap:
    array = (np.indices((3, 4, 5)).sum(axis=0) % (3 + run) == 0).astype(np.uint8)
    made_by = {"schema": "radcnn-manifest/1", "run": run}
    return LabelMap(array, oblique_geometry((3, 4, 5)), {1: Label("liver")}, provenance=made_by)


@pytest.mark.parametrize(
    ("name", "changed"), [("a.nii.gz", "a.nii.gz"), ("a.mhd", "a.zraw"), ("a.ome.zarr", "a.ome.zarr/0/c/0/0/0")]
)
def test_a_file_that_is_not_the_one_of_its_manifest_is_doubted(tmp_path: Path, name: str, changed: str) -> None:
    path = tmp_path / name
    write_with_manifest(labels_of(0), path)
    hashes = json.loads(manifest_path(path).read_text())["files"]
    assert doubts_of(path) == []
    if path.is_file():
        assert hashes[name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "files" not in read_beside(path)
    written = (tmp_path / changed).read_bytes()
    (tmp_path / changed).write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    (doubt,) = doubts_of(path)
    assert f"'{changed.split('/')[0]}'" in doubt
    write_with_manifest(labels_of(1), path, overwrite=True)
    assert doubts_of(path) == []


@pytest.mark.parametrize("files", [None, 1, [], {"b.nii": 3, "../c": "0"}, {}])
def test_manifests_without_usable_hashes_are_not_doubted(tmp_path: Path, files: object) -> None:
    (tmp_path / "b.nii").write_bytes(b"voxels")
    text = json.dumps({"schema": "radcnn-manifest/1", **({} if files is None else {"files": files})})
    (tmp_path / "b.nii.radcnn.json").write_text(text)
    doubts = doubts_of(tmp_path / "b.nii")
    assert len(doubts) == (1 if isinstance(files, dict) and files else 0)
    assert doubts_of(tmp_path / "none.nii") == []
    assert doubts_of(Path()) == []


def test_a_doubt_is_shown_by_info_the_viewer_and_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_models.register(monkeypatch)
    field = world_field(oblique_geometry((6, 7, 8)))
    scan, out = radcnn.write(field, tmp_path / "scan.nii"), tmp_path / "out.nii"
    assert main(["run", "fake", str(scan), "-o", str(out)]) == 0
    volume = radcnn.read(out)[0]
    radcnn.write(volume.with_array(np.asarray(volume.array)[::-1], source=None), out, overwrite=True)
    capsys.readouterr()
    assert main(["info", str(out)]) == 0
    assert "out.nii.radcnn.json describes a different 'out.nii'" in capsys.readouterr().out
    assert main(["replay", str(out) + ".radcnn.json"]) == 0
    assert "describes a different 'out.nii'" in capsys.readouterr().err
    from napari_radcnn.gui.napari.reader import layers_at

    (layer,) = layers_at(out)
    kept = layer[1]["metadata"]["radcnn"]
    assert any("describes a different" in line for line in kept["labels"].warnings)
