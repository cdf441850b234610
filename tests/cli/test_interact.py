from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
import value_engine
from blocks import SHAPE, blocks, click
from napari_radcnn.cli import main
from napari_radcnn.interactive.engines.specs import DEFAULT_ENGINE
from napari_radcnn.interactive.tools import CopyLabel
from napari_radcnn.io.dicom_results.write.segmentation import as_label_map


@pytest.fixture
def engines(monkeypatch):
    """Let `region` be an engine whose answers are known; return those that get opened."""
    return value_engine.register(monkeypatch)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    radcnn.write(blocks(), path)
    return path


def write_script(folder: Path, *steps, **more) -> str:
    path = folder / "script.json"
    path.write_text(json.dumps({"steps": list(steps), **more}))
    return str(path)


def one_line(captured) -> str:
    lines = [line for line in captured.err.splitlines() if line.startswith("radcnn: ") and "warning" not in line]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def is_untouched(folder: Path) -> bool:
    return sorted(path.name for path in folder.iterdir()) == ["scan.nii.gz", "script.json"]


def test_a_script_becomes_a_label_map_with_its_manifest(engines, scan, tmp_path, capsys):
    volume = blocks()
    steps = (click(volume, (0, 0, 0), "left"), click(volume, (3, 4, 5), "right"), click(volume, (5, 8, 10), "left"))
    script = write_script(tmp_path, *steps, engine="region")
    out = tmp_path / "out.nii.gz"
    assert main(["interact", str(scan), script, "-o", str(out), "--device", "cpu", "--precision", "float32"]) == 0
    captured = capsys.readouterr()
    (written,) = radcnn.read(out)
    expected = np.select([np.isin(volume.array, [0, 222]), volume.array == 111], [1, 2])
    assert np.array_equal(written.array, expected)
    assert written.geometry.is_close(volume.geometry)
    left, right, *rest = captured.out.splitlines()
    voxel_ml = volume.geometry.voxel_volume / 1000
    assert left == f"left: {(expected == 1).sum() * voxel_ml:.1f} ml"
    assert right == f"right: {(expected == 2).sum() * voxel_ml:.1f} ml"
    assert rest == [f"written: {out}", f"manifest: {out}.radcnn.json"]
    assert "0/3 left: point" in captured.err
    manifest = json.loads(Path(f"{out}.radcnn.json").read_text())
    assert manifest["model"]["name"] == "region"
    assert manifest["settings"] == {"device": "cpu", "precision": "float32"}
    assert manifest["output"] == "out.nii.gz"
    assert manifest["input"]["path"] == str(scan)
    assert [step["prompt"] for step in manifest["steps"] if "prompt" in step] == [step["prompt"] for step in steps]


