"""How the answer of each model changes with the scan: ``python -m benchmarks robustness --data DIR``.

Each ``robustness.py`` in a folder beside this file has ``ROBUSTNESS``, a function a model, which yields what a `Trial`
says of scans that the model did not learn from where there are such, changed by `benchmarks.models.changes` and by a
small step against the network. The rows are compared with those under ``robustness`` in ``NAME.figures.json``, and
``--write`` writes them there; ``robustness.md`` beside this file makes the card's table and its verdict of them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.models.adversary import Step, attacked
from benchmarks.models.changes import Changed
from benchmarks.models.folders import figures_path, modules
from benchmarks.models.run import ROBUSTNESS, differences
from napari_radcnn.metrics import dice
from napari_radcnn.volume import Volume

#: ml of a class in the plain answer below which its Dice says little.
FEWEST_ML = 1.0
#: Mean Dice to the plain answer from which a change hardly matters, and below which the answer is another one.
_DICE = (0.9, 0.75)

Labels = npt.NDArray[np.integer[Any]]
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Trial:
    """What a model says of changed scans.

    Attributes
    ----------
    scans : str
        Which scans, as in the card, and whether they were learned from.
    says : str
        What the columns mean, for the card.
    judged : str
        The column that decides whether the answer holds; more of it is better.
    holds, breaks : float
        From where of it on a change hardly matters, and below which the answer is not to be relied on.
    rows : iterable of dict
        Columns by title, ``change`` first; computed as they are asked for.
    format : str
        Of figures with a fraction in the card.
    """

    scans: str
    says: str
    judged: str
    holds: float
    breaks: float
    rows: Iterable[Row]
    format: str = ".2f"


Trials = Callable[[Path], Trial]


def trials() -> dict[str, tuple[ModuleType, Trials]]:
    """Return what tries each model, by the model's name, and the module it lies in."""
    return {name: (module, trial) for module in modules("robustness") for name, trial in module.ROBUSTNESS.items()}


def figures_of(trial: Trial, tell: Callable[[str], None] = print) -> dict[str, Any]:
    """Compute a trial's rows and return its figures; each row is told as it comes."""
    rows = []
    for row in trial.rows:
        tell("    " + ", ".join(f"{title} {_short(value)}" for title, value in row.items()))
        rows.append(row)
    said = {"scans": trial.scans, "says": trial.says, "judged": trial.judged, "format": trial.format}
    return said | {"holds": trial.holds, "breaks": trial.breaks, "rows": rows}


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


# -- what is common to tasks ------------------------------------------------------------------------------------------


def segmented(
    scans: str,
    scan: Volume,
    changes: Callable[[Volume], Iterator[Changed]],
    ask: Callable[[Volume], Labels],
    classes: Mapping[str, Sequence[int]],
    step: Step,
) -> Trial:
    """Return how far labels stay as they are without a change.

    Parameters
    ----------
    scans : str
        As of `Trial`.
    scan : Volume
        The scan.
    changes : callable
        Yields it changed.
    ask : callable
        Returns the labels of a scan on its grid.
    classes : mapping
        Values of each class; those of both sides of the body together, for a mirror image exchanges them.
    step : Step
        Against the network.
    """

    def rows() -> Iterator[Row]:
        plain = ask(scan)
        for change in changes(scan):
            yield _overlap(change.title, plain, change.back(ask(change.scan)), change.covered, classes, scan)
        with attacked(step):
            found = ask(scan)
        yield _overlap(step.title, plain, found, np.ones(plain.shape, bool), classes, scan)

    says = "The Dice of the answer with that for the scan as it is"
    if len(classes) > 1:
        says += f", over all classes of {FEWEST_ML:g} ml or more; sides of the body count together"
    return Trial(scans, f"{says}.", "mean Dice", *_DICE, rows(), ".3f")


def _overlap(
    title: str,
    plain: Labels,
    found: Labels,
    covered: npt.NDArray[np.bool_],
    classes: Mapping[str, Sequence[int]],
    scan: Volume,
) -> Row:
    ml = scan.geometry.voxel_volume / 1000
    dices = {}
    for name, values in classes.items():
        before, after = np.isin(plain, values) & covered, np.isin(found, values) & covered
        if np.count_nonzero(before) * ml >= FEWEST_ML:
            dices[name] = dice(before, after)
    lowest = min(dices, key=lambda name: dices[name])
    row = {"change": title, "mean Dice": float(np.mean(list(dices.values())))}
    return row if len(dices) == 1 else row | {"lowest": float(dices[lowest]), "of": lowest}


# -- the command line -------------------------------------------------------------------------------------------------


def merged(path: Path, figures: Mapping[str, Any], is_written: bool) -> list[str]:
    """Write a trial's figures into the figures of a model, or return how they differ from what is stored there."""
    figures = json.loads(json.dumps(figures, allow_nan=False))
    stored = json.loads(path.read_text(encoding="utf-8"))
    if is_written:
        text = json.dumps(stored | {ROBUSTNESS: figures}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        return []
    return list(differences(stored.get(ROBUSTNESS, {}), figures, ROBUSTNESS))


def run(data: Path, only: Sequence[str], is_written: bool, tell: Callable[[str], None] = print) -> bool:
    """Try some models, or all, and write each one's figures as they come; return whether all is as the cards say."""
    known = trials()
    wrong = 0
    for name in only or sorted(known):
        module, trial = known[name]
        tell(f"{name} ...")
        started = time.perf_counter()
        differing = merged(figures_path(module, name), figures_of(trial(data), tell), is_written)
        wrong += len(differing)
        end = "written" if is_written else f"{len(differing)} figures differ" if differing else "as the card says"
        tell(f"{name}: {end} ({time.perf_counter() - started:.0f} s)")
        for line in differing:
            tell(f"    {line}")
    return not wrong


def main(words: list[str] | None = None) -> int:
    """Read the command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks robustness", description="Recompute how answers change with the scan."
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of the scans the cards name")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=trials(), default=[], help="only these models")
    parser.add_argument("--write", action="store_true", help="write the figures instead of comparing them")
    parsed = parser.parse_args(words)
    if not parsed.data.is_dir():
        parser.error(f"{parsed.data} is not a folder")
    return 0 if run(parsed.data, parsed.only, parsed.write) else 1
