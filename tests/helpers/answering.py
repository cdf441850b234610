"""Networks that answer once for a whole scan with a closed form: bias + weight @ the mean of what they are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import napari_radcnn as radcnn
from napari_radcnn.errors import TrustError
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.spec.model import ModelSpec
from onnx_file import mean_onnx

PATCH = (6, 7, 5)


class MeanNetwork(torch.nn.Module):
    """Answers with bias + weight @ the mean of each channel, `(1, answers)`."""

    def __init__(self, weight: list[list[float]], bias: list[float], end: str = "") -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))
        self.bias = torch.nn.Parameter(torch.tensor(bias))
        self.end = end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = self.bias + x.flatten(2).mean(2) @ self.weight.T
        if self.end == "Softmax":
            return torch.softmax(answer, 1)
        return torch.sigmoid(answer) if self.end == "Sigmoid" else answer


def write_network(
    path: Path, weight: list[list[float]], bias: list[float], patch: tuple[int, ...] = PATCH, end: str = ""
) -> Path:
    """Write one as ONNX or TorchScript, by the suffix."""
    if path.suffix == ".onnx":
        path.write_bytes(mean_onnx(weight, bias, patch, end))
    else:
        torch.jit.script(MeanNetwork(weight, bias, end)).save(str(path))
    return path


def describe_answer(path: Path, **changes: Any) -> Path:
    """Write its model.json, one key a line: three classes that exclude each other, the scan resized to the patch."""
    description: dict[str, Any] = {
        "schema": "radcnn-model/2",
        "name": "Three Ways",
        "task": "classification",
        "inputs": [{"name": "CT", "modalities": ["CT"]}],
        "classes": ["low", "middle", "high"],
        "patch": list(PATCH),
        "fit": "area",
    }
    description |= changes
    path.write_text(json.dumps({key: value for key, value in description.items() if value is not ...}, indent=1))
    return path


def value_keys(**changes: Any) -> dict[str, Any]:
    """Return the keys of a regression in place of those of the classification."""
    return {"task": "regression", "classes": ..., "quantity": "bone age", "unit": "mo"} | changes


def risk_keys(**changes: Any) -> dict[str, Any]:
    """Return the keys of a survival in place of those of the classification."""
    return {"task": "survival", "classes": ..., "event": "death"} | changes


def open_trusted(path: Path) -> ModelSpec:
    """Open a model, trusting it if it is a program."""
    try:
        return radcnn.open_model(path)
    except TrustError as error:
        return radcnn.open_model(path, trust=error.sha256)


def scan(mean: float = 0.3, shape: tuple[int, int, int] = (12, 14, 10), name: str = "scan") -> radcnn.Volume:
    """Return an oblique CT of noise with exactly this mean, whose sides are twice those of the patch."""
    values = np.random.default_rng(5).normal(0, 1, shape)
    array = (values - values.mean() + mean).astype(np.float32)
    return radcnn.Volume(array, oblique_geometry(shape), radcnn.VolumeMetadata(name, modality="CT"))


def compute_here(monkeypatch, weight: list[list[float]], bias: list[float], end: str = "") -> None:
    """Let `write_network`'s networks be computed in this process by NumPy."""

    def mean(patch: np.ndarray) -> np.ndarray:
        answer = np.array(bias) + np.array(weight) @ patch.reshape(len(patch), -1).mean(1, dtype=np.float64)
        if end == "Softmax":
            answer = np.exp(answer) / np.exp(answer).sum()
        return (1 / (1 + np.exp(-answer)) if end == "Sigmoid" else answer).astype(np.float32)

    answer_with(monkeypatch, mean)


def answer_with(monkeypatch, answer: Callable[[np.ndarray], np.ndarray]) -> None:
    """Let a function of the patch answer in place of any program, which starts no process: for what formats share."""

    class Here:
        backend, device, precision, agreement, measured_on = "torch", "cpu", "float32", None, None

        def __call__(self, patch: np.ndarray) -> np.ndarray:
            return np.asarray(answer(patch), np.float32)

        def close(self) -> None:
            pass

    monkeypatch.setattr("napari_radcnn.foreign.answers.run.open_file_network", lambda *_, **__: (Here(), ()))
