"""``radcnn evaluate``: how good a prediction is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from napari_radcnn.cli.common import choose, read_volumes
from napari_radcnn.errors import OptionError, ReadError
from napari_radcnn.io.contents import Kind, kind_of


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    evaluate = commands.add_parser(
        "evaluate",
        help="compare a prediction with its reference: labels, images, findings, classes",
        description="Compare a prediction with its reference. Scans and label maps must lie on the same grid. "
        "Detections: two files as `radcnn run` writes them, or two folders with a JSON file of a name for each scan. "
        "Classifications: two CSV files with the case in the first column; REFERENCE holds its class in the second, "
        "PREDICTION a column of probabilities for each class.",
    )
    evaluate.add_argument("reference", metavar="REFERENCE", type=Path)
    evaluate.add_argument("prediction", metavar="PREDICTION", type=Path)
    evaluate.add_argument(
        "--tolerance", metavar="MM", type=float, default=2.0, help="of the surface Dice, mm (default: 2)"
    )
    evaluate.add_argument("--json", action="store_true", help="as JSON")
    evaluate.set_defaults(command=_evaluate)


def _evaluate(parsed: argparse.Namespace) -> None:
    if not parsed.tolerance >= 0:
        raise OptionError(f"--tolerance is {parsed.tolerance:g}: give 0 mm or more.")
    found = _compare(parsed.reference, parsed.prediction, parsed.tolerance)
    if parsed.json:
        print(json.dumps({"reference": str(parsed.reference), "prediction": str(parsed.prediction), **found}, indent=2))
        return
    for kind, tell in (("labels", _tell_labels), ("image", _tell), ("detections", _tell), ("classification", _tell)):
        if kind in found:
            tell(found[kind])


def _compare(reference: Path, prediction: Path, tolerance: float) -> dict[str, Any]:
    from napari_radcnn import metrics

    pair = reference, prediction
    holds_findings = [kind_of(path) in (Kind.FINDINGS, Kind.REPORT) for path in pair]
    is_json = all(path.suffix.lower() == ".json" for path in pair)
    if all(holds_findings) or is_json or all(map(_files_of_findings, pair)):
        return {"detections": metrics.compare_findings(*_findings(reference, prediction))}
    if any(holds_findings):
        raise ReadError(f"Only one of {reference} and {prediction} holds findings: give two of a kind.")
    if all(path.suffix.lower() == ".csv" for path in pair):
        return {"classification": metrics.compare_classes(*_classes(reference, prediction))}
    first, second = (choose(read_volumes(path), path, None) for path in pair)
    return metrics.compare(first, second, tolerance_mm=tolerance)


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
        raise ReadError(f"{name} is in one of {reference} and {prediction} only: each scan needs a file in both.")
    return [_boxes(first[name]) for name in first], [_boxes(second[name]) for name in first]


def _boxes(path: Path) -> list[Any]:
    """Return the findings of a file that nobody rejected."""
    from napari_radcnn.io import read_report
    from napari_radcnn.io.reports import read_detections

    found = read_report(path).detections if kind_of(path) is Kind.REPORT else read_detections(path)
    return [box for box in found.boxes if box.state != "rejected"]


def _classes(reference: Path, prediction: Path) -> tuple[list[str], dict[str, list[float]]]:
    from napari_radcnn.io.reports import read_table

    (_, truth), (names, given) = read_table(reference), read_table(prediction)
    if set(truth) != set(given):
        raise ReadError(f"{reference} and {prediction} hold different cases in their first columns.")
    try:
        columns = [[float(given[case][number]) for case in truth] for number in range(len(names))]
    except ValueError as error:
        raise ReadError(f"{prediction} holds a value that is no number: {error}.") from error
    return [row[0] for row in truth.values()], dict(zip(names, columns, strict=True))


def _tell_labels(found: dict[str, Any]) -> None:
    for value, row in found.items():
        first, second = row["volume_ml"]
        distance = "-" if row["hausdorff95_mm"] is None else f"{row['hausdorff95_mm']:.2f} mm"
        surface = "-" if row["surface_dice"] is None else f"{row['surface_dice']:.4f}"
        error = "" if row["volume_error_percent"] is None else f" ({row['volume_error_percent']:+.1f} %)"
        print(
            f"label {value}: Dice {row['dice']:.4f}, Jaccard {row['jaccard']:.4f}, 95 % Hausdorff {distance}, "
            f"surface Dice {surface} at {row['surface_tolerance_mm']:g} mm, {first:.2f} -> {second:.2f} ml{error}"
        )


def _tell(found: dict[str, Any], before: str = "") -> None:
    for name, figure in found.items():
        if isinstance(figure, dict):
            _tell(figure, f"{before}{name} ")
        else:
            print(f"{before}{name}: {_told(figure)}")


def _told(figure: Any) -> str:
    if figure is None:
        return "-"
    return " .. ".join(map(_told, figure)) if isinstance(figure, list) else format(figure, ".4g")
