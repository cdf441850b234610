"""``radcnn evaluate``: how good a prediction is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from napari_radcnn.errors import OptionError
from napari_radcnn.tasks import kinds, load


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    evaluate = commands.add_parser(
        "evaluate",
        help="compare a prediction with its reference: labels, images, findings, classes or values",
        description="Compare a prediction with its reference. Scans and label maps must lie on the same grid. "
        "Detections: two files as written by `radcnn run`, or two folders with one JSON file for each "
        "scan, named alike in both. Classifications: two CSV files with the case in the first column; "
        "REFERENCE has the true class in the second column, or of findings that may stand together a column of "
        "0 and 1 for each; PREDICTION one column of probabilities for each class. Values: two CSV files with a "
        "column 'value' (in PREDICTION also 'low' and 'high' for its interval), or two folders with one JSON file for "
        "each scan. Risks: REFERENCE is a CSV file with the columns 'time' and 'event', PREDICTION one with the column "
        "'risk', or a folder with one JSON file for each case.",
    )
    evaluate.add_argument("reference", metavar="REFERENCE", type=Path)
    evaluate.add_argument("prediction", metavar="PREDICTION", type=Path)
    evaluate.add_argument(
        "--tolerance", metavar="MM", type=float, default=2.0, help="tolerance of the surface Dice in mm (default: 2)"
    )
    evaluate.add_argument(
        "--as",
        dest="taken_as",
        choices=("auto", "labels", "images"),
        default="auto",
        help="what two scans are compared as (default: by their marks and values)",
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(command=_evaluate)


def _evaluate(parsed: argparse.Namespace) -> None:
    from napari_radcnn.operations import evaluate

    if not parsed.tolerance >= 0:
        raise OptionError(f"--tolerance is {parsed.tolerance:g}: it must be 0 mm or more.")
    found = evaluate(parsed.reference, parsed.prediction, tolerance_mm=parsed.tolerance, taken_as=parsed.taken_as)
    if parsed.json:
        print(json.dumps({"reference": str(parsed.reference), "prediction": str(parsed.prediction), **found}, indent=2))
        return
    for kind in kinds():
        if kind.name in found:
            load(kind.tell)(found[kind.name])


def print_labels(figures: dict[str, Any]) -> None:
    """Print the figures of each label, a line each."""
    for value, row in figures.items():
        first, second = row["volume_ml"]
        distance = "-" if row["hausdorff95_mm"] is None else f"{row['hausdorff95_mm']:.2f} mm"
        surface = "-" if row["surface_dice"] is None else f"{row['surface_dice']:.4f}"
        error = "" if row["volume_error_percent"] is None else f" ({row['volume_error_percent']:+.1f} %)"
        print(
            f"label {value}: Dice {row['dice']:.4f}, Jaccard {row['jaccard']:.4f}, 95 % Hausdorff {distance}, "
            f"surface Dice {surface} at {row['surface_tolerance_mm']:g} mm, {first:.2f} -> {second:.2f} ml{error}"
        )


def print_figures(figures: dict[str, Any], before: str = "") -> None:
    """Print figures, a line each; those of a group after its name."""
    for name, figure in figures.items():
        if isinstance(figure, dict):
            print_figures(figure, f"{before}{name} ")
        else:
            print(f"{before}{name}: {_formatted(figure)}")


def _formatted(figure: Any) -> str:
    if figure is None:
        return "-"
    return " .. ".join(map(_formatted, figure)) if isinstance(figure, list) else format(figure, ".4g")
