"""Measure everything and write ``docs/figures.md``.

With the word ``models`` first, recompute the figures of the cards; with ``failures``, draw what the models do worst.
"""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.common import ROOT, machine
from benchmarks.models import failures, run as models

_PARTS = {
    "Importing": "importing",
    "Reading": "reading",
    "Brain extraction": "models.brain_extraction.measure",
    "Non-local means, disk phantom with white noise": "models.nlm_denoise.measure",
    "The viewer while a model runs": "gui_gaps",
    "Opening a folder of 2,000 slices": "gui_opening",
    "What closed viewers leave in memory": "gui_leaks",
    "Measuring 104 labels, 512 x 512 x 600 voxels": "measuring",
    "Cohorts": "cohort.measure",
    "Linked planes, 512 x 512 x 400 voxels with labels, in software": "linked_views",
    "What viewers leave behind": "viewer_leaks",
}


def main() -> None:
    """Run each part and write the page."""
    lines = ["# Figures", "", "Written by `make benchmarks`; not edited by hand.", "", f"Measured on: {machine()}."]
    for title, name in _PARTS.items():
        print(f"{title} ...", flush=True)
        text = import_module(f"benchmarks.{name}").report()
        print(text, flush=True)
        lines += ["", f"## {title}", "", text]
    target = ROOT / "docs" / "figures.md"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {target}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["models"]:
        sys.exit(models.main(sys.argv[2:]))
    if sys.argv[1:2] == ["failures"]:
        failures.main(sys.argv[2:])
    else:
        main()
