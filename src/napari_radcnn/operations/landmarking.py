"""Landmarks: named places in the patient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.io.contents import Kind, kind_of
from napari_radcnn.io.reports import read_landmarks
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import maps_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.results import Landmark, Landmarks


def landmarks(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Landmarks:
    """Find named places in the patient, LPS mm; parameters and errors as in `run`.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> radcnn.landmarks(head(), "brain-extraction")
    Traceback (most recent call last):
        ...
    napari_radcnn.errors.ModelError: The model 'brain-extraction' is for segmentation, not for landmarks.
    """
    return expect(run(volume, model, options, task="landmarks", **how), Landmarks)


def found(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Landmarks:
    """Return the landmarks that a model found.

    Raises
    ------
    ModelError
        If it gave none to speak of.
    """
    points = outcome.answer
    if not isinstance(points, tuple) or not all(isinstance(point, Landmark) for point in points):
        raise ModelError(f"The pipeline of '{request.spec.name}' returned no landmarks.")
    return Landmarks(points, name, provenance, warnings, maps_of(request.volume, outcome, name, provenance))


def numbers(result: Landmarks) -> list[tuple[str, str]]:
    """Return the place of each landmark, x, y and z in mm, and its score."""
    rows = []
    for point in result.points:
        score = "" if math.isnan(point.score) else f" ({point.score:.2f})"
        rows.append((point.name, f"{' '.join(f'{value:.1f}' for value in point.position)} mm{score}"))
    return rows


def compare_landmarks(reference: Path, prediction: Path, tolerance_mm: float) -> dict[str, Any] | None:
    """Compare the landmarks of two files, or of two folders with a JSON file of a name for each scan."""
    pair = _cases(reference), _cases(prediction)
    if None in pair:
        return None
    truth, given = pair
    if set(truth or ()) != set(given or ()):
        name = min(set(truth or ()) ^ set(given or ()))
        raise ReadError(f"'{name}' is in only one of {reference} and {prediction}: each scan needs a file in both.")
    apart: dict[str, list[float]] = {}
    missing = 0
    for case, wanted in (truth or {}).items():
        places = {point.name: point.position for point in (given or {})[case].points}
        for point in wanted.points:
            distances = apart.setdefault(point.name, [])
            if point.name in places:
                distances.append(float(np.linalg.norm(np.subtract(places[point.name], point.position))))
            else:
                missing += 1
    every = [distance for distances in apart.values() for distance in distances]
    figures = {**_figures(every, tolerance_mm), "tolerance_mm": tolerance_mm, "missing": missing}
    return {"landmarks": {**figures, "each": {name: _figures(one, tolerance_mm) for name, one in apart.items()}}}


def _figures(distances: list[float], tolerance_mm: float) -> dict[str, Any]:
    if not distances:
        return {"n": 0, "mean_mm": None, "median_mm": None, "max_mm": None, "within_tolerance": None}
    return {
        "n": len(distances),
        "mean_mm": float(np.mean(distances)),
        "median_mm": float(np.median(distances)),
        "max_mm": max(distances),
        "within_tolerance": float(np.mean([distance <= tolerance_mm for distance in distances])),
    }


def _cases(path: Path) -> dict[str, Landmarks] | None:
    """Return the landmarks at a path by case; None where there are none."""
    if not path.is_dir():
        return {"": read_landmarks(path)} if kind_of(path) is Kind.LANDMARKS else None
    files = [one for one in sorted(path.glob("*.json")) if kind_of(one) is not Kind.MANIFEST]
    if not files or kind_of(files[0]) is not Kind.LANDMARKS:
        return None
    return {one.stem: read_landmarks(one) for one in files}
