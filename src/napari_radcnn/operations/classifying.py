"""Classification: probabilities for the whole scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

from napari_radcnn.errors import ReadError
from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Decided, Outcome, Request
from napari_radcnn.io.contents import Kind, kind_of
from napari_radcnn.io.reports import read_table
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import maps_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.results import Classification, OperatingPoint

#: The column of a table of values.
_VALUE = "value"


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
    decided = outcome.answer if isinstance(outcome.answer, Decided) else Decided()
    return Classification(
        outcome.probabilities,
        name,
        provenance,
        warnings,
        maps,
        decided.kind,
        dict(decided.thresholds),
        dict(decided.operating_points),
    )


def numbers(result: Classification) -> list[tuple[str, str]]:
    """Return what it comes to, and every class with its probability, the likeliest first; grades in their order."""
    listed = list(result.probabilities.items())
    if result.kind != "ordinal":
        listed.sort(key=lambda pair: -pair[1])
    told = {"exclusive": "class", "multi-label": "present", "ordinal": "grade"}[result.kind]
    rows = [(told, ", ".join(result.decided) or "none")]
    return [*rows, *((name, f"{value:.3f}") for name, value in listed), *_points(result)]


def _points(result: Classification) -> Iterator[tuple[str, str]]:
    """Return the operating point that decides each class, and what it did when it was tested; else those there are."""
    for name, points in result.operating_points.items():
        # of exclusive classes the likeliest counts where no threshold is set, which is no operating point
        at = result.thresholds.get(name) if result.kind == "exclusive" else result.threshold(name)
        chosen = [point for point in points if point.threshold == at]
        for point in chosen or points:
            yield ("operating point" if chosen else "not chosen", _told_of(name, point))


def _told_of(name: str, point: OperatingPoint) -> str:
    found, alarms = (round(100 * share) for share in (point.sensitivity, 1 - point.specificity))
    return (
        f"{point.name}: {name} from {point.threshold:.2f}, which detects {found} of 100 who have it and gives "
        f"{alarms} false alarms in 100 who do not"
    )


def compare_classifications(reference: Path, prediction: Path, _tolerance_mm: float) -> dict[str, Any] | None:
    """Compare two CSV files: the class of each case, or 0 or 1 for each finding, with probabilities."""
    pair = reference, prediction
    if not all(path.suffix.lower() == ".csv" and kind_of(path) is not Kind.FINDINGS for path in pair):
        return None
    from napari_radcnn.metrics import compare_classes, compare_present

    (given_names, truth), (names, given) = read_table(reference), read_table(prediction)
    if _VALUE in names or set(truth) != set(given):
        if _VALUE in names:
            return None  # values, which are compared elsewhere
        raise ReadError(f"{reference} and {prediction} have different cases in their first columns.")
    columns = _columns(prediction, names, given, list(truth))
    if len(given_names) > 1:
        present = _columns(reference, given_names, truth, list(truth))
        if any(value not in (0, 1) for column in present.values() for value in column):
            raise ReadError(f"{reference}: with findings that may occur together, each column must contain 0 or 1.")
        return {"classification": compare_present({k: list(map(bool, v)) for k, v in present.items()}, columns)}
    return {"classification": compare_classes([row[0] for row in truth.values()], columns)}


def _columns(path: Path, names: list[str], rows: Mapping[str, list[str]], cases: list[str]) -> dict[str, list[float]]:
    """Return the numbers of each column of a table."""
    try:
        return {name: [float(rows[case][number]) for case in cases] for number, name in enumerate(names)}
    except ValueError as error:
        raise ReadError(f"{path} contains a value that is not a number: {error}.") from error
