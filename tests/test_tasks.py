"""The table of tasks: what it names is there, and a task added to it is run, written, compared and replayed."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest

import napari_radcnn as radcnn
import toy_task
from grids import axial, oblique
from napari_radcnn import tasks
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, WriteError
from napari_radcnn.io.writing import check_suffix
from napari_radcnn.models import models
from napari_radcnn.phantom import world_field
from napari_radcnn.results import (
    Classification,
    Detection,
    Detections,
    Embedding,
    Label,
    LabelMap,
    Landmark,
    Landmarks,
    Regression,
    Survival,
)
from napari_radcnn.volume import Volume

RESULTS = {
    "labels": LabelMap(np.ones((3, 4, 5), np.uint8), oblique(), {1: Label("a")}),
    "image": world_field(oblique()),
    "detections": Detections((Detection("nodule", 0.5, (1, 2, 3), (4, 5, 6)),)),
    "classification": Classification({"a": 0.25, "b": 0.75}),
    "value": Regression(3.5, "mm"),
    "survival": Survival(0.7, "death"),
    "embedding": Embedding((0.5, -1.0)),
    "landmarks": Landmarks((Landmark("tip", (1.0, 2.0, 3.0), 0.5),)),
}


def test_every_place_that_the_table_names_is_there():
    places = [
        place for kind in tasks.kinds() for place in (*kind.writers.values(), kind.numbers, kind.compare, kind.tell)
    ]
    places += [place for task in tasks.TASKS.values() for place in (task.page, task.build)]
    found = [tasks.load(place) for place in places if place]
    assert len(found) > 20
    assert all(callable(one) for one in found)


def test_the_table_holds_the_tasks_that_models_can_name():
    assert set(tasks.TASKS) == set(get_args(tasks.TaskName))
    assert {spec.task for spec in models()} <= set(tasks.TASKS)


@pytest.mark.parametrize("name", RESULTS)
def test_results_of_every_kind_have_the_same_four_things(name):
    result = RESULTS[name]
    kind = tasks.kind_of(result)
    assert kind.name == name
    assert isinstance(result.name, str)
    assert (dict(result.provenance), result.warnings, result.maps) == ({}, (), ())


def test_what_is_no_result_has_no_kind(tmp_path):
    assert tasks.kind_of(np.zeros(3)) is None
    with pytest.raises(WriteError, match="ndarray cannot be written"):
        radcnn.write(np.zeros((3, 4, 5)), tmp_path / "x.nii.gz")


@pytest.mark.parametrize(
    ("kind", "suffix", "other"),
    [
        (LabelMap, ".seg.dcm", ".csv"),
        (LabelMap, ".nii.gz", ".json"),
        (Volume, ".nii.gz", ".dcm"),
        (Volume, "", ".json"),
        (Detections, ".sr.dcm", ".nii.gz"),
        (Detections, ".csv", ""),
        (Classification, ".csv", ".nii.gz"),
        (Regression, ".json", ".nii.gz"),
        (Survival, ".sr.dcm", ".nii.gz"),
        (Landmarks, ".csv", ".nii.gz"),
    ],
)
def test_the_table_says_under_which_names_a_result_is_written(tmp_path, kind, suffix, other):
    assert check_suffix(kind, tmp_path / f"x{suffix}") == suffix
    with pytest.raises(WriteError, match="written as"):
        check_suffix(kind, tmp_path / f"x{other}")


def test_evidence_is_the_other_name_of_maps():
    image = world_field(axial())
    assert Classification({}, evidence=(image,)).maps == (image,)
    assert Detections((), evidence=(image,)).maps == (image,)


# -- a task that is added ---------------------------------------------------------------------------------------------


@pytest.fixture
def scan(tmp_path):
    return radcnn.write(world_field(oblique()), tmp_path / "scan.nii.gz")


def test_a_task_that_is_added_is_run_written_and_replayed(monkeypatch, tmp_path, scan, capsys):
    toy_task.register(monkeypatch)
    out = tmp_path / "out.landmarks.json"
    assert main(["run", "brightest", str(scan), "-o", str(out)]) == 0
    field = world_field(oblique())
    x, y, z = field.geometry.corners[np.argmax(field.geometry.corners @ (3, 5, 7))]
    assert json.loads(out.read_text())["landmarks"]["brightest"] == pytest.approx([x, y, z], abs=1e-3)
    assert f"brightest: {x:.1f} {y:.1f} {z:.1f} mm" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "out.landmarks.json.radcnn.json").read_text())
    assert manifest["model"]["task"] == "localization"
    again = radcnn.replay(tmp_path / "out.landmarks.json.radcnn.json")
    assert again.result.places["brightest"] == pytest.approx((x, y, z), abs=1e-3)
    assert again.is_same is None  # no voxels
    copy = tmp_path / "again.landmarks.json"
    assert main(["replay", str(tmp_path / "out.landmarks.json.radcnn.json"), "-o", str(copy)]) == 0
    assert copy.read_text() == out.read_text()


def test_a_task_that_is_added_is_compared(monkeypatch, tmp_path, capsys):
    toy_task.register(monkeypatch)
    for name, place in (("a", (1.0, 2.0, 3.0)), ("b", (1.0, 5.0, 7.0))):
        radcnn.write(toy_task.Landmarks({"tip": place}), tmp_path / f"{name}.landmarks.json")
    words = ["evaluate", str(tmp_path / "a.landmarks.json"), str(tmp_path / "b.landmarks.json")]
    assert main(words) == 0
    assert "tip distance_mm: 5" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["landmarks"] == {"tip": {"distance_mm": 5.0}}


def test_its_results_are_refused_under_other_names_before_the_run(monkeypatch, tmp_path, scan, capsys):
    toy_task.register(monkeypatch)
    assert main(["run", "brightest", str(scan), "-o", str(tmp_path / "out.nii.gz")]) == 3
    assert "landmarks are written as .landmarks.json" in capsys.readouterr().err


def test_without_its_row_the_task_is_unknown(monkeypatch):
    toy_task.register(monkeypatch)
    monkeypatch.delitem(tasks.TASKS, "localization")
    with pytest.raises(ModelError, match="localization"):
        radcnn.segment(world_field(oblique()), "brightest")
