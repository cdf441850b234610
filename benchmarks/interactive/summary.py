"""Means, intervals and tables of what the simulated user reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.common import table
from benchmarks.interactive.clicks import AT_LEAST, BESIDE, CAP, FIRST, GOAL, Record
from benchmarks.interactive.scans import FEWEST_VOXELS, GROUPS, SCANS
from napari_radcnn.interactive.simulate import Click, Turn, clicks_to, dice_after

#: Dice is told after so many clicks.
AFTER = (1, 3, 5, 10, 20)
#: A click that lowers the Dice by more than this is harmful.
_HARM = 0.02
#: An answer of more than so many times the object's volume is far too large.
_FAR_TOO_LARGE = 5
#: Bounds of the histogram of changes of the Dice from click to click.
EDGES = (-1, -0.5, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
#: Of the bootstrap: objects are drawn with replacement, so often, with this seed.
_RESAMPLES, _SEED = 2000, 0

_RULES = f"""\
A simulated user knows the object. The first click goes to its most interior voxel (distance in mm), each further one to
the most interior voxel of the largest connected error: positive where the object was missed, negative where there is
too much. Nothing else is prompted. NoC@{GOAL * 100:.0f} is the mean number of clicks until the Dice first is {GOAL} or
more; objects that never get there count {CAP}. An object's clicks end when it has reached that and had {AT_LEAST}; what
it had then counts as after {CAP}. *Harmful* is the share of clicks after the first that lower the Dice by more than
{_HARM}. *A box* is one box around the object instead of clicks, *a flat box* one in the slice of its most interior
voxel; *a scribble* one line through that voxel, along the longest way that stays inside in the axial slice. *Far too
large* is the share of prompts inside the object (positive clicks, the scribble, clicks beside) after which the answer
has more than {_FAR_TOO_LARGE} times its volume; *no change* the share of clicks after which the answer is what it was
before. *Beside* is how far the Dice after one click spreads, from the lowest to the highest, when it goes to the middle
and {BESIDE} mm beside it in the directions of the grid, where that lies in the object; the mean over objects.
Objects of fewer than {FEWEST_VOXELS} voxels, and those that are one voxel thick along an axis, are left out.

In brackets: 95 % of the means of {_RESAMPLES} bootstrap samples of objects; objects of one scan are not independent, so
the truth may lie further off. Seconds are of all clicks but a first one in each scan, which is not counted; median and
95th percentile. TotalSegmentator's label maps (example_*, *_cta) are the output of networks, not drawn by hand; the
lesion was made artificially. A scan counts as trained on where a network of ours was trained on any scan of the
same patient, and then counts in no engine's headline."""


def summarize(records: Sequence[Record], trained_on: list[str]) -> dict[str, Any]:
    """Return the figures of each engine as JSON types: on held-out scans, by group there, and by scan.

    Parameters
    ----------
    records : sequence of dict
        As `play_scan` made them.
    trained_on : list of str
        What the promptable network was trained on; the scans of it are held against no engine's headline.
    """
    seen = {scan.name for scan in SCANS if scan.is_seen(trained_on)}
    found: dict[str, Any] = {"trained_on": sorted(seen & {r["scan"] for r in records}), "engines": {}}
    for engine in dict.fromkeys(record["engine"] for record in records):
        own = [record for record in records if record["engine"] == engine]
        held_out = [record for record in own if record["scan"] not in seen]
        found["engines"][engine] = {
            "held_out": figures(held_out) if held_out else None,
            "held_out_by_group": _by(held_out, "group", list(GROUPS)),
            "by_scan": _by(own, "scan", [scan.name for scan in SCANS]),
        }
    return found


def _by(records: Sequence[Record], key: str, order: Sequence[str]) -> dict[str, Any]:
    parts = {name: [record for record in records if record[key] == name] for name in order}
    return {name: figures(part) for name, part in parts.items() if part}


def figures(records: Sequence[Record]) -> dict[str, Any]:
    """Return the figures of some objects: ``[mean, low, high]`` of each Dice and of NoC, and times."""
    games = [_turns(record) for record in records]
    seconds = [second for record in records for second in record["seconds"]]
    median, slow = np.percentile(seconds, (50, 95))
    cap = min(record["clicks_at_most"] for record in records)
    after = [n for n in AFTER if n <= cap]
    changes = np.concatenate([np.diff(record["dice"]) for record in records])
    return {
        "objects": len(records),
        "clicks": len(seconds),
        "clicks_at_most": cap,
        "dice_after": {str(n): _mean(games, lambda turns, n=n: dice_after(turns, n)) for n in after},
        "noc": _mean(games, lambda turns: float(clicks_to(turns, GOAL, cap))),
        "never_reached": sum(all(turn.dice < GOAL for turn in turns) for turns in games),
        "harmful": float(np.mean(changes < -_HARM)) if len(changes) else 0.0,
        "changes": np.histogram(np.clip(changes, -1, 1), EDGES)[0].tolist(),
        **_first(records),
        **_prompts(records),
        "seconds_median": float(median),
        "seconds_p95": float(slow),
    }