def test_replay_and_interact_play_the_manifest_again(engines, scan, tmp_path, capsys):
    volume = blocks()
    script = write_script(
        tmp_path,
        click(volume, (0, 0, 0)),
        {"object": "a", "tool": {"name": "grow", "distance_mm": 1.5}},
        click(volume, (3, 4, 5), "b"),
        {"undo": 1},
        click(volume, (5, 8, 10), "c"),
    )
    first, again, third = (tmp_path / f"{name}.nrrd" for name in ("first", "again", "third"))
    assert main(["interact", str(scan), script, "-o", str(first), "--precision", "float32"]) == 0
    manifest = f"{first}.radcnn.json"
    capsys.readouterr()
    assert main(["replay", manifest, "-o", str(again)]) == 0
    assert capsys.readouterr().out.splitlines() == ["identical: the voxels of first.nrrd", f"written: {again}"]
    assert main(["interact", str(scan), manifest, "-o", str(third)]) == 0
    arrays = [radcnn.read(path)[0].array for path in (first, again, third)]
    assert np.array_equal(arrays[0], arrays[1])
    assert np.array_equal(arrays[0], arrays[2])
    assert arrays[0].max() == 2
    hashes = {json.loads(Path(f"{path}.radcnn.json").read_text())["result"]["sha256"] for path in (first, again, third)}
    assert len(hashes) == 1
    assert {engine.settings.precision for engine in engines} == {"float32"}

    changed = json.loads(Path(manifest).read_text())
    changed["steps"].pop()
    version = changed["model"]["version"]
    assert version != "0"
    changed["model"]["version"] = "0"
    Path(manifest).write_text(json.dumps(changed))
    capsys.readouterr()
    assert main(["replay", manifest]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["different: the voxels of first.nrrd"]
    assert f"'{DEFAULT_ENGINE}' is version {version} on this computer, but version 0 in the manifest." in captured.err


def test_replay_refuses_another_scan(engines, scan, tmp_path, capsys):
    volume = blocks()
    out = tmp_path / "out.nrrd"
    assert main(["interact", str(scan), write_script(tmp_path, click(volume, (0, 0, 0))), "-o", str(out)]) == 0
    radcnn.write(volume.with_array(volume.array + 1), scan, overwrite=True)
    capsys.readouterr()
    assert main(["replay", f"{out}.radcnn.json"]) == 3
    assert "no longer match the manifest" in one_line(capsys.readouterr())
    assert main(["interact", str(scan), f"{out}.radcnn.json", "-o", str(tmp_path / "o2.nrrd")]) == 0
    assert "a scan other than" in capsys.readouterr().err


def test_several_objects_go_into_a_dicom_segmentation(engines, tmp_path, capsys):
    from dicom_factory import write_dicom_series

    folder = tmp_path / "series"
    write_dicom_series(folder, blocks())
    (volume,) = radcnn.read(folder)
    script = write_script(tmp_path, click(volume, (0, 0, 0), "liver"), click(volume, (3, 4, 5), "cyst in it"))
    out = tmp_path / "out.seg.dcm"
    assert main(["interact", str(folder), script, "-o", str(out)]) == 0
    (back,) = radcnn.read(out)
    assert set(back.metadata.label_names.values()) == {"liver", "cyst in it"}
    capsys.readouterr()
    assert main(["replay", f"{out}.radcnn.json"]) == 0
    assert capsys.readouterr().out.startswith("identical")


def test_labels_are_copied_from_a_file(engines, scan, tmp_path):
    (volume,) = radcnn.read(scan)
    model = tmp_path / "model.nii.gz"
    radcnn.write(radcnn.LabelMap((volume.array == 111).astype(np.uint8), volume.geometry, {}), model)
    tool = CopyLabel(as_label_map(radcnn.read(model)[0]), 1).to_dict()
    script = write_script(tmp_path, {"object": "a", "tool": tool})
    out = tmp_path / "out.nii.gz"
    assert main(["interact", str(scan), script, "-o", str(out)]) == 3
    assert main(["interact", str(scan), script, "-o", str(out), "--labels", str(model)]) == 0
    assert np.array_equal(radcnn.read(out)[0].array == 1, volume.array == 111)
    assert main(["replay", f"{out}.radcnn.json", "--labels", str(model)]) == 0


def test_the_engine_of_the_command_line_wins(monkeypatch, scan, tmp_path):
    made = value_engine.register(monkeypatch, "region", "promptable-3d")
    script = write_script(tmp_path, click(blocks(), (0, 0, 0)), engine="promptable-3d")
    assert main(["interact", str(scan), script, "-o", str(tmp_path / "o.nrrd"), "--engine", "region"]) == 0
    assert [engine.name for engine in made] == ["region"]
    assert json.loads((tmp_path / "o.nrrd.radcnn.json").read_text())["model"]["name"] == "region"


OUTSIDE = {"object": "a", "prompt": {"kind": "point", "points_mm": [[9000.0, 0, 0]]}}


@pytest.mark.parametrize(
    ("steps", "words", "status", "told"),
    [
        ([OUTSIDE], [], 3, r"Step 1 \(a: point\): .*outside"),
        ([{"lock": "b"}], [], 3, "no object 'b'"),
        ([{"undo": 1}], [], 3, "only 0 steps"),
        ([{"undoo": 1}], [], 3, "script.json, step 1: "),
        ([], [], 3, "has no steps"),
        ([{"lock": "b"}], ["--engine", "regiom"], 4, "did you mean 'region'"),
        ([{"engine": "nowhere"}], [], 4, "no engine 'nowhere'"),
        ([{"lock": "b"}], ["--select", "2"], 3, "choose one with --select"),
        ([{"lock": "b"}], ["--labels", "gone.nii"], 3, "gone.nii"),
        ([{"lock": "b"}], ["-o", "out.stl"], 3, "'.stl'"),
        ([{"lock": "b"}], ["-o", "out.seg.dcm"], 3, "DICOM"),
        ([{"lock": "b"}], ["-o", "nowhere/out.nii"], 3, "does not exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(engines, scan, tmp_path, capsys, steps, words, status, told):
    import re

    script = write_script(tmp_path, *steps)
    assert main(["interact", str(scan), script, "-o", str(tmp_path / "out.nii.gz"), *words]) == status
    assert re.search(told, one_line(capsys.readouterr()))
    assert is_untouched(tmp_path)


@pytest.mark.parametrize("words", [["--precision", "float8"], ["--device", "abacus"], ["--frobnicate"], []])
def test_wrong_usage_has_its_own_status(scan, tmp_path, capsys, words):
    given = ["interact", str(scan), "script.json", *(["-o", "out.nii"] if words else []), *words]
    with pytest.raises(SystemExit) as caught:
        main(given)
    assert caught.value.code == 2


def test_an_engine_that_is_not_installed_is_an_error_before_the_scan_is_read(monkeypatch, tmp_path, capsys):
    import dataclasses

    from napari_radcnn.interactive.engines import registry

    specs = [dataclasses.replace(spec, requires=("package_that_is_nowhere",)) for spec in registry.SPECS]
    monkeypatch.setattr(registry, "SPECS", tuple(specs))
    script = write_script(tmp_path, {"lock": "a"}, engine="nninteractive")
    assert main(["interact", str(tmp_path / "gone.nii"), script, "-o", str(tmp_path / "out.nii")]) == 4
    assert "pip install" in one_line(capsys.readouterr())


def test_an_existing_result_stays_unless_told_otherwise(engines, scan, tmp_path, capsys):
    script = write_script(tmp_path, click(blocks(), (0, 0, 0)))
    out = tmp_path / "out.nrrd"
    out.write_text("mine")
    assert main(["interact", str(scan), script, "-o", str(out)]) == 3
    assert "--overwrite" in one_line(capsys.readouterr())
    assert out.read_text() == "mine"
    assert main(["interact", str(scan), script, "-o", str(out), "--overwrite"]) == 0
    assert radcnn.read(out)[0].geometry.shape == SHAPE


def test_ctrl_c_cancels_and_nothing_is_written(engines, scan, tmp_path, capsys, monkeypatch):
    script = write_script(tmp_path, click(blocks(), (0, 0, 0)), click(blocks(), (3, 4, 5)))
    pressed = []

    def press():
        pressed.append(1)
        os.kill(os.getpid(), signal.SIGINT)

    made = value_engine.ValueEngine.predict

    def predict(self, request, monitor):
        self.on_answer = press
        return made(self, request, monitor)

    monkeypatch.setattr(value_engine.ValueEngine, "predict", predict)
    assert main(["interact", str(scan), script, "-o", str(tmp_path / "out.nii.gz")]) == 130
    assert "cancelled" in one_line(capsys.readouterr())
    assert pressed == [1]
    assert is_untouched(tmp_path)


def test_a_session_of_the_viewer_is_not_touched(engines, scan, tmp_path, monkeypatch):
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))
    script = write_script(tmp_path, click(blocks(), (0, 0, 0)))
    assert main(["interact", str(scan), script, "-o", str(tmp_path / "o.nrrd")]) == 0
    assert not (tmp_path / "sessions").exists()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema": "radcnn-manifest/1", "steps": [1]}', "{}", "\ufeff"])
def test_replay_of_what_is_no_manifest_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "m.radcnn.json"
    path.write_text(text)
    assert main(["replay", str(path)]) == 3
    assert "manifest of a run" in one_line(capsys.readouterr())
