"""Classification: probabilities for the whole scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from napari_radcnn.errors import ReadError
from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.io.contents import Kind, kind_of
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import maps_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.results import Classification


def classify(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Classification:
    """Give the whole scan probabilities; parameters and errors as in `run`."""
    return expect(run(volume, model, options, task="classification", **how), Classification)


def classification(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Classification:
    """Return the probabilities that a classifier gave."""
    maps = maps_of(request.volume, outcome, name, provenance)
    return Classification(outcome.probabilities, name, provenance, warnings, maps)


def compare_classifications(reference: Path, prediction: Path, _tolerance_mm: float) -> dict[str, Any] | None:
    """Compare the classes of two CSV files."""
    pair = reference, prediction
    if not all(path.suffix.lower() == ".csv" and kind_of(path) is not Kind.FINDINGS for path in pair):
        return None
    from napari_radcnn.metrics import compare_classes

    return {"classification": compare_classes(*_classes(reference, prediction))}


def _classes(reference: Path, prediction: Path) -> tuple[list[str], dict[str, list[float]]]:
    from napari_radcnn.io.reports import read_table

    (_, truth), (names, given) = read_table(reference), read_table(prediction)
    if set(truth) != set(given):
        raise ReadError(f"{reference} and {prediction} have different cases in their first columns.")
    try:
        columns = [[float(given[case][number]) for case in truth] for number in range(len(names))]
    except ValueError as error:
        raise ReadError(f"{prediction} contains a value that is not a number: {error}.") from error
    return [row[0] for row in truth.values()], dict(zip(names, columns, strict=True))
