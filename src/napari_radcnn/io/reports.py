"""Detections and classifications as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any, get_args

from napari_radcnn.errors import ReadError
from napari_radcnn.files import write_text
from napari_radcnn.results import Classification, Detection, Detections, FindingState

#: Bytes that are looked at to tell what a file holds.
_BEGINNING = 1024


def write_detections(obj: Detections, path: Path, overwrite: bool = False) -> None:
    """Write findings, one object or row each, positions and sizes in LPS mm; an unknown score is null, or empty.

    What was decided of a finding is its ``state``; it is left away where nothing was, and so is the column of a table
    in which nothing was.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    if path.suffix.lower() == ".csv":
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        is_decided = any(map(_state, obj.boxes))
        names = ["label", "score", "x_mm", "y_mm", "z_mm", "dx_mm", "dy_mm", "dz_mm"]
        writer.writerow([*names, *(["state"] if is_decided else [])])
        for box in obj.boxes:
            state = [box.state] if is_decided else []
            writer.writerow([box.label, _score(box), *map(float, box.center), *map(float, box.size), *state])
        write_text(path, table.getvalue(), overwrite)
        return
    boxes = [
        {
            "label": box.label,
            "score": _score(box),
            "center_mm": [float(v) for v in box.center],
            "size_mm": [float(v) for v in box.size],
            **_state(box),
        }
        for box in obj.boxes
    ]
    write_text(path, json.dumps({"detections": boxes}, indent=2, ensure_ascii=False) + "\n", overwrite)


def _score(box: Detection) -> float | None:
    return None if math.isnan(box.score) else float(box.score)  # JSON has no NaN


def _state(box: Detection) -> dict[str, str]:
    return {} if box.state == "candidate" else {"state": box.state}


def write_classification(obj: Classification, path: Path, overwrite: bool = False) -> None:
    """Write the probability of every class.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    probabilities = {name: float(value) for name, value in obj.probabilities.items()}
    write_text(path, json.dumps({"probabilities": probabilities}, indent=2, ensure_ascii=False) + "\n", overwrite)


def read_detections(path: Path) -> Detections:
    """Return the findings of a JSON file that `write_detections` wrote; score and state may be missing.

    Raises
    ------
    ReadError
        If it cannot be read, or a finding has no label, center or size, or a state that is none.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["detections"]
        boxes = tuple(_detection(one) for one in listed)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReadError(f"{path} holds no detections: a list 'detections' of label, center_mm, size_mm.") from error
    return Detections(boxes, path.stem)


def _detection(one: Any) -> Detection:
    center, size = (tuple(float(value) for value in one[key]) for key in ("center_mm", "size_mm"))
    score = math.nan if one.get("score") is None else float(one["score"])
    if len(center) != 3 or len(size) != 3 or not all(map(math.isfinite, (*center, *size))) or min(size) < 0:
        raise ValueError("three finite numbers are expected")
    state = one.get("state", "candidate")
    if state not in get_args(FindingState):
        raise ValueError(f"{state!r} is no state of a finding")
    return Detection(str(one["label"]), score, center, size, state)


def holds_detections(path: Path) -> bool:
    """Return whether a file looks like one that `read_detections` reads; only its name and its beginning are looked at.

    Errors of the disk count as no.
    """
    if path.suffix.lower() != ".json" or path.name.endswith(".radcnn.json"):
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError:
        return False
    return re.match(rb'\s*\{\s*"detections"\s*:', beginning) is not None


def read_table(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the columns of a CSV file and its rows by their first column.

    Raises
    ------
    ReadError
        If it cannot be read, is empty, a row has other columns than the first line, or a name comes twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, ValueError, csv.Error) as error:
        raise ReadError(f"{path} cannot be read as CSV: {error}.") from error
    if len(lines) < 2 or len(lines[0]) < 2:
        raise ReadError(f"{path} holds no table: a line of names, then at least one of values, two columns or more.")
    head, *rows = lines
    for number, row in enumerate(rows, 2):
        if len(row) != len(head):
            raise ReadError(f"{path}, line {number}: {len(row)} values, but {len(head)} names in the first line.")
    found = {row[0]: row[1:] for row in rows}
    if len(found) != len(rows):
        raise ReadError(f"{path}: a case comes twice in its first column.")
    return head[1:], found
