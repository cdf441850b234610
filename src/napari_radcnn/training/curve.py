"""The learning curve of a training, as a picture made from its log."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from napari_radcnn.errors import ReadError
from napari_radcnn.files import write_text

#: Size of one panel and of the margins around its plot, pixels.
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 150, 70, 26, 16, 24
#: Columns that are no curve.
_NOT_DRAWN = ("minutes", "steps", "skipped", "drawn")


def read_log(path: Path) -> dict[str, list[float]]:
    """Return the columns of a training's ``log.csv``.

    Parameters
    ----------
    path : Path
        As `napari_radcnn.training.run.Training` writes it; a line that was cut short, by a process that was killed, is
        left out.

    Returns
    -------
    dict
        Name of the column to its values; NaN where a line has none.

    Raises
    ------
    ReadError
        If there is no such file, or it has no column ``minutes`` or no line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            names, *lines = list(csv.reader(file)) or [[]]
    except (OSError, ValueError) as error:
        raise ReadError(f"{path} cannot be read as a training log: {error}.") from error
    rows = [line for line in lines if len(line) == len(names)]
    if "minutes" not in names or not rows:
        raise ReadError(f"{path} is not a training log: a column 'minutes' and at least one line are expected.")
    return {name: [_number(row[number]) for row in rows] for number, name in enumerate(names)}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def draw_curve(log: Path, target: Path) -> Path:
    """Draw every column of a log over the minutes, one panel each, as SVG.

    Parameters
    ----------
    log : Path
        ``log.csv`` of a training.
    target : Path
        ``*.svg``; replaced if it exists.

    Raises
    ------
    ReadError
        If the log cannot be read.
    """
    columns = read_log(log)
    minutes = columns["minutes"]
    drawn = {name: values for name, values in columns.items() if name not in _NOT_DRAWN and np.isfinite(values).any()}
    write_text(target, _svg(minutes, drawn), overwrite=True)
    return target


def _svg(minutes: Sequence[float], curves: Mapping[str, Sequence[float]]) -> str:
    height = _HEIGHT * max(1, len(curves))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, (name, values) in enumerate(curves.items()):
        parts += _panel(number * _HEIGHT, name, np.asarray(minutes), np.asarray(values))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(top: int, name: str, minutes: np.ndarray, values: np.ndarray) -> list[str]:
    known = np.isfinite(values) & np.isfinite(minutes)
    minutes, values = minutes[known], values[known]
    low, high = float(values.min()), float(values.max())
    last = float(minutes.max()) or 1.0
    left, right, upper, lower = _LEFT, _WIDTH - _RIGHT, top + _TOP, top + _HEIGHT - _BOTTOM
    across = left + (right - left) * minutes / last
    down = lower - (lower - upper) * (values - low) / ((high - low) or 1.0)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    dots = [f'<circle cx="{across[0]:.1f}" cy="{down[0]:.1f}" r="2" fill="#1f5fa8"/>'] if len(values) == 1 else []
    return [
        f'<rect x="{left}" y="{upper}" width="{right - left}" height="{lower - upper}" fill="none" stroke="#bbb"/>',
        f'<text x="{left}" y="{upper - 8}">{escape(name)}, last {values[-1]:.4g}</text>',
        f'<text x="{left - 6}" y="{upper + 8}" text-anchor="end">{high:.4g}</text>',
        f'<text x="{left - 6}" y="{lower}" text-anchor="end">{low:.4g}</text>',
        f'<text x="{left}" y="{lower + 15}">0</text>',
        f'<text x="{right}" y="{lower + 15}" text-anchor="end">{last:.4g} min</text>',
        f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>',
        *dots,
    ]
