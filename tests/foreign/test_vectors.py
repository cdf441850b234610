"""Embeddings by networks from elsewhere: the closed form of the network, in every face."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import compute_here, describe_answer, open_trusted, scan, write_network
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.io.reports import read_embedding
from napari_radcnn.operations import evaluate

DOCUMENT = Path(__file__).parents[2] / "docs" / "model_json.md"
WEIGHT, BIAS = [[1.0], [-2.0], [0.0], [4.0]], [0.0, 0.5, 1.0, -0.2]
#: What the network says of a scan of mean 0.3.
VECTOR = np.array(BIAS) + 0.3 * np.array(WEIGHT)[:, 0]


def _keys(**changes):
    return {"task": "embedding", "classes": ..., "length": 4} | changes


def test_shell_file_manifest_and_replay_say_the_same(tmp_path, capsys):
    pytest.importorskip("openvino")
    path = write_network(tmp_path / "net.onnx", WEIGHT, BIAS)
    describe_answer(tmp_path / "net.json", **_keys())
    assert radcnn.embed(scan(), path, device="cpu").vector == pytest.approx(VECTOR, abs=1e-4)
    place, out = radcnn.write(scan(), tmp_path / "scan.nii.gz"), tmp_path / "out.json"
    assert main(["run", str(path), str(place), "-o", str(out), "--device", "cpu"]) == 0
    assert f"numbers: 4\nlength: {np.linalg.norm(VECTOR):.4g}\n" in capsys.readouterr().out
    assert json.loads(out.read_text())["embedding"] == pytest.approx(VECTOR, abs=1e-4)
    assert main(["replay", f"{out}.radcnn.json"]) == 0
    assert "identical: the numbers of out.json" in capsys.readouterr().out
    assert main(["info", str(out)]) == 0
    assert "an embedding of 4 numbers" in capsys.readouterr().out


def test_the_documented_embedding_has_length_one(tmp_path, monkeypatch):
    compute_here(monkeypatch, WEIGHT, BIAS)
    (described,) = [text for text in DOCUMENT.read_text().split("```json\n") if '"task": "embedding"' in text]
    path = write_network(tmp_path / "net.onnx", WEIGHT, BIAS, (16, 16, 16))
    (tmp_path / "net.json").write_text(described.partition("```")[0])
    found = radcnn.embed(scan(shape=(16, 32, 16)), path)
    assert found.vector == pytest.approx(VECTOR / np.linalg.norm(VECTOR), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"length": 3}, r"returns 4 numbers, but net\.json expects 3 for the embedding"),
        ({"length": 0}, "'length' must be the number of values"),
        ({"length": ...}, "'length' is missing"),
        ({"unit": "mm"}, "'unit' is not supported"),
        ({"slices": "max", "spatial_dims": 2, "patch": [8, 8]}, "can only be combined by their mean"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_model_is_opened(tmp_path, changes, told):
    path = write_network(tmp_path / "net.onnx", WEIGHT, BIAS)
    describe_answer(tmp_path / "net.json", **_keys(**changes))
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(path)


def test_zeros_have_no_direction(tmp_path, monkeypatch):
    compute_here(monkeypatch, [[0.0]] * 4, [0.0] * 4)
    path = write_network(tmp_path / "net.ts", WEIGHT, BIAS)
    describe_answer(tmp_path / "net.json", **_keys(normalize=True))
    with pytest.raises(ModelError, match="only zeros"):
        radcnn.embed(scan(), open_trusted(path))


def test_embeddings_are_compared(tmp_path):
    for name, vector in (("a", (3.0, 4.0)), ("b", (4.0, -3.0)), ("c", (6.0, 8.0)), ("d", (1.0,))):
        radcnn.write(radcnn.Embedding(vector), tmp_path / f"{name}.json")
    across = evaluate(tmp_path / "a.json", tmp_path / "b.json")["embedding"]
    assert across == {"n": 2, "cosine": 0.0, "distance": pytest.approx(50**0.5)}
    assert evaluate(tmp_path / "a.json", tmp_path / "c.json")["embedding"]["cosine"] == pytest.approx(1.0)
    with pytest.raises(ReadError, match=r"has 2 numbers, .* 1: they are of different models"):
        evaluate(tmp_path / "a.json", tmp_path / "d.json")
    (tmp_path / "e.json").write_text('{"embedding": [1, null]}')
    with pytest.raises(ReadError, match="contains no embedding"):
        read_embedding(tmp_path / "e.json")
