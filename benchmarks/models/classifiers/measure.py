"""How well `cxr-pneumonia` and `adrenal-mass` classify the test splits of MedMNIST v2, which no training saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from benchmarks.models.classifiers import rivals
from benchmarks.models.classifiers.attention import attention
from benchmarks.models.common import throughput
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.request import Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.metrics import compare_classes
from napari_radcnn.metrics.classes import calibration_error
from napari_radcnn.models import ModelSpec, get_model
from napari_radcnn.models.classifiers import run as classifier
from napari_radcnn.training.classifiers import adrenal_mass, cxr_pneumonia
from napari_radcnn.training.classifiers.learn import find_file, load_split
from napari_radcnn.volume import Volume, VolumeMetadata

NAMES = ("cxr-pneumonia", "adrenal-mass")
#: Cases that also go through the public function, which must say the same; resamples of the bootstrap.
_CHECKED, _RESAMPLES = 4, 2000


def evaluate(data: Path) -> dict[str, Any]:
    """Return the figures of both models, by name.

    Parameters
    ----------
    data : Path
        Folder with both files of MedMNIST v2, or with a folder ``classification`` that has them.
    """
    pictures, found = load_split(find_file(data, cxr_pneumonia.FILE), "test")
    masks, outlined = load_split(find_file(data, adrenal_mass.FILE), "test")
    films = [radiograph(one) for one in pictures]
    return {
        "cxr-pneumonia": _figures("cxr-pneumonia", films, found)
        | {"attention": attention(get_model("cxr-pneumonia"), pictures, films, found)}
        | {"rival": _told_apart(rivals.brightness_rival(data), found)},
        "adrenal-mass": _figures("adrenal-mass", [gland(one) for one in masks], outlined)
        | {"always_normal": float((outlined == 0).mean())}
        | {"rival": _told_apart(rivals.shape_rival(data), outlined)},
    }


def radiograph(picture: npt.NDArray[np.uint8]) -> Volume:
    """Return a picture as a frontal radiograph of a chest of 280 mm."""
    grid = Geometry.from_parts((1, *picture.shape), (1, *(280 / n for n in picture.shape)))
    return Volume(picture[None], grid, VolumeMetadata("radiograph", "CR"))


def gland(cube: npt.NDArray[np.uint8]) -> Volume:
    """Return a mask of a gland in voxels of 1 mm."""
    grid = Geometry.from_parts(cube.shape, (1, 1, 1))
    return Volume((cube > 0).astype(np.uint8), grid, VolumeMetadata("gland", "SEG", is_label=True))


def probabilities_of(spec: ModelSpec, volumes: list[Volume]) -> npt.NDArray[np.float64]:
    """Return the probability of the last class for each volume, as the recipe gives it."""
    import torch

    settings = RunSettings("cpu")
    requests = [Request(spec, one, spec.options(), settings, 1) for one in volumes]
    views = torch.stack([classifier.views(one) for one in requests])
    said = []
    with torch.inference_mode():
        for member in classifier.modules(spec):
            parts = [member(part).numpy() for part in views.flatten(0, 1).split(128)]
            said.append(np.concatenate(parts).reshape(*views.shape[:2], -1))
    logits = np.concatenate(said, 1)
    each = [
        classifier.each_look(spec, looks, classifier.features(one)) for looks, one in zip(logits, requests, strict=True)
    ]
    return np.array([looks[:, -1].mean() for looks in each])


def _figures(name: str, volumes: list[Volume], truth: npt.NDArray[np.int64]) -> dict[str, Any]:
    spec = get_model(name)
    said = probabilities_of(spec, volumes)
    for index in np.linspace(0, len(volumes) - 1, _CHECKED).astype(int):
        public = list(radcnn.classify(volumes[index], spec, device="cpu").probabilities.values())
        if abs(public[-1] - said[index]) > 1e-3:
            raise SystemExit(f"{name}: the recipe and the public function say different things of case {index}.")
    names = classifier.classes(spec)
    figures = compare_classes([names[one] for one in truth], {names[0]: 1 - said, names[1]: said})
    right = (said > 0.5) == (truth == 1)
    confidence = np.maximum(said, 1 - said)
    return {
        "test": figures
        | {
            "accuracy_interval": _interval(right, lambda rows: float(right[rows].mean())),
            "calibration_interval": _interval(right, lambda rows: calibration_error(right[rows], confidence[rows])),
            "wrong": int((~right).sum()),
            "wrong_above_90": int((~right & (confidence > 0.9)).sum()),
        },
        "points": [_at(point.name, point.threshold, said, truth) for point in classifier.operating_points(spec)],
        "speed": _speed(spec, volumes[:8]),
    }


def _at(name: str, threshold: float, said: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return what an operating point does in the test split."""
    found, counts = truth == 1, said >= threshold
    figures = {"accuracy": counts == found, "sensitivity": counts[found], "specificity": ~counts[~found]}
    return {"name": name, "threshold": threshold} | {key: float(value.mean()) for key, value in figures.items()}


def _told_apart(said: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return how well a rival tells the classes apart."""
    figures = compare_classes([str(one) for one in truth], {"0": 1 - said, "1": said})
    of = figures["classes"]["1"]
    told = {"auc": of["auc"], "accuracy": figures["accuracy"]}
    return told | {"sensitivity": of["sensitivity"], "specificity": of["specificity"]}


def _interval(cases: npt.NDArray[Any], figure: Callable[[npt.NDArray[np.int64]], float]) -> list[float]:
    """Return the 95 % interval of the bootstrap over cases."""
    rng = np.random.default_rng(0)
    found = [figure(rng.integers(len(cases), size=len(cases))) for _ in range(_RESAMPLES)]
    return [float(value) for value in np.percentile(found, (2.5, 97.5))]


def coarse(cube: npt.NDArray[np.uint8], step: int) -> Volume:
    """Return a mask of a gland of which every so many slices are kept."""
    grid = Geometry.from_parts(cube[::step].shape, (step, 1, 1))
    return Volume((cube[::step] > 0).astype(np.uint8), grid, VolumeMetadata("gland", "SEG", is_label=True))


def _speed(spec: ModelSpec, volumes: list[Volume]) -> dict[str, Any]:
    """Return scans a second, and their ratio to plain torch in float32 that asks one network for one view at a time."""
    import torch

    members = classifier.modules(spec)
    settings = RunSettings("cpu")
    inputs = [classifier.views(Request(spec, volume, spec.options(), settings, 2)) for volume in volumes]

    def ours() -> None:
        for volume in volumes:
            classifier.looked_at(Request(spec, volume, spec.options(), settings, 2), members)

    def plain() -> None:
        with torch.inference_mode():
            for given in inputs:
                for member in members:
                    for view in given:
                        member(view[None])

    found = throughput(ours, plain)
    return found | {"scans_a_second": len(volumes) / found["ours_s"]}
