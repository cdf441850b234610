"""Detections, classifications, values, risks, landmarks and embeddings as JSON or CSV."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from napari_radcnn.errors import ReadError
from napari_radcnn.files import write_text
from napari_radcnn.files.cells import as_cell, from_cell
from napari_radcnn.manifest import suitability_of
from napari_radcnn.results import (
    Classification,
    ClassKind,
    Detection,
    Detections,
    Embedding,
    FindingState,
    Landmark,
    Landmarks,
    OperatingPoint,
    Regression,
    Result,
    Survival,
)

#: Bytes that are looked at to tell what a file holds.
_BEGINNING = 1024
#: The columns of a table of findings; a further one is their state.
_COLUMNS = ("label", "score", "x_mm", "y_mm", "z_mm", "dx_mm", "dy_mm", "dz_mm")
#: The columns of a table of landmarks.
_LANDMARK_COLUMNS = ("name", "score", "x_mm", "y_mm", "z_mm")
#: The columns of a table of values after that of the case; the ends of the interval and the unit may be missing.
_VALUE, _LOW, _HIGH, _UNIT = "value", "low", "high", "unit"


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
        writer.writerow([*_COLUMNS, *(["state"] if is_decided else [])])
        for box in obj.boxes:
            state = [box.state] if is_decided else []
            writer.writerow([as_cell(box.label), _score(box), *map(float, box.center), *map(float, box.size), *state])
        write_text(path, table.getvalue(), overwrite)
        return
    boxes = [describe_detection(box) for box in obj.boxes]
    write_text(
        path, json.dumps({"detections": boxes, **suitability_in(obj)}, indent=2, ensure_ascii=False) + "\n", overwrite
    )


def describe_detection(box: Detection) -> dict[str, Any]:
    """Return a finding as JSON types, as it is written; a candidate has no ``state``."""
    return {
        "label": box.label,
        "score": _score(box),
        "center_mm": [float(v) for v in box.center],
        "size_mm": [float(v) for v in box.size],
        **_state(box),
    }


def _score(box: Detection) -> float | None:
    return None if math.isnan(box.score) else float(box.score)  # JSON has no NaN


def _state(box: Detection) -> dict[str, str]:
    return {} if box.state == "candidate" else {"state": box.state}


def write_classification(obj: Classification, path: Path, overwrite: bool = False) -> None:
    """Write the probability of every class; of those that do not merely exclude each other also what they come to.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    if path.suffix.lower() == ".csv":
        _write_row({name: float(value) for name, value in obj.probabilities.items()}, path, overwrite)
        return
    plain: dict[str, Any] = {"probabilities": {name: float(value) for name, value in obj.probabilities.items()}}
    if obj.kind != "exclusive" or obj.thresholds:
        plain |= {"kind": obj.kind, "decided": list(obj.decided)}
        plain["thresholds"] = {name: float(value) for name, value in obj.thresholds.items()}
    if obj.operating_points:
        plain["operating_points"] = {name: [asdict(one) for one in some] for name, some in obj.operating_points.items()}
    write_text(path, json.dumps({**plain, **suitability_in(obj)}, indent=2, ensure_ascii=False) + "\n", overwrite)


def _write_row(row: dict[str, Any], path: Path, overwrite: bool) -> None:
    """Write a table of one case, called as the file is; tables of several cases are compared by `radcnn evaluate`."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["case", *map(as_cell, row)])
    writer.writerow(list(map(as_cell, (path.stem, *row.values()))))
    write_text(path, table.getvalue(), overwrite)


def suitability_in(obj: Result) -> dict[str, Any]:
    """Return how the model suits the scan, for the file of its result; nothing where no model made it."""
    stated = suitability_of(obj.provenance)
    return {"suitability": stated} if stated else {}


def read_detections(path: Path) -> Detections:
    """Return the findings of a file that `write_detections` wrote, JSON or CSV; score and state may be missing.

    Raises
    ------
    ReadError
        If it cannot be read, or a finding has no label, center or size, or a state that is none.
    """
    is_table = path.suffix.lower() == ".csv"
    try:
        listed = _rows(path) if is_table else json.loads(path.read_text(encoding="utf-8"))["detections"]
        boxes = tuple(_detection(one) for one in listed)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        form = f"columns {', '.join(_COLUMNS)}" if is_table else "a list 'detections' of label, center_mm, size_mm"
        raise ReadError(f"{path} contains no valid detections; expected: {form}.") from error
    return Detections(boxes, path.stem)


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table in the form that the entries of a JSON file have."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, strict=True))
    return [
        {
            "label": from_cell(row["label"]),
            "score": row["score"] or None,
            "center_mm": [row[name] for name in _COLUMNS[2:5]],
            "size_mm": [row[name] for name in _COLUMNS[5:]],
            "state": row.get("state") or "candidate",
        }
        for row in rows
    ]


def _detection(one: Any) -> Detection:
    center, size = (tuple(float(value) for value in one[key]) for key in ("center_mm", "size_mm"))
    score = math.nan if one.get("score") is None else float(one["score"])
    if len(center) != 3 or len(size) != 3 or not all(map(math.isfinite, (*center, *size))) or min(size) < 0:
        raise ValueError("three finite numbers are expected")
    state = one.get("state", "candidate")
    if state not in get_args(FindingState):
        raise ValueError(f"{state!r} is not a state of a finding")
    return Detection(str(one["label"]), score, center, size, state)


def is_findings_table(path: Path) -> bool:
    """Whether the first line of a CSV file is that of findings; its name is not looked at.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    line = beginning.removeprefix(codecs.BOM_UTF8).splitlines()[:1]
    return line in ([",".join(columns).encode()] for columns in (_COLUMNS, (*_COLUMNS, "state")))


