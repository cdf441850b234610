"""ONNX Runtime beside OpenVINO: the same numbers, and operations of scikit-learn, which only it has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_radcnn.errors import ModelError, ResourceError
from napari_radcnn.inference.backends import candidates
from napari_radcnn.inference.backends.base import BackendError
from napari_radcnn.inference.backends.candidates import Candidate
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.networks.files import open_network
from napari_radcnn.networks.onnx import read_onnx
from napari_radcnn.networks.outputs import unpack
from napari_radcnn.spec.patches import NetworkFile
from napari_radcnn.spec.weights import file_sha256
from onnx_file import boxes_onnx, mean_onnx, several_means_onnx

DATA = Path(__file__).parents[2] / "data" / "exported"
ANSWERS = json.loads((DATA / "answers.json").read_text())
IMAGE = np.sin(np.arange(210)).astype(np.float32).reshape(1, 5, 6, 7)


def opened(path, channels=1, dims=3, **how):
    """Return a network in ONNX Runtime."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    from napari_radcnn.inference.backends.onnx_runtime import OnnxRuntimePredictor

    file = NetworkFile(path, file_sha256(path), "onnx", **how)
    return OnnxRuntimePredictor(open_network(file, channels=channels, spatial_dims=dims), 1)


def written(folder, content):
    (folder / "net.onnx").write_bytes(content)
    return folder / "net.onnx"


@pytest.mark.parametrize(("name", "output"), [("forest", "probabilities"), ("linear", 1), ("torch", None)])
def test_numbers_are_those_of_the_program_that_wrote_the_file(name, output):
    np.testing.assert_allclose(opened(DATA / f"{name}.onnx", output=output)(IMAGE), ANSWERS[name], atol=1e-5)


def test_a_row_of_voxels_runs_last_axis_fastest():
    value = opened(DATA / "scikit-learn.onnx")(IMAGE)
    np.testing.assert_allclose(value, [ANSWERS["scikit-learn"]], atol=1e-5)


def test_parts_of_the_channels_and_the_axis_of_slices(tmp_path):
    weights, row = [[2.0, -1.0], [10.0]], [0.5, 3.0]
    path = written(tmp_path, several_means_onnx(weights, row, 1.0, (6, 7)))
    patch = np.random.default_rng(0).normal(size=(5, 1, 6, 7)).astype(np.float32)
    first, second, third = patch[:3].mean((1, 2, 3))
    expected = 1 + 2 * first - second + 10 * third + 0.5 * patch[3, 0, 0, 0] + 3 * patch[4, 0, 0, 0]
    found = opened(path, 5, 2, parts=(2, 1))(patch)
    assert found.shape == (1, 1)  # classes, and the slice
    assert found[0, 0] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ModelError, match="has 3 inputs, but 4 are given"):
        opened(path, 5, 2, parts=(1, 1, 1))(patch)


def test_several_outputs_come_together(tmp_path):
    path = written(tmp_path, boxes_onnx([[1, 2, 3, 4], [5, 6, 7, 8]], [0.0, 0.5], [0, 1], (6, 7)))
    patch = np.full((1, 1, 6, 7), 0.25, np.float32)
    scores, boxes = unpack(opened(path, 1, 2, output=("scores", "boxes"))(patch))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([-0.25, -0.75])), atol=1e-6)
    np.testing.assert_array_equal(boxes, [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_an_output_of_words_and_a_damaged_file_are_told(tmp_path):
    with pytest.raises(BackendError, match=r"forest\.onnx: the chosen output is not numeric"):
        opened(DATA / "forest.onnx", output="label")(IMAGE)
    with pytest.raises(ModelError, match=r"has 2 outputs: .*probabilities"):
        opened(DATA / "forest.onnx")
    with pytest.raises(BackendError, match="ONNX Runtime cannot load the network"):
        opened(written(tmp_path, (DATA / "forest.onnx").read_bytes()[:900]), output=1)


def test_which_files_need_it_is_known_before_anything_is_loaded(tmp_path):
    assert read_onnx(DATA / "forest.onnx").classical == ("TreeEnsembleClassifier",)
    assert read_onnx(DATA / "linear.onnx").classical == ("LinearClassifier", "Normalizer", "ZipMap")
    for name in ("torch", "scikit-learn"):
        assert read_onnx(DATA / f"{name}.onnx").classical == ()
    assert read_onnx(written(tmp_path, mean_onnx([[1.0]], [0.0], (2, 3, 4)))).classical == ()


@pytest.mark.parametrize(
    ("openvino", "runtime", "is_classical", "expected"),
    [
        (True, True, False, ["openvino"]),
        (False, True, False, ["onnxruntime"]),
        (True, True, True, ["onnxruntime"]),
        (True, False, False, ["openvino"]),
    ],
)
def test_one_program_computes_a_file(monkeypatch, openvino, runtime, is_classical, expected):
    monkeypatch.setattr(candidates, "has_openvino", lambda: openvino)
    monkeypatch.setattr(candidates, "has_onnxruntime", lambda: runtime)
    monkeypatch.setattr(candidates, "cpu_computes_bfloat16", lambda backend: False)
    ways = candidates.candidates(RunSettings(device="cpu"), is_onnx=True, is_classical=is_classical)
    assert ways == tuple(Candidate(name, "float32") for name in expected)
    assert all(way.backend != "onnxruntime" for way in candidates.candidates(RunSettings(device="cpu"), is_onnx=False))


@pytest.mark.parametrize(
    ("is_classical", "told"),
    [
        (True, r"ai\.onnx\.ml.*ONNX Runtime, which is not installed: pip install napari-radcnn\[onnx\]"),
        (False, r"OpenVINO, which is not installed: pip install napari-radcnn\[cpu\]"),
    ],
)
def test_what_is_missing_is_told(monkeypatch, is_classical, told):
    for name in ("has_openvino", "has_onnxruntime"):
        monkeypatch.setattr(candidates, name, lambda: False)
    with pytest.raises(ResourceError, match=told):
        candidates.candidates(RunSettings(device="cpu"), is_onnx=True, is_classical=is_classical)
