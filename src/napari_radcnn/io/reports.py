"""Detections and classifications as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

from napari_radcnn.io.atomic import write_text
from napari_radcnn.results import Classification, Detection, Detections


def write_detections(obj: Detections, path: Path, overwrite: bool = False) -> None:
    """Write findings, one object or row each, positions and sizes in LPS mm; an unknown score is null, or empty.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    if path.suffix.lower() == ".csv":
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["label", "score", "x_mm", "y_mm", "z_mm", "dx_mm", "dy_mm", "dz_mm"])
        for box in obj.boxes:
            writer.writerow([box.label, _score(box), *map(float, box.center), *map(float, box.size)])
        write_text(path, table.getvalue(), overwrite)
        return
    boxes = [
        {
            "label": box.label,
            "score": _score(box),
            "center_mm": [float(v) for v in box.center],
            "size_mm": [float(v) for v in box.size],
        }
        for box in obj.boxes
    ]
    write_text(path, json.dumps({"detections": boxes}, indent=2, ensure_ascii=False) + "\n", overwrite)


def _score(box: Detection) -> float | None:
    return None if math.isnan(box.score) else float(box.score)  # JSON has no NaN


def write_classification(obj: Classification, path: Path, overwrite: bool = False) -> None:
    """Write the probability of every class.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    probabilities = {name: float(value) for name, value in obj.probabilities.items()}
    write_text(path, json.dumps({"probabilities": probabilities}, indent=2, ensure_ascii=False) + "\n", overwrite)