def read_classification(path: Path) -> Classification:
    """Return the probabilities of a JSON file that `write_classification` wrote.

    Raises
    ------
    ReadError
        If it cannot be read, or holds none.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        probabilities = {str(name): float(value) for name, value in plain["probabilities"].items()}
        thresholds = {str(name): float(value) for name, value in plain.get("thresholds", {}).items()}
        kind = plain.get("kind", "exclusive")
        points = {
            str(name): tuple(_operating_point(one) for one in some)
            for name, some in plain.get("operating_points", {}).items()
        }
        if kind not in get_args(ClassKind) or not {*thresholds, *points} <= set(probabilities):
            raise ValueError(f"{kind!r} or the names of thresholds are not known")
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReadError(
            f"{path} contains no class probabilities: an object 'probabilities' with a number for each "
            "class is expected."
        ) from error
    return Classification(probabilities, path.stem, kind=kind, thresholds=thresholds, operating_points=points)


def _operating_point(one: Any) -> OperatingPoint:
    threshold, sensitivity, specificity = (float(one[key]) for key in ("threshold", "sensitivity", "specificity"))
    return OperatingPoint(str(one["name"]), threshold, sensitivity, specificity)


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
        raise ReadError(
            f"{path} contains no table: expected a line of names, then at least one line of values, with "
            "two or more columns."
        )
    head, *rows = [[from_cell(text) for text in line] for line in lines]
    for number, row in enumerate(rows, 2):
        if len(row) != len(head):
            raise ReadError(f"{path}, line {number}: {len(row)} values, but {len(head)} names in the first line.")
    found = {row[0]: row[1:] for row in rows}
    if len(found) != len(rows):
        raise ReadError(f"{path}: a case occurs twice in the first column.")
    return head[1:], found


# -- values ------------------------------------------------------------------------------------------------------------


def write_value(obj: Regression, path: Path, overwrite: bool = False) -> None:
    """Write a value with its unit and interval; the interval is null where the model states none.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    if path.suffix.lower() == ".csv":
        low, high = ("", "") if obj.interval is None else map(float, obj.interval)
        row = {"value": float(obj.value), "low": low, "high": high, "unit": obj.unit, "quantity": obj.quantity}
        _write_row(row, path, overwrite)
        return
    plain: dict[str, Any] = {
        "value": float(obj.value),
        "unit": obj.unit,
        "interval": None if obj.interval is None else [float(end) for end in obj.interval],
        "quantity": obj.quantity,
        **({} if obj.interval is None else {"level": obj.level}),
        **({} if obj.limits is None else {"limits": list(obj.limits)}),
        **suitability_in(obj),
    }
    write_text(path, json.dumps(plain, indent=2, ensure_ascii=False) + "\n", overwrite)


def read_value(path: Path) -> Regression:
    """Return the value of a JSON file that `write_value` wrote; all but value and unit may be missing.

    Raises
    ------
    ReadError
        If it cannot be read, or holds no finite value with a unit.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        interval, limits = _pair(plain.get("interval")), _pair(plain.get("limits"))
        value, unit = float(plain["value"]), plain["unit"]
        level = float(plain.get("level", 0.95))
        if not math.isfinite(value) or not isinstance(unit, str) or not unit:
            raise ValueError("a finite value and its unit are expected")
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReadError(f'{path} contains no value: {{"value": 12.3, "unit": "mo", "interval": [...]}}.') from error
    return Regression(value, unit, interval, str(plain.get("quantity", "value")), level, limits, path.stem)


def _pair(given: Any) -> tuple[float, float] | None:
    if given is None:
        return None
    low, high = (float(end) for end in given)
    if not low <= high:  # also where one is NaN
        raise ValueError("the lower end comes first")
    return low, high


def read_value_table(path: Path) -> dict[str, Regression] | None:
    """Return the values of a CSV file by the case in its first column; None where it has no column ``value``.

    Raises
    ------
    ReadError
        If it cannot be read, or a value is not a finite number.
    """
    try:
        names, rows = read_table(path)
    except ReadError:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            if _VALUE not in [name.strip() for name in file.readline().split(",")]:
                return None
        raise
    if _VALUE not in names:
        return None
    found = {}
    for case, cells in rows.items():
        row = dict(zip(names, cells, strict=True))
        try:
            interval = _pair([row[_LOW], row[_HIGH]]) if row.get(_LOW) and row.get(_HIGH) else None
            value = float(row[_VALUE])
            if not math.isfinite(value):
                raise ValueError(f"{value} is not finite")
        except ValueError as error:
            raise ReadError(f"{path}: the value of case '{case}' is not valid: {error}.") from error
        found[case] = Regression(value, row.get(_UNIT) or "", interval, name=case)
    return found


def write_risk(obj: Survival, path: Path, overwrite: bool = False) -> None:
    """Write a risk, its group, and the probability to be free of the event at each time.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    if path.suffix.lower() == ".csv":
        unit = f"_{obj.unit}" if obj.unit else ""
        free = {f"free_at_{time:g}{unit}": float(share) for time, share in obj.event_free}
        _write_row({"risk": float(obj.risk), "group": obj.group, "event": obj.event, **free}, path, overwrite)
        return
    plain: dict[str, Any] = {
        "risk": float(obj.risk),
        "event": obj.event,
        **({"group": obj.group, "groups": list(obj.groups), "cuts": list(obj.cuts)} if obj.groups else {}),
        **({"unit": obj.unit} if obj.unit else {}),
        **({"event_free": [{"time": t, "probability": p} for t, p in obj.event_free]} if obj.event_free else {}),
        **suitability_in(obj),
    }
    write_text(path, json.dumps(plain, indent=2, ensure_ascii=False) + "\n", overwrite)


