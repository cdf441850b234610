"""The schema of manifests: made, read, compared; what is none is refused."""

from __future__ import annotations

import json

import pytest

from napari_radcnn import manifest
from napari_radcnn.errors import ReadError

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
        (None, "no manifest"),
        ([], "no manifest"),
        ({}, "no manifest"),
        ({**RUN, "schema": "other/1"}, "names no input"),
        ({**RUN, "input": {**RUN["input"], "path": None}}, "names no input"),
        ({**RUN, "input": "x"}, "no manifest"),
        ({**RUN, "model": {}}, "no manifest"),
        ({key: value for key, value in RUN.items() if key != "options"}, "no manifest"),
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
