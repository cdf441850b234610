"""A streamed run of a foreign model, and what decides its result; to be killed in the middle and gone on with.

Run as a program: ``python killed_run.py FOLDER BLOCKS`` ends itself by SIGKILL when it has written so many blocks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import napari_radcnn as radcnn
from model_factory import UNET, describe, unet, write_safetensors
from napari_radcnn.geometry import Geometry
from napari_radcnn.operations import segment_to
from napari_radcnn.volume import Volume, VolumeMetadata

SHAPE = (56, 20, 18)
HOW = {"device": "cpu", "precision": "float32"}
_BUILT = {"architecture": {"name": "UNet", "arguments": UNET}, "weights": "weights.safetensors"}


def prepare(folder: Path) -> None:
    """Write a model and a scan."""
    (folder / "model").mkdir()
    _describe(folder)
    _weigh(folder, 2)
    values = np.random.default_rng(0).normal(60, 120, SHAPE).astype(np.int16)
    _scan(folder, values)


def _describe(folder: Path, **changes: Any) -> None:
    describe(folder / "model" / "model.json", **{**_BUILT, **changes})


def _weigh(folder: Path, seed: int) -> None:
    write_safetensors(folder / "model" / "weights.safetensors", unet(seed).state_dict())


def _scan(folder: Path, values: np.ndarray, spacing: float = 2.0) -> None:
    affine = np.array([[0, 0, 1.5, 5], [0, 1.5, 0, -7], [spacing, 0, 0, 30], [0, 0, 0, 1]])
    scan = Volume(values, Geometry(SHAPE, affine), VolumeMetadata("scan", modality="CT"))
    shutil.rmtree(folder / "scan.ome.zarr", ignore_errors=True)
    radcnn.write(scan, folder / "scan.ome.zarr")


def _one_voxel(folder: Path) -> None:
    values = np.array(radcnn.read(folder / "scan.ome.zarr")[0].array)
    values[-1, 3, 4] += 1
    _scan(folder, values)


def _moved(folder: Path) -> None:
    _scan(folder, np.array(radcnn.read(folder / "scan.ome.zarr")[0].array), spacing=2.5)


def _steps(high: int) -> list[dict[str, Any]]:
    return [{"step": "range", "low": -57, "high": high, "to_low": 0, "to_high": 1, "clip": True}]


#: What decides the result, and is changed between the kill and the next run.
KINDS: dict[str, Callable[[Path], None]] = {
    "weights": lambda folder: _weigh(folder, 3),
    "spacing": lambda folder: _describe(folder, spacing=[2.0, 1.5, 1.4]),
    "intensity": lambda folder: _describe(folder, intensity=_steps(165)),
    "classes": lambda folder: _describe(folder, classes=["background", "spleen", "liver"]),
    "patch": lambda folder: _describe(folder, patch=[16, 16, 32]),
    "activation": lambda folder: _describe(folder, activation="sigmoid"),
    "orientation": lambda folder: _describe(folder, orientation="LPS"),
    "one voxel of the scan": _one_voxel,
    "place of the scan": _moved,
}


def stream(folder: Path, each_block: Callable[[Any, Any], None] | None = None) -> Volume:
    """Run the model from disk to disk."""
    (scan,) = radcnn.read(folder / "scan.ome.zarr")
    spec = radcnn.open_model(folder / "model")
    return segment_to(scan, spec, folder / "out.ome.zarr", each_block=each_block, **HOW)


def main(folder: str, n_blocks: str) -> None:
    left = [int(n_blocks)]

    def count(_box: Any, _labels: Any) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    stream(Path(folder), count)
    print(json.dumps({"blocks": int(n_blocks) - left[0]}))  # noqa: T201  it was not killed


if __name__ == "__main__":
    main(*sys.argv[1:])
