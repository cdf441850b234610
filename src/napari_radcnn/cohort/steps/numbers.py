"""The numbers of a result, as they stand in a row of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from napari_radcnn.results import (
    Classification,
    Detections,
    Embedding,
    LabelMap,
    Landmarks,
    Regression,
    Result,
    Survival,
)

Number = float | int | str | bool | None


def numbers_of_result(result: Result) -> dict[str, Number]:
    """Return what a table says of a result: volumes, findings, probabilities, and what the model tells of it.

    Examples
    --------
    >>> numbers_of_result(Classification({"normal": 0.25, "pneumonia": 0.75}))
    {'probability_normal': 0.25, 'probability_pneumonia': 0.75}
    """
    found: dict[str, Number] = {}
    if isinstance(result, LabelMap):
        found = {f"{label.name}_ml": round(result.volume_ml(value), 4) for value, label in result.labels.items()}
    elif isinstance(result, Detections):
        scores = [box.score for box in result.boxes if not math.isnan(box.score)]
        found = {
            "findings": len(result.boxes),
            "best_score": round(max(scores), 6) if scores else None,
            "largest_mm": round(max(box.diameter for box in result.boxes), 3) if result.boxes else None,
        }
    elif isinstance(result, Classification):
        found = {f"probability_{name}": round(value, 6) for name, value in result.probabilities.items()}
        if result.kind != "exclusive":
            found["decided"] = "; ".join(result.decided)
    elif isinstance(result, Embedding):
        found = {"numbers": len(result.vector), "length": round(math.hypot(*result.vector), 6)}
    elif isinstance(result, Landmarks):
        found = {
            f"{point.name}_{axis}_mm": round(value, 3)
            for point in result.points
            for axis, value in zip("xyz", point.position, strict=True)
        }
    elif isinstance(result, Regression):
        low, high = (None, None) if result.interval is None else (round(end, 6) for end in result.interval)
        found = {"value": round(result.value, 6), "low": low, "high": high, "unit": result.unit}
    elif isinstance(result, Survival):
        at = {f"free_at_{time:g}": round(share, 6) for time, share in result.event_free}
        found = {"risk": round(result.risk, 6), "group": result.group or None, **at}
    return found | scalars(result.provenance.get("facts") or {})


def scalars(plain: Mapping[str, Any], before: str = "") -> dict[str, Number]:
    """Return the numbers and words in nested mappings, with their names joined.

    Examples
    --------
    >>> scalars({"1": {"dice": 0.5, "box": [1, 2]}}, "label ")
    {'label 1 dice': 0.5}
    """
    found: dict[str, Number] = {}
    for key, value in plain.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found |= scalars(value, f"{name} ")
        elif value is None or isinstance(value, int | float | str | bool):
            found[name] = value
    return found
