"""The command line with models of several inputs, foreign models, plans and streamed results."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from grids import axial
from napari_radcnn.cli import main
from napari_radcnn.inference.request import Outcome
from napari_radcnn.io.omezarr import read as omezarr_read
from napari_radcnn.phantom import world_field
from napari_radcnn.spec.patches import InputSlot


@pytest.fixture
def two_inputs(monkeypatch):
    """Register a model that labels where its input A is larger than its input B."""
    _, pipeline = fake_models.register(monkeypatch, inputs=(InputSlot("A"), InputSlot("B")))

    def larger(request, monitor):
        first, second = (volume.array for volume in request.volumes)
        return Outcome("cpu", "float32", array=(first > second).astype(np.uint8))

    monkeypatch.setattr(pipeline, "run", larger)


@pytest.fixture
def scans(tmp_path):
    field = world_field(axial())
    low = field.with_array(np.where(field.array > np.median(field.array), field.array - 1, field.array + 1))
    radcnn.write(field, tmp_path / "high.nii.gz")
    radcnn.write(low, tmp_path / "low.nii.gz")
    return tmp_path / "high.nii.gz", tmp_path / "low.nii.gz", field.array > low.array


def test_inputs_in_order_and_by_name(two_inputs, scans, tmp_path, capsys):
    high, low, expected = scans
    assert main(["run", "fake", str(high), str(low), "-o", str(tmp_path / "a.nii.gz")]) == 0
    assert main(["run", "fake", f"B={low}", f"A={high}", "-o", str(tmp_path / "b.nii.gz")]) == 0
    for name in ("a", "b"):
        assert np.array_equal(radcnn.read(tmp_path / f"{name}.nii.gz")[0].array, expected)
    assert main(["run", "fake", f"A={low}", f"B={high}", "-o", str(tmp_path / "c.nii.gz")]) == 0
    assert not np.array_equal(radcnn.read(tmp_path / "c.nii.gz")[0].array, expected)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (["{high}"], "takes A, B; missing: B"),
        (["B={high}"], "missing: A"),
        (["{high}", "{low}", "{low}"], "takes 2 inputs (A, B), got 3"),
        (["A={high}", "A={low}"], "'A' appears twice"),
        (["C={high}", "{low}"], "C="),
    ],
)
def test_wrong_inputs_are_one_clear_line(two_inputs, scans, tmp_path, capsys, inputs, said):
    high, low, _ = scans
    words = [word.format(high=high, low=low) for word in inputs]
    assert main(["run", "fake", *words, "-o", str(tmp_path / "a.nii.gz")]) == 3
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.startswith("radcnn: ")
    assert not (tmp_path / "a.nii.gz").exists()


def test_replay_finds_every_input(two_inputs, scans, tmp_path, capsys):
    high, low, _ = scans
    assert main(["run", "fake", str(high), str(low), "-o", str(tmp_path / "a.nii.gz")]) == 0
    assert main(["replay", str(tmp_path / "a.nii.gz.radcnn.json")]) == 0
    assert "identical" in capsys.readouterr().out
    low.unlink()
    assert main(["replay", str(tmp_path / "a.nii.gz.radcnn.json")]) == 3
    assert "low.nii.gz" in capsys.readouterr().err


def test_a_plan_is_said_without_running(two_inputs, scans, tmp_path, capsys):
    high, low, _ = scans
    assert main(["run", "fake", str(high), str(low), "-o", str(tmp_path / "a.nii.gz"), "--plan"]) == 0
    out = capsys.readouterr().out
    assert "8 patches" in out
    assert not (tmp_path / "a.nii.gz").exists()


def test_what_is_no_model_is_refused_by_name(scans, tmp_path, capsys):
    high, low, _ = scans
    assert main(["run", str(low), str(high), "-o", str(tmp_path / "a.nii.gz")]) == 4
    assert "low.nii.gz" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "nothing.onnx"), str(high), "-o", str(tmp_path / "a.nii.gz")]) == 4
    assert "nothing.onnx" in capsys.readouterr().err


def test_a_scan_in_a_store_is_streamed_to_a_store(monkeypatch, tmp_path, capsys):
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.STREAMS = True
    sinks = []

    def thresholded(request, monitor):
        sinks.append(request.sink)
        whole = (slice(0, request.volume.shape[0]), slice(None), slice(None))
        found = (request.volume.read_block(whole) > 0).astype(np.uint8)
        if request.sink is None:
            return Outcome("cpu", "float32", array=found)
        request.sink.write(whole, found)
        return Outcome("cpu", "float32")

    monkeypatch.setattr(pipeline, "run", thresholded)
    monkeypatch.setattr(omezarr_read, "_READ_AT_ONCE", 1000)
    shape = (30, 20, 21)
    array = np.zeros(shape, np.int16)
    array[3:28, 10:20, 7:9] = 5
    grid = axial().with_shape(shape)
    radcnn.write(radcnn.Volume(array, grid), tmp_path / "scan.ome.zarr")
    assert not radcnn.read(tmp_path / "scan.ome.zarr")[0].is_loaded
    for target in ("a.ome.zarr", "b.nii.gz"):
        assert main(["run", "fake", str(tmp_path / "scan.ome.zarr"), "-o", str(tmp_path / target)]) == 0
        assert np.array_equal(radcnn.read(tmp_path / target)[0].array, array > 0)
        manifest = json.loads((tmp_path / f"{target}.radcnn.json").read_text())
        assert manifest["volumes_ml"]["bright"] == pytest.approx(25 * 10 * 2 * grid.voxel_volume / 1000, abs=1e-3)
    assert [sink is None for sink in sinks] == [False, True]


def test_running_out_of_memory_is_one_clear_line(monkeypatch, two_inputs, scans, tmp_path, capsys):
    high, low, _ = scans

    def none_left(*arguments, **keywords):
        raise MemoryError

    monkeypatch.setattr("napari_radcnn.provenance.identify", none_left)
    assert main(["run", "fake", str(high), str(low), "-o", str(tmp_path / "a.nii.gz")]) == 5
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("radcnn: not enough memory")
    assert not (tmp_path / "a.nii.gz").exists()
