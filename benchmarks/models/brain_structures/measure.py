"""How `brain-structures` names heads it did not learn from, against its teachers and against itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from benchmarks.models.brain_tissue.measure import lesion_of
from napari_radcnn.geometry import Geometry
from napari_radcnn.metrics import dice
from napari_radcnn.models.brain_structures.network import CLASSES
from napari_radcnn.models.brain_structures.structures import STRUCTURES, VALUES
from napari_radcnn.preprocessing import resample
from napari_radcnn.training.brain_structures.heads import HELD_OUT, asked
from napari_radcnn.training.meshnet import upright_volume
from napari_radcnn.volume import Volume

#: The models whose figures `evaluate` returns.
NAMES = ("brain-structures",)
_STROKE = ("T1", "T2", "FLAIR")
_ORIENTATIONS = ("SPL", "AIR", "RIP", "PLI")
#: mm of thicker slices; voxels by which a moved head appears again, and how bright.
_SLICES_MM, _GHOST_VOXELS, _GHOST = (2.0, 3.0), 21, 0.12

_Labels = npt.NDArray[np.uint8]


def evaluate(data: Path) -> dict[str, Any]:
    """Return every figure of the card, by the model's name.

    Parameters
    ----------
    data : Path
        Folder of the scans and teachers; what the teachers say is kept in ``brain-structures`` beside it.
    """
    heads = {name: upright_volume(data / file) for name, file in HELD_OUT.items()}
    started = time.perf_counter()
    found = {name: _run(scan) for name, scan in heads.items()}
    seconds = (time.perf_counter() - started) / len(heads)
    teachers = {
        name: asked(name, np.ascontiguousarray(np.asarray(scan.array).transpose(2, 1, 0)), data, cache_of(data)).labels
        for name, scan in heads.items()
    }
    theirs = {name: np.ascontiguousarray(labels.transpose(2, 1, 0)) for name, labels in teachers.items()}
    first = next(iter(heads))
    figures = {
        "heads": {name: _mean(_each(joined(found[name]), theirs[name])) for name in heads},
        "structures": {
            structure.name: _rounded(
                np.mean([_each(joined(found[name]), theirs[name])[structure.name] for name in heads])
            )
            for structure in STRUCTURES
        },
        "stroke": _contrasts(data),
        "changed": _changed(heads[first], found[first]),
        "speed": {"seconds_a_head": seconds},
    }
    return {"brain-structures": figures}


def cache_of(data: Path) -> Path:
    """Return the folder in which the teachers' answers are kept."""
    return data.parent / "brain-structures"


def _run(scan: Volume, *, anyway: bool = False) -> _Labels:
    return radcnn.segment(scan, "brain-structures", anyway=anyway).array


def joined(labels: _Labels) -> _Labels:
    """Return the network's classes: sides joined."""
    table = np.zeros(256, np.uint8)
    for number, pair in VALUES.items():
        table[list(pair)] = number
    return table[labels]


def _each(first: _Labels, second: _Labels, where: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
    inside = np.ones(first.shape, bool) if where is None else where
    return {
        name: dice((first == number) & inside, (second == number) & inside)
        for number, name in enumerate(CLASSES)
        if number
    }


def _mean(values: Mapping[str, float]) -> float:
    return _rounded(np.mean(list(values.values())))


def _rounded(value: Any) -> float:
    return round(float(value), 4)


def _contrasts(data: Path) -> dict[str, float]:
    """Compare three contrasts of a patient with a stroke, outside the lesion."""
    scans = {name: radcnn.read(data / "mr_stroke_t1_t2_flair" / f"{name}.nii.gz")[0] for name in _STROKE}
    found = {name: joined(_run(scan)) for name, scan in scans.items()}
    away = ~lesion_of(scans["FLAIR"])
    return {f"t1_{name.lower()}": _mean(_each(found["T1"], found[name], away)) for name in _STROKE if name != "T1"}


def _changed(scan: Volume, labels: _Labels) -> dict[str, Any]:
    """Compare with the same head in other orders of axes, with thicker slices, half of it, and with ghosts."""
    values, plain = np.asarray(scan.array, np.float32), joined(labels)
    turned = [
        scan.geometry.axis_map(letters).invert(_run(scan.reoriented(letters), anyway=True)) for letters in _ORIENTATIONS
    ]
    thick = {f"{size:g}_mm": _mean(_each(*_thicker(scan, plain, size))) for size in _SLICES_MM}
    half = np.zeros(values.shape, bool)
    half[:, :, : values.shape[2] // 2] = True
    shown = np.where(half, plain, 0).astype(np.uint8)
    ghosts = values + _GHOST * (np.roll(values, _GHOST_VOXELS, 1) + np.roll(values, -_GHOST_VOXELS, 1))
    return {
        "orientations": min(_mean(_each(joined(found), plain)) for found in turned),
        "same_side": _rounded(min(float(np.mean(found == labels)) for found in turned)),
        "slices": thick,
        "half": _mean(_each(joined(_run(scan.with_array(np.where(half, values, 0)), anyway=True)), shown, half)),
        "ghosts": _mean(_each(joined(_run(scan.with_array(ghosts), anyway=True)), plain)),
        "negative_background": _mean(_each(joined(_run(scan.with_array(_standardized(values)), anyway=True)), plain)),
    }


def _standardized(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (values - values.mean()) / values.std()


def _thicker(scan: Volume, plain: _Labels, size: float) -> tuple[_Labels, _Labels]:
    """Return labels of slices of `size` mm, and the plain ones on that grid."""
    grid: Geometry = scan.geometry.with_spacing((size, *scan.geometry.spacing[1:]))
    thick = resample(np.asarray(scan.array, np.float32), scan.geometry, grid, interpolation="linear")
    return joined(_run(Volume(thick, grid, scan.metadata), anyway=True)), resample(
        plain, scan.geometry, grid, interpolation="nearest"
    )
