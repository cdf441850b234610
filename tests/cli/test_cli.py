from __future__ import annotations

import contextvars
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import ALL, oblique
from napari_radcnn.cli import main
from napari_radcnn.files import owned
from napari_radcnn.models import describe, models
from napari_radcnn.phantom import disks, world_field
from patience import PATIENCE


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    radcnn.write(world_field(oblique()), path)
    return path


def _one_line(captured) -> str:
    lines = [line for line in captured.err.splitlines() if line.startswith("radcnn: ") and "warning" not in line]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def test_info_says_what_is_there(scan, capsys):
    assert main(["info", str(scan)]) == 0
    line = capsys.readouterr().out
    assert "3 x 4 x 5" in line
    assert "2.5 x 0.8 x 0.7 mm" in line
    assert "oblique" in line


def test_info_as_json(scan, capsys):
    assert main(["info", str(scan), "--json"]) == 0
    (volume,) = json.loads(capsys.readouterr().out)["volumes"]
    assert volume["shape"] == [3, 4, 5]
    assert volume["affine"] == pytest.approx(oblique().affine, abs=1e-4)


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    assert "brain-extraction" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [entry["name"] for entry in listed] == [spec.name for spec in models()]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", ["oblique", "left_handed", "sagittal"])
def test_convert_keeps_every_voxel_in_its_place(tmp_path, name, suffix, capsys):
    volume = world_field(ALL[name]())
    radcnn.write(volume, tmp_path / "in.nii.gz")
    assert main(["convert", str(tmp_path / "in.nii.gz"), str(tmp_path / f"out{suffix}")]) == 0
    (back,) = radcnn.read(tmp_path / f"out{suffix}")
    assert np.abs(back.array - world_field(back.geometry).array).max() < 0.01


def test_run_writes_result_and_manifest(tmp_path, scan, monkeypatch, capsys):
    fake_models.register(monkeypatch)
    out = tmp_path / "out.nii.gz"
    assert main(["run", "fake", str(scan), "-o", str(out), "--strength", "0.5"]) == 0
    captured = capsys.readouterr()
    manifest = json.loads((tmp_path / "out.nii.gz.radcnn.json").read_text())
    assert manifest["options"]["strength"] == 0.5
    assert manifest["output"] == "out.nii.gz"
    assert f"written: {out}" in captured.out
    assert f"{fake_models.STEPS}/{fake_models.STEPS}" in captured.err
    (labels,) = radcnn.read(out)
    expected = radcnn.segment(radcnn.read(scan)[0], "fake")
    assert np.array_equal(labels.array, expected.array)


def test_a_run_whose_result_another_process_computes_is_refused_before_the_work(tmp_path, scan, monkeypatch, capsys):
    _, pipeline = fake_models.register(monkeypatch)
    out = tmp_path / "out.nii.gz"
    script = tmp_path / "steps.json"
    script.write_text('{"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [[0, 0, 0]]}}]}')
    with owned(out):
        lock = tmp_path / ".radcnn-lock-out.nii.gz-1"
        assert lock.exists()
        copy_context = contextvars.Context()  # another one, as another process has
        words = [["run", "fake", str(scan)], ["interact", str(scan), str(script)]]
        for given in words:
            assert copy_context.run(main, [*given, "-o", str(out), "--overwrite"]) == 3
            assert "is writing this file now" in capsys.readouterr().err
        assert pipeline.steps_done == 0
        assert copy_context.run(main, ["run", "fake", str(scan), "-o", str(out), "--plan"]) == 0
    assert main(["run", "fake", str(scan), "-o", str(out)]) == 0
    assert not list(tmp_path.glob(".radcnn-*"))


def test_options_may_stand_before_the_input(tmp_path, scan, monkeypatch, capsys):
    fake_models.register(monkeypatch)
    out = tmp_path / "out.nii.gz"
    assert main(["run", "--strength", "0.5", "fake", "-o", str(out), str(scan)]) == 0


def test_run_writes_detections_and_classifications(tmp_path, scan, monkeypatch, capsys):
    fake_models.register(monkeypatch, "detection", "finder")
    fake_models.register(monkeypatch, "classification", "sorter")
    assert main(["run", "finder", str(scan), "-o", str(tmp_path / "found.json")]) == 0
    (best, _) = json.loads((tmp_path / "found.json").read_text())["detections"]
    assert best == {"label": "nodule", "score": 0.75, "center_mm": [1.0, -2.0, 3.0], "size_mm": [4.0, 5.0, 6.0]}
    assert main(["run", "sorter", str(scan), "-o", str(tmp_path / "sorted.json")]) == 0
    assert json.loads((tmp_path / "sorted.json").read_text()) == {
        "probabilities": {"normal": 0.08, "pneumonia": 0.92},
        "suitability": {"state": "fits", "reasons": []},
    }


