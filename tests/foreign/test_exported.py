"""Networks as other programs export them: scikit-learn, which takes a row of all voxels, and PyTorch's own exporter."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import describe_answer, value_keys
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, ResourceError
from napari_radcnn.inference.backends import candidates
from napari_radcnn.inference.backends.choice import open_predictor

DATA = Path(__file__).parents[1] / "data" / "exported"
ANSWERS = json.loads((DATA / "answers.json").read_text())
IMAGE = np.sin(np.arange(210)).astype(np.float32).reshape(5, 6, 7)


@pytest.fixture
def volume():
    pytest.importorskip("openvino")
    return radcnn.Volume(IMAGE, radcnn.Geometry(IMAGE.shape, np.diag([2.5, 0.8, 0.7, 1.0])[[2, 1, 0, 3]]))


def opened(folder, name, **keys):
    shutil.copy(DATA / f"{name}.onnx", folder / "net.onnx")
    describe_answer(folder / "net.json", **{"patch": [5, 6, 7], "fit": "exact", "inputs": ["scan"]} | keys)
    return radcnn.open_model(folder / "net.onnx")


def test_a_regressor_of_scikit_learn_is_given_all_voxels_in_order(tmp_path, volume):
    found = radcnn.regress(volume, opened(tmp_path, "scikit-learn", **value_keys(classes=...)), anyway=True)
    assert found.value == pytest.approx(ANSWERS["scikit-learn"], abs=1e-4)
    with pytest.raises(ModelError, match=r"expects input of shape any x 210, but net\.json gives 1 x 1 x 5 x 6 x 6"):
        opened(tmp_path, "scikit-learn", **value_keys(patch=[5, 6, 6]))


@pytest.mark.parametrize(("name", "output"), [("forest", "probabilities"), ("linear", "output_probability")])
def test_a_classifier_of_scikit_learn_says_the_same_everywhere(tmp_path, volume, name, output):
    """Trees, and a linear model whose probabilities come as a mapping, in Python, from the shell and replayed."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    keys = {"classes": ["benign", "malignant", "normal"], "activation": "none", "output": output}
    found = radcnn.classify(volume, opened(tmp_path, name, **keys), anyway=True)
    np.testing.assert_allclose(list(found.probabilities.values()), ANSWERS[name], atol=1e-4)
    path, out = radcnn.write(volume, tmp_path / "scan.nii.gz"), tmp_path / "out.json"
    assert main(["run", str(tmp_path / "net.onnx"), str(path), "-o", str(out), "--anyway"]) == 0
    said = json.loads(out.read_text())["probabilities"]
    np.testing.assert_allclose(list(said.values()), ANSWERS[name], atol=1e-4)
    assert radcnn.replay(tmp_path / "out.json.radcnn.json").is_same is True


def test_a_classifier_of_scikit_learn_without_onnx_runtime_says_what_to_install(tmp_path, volume, monkeypatch):
    monkeypatch.setattr(candidates, "has_onnxruntime", lambda: False)
    monkeypatch.setattr("napari_radcnn.foreign.answers.run.open_file_network", open_predictor_here)
    keys = {"classes": ["benign", "malignant", "normal"], "activation": "none", "output": "probabilities"}
    with pytest.raises(ResourceError, match=r"ai\.onnx\.ml.*pip install napari-radcnn\[onnx\]"):
        radcnn.classify(volume, opened(tmp_path, "forest", **keys), anyway=True)
    with pytest.raises(ModelError, match=r"net\.onnx has 2 outputs: 0 'label'"):
        opened(tmp_path, "forest", **(keys | {"output": ...}))


def open_predictor_here(network, *place, **how):
    """Open a network in this process, whose packages are known to a test."""
    return open_predictor(network, *place, **how)


def test_a_classifier_of_torchs_exporter_says_the_same(tmp_path, volume):
    found = radcnn.classify(volume, opened(tmp_path, "torch"), anyway=True)
    shares = np.exp(ANSWERS["torch"]) / np.exp(ANSWERS["torch"]).sum()
    np.testing.assert_allclose(list(found.probabilities.values()), shares, atol=1e-4)


def test_the_image_is_the_one_that_they_were_shown(monkeypatch):
    monkeypatch.syspath_prepend(str(DATA))
    sys.modules.pop("make", None)
    import make

    np.testing.assert_array_equal(make.IMAGE, IMAGE)
    sys.modules.pop("make")