def read_risk(path: Path) -> Survival:
    """Return the risk of a JSON file that `write_risk` wrote; all but the risk may be missing.

    Raises
    ------
    ReadError
        If it cannot be read, or holds no finite risk.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        risk = float(plain["risk"])
        free = tuple((float(one["time"]), float(one["probability"])) for one in plain.get("event_free", ()))
        cuts, groups = (tuple(plain.get(key, ())) for key in ("cuts", "groups"))
        numbers = [risk, *map(float, cuts), *(value for pair in free for value in pair)]
        if not all(map(math.isfinite, numbers)) or (groups and len(groups) != len(cuts) + 1):
            raise ValueError("finite numbers, and a group more than cuts, are expected")
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReadError(f'{path} contains no risk: {{"risk": 0.7, "event": "death"}}.') from error
    event, unit = str(plain.get("event", "the event")), str(plain.get("unit", ""))
    return Survival(risk, event, unit, free, tuple(map(float, cuts)), tuple(map(str, groups)), path.stem)


# -- landmarks ---------------------------------------------------------------------------------------------------------


def write_landmarks(obj: Landmarks, path: Path, overwrite: bool = False) -> None:
    """Write landmarks, one object or row each, positions in LPS mm; an unknown score is null, or empty.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    scores = [None if math.isnan(point.score) else float(point.score) for point in obj.points]
    if path.suffix.lower() == ".csv":
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(_LANDMARK_COLUMNS)
        for point, score in zip(obj.points, scores, strict=True):
            writer.writerow([as_cell(point.name), "" if score is None else score, *map(float, point.position)])
        write_text(path, table.getvalue(), overwrite)
        return
    listed = [
        {"name": point.name, "position_mm": [float(v) for v in point.position], "score": score}
        for point, score in zip(obj.points, scores, strict=True)
    ]
    plain = {"landmarks": listed, **suitability_in(obj)}
    write_text(path, json.dumps(plain, indent=2, ensure_ascii=False) + "\n", overwrite)


def read_landmarks(path: Path) -> Landmarks:
    """Return the landmarks of a JSON file that `write_landmarks` wrote; scores may be missing.

    Raises
    ------
    ReadError
        If it cannot be read, or a landmark has no name or no three finite numbers as its place.
    """
    try:
        points = tuple(map(_landmark, json.loads(path.read_text(encoding="utf-8"))["landmarks"]))
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReadError(
            f"{path} contains no valid landmarks: expected: a list 'landmarks' of name, position_mm and score."
        ) from error
    return Landmarks(points, path.stem)


def _landmark(one: Any) -> Landmark:
    x, y, z = (float(value) for value in one["position_mm"])
    score = math.nan if one.get("score") is None else float(one["score"])
    if not all(map(math.isfinite, (x, y, z))) or not isinstance(one["name"], str):
        raise ValueError("a name and three finite numbers are expected")
    return Landmark(one["name"], (x, y, z), score)


# -- embeddings --------------------------------------------------------------------------------------------------------


def write_embedding(obj: Embedding, path: Path, overwrite: bool = False) -> None:
    """Write the numbers of an embedding.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    plain = {"embedding": [float(value) for value in obj.vector], **suitability_in(obj)}
    write_text(path, json.dumps(plain, ensure_ascii=False) + "\n", overwrite)


def read_embedding(path: Path) -> Embedding:
    """Return the numbers of a JSON file that `write_embedding` wrote.

    Raises
    ------
    ReadError
        If it cannot be read, or holds no finite numbers.
    """
    try:
        vector = tuple(float(value) for value in json.loads(path.read_text(encoding="utf-8"))["embedding"])
        if not vector or not all(map(math.isfinite, vector)):
            raise ValueError("finite numbers are expected")
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReadError(f"{path} contains no embedding: a list 'embedding' of finite numbers is expected.") from error
    return Embedding(vector, path.stem)
