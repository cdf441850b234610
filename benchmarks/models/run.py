"""Recompute every figure of every card: ``python -m benchmarks models --data DIR``.

Each ``measure.py`` in a folder beside this file that has a tuple ``NAMES`` evaluates the models of those names with
``evaluate(data)``, which returns their figures by name. They are compared with the ``NAME.figures.json`` beside it,
which the cards are made from; any that differs ends this with status 1, and ``--write`` writes it instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.common import ROOT
from benchmarks.models.folders import figures_path, modules

#: How far a figure may be off: another processor rounds differently in bfloat16. The larger of the two counts.
_RELATIVE, _ABSOLUTE = 0.02, 0.005
#: What depends on the computer: recorded, never compared.
_RECORDED = "speed"
#: What `benchmarks.models.robustness` keeps among the figures of a model, and compares itself.
ROBUSTNESS = "robustness"


def evaluations() -> dict[str, ModuleType]:
    """Return the module that evaluates each model, by the model's name."""
    return {name: module for module in modules("measure") for name in getattr(module, "NAMES", ())}


def differences(stored: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield what differs between stored and recomputed figures, one line each.

    Numbers with a fraction may be off by 2 % or 0.005; counts, texts and the names of figures must be the same.
    """
    if isinstance(stored, Mapping) and isinstance(found, Mapping):
        for key in [*stored, *(key for key in found if key not in stored)]:
            if key == _RECORDED:
                continue
            here = f"{path}.{key}".lstrip(".")
            if key not in found or key not in stored:
                yield f"{here}: {'no longer computed' if key in stored else 'computed, but not stored'}"
            else:
                yield from differences(stored[key], found[key], here)
    elif isinstance(stored, list) and isinstance(found, list):
        if len(stored) != len(found):
            yield f"{path}: {len(stored)} values stored, {len(found)} computed"
        for number, (before, now) in enumerate(zip(stored, found, strict=False)):
            yield from differences(before, now, f"{path}.{number}")
    elif not _is_same(stored, found):
        yield f"{path}: the card says {_told(stored)}, computed {_told(found)}"


def _is_same(stored: Any, found: Any) -> bool:
    numbers = [value for value in (stored, found) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == 2 and any(isinstance(value, float) for value in numbers):
        return abs(found - stored) <= max(_ABSOLUTE, _RELATIVE * abs(stored))
    return type(stored) is type(found) and bool(stored == found)


def _told(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def check(path: Path, figures: Mapping[str, Any], is_written: bool) -> list[str]:
    """Write the figures of a model into a file, or return how they differ from what is stored there."""
    # As they will be read: keys are strings, tuples are lists.
    figures = json.loads(json.dumps(figures, allow_nan=False))
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    robustness = {ROBUSTNESS: stored.pop(ROBUSTNESS)} if ROBUSTNESS in stored else {}
    if is_written:
        path.write_text(json.dumps(figures | robustness, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return []
    if not path.exists():
        return [f"{path.name} is missing: --write makes it"]
    return list(differences(stored, figures))


def check_cards(names: list[str]) -> list[str]:
    """Return which cards do not say what their figures say."""
    spec = importlib.util.spec_from_file_location("make_cards", ROOT / "docs" / "make_cards.py")
    if spec is None or spec.loader is None:
        raise SystemExit("docs/make_cards.py is missing")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    stale = []
    for name in names:
        try:
            path = made.card_path(name)
            if path.read_text(encoding="utf-8") != made.card(name):
                stale.append(f"{name}: {path.name} is not what its figures give: `make cards` writes it")
        except made.CardError as error:  # names the model itself
            stale.append(str(error))
        except OSError as error:
            stale.append(f"{name}: {error}")
    return stale


def run(data: Path, only: list[str], is_written: bool, tell: Callable[[str], None] = print) -> bool:
    """Recompute the figures of some models, or of all; return whether all is as the cards say."""
    known = evaluations()
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SystemExit(f"no evaluation of {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    names = only or sorted(known)
    wrong = 0
    for module in dict.fromkeys(known[name] for name in names):
        started = time.perf_counter()
        found = module.evaluate(data)
        for name in (name for name in module.NAMES if name in names):
            told = check(figures_path(module, name), found[name], is_written)
            wrong += len(told)
            end = "written" if is_written else "as the card says" if not told else f"{len(told)} figures differ"
            tell(f"{name}: {end} ({time.perf_counter() - started:.0f} s)")
            for line in told:
                tell(f"    {line}")
    stale = [] if is_written else check_cards(names)
    for line in stale:
        tell(line)
    return not wrong and not stale


def main(words: list[str] | None = None) -> int:
    """Read the command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks models", description="Recompute every figure of every card."
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of the scans the cards name")
    parser.add_argument("--only", metavar="NAME", nargs="+", default=[], help="only these models")
    parser.add_argument("--write", action="store_true", help="write the figures instead of comparing them")
    parsed = parser.parse_args(words)
    if not parsed.data.is_dir():
        parser.error(f"{parsed.data} is not a folder")
    return 0 if run(parsed.data, parsed.only, parsed.write) else 1


if __name__ == "__main__":
    sys.exit(main())
