"""Survival: how great the risk of an event is, and how likely it has not come by a time, for the whole scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.io.contents import Kind, kind_of
from napari_radcnn.io.reports import read_risk, read_table
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import maps_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.results import Survival

_TIME, _EVENT, _RISK = "time", "event", "risk"


def survival(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Survival:
    """Tell the risk of an event from the whole scan; parameters and errors as in `run`.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> radcnn.survival(head(), "brain-extraction")
    Traceback (most recent call last):
        ...
    napari_radcnn.errors.ModelError: The model 'brain-extraction' is for segmentation, not for survival.
    """
    return expect(run(volume, model, options, task="survival", **how), Survival)


def survived(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Survival:
    """Return the risk that a model found.

    Raises
    ------
    ModelError
        If it found none.
    """
    if not isinstance(outcome.answer, Survival):
        raise ModelError(f"The pipeline of '{request.spec.name}' returned no risk.")
    maps = maps_of(request.volume, outcome, name, provenance)
    return replace(outcome.answer, name=name, provenance=provenance, warnings=warnings, maps=maps)


def numbers(result: Survival) -> list[tuple[str, str]]:
    """Return the risk, its group, and how likely the event has not come by each time."""
    rows = [(f"risk of {result.event}", f"{result.risk:.4g}")]
    if result.group:
        rows.append(("risk group", result.group))
    unit = f" {result.unit}" if result.unit else ""
    return [
        *rows,
        *((f"free of {result.event} at {time:g}{unit}", f"{share:.3f}") for time, share in result.event_free),
    ]


def compare_risks(reference: Path, prediction: Path, _tolerance_mm: float) -> dict[str, Any] | None:
    """Compare a table of times and events with a table of risks, or with a folder of a JSON file for each case."""
    truth = _table(reference, (_TIME, _EVENT))
    given = _risks(prediction)
    if truth is None or given is None:
        return None
    if set(truth) != set(given):
        name = min(set(truth) ^ set(given))
        raise ReadError(f"'{name}' is in only one of {reference} and {prediction}: each case needs a risk and a time.")
    from napari_radcnn import metrics

    for case, (_, event) in truth.items():
        if event not in (0, 1):
            raise ReadError(f"{reference}: the event of case '{case}' must be 1, or 0 if it has not occurred.")
    times, events = ([values[number] for values in truth.values()] for number in (0, 1))
    return {"survival": metrics.compare_risks(times, [bool(one) for one in events], [given[case] for case in truth])}


def _risks(path: Path) -> dict[str, float] | None:
    if path.is_dir():
        files = [one for one in sorted(path.glob("*.json")) if kind_of(one) is not Kind.MANIFEST]
        if not files or kind_of(files[0]) is not Kind.RISK:
            return None
        return {one.stem: read_risk(one).risk for one in files}
    found = _table(path, (_RISK,))
    return None if found is None else {case: values[0] for case, values in found.items()}


def _table(path: Path, columns: tuple[str, ...]) -> dict[str, list[float]] | None:
    """Return columns of a CSV file by the case in its first; None where it is none, or lacks one of them."""
    if path.suffix.lower() != ".csv" or kind_of(path) is Kind.FINDINGS:
        return None
    try:
        names, rows = read_table(path)
    except ReadError:
        return None  # whoever else reads tables tells what is wrong
    if not set(columns) <= set(names):
        return None
    at = [names.index(column) for column in columns]
    try:
        return {case: [float(cells[number]) for number in at] for case, cells in rows.items()}
    except ValueError as error:
        raise ReadError(f"{path} contains a value that is not a number: {error}.") from error
