"""A model that finds things, from the command line: run on scan after scan, written in each format, evaluated."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.cli import main
from napari_radcnn.inference.request import Outcome
from napari_radcnn.io import read_report
from napari_radcnn.io.reports import read_detections
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Detection, Detections

#: The voxel of each scan that is brighter than all others.
BRIGHTEST = {"first": (1, 2, 3), "second": (2, 3, 1)}


def center_of(name):
    return tuple(oblique().to_world(np.array(BRIGHTEST[name], float)).tolist())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two oblique series with a bright voxel each, and a model that finds it, and something else less surely."""

    def run(request, monitor):
        array = np.asarray(request.volume.array)
        index = np.unravel_index(np.argmax(array), array.shape)
        center = tuple(request.volume.geometry.to_world(np.array(index, float)).tolist())
        away = (center[0] + 40.0, *center[1:])
        found = [Detection("nodule", 0.3, away, (5.0,) * 3), Detection("nodule", 0.8, center, (6.0, 7.0, 8.0))]
        return Outcome("cpu", "float32", detections=tuple(found[1:] if request.options.strength > 1 else found))

    _, pipeline = fake_models.register(monkeypatch, "detection", "finder")
    pipeline.run = run
    for name, index in BRIGHTEST.items():
        array = np.zeros(oblique().shape, np.int16)
        array[index] = 900
        write_dicom_series(tmp_path / name, world_field(oblique()).with_array(array))
    return tmp_path


def test_every_format_holds_the_same_findings(folder):
    for suffix in (".json", ".csv", ".sr.dcm"):
        assert main(["run", "finder", str(folder / "first"), "-o", str(folder / f"out{suffix}")]) == 0
        manifest = json.loads((folder / f"out{suffix}.radcnn.json").read_text())
        assert manifest["model"]["name"] == "finder"
        assert "reviews" not in manifest
    boxes = read_detections(folder / "out.json").boxes
    assert [(box.label, box.score, box.state) for box in boxes] == [
        ("nodule", 0.8, "candidate"),
        ("nodule", 0.3, "candidate"),
    ]
    assert boxes[0].center == pytest.approx(center_of("first"), abs=1e-3)
    assert boxes[0].size == (6.0, 7.0, 8.0)
    with (folder / "out.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["label", "score", "x_mm", "y_mm", "z_mm", "dx_mm", "dy_mm", "dz_mm"]
    assert [[float(value) for value in row[1:]] for row in rows] == [[b.score, *b.center, *b.size] for b in boxes]
    report = read_report(folder / "out.sr.dcm").detections.boxes
    assert [box.score for box in report] == pytest.approx([0.8, 0.3])
    for one, other in zip(report, boxes, strict=True):
        assert one.center == pytest.approx(other.center, abs=1e-2)
        assert one.size == pytest.approx(other.size, abs=1e-2)


def test_an_option_of_the_model_leaves_out_the_doubtful(folder):
    assert main(["run", "finder", str(folder / "first"), "-o", str(folder / "out.json"), "--strength", "2"]) == 0
    assert [box.score for box in read_detections(folder / "out.json").boxes] == [0.8]


def test_one_file_for_each_scan_is_evaluated_as_a_folder(folder, capsys):
    for kind in ("found", "there"):
        (folder / kind).mkdir()
    for name in BRIGHTEST:
        assert main(["run", "finder", str(folder / name), "-o", str(folder / "found" / f"{name}.json")]) == 0
        there = Detection("nodule", float("nan"), center_of(name), (6.0, 7.0, 8.0))
        radcnn.write(Detections((there,)), folder / "there" / f"{name}.json")
    capsys.readouterr()
    assert main(["evaluate", str(folder / "there"), str(folder / "found"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["detections"]
    assert (found["scans"], found["present"], found["sensitivity"]) == (2, 2, 1.0)
    assert found["froc"]["0.5"] == 1.0
    both = [read_detections(folder / "found" / f"{name}.json").boxes[0].center for name in BRIGHTEST]
    assert not np.allclose(*both, atol=1.0)  # each of its own scan


def test_what_was_rejected_does_not_count(folder, capsys):
    there = Detection("nodule", float("nan"), (0.0, 0.0, 0.0), (6.0, 6.0, 6.0))
    radcnn.write(Detections((there,)), folder / "there.json")
    for state, sensitivity in (("accepted", 1.0), ("rejected", 0.0)):
        found = Detection("nodule", 0.8, (1.0, 0.0, 0.0), (6.0, 6.0, 6.0), state)
        radcnn.write(Detections((found,)), folder / f"{state}.json")
        assert main(["evaluate", str(folder / "there.json"), str(folder / f"{state}.json"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["detections"]["sensitivity"] == sensitivity


def test_findings_go_to_no_image(folder, capsys):
    assert main(["run", "finder", str(folder / "first"), "-o", str(folder / "out.nii.gz")]) == 3
    assert "detections are written as .json, .csv, .sr.dcm" in capsys.readouterr().err
