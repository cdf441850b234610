"""Detection: findings with their places."""

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
from napari_radcnn.results import Detections


def detect(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Detections:
    """Find things; parameters and errors as in `run`."""
    return expect(run(volume, model, options, task="detection", **how), Detections)


def detections(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Detections:
    """Return what a detector found, best first."""
    best_first = tuple(sorted(outcome.detections, key=lambda found: -found.score))
    return Detections(best_first, name, provenance, warnings, maps_of(request.volume, outcome, name, provenance))


def compare_detections(reference: Path, prediction: Path, _tolerance_mm: float) -> dict[str, Any] | None:
    """Compare the findings of two files or reports, or of two folders with a JSON file of a name for each scan."""
    pair = reference, prediction
    hold_findings = [kind_of(path) in (Kind.FINDINGS, Kind.REPORT) for path in pair]
    are_json = all(path.suffix.lower() == ".json" for path in pair)
    if not (all(hold_findings) or are_json or all(map(_files_of_findings, pair))):
        if any(hold_findings):
            raise ReadError(
                f"Only one of {reference} and {prediction} contains findings: compare two files of the same kind."
            )
        return None
    from napari_radcnn.metrics import compare_findings

    return {"detections": compare_findings(*_findings(reference, prediction))}


def _files_of_findings(path: Path) -> dict[str, Path]:
    """Return the JSON files of a folder by name, without the manifests beside them."""
    if not path.is_dir():
        return {}
    return {one.name: one for one in sorted(path.glob("*.json")) if kind_of(one) is not Kind.MANIFEST}


def _findings(reference: Path, prediction: Path) -> tuple[list[Any], list[Any]]:
    first, second = _files_of_findings(reference), _files_of_findings(prediction)
    if not first:
        return [_boxes(reference)], [_boxes(prediction)]
    if set(first) != set(second):
        name = min(set(first) ^ set(second))
        raise ReadError(f"{name} is in only one of {reference} and {prediction}: each scan needs a file in both.")
    return [_boxes(first[name]) for name in first], [_boxes(second[name]) for name in first]


def _boxes(path: Path) -> list[Any]:
    """Return the findings of a file that nobody rejected."""
    from napari_radcnn.io import read_report
    from napari_radcnn.io.reports import read_detections

    found = read_report(path).detections if kind_of(path) is Kind.REPORT else read_detections(path)
    return [box for box in found.boxes if box.state != "rejected"]