def _first(records: Sequence[Record]) -> dict[str, list[float]]:
    """Return ``[mean, low, high]`` of the Dice after one prompt of other kinds, where all records have it."""
    found = {}
    for kind in FIRST:
        if all(kind in record for record in records):
            values = np.array([record[kind] for record in records])
            found[kind] = [float(values.mean()), *interval(values)]
    return found


def _prompts(records: Sequence[Record]) -> dict[str, Any]:
    """Return shares of prompts and the spread of first clicks, where all records have what they are made of."""
    found: dict[str, Any] = {}
    if all("changed" in record for record in records):
        found["no_change"] = float(np.mean([n == 0 for record in records for n in record["changed"]]))
    if all("beside" in record for record in records):
        sizes = [left / record["voxels"] for record in records for left in _left_inside(record)]
        found["far_too_large"] = float(np.mean(np.array(sizes) > _FAR_TOO_LARGE))
        spread = np.array([np.ptp([record["dice"][0], *record["beside"]]) for record in records])
        found["beside"] = [float(spread.mean()), *interval(spread)]
    return found


def _left_inside(record: Record) -> list[int]:
    """Return how many voxels there were after each prompt that lies inside the object."""
    clicks = [left for left, positive in zip(record["left"], record["positive"], strict=True) if positive]
    return [*clicks, record["scribble_left"], *record["beside_left"]]


def _turns(record: Record) -> tuple[Turn, ...]:
    pairs = zip(record["dice"], record["seconds"], strict=True)
    return tuple(Turn(Click((0, 0, 0), True), dice, seconds) for dice, seconds in pairs)


def _mean(games: Sequence[tuple[Turn, ...]], value: Callable[[tuple[Turn, ...]], float]) -> list[float]:
    values = np.array([value(turns) for turns in games], float)
    return [float(values.mean()), *interval(values)]


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of the means of bootstrap samples of `values`."""
    picks = np.random.default_rng(_SEED).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def text(summary: dict[str, Any]) -> str:
    """Return the summary as Markdown."""
    engines = summary["engines"]
    seen = summary["trained_on"]
    held = {engine: found["held_out"] for engine, found in engines.items() if found["held_out"]}
    parts = [
        _RULES,
        "### Scans held out of training",
        _table("engine", held) if held else "None of the scans that were played.",
    ]
    if held:
        parts += ["How clicks after the first change the Dice, share of those clicks:", _changes(held)]
    for engine, found in engines.items():
        marked = {f"{name} ({'trained on' if name in seen else 'held out'})": f for name, f in found["by_scan"].items()}
        parts.append(f"### {engine}")
        if found["held_out_by_group"]:
            parts.append(_table("held-out objects", found["held_out_by_group"]))
        parts.append(_table("scan", marked))
    return "\n\n".join(parts)


def _changes(rows: dict[str, dict[str, Any]]) -> str:
    head = ["engine", *(f"{low:g} to {high:g}" for low, high in pairwise(EDGES))]
    shares = {name: np.array(row["changes"]) / max(1, sum(row["changes"])) for name, row in rows.items()}
    return table(head, [[name, *(f"{100 * share:.1f} %" for share in of)] for name, of in shares.items()])


def _table(first: str, rows: dict[str, dict[str, Any]]) -> str:
    head = [
        first,
        "objects",
        *(f"Dice after {n}" for n in AFTER),
        f"NoC@{GOAL * 100:.0f}",
        "never",
        "harmful",
        "a box",
        "a flat box",
        "a scribble",
        "far too large",
        "no change",
        "beside",
        "s a click",
        "95 %",
    ]
    return table(
        head,
        [
            [
                name,
                row["objects"],
                *(_cell(row["dice_after"].get(str(n)), row["objects"], 3) for n in AFTER),
                # Of fewer clicks than the cap it would look better than it is.
                _cell(row["noc"] if row["clicks_at_most"] == CAP else None, row["objects"], 1),
                row["never_reached"],
                _share(row["harmful"]),
                *(_cell(row.get(kind), row["objects"], 3) for kind in FIRST),
                *(_share(row.get(key)) for key in ("far_too_large", "no_change")),
                _cell(row.get("beside"), row["objects"], 3),
                f"{row['seconds_median']:.3f}",
                f"{row['seconds_p95']:.3f}",
            ]
            for name, row in rows.items()
        ],
    )


def _share(figure: float | None) -> str:
    return "-" if figure is None else f"{100 * figure:.1f} %"


def _cell(figure: Sequence[float] | None, n_objects: int, digits: int) -> str:
    if figure is None:
        return "-"
    mean, low, high = figure
    return f"{mean:.{digits}f}" + (f" ({low:.{digits}f}-{high:.{digits}f})" if n_objects > 1 else "")