def test_every_option_of_every_model_is_on_the_command_line(capsys):
    for spec in models():
        with pytest.raises(SystemExit) as caught:
            main(["run", spec.name, "--help"])
        assert caught.value.code == 0
        text = capsys.readouterr().out
        for entry in describe(spec.options):
            assert "--" + entry.name.replace("_", "-") in text


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["info", "{folder}/gone.nii"], 3, "gone.nii"),
        (["info", "{folder}/empty.nii"], 3, "empty.nii"),
        (["info", "{folder}/text.txt"], 3, "text.txt"),
        (["info", "{folder}/nothing"], 3, "nothing"),
        (["convert", "{scan}", "{folder}/out.xyz"], 3, "out.xyz"),
        (["convert", "{scan}", "{folder}/nowhere/out.nii"], 3, "nowhere"),
        (["convert", "{scan}", "{folder}/there.nii"], 3, "--overwrite"),
        (["run", "no-such-model", "{scan}", "-o", "{folder}/out.nii"], 4, "no-such-model"),
        (["run", "fake", "{scan}", "-o", "{folder}/there.nii"], 3, "--overwrite"),
        (["run", "fake", "{scan}", "-o", "{folder}/out.json"], 3, "out.json"),
        (["run", "fake", "{scan}", "{scan}", "-o", "{folder}/out.nii"], 3, "takes 1 input, got 2"),
        (["run", "fake", "{scan}", "-o", "{folder}/out.nii", "--strength", "7"], 2, "strength"),
        (["run", "fake", "{scan}", "-o", "{folder}/out.nii", "--select", "2"], 3, "--select"),
        (["run", "absent", "{scan}", "-o", "{folder}/out.nii"], 4, "pip install"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, scan, monkeypatch, capsys, words, status, told):
    fake_models.register(monkeypatch)
    fake_models.register(monkeypatch, name="absent", requires=("package_that_is_nowhere",), extra="models")
    (tmp_path / "empty.nii").write_bytes(b"")
    (tmp_path / "text.txt").write_text("this is no scan")
    (tmp_path / "nothing").mkdir()
    radcnn.write(world_field(oblique()), tmp_path / "there.nii")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    filled = [word.format(folder=tmp_path, scan=scan) for word in words]
    assert main(filled) == status
    assert told in _one_line(capsys.readouterr())
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "words", [[], ["walk"], ["run", "fake"], ["run", "nlm-denoise", "x", "-o", "y", "--speed", "9"]]
)
def test_usage_is_status_2(words, capsys):
    try:
        status = main(words)
    except SystemExit as stop:
        status = stop.code
    assert status == 2


