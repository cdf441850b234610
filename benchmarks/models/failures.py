"""Draw what each model does worst on data that no training saw: ``python -m benchmarks failures --data DIR``.

What is shown is chosen by a rule, not by hand: the most confident mistakes, the slice with the most wrong voxels. Each
model's picture and a text that says what it shows go to ``docs/models``, where `make cards` puts them under its card.
A model's folder draws them with its ``failures.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import ROOT
from benchmarks.models.folders import modules
from benchmarks.models.panels import Failures, write_panels

MODELS = ROOT / "docs" / "models"


def drawers() -> dict[str, Callable[[Path], Failures]]:
    """Return what draws the failures of each model, by the model's name; given the folder of the scans."""
    return dict(sorted(row for module in modules("failures") for row in module.FAILURES.items()))


def draw(name: str, data: Path) -> None:
    """Write the picture and the text of a model."""
    panels, text = drawers()[name](data)
    write_panels(panels, MODELS / f"{name}.png")
    (MODELS / f"{name}.failures.txt").write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Read the command line and draw."""
    known = drawers()
    parser = argparse.ArgumentParser(prog="python -m benchmarks failures", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the scans")
    parser.add_argument("--only", choices=known, action="append", default=None, metavar="NAME")
    chosen = parser.parse_args(arguments)
    for name in chosen.only or known:
        draw(name, chosen.data)
        print(f"written: docs/models/{name}.png")
