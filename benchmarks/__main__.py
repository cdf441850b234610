"""Measure everything and write ``docs/figures.md``; or only the modules that are named, keeping the other sections.

With the word ``models`` first, recompute the figures of the cards; with ``robustness``, those of changed scans; with
``failures``, draw what the models do worst.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.common import ROOT, machine
from benchmarks.models import failures, robustness, run as models

_PARTS = {
    "Importing": "importing",
    "Reading": "reading",
    "Brain extraction": "models.brain_extraction.measure",
    "Non-local means, disk phantom with white noise": "models.nlm_denoise.measure",
    "The viewer while a model runs": "gui_gaps",
    "Opening a folder of 2,000 slices": "gui_opening",
    "What closed viewers leave in memory": "gui_leaks",
    "Measuring 104 labels, 512 x 512 x 600 voxels": "measuring",
    "Cohorts: a second worker, and what a case costs besides its model": "cohort.measure",
    "Cohorts: memory of the process that asks and of the scheduler": "cohort.memory",
    "Cohorts: sixty scans, killed at twenty moments": "cohort.sixty",
    "Cohorts: a worker cut off for a minute": "cohort.namespaces",
    "Linked planes, 512 x 512 x 400 voxels with labels, in software": "linked_views",
    "Turned planes, 512 x 512 x 400 voxels, in software": "turned_planes",
    "Scans with time points, in software": "time_points",
    "Tools of interactive segmentation": "interactive.tools",
    "What viewers leave behind": "viewer_leaks",
    "What a viewer keeps of what is switched on and off": "toggle_leaks",
    "A RetinaNet of MONAI, trained on drawn discs": "detectors",
}
_PAGE = ROOT / "docs" / "figures.md"


def main(names: list[str]) -> None:
    """Run the parts with these names, or all, and write the page after each."""
    unknown = sorted(set(names) - set(_PARTS.values()))
    if unknown:
        sys.exit(f"benchmarks: no part is called {unknown[0]}: choose from {', '.join(_PARTS.values())}.")
    sections = _sections(_PAGE)
    for title, name in _PARTS.items():
        if names and name not in names:
            continue
        print(f"{title} ...", flush=True)
        text = import_module(f"benchmarks.{name}").report()
        print(text, flush=True)
        sections[title] = f"{text}\n\nMeasured on: {machine()}."
        _write(_PAGE, sections)


def _sections(page: Path) -> dict[str, str]:
    """Return the sections of the page as it is, by title."""
    if not page.exists():
        return {}
    parts = page.read_text(encoding="utf-8").split("\n## ")[1:]
    return {title: text.strip() for title, _, text in (part.partition("\n") for part in parts)}


def _write(page: Path, sections: dict[str, str]) -> None:
    lines = ["# Figures", "", "Written by `make benchmarks`; not edited by hand."]
    for title in _PARTS:
        if title in sections:
            lines += ["", f"## {title}", "", sections[title]]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {page}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["models"]:
        sys.exit(models.main(sys.argv[2:]))
    if sys.argv[1:2] == ["robustness"]:
        sys.exit(robustness.main(sys.argv[2:]))
    if sys.argv[1:2] == ["failures"]:
        failures.main(sys.argv[2:])
    else:
        main(sys.argv[1:])