def test_a_device_that_is_not_there_is_status_5(tmp_path, scan, monkeypatch, capsys):
    import torch

    from napari_radcnn.inference.devices import torch_device
    from napari_radcnn.inference.settings import RunSettings

    _, pipeline = fake_models.register(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    original = pipeline.run
    pipeline.run = lambda request, monitor: (torch_device(RunSettings("cuda")), original(request, monitor))
    assert main(["run", "fake", str(scan), "-o", str(tmp_path / "out.nii"), "--device", "cuda"]) == 5
    assert "--device cpu" in _one_line(capsys.readouterr())


def test_a_run_that_fails_leaves_nothing(tmp_path, scan, monkeypatch, capsys):
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.error = MemoryError()
    assert main(["run", "fake", str(scan), "-o", str(tmp_path / "out.nii")]) == 5
    assert [path.name for path in tmp_path.iterdir()] == [scan.name]


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this computer does not let root mount a small disk")
    try:
        source = tmp_path / "scan.nii"
        radcnn.write(disks()[0], source)
        assert main(["convert", str(source), str(disk / "out.nii")]) == 3
        line = _one_line(capsys.readouterr())
        assert "out.nii" in line
        assert "space" in line.lower()
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def _start(folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "napari_radcnn.cli", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_interrupting_a_run_is_status_130_and_leaves_nothing(tmp_path):
    source, out = tmp_path / "scan.nii", tmp_path / "out.nii"
    noisy, _ = disks()
    large = np.tile(noisy.array, (5, 3, 3))
    radcnn.write(radcnn.Volume(large, noisy.geometry.with_shape(large.shape)), source)
    process = _start(tmp_path, "run", "nlm-denoise", str(source), "-o", str(out))
    line = process.stderr.readline()
    while line and "block 1" not in line:
        line = process.stderr.readline()
    process.send_signal(signal.SIGINT)  # the other signals are sent in `test_signals`
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "cancelled" in errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]


def test_an_unreadable_file_is_a_clear_error(tmp_path, capsys, monkeypatch):
    path = tmp_path / "secret.nii"
    radcnn.write(world_field(oblique()), path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything: let opening fail as it would for a user
        original = Path.open

        def refuse(self, *args, **kwargs):
            if self == path:
                raise PermissionError(13, "Permission denied", str(path))
            return original(self, *args, **kwargs)

        import builtins

        opener = builtins.open

        def refuse_builtin(file, *args, **kwargs):
            if str(file) == str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return opener(file, *args, **kwargs)

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(builtins, "open", refuse_builtin)
    assert main(["info", str(path)]) == 3
    line = _one_line(capsys.readouterr())
    assert "secret.nii" in line
    assert "ermission" in line
    assert stat.S_IMODE(path.stat().st_mode) == 0


def test_a_run_is_replayed_to_the_same_voxels(tmp_path, scan, capsys):
    out = tmp_path / "out.nii.gz"
    assert main(["run", "nlm-denoise", str(scan), "-o", str(out), "--strength", "0.5", "--noise-level", "9"]) == 0
    manifest = tmp_path / "out.nii.gz.radcnn.json"
    capsys.readouterr()
    assert main(["replay", str(manifest), "-o", str(tmp_path / "again.nii.gz")]) == 0
    assert "identical: the voxels of out.nii.gz" in capsys.readouterr().out
    first, again = radcnn.read(out)[0], radcnn.read(tmp_path / "again.nii.gz")[0]
    assert np.array_equal(first.array, again.array)

    other = json.loads(manifest.read_text())
    other["options"]["strength"] = 2.5
    manifest.write_text(json.dumps(other))
    assert main(["replay", str(manifest)]) == 0
    assert "different:" in capsys.readouterr().out


def test_a_replay_is_compared_with_the_run_not_with_its_rounded_file(tmp_path, capsys):
    # a derived DICOM series holds 16-bit integers, so the file differs from the run by its rounding
    write_dicom_series(
        tmp_path / "ct", disks()[0].with_array(np.rint(disks()[0].array).astype(np.int16)), modality="CT"
    )
    out = tmp_path / "derived"
    assert main(["run", "nlm-denoise", str(tmp_path / "ct"), "-o", str(out)]) == 0
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "derived.radcnn.json")]) == 0
    assert "identical: the voxels of derived" in capsys.readouterr().out


def test_a_manifest_does_not_outlive_its_result(tmp_path, scan, monkeypatch, capsys):
    fake_models.register(monkeypatch)
    out = tmp_path / "out.nii"
    assert main(["run", "fake", str(scan), "-o", str(out)]) == 0
    out.unlink()
    assert main(["convert", str(scan), str(out)]) == 3
    assert "manifest belongs to another file" in _one_line(capsys.readouterr())
    assert main(["convert", str(scan), str(out), "--overwrite"]) == 0
    assert out.exists()
    assert not (tmp_path / "out.nii.radcnn.json").exists()


def test_a_replay_on_another_input_is_refused(tmp_path, scan, monkeypatch, capsys):
    fake_models.register(monkeypatch)
    assert main(["run", "fake", str(scan), "-o", str(tmp_path / "out.nii")]) == 0
    field = radcnn.read(scan)[0]
    radcnn.write(field.with_array(field.array + 1, source=None), scan, overwrite=True)
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "out.nii.radcnn.json")]) == 3
    assert "no longer" in _one_line(capsys.readouterr())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "other"}', '{"schema": "radcnn-manifest/1"}'])
def test_what_is_no_manifest_is_refused(tmp_path, text, capsys):
    path = tmp_path / "x.radcnn.json"
    path.write_text(text)
    assert main(["replay", str(path)]) == 3
    assert "x.radcnn.json" in _one_line(capsys.readouterr())
    assert main(["replay", str(tmp_path / "gone.json")]) == 3


def test_evaluate_compares_label_maps_and_images(tmp_path, capsys):
    grid = oblique()
    first, second = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    first[0, :, :2] = 1
    second[0, :, :3] = 1
    for name, array in (("a", first), ("b", second)):
        radcnn.write(radcnn.LabelMap(array, grid, {1: radcnn.Label("x")}), tmp_path / f"{name}.nii.gz")
    assert main(["evaluate", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["labels"]["1"]
    assert found["dice"] == pytest.approx(2 * 8 / 20)
    assert main(["evaluate", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz")]) == 0
    assert "label 1: Dice 0.8000" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--as", "images"]) == 0
    assert "rmse: " in capsys.readouterr().out
    field = world_field(grid)
    radcnn.write(field, tmp_path / "f.nii")
    radcnn.write(field.with_array(field.array + 2), tmp_path / "g.nii")
    assert main(["evaluate", str(tmp_path / "f.nii"), str(tmp_path / "g.nii")]) == 0
    assert "rmse: 2" in capsys.readouterr().out
