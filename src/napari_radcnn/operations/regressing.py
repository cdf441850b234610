"""Regression: one value, with unit and interval, for the whole scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.io.reports import read_value, read_value_table
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import maps_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.results import Regression


def regress(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Regression:
    """Read a value off the whole scan, such as a bone age; parameters and errors as in `run`.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> radcnn.regress(head(), "brain-extraction")
    Traceback (most recent call last):
        ...
    napari_radcnn.errors.ModelError: The model 'brain-extraction' is for segmentation, not for regression.
    """
    return expect(run(volume, model, options, task="regression", **how), Regression)


def regression(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Regression:
    """Return the value that a model found.

    Raises
    ------
    ModelError
        If it found none.
    """
    if not isinstance(outcome.answer, Regression):
        raise ModelError(f"The pipeline of '{request.spec.name}' returned no value.")
    maps = maps_of(request.volume, outcome, name, provenance)
    return replace(outcome.answer, name=name, provenance=provenance, warnings=warnings, maps=maps)


def numbers(result: Regression) -> list[tuple[str, str]]:
    """Return the value with its unit, and its interval."""
    unit = "" if result.unit == "1" else f" {result.unit}"
    rows = [(result.quantity, f"{result.value:.4g}{unit}")]
    if result.interval is not None:
        low, high = result.interval
        rows.append((f"{100 * result.level:g} % interval", f"{low:.4g} to {high:.4g}{unit}"))
    return rows


def compare_values(reference: Path, prediction: Path, _tolerance_mm: float) -> dict[str, Any] | None:
    """Compare the values of two CSV files, or of two folders with a JSON file of a name for each scan."""
    pair = _values(reference), _values(prediction)
    if None in pair:
        return None
    from napari_radcnn.metrics import compare_numbers

    (truth, unit), (given, other) = pair  # type: ignore[misc]
    if set(truth) != set(given):
        name = min(set(truth) ^ set(given))
        raise ReadError(f"'{name}' is in only one of {reference} and {prediction}: each case needs a value in both.")
    if unit and other and unit != other:
        raise ReadError(f"The values of {reference} are in {unit}, those of {prediction} in {other}.")
    cases = list(truth)
    intervals = [given[case].interval for case in cases]
    known = None if None in intervals else [one for one in intervals if one is not None]
    figures = compare_numbers([truth[case].value for case in cases], [given[case].value for case in cases], known)
    return {"value": {**({"unit": unit or other} if unit or other else {}), **figures}}


def _values(path: Path) -> tuple[dict[str, Regression], str] | None:
    """Return the values at a path by case, and their unit where all state the same; None where there are none."""
    from napari_radcnn.io.contents import Kind, kind_of

    if path.is_dir():
        files = [one for one in sorted(path.glob("*.json")) if kind_of(one) is not Kind.MANIFEST]
        if not files or kind_of(files[0]) is not Kind.VALUE:
            return None
        found = {one.stem: read_value(one) for one in files}
    elif kind_of(path) is Kind.VALUE:
        found = {"": read_value(path)}
    else:
        table = read_value_table(path) if path.suffix.lower() == ".csv" else None
        if table is None:
            return None
        found = table
    units = {one.unit for one in found.values()}
    if len(units) > 1:
        raise ReadError(f"{path}: values in different units ({', '.join(sorted(units))}) cannot be compared.")
    return found, units.pop()
