"""Count how every scan is judged with every model: ``python -m benchmarks.suitability --data DIR``.

Writes ``docs/suitability.md`` with ``--write``. Pairs that are sealed are left out without ``--sealed``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import ROOT, table
from benchmarks.suitability.pairs import Truth, is_kept, is_sealed, pairs_of
from benchmarks.suitability.scans import BASES, Places, scans
from napari_radcnn.errors import RadcnnError
from napari_radcnn.operations import plan, run
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.suitability import Suitability, Traits, judge, what_is
from napari_radcnn.volume import Volume


@dataclass(frozen=True)
class Judged:
    """One pair and what was said of it."""

    scan: str
    model: str
    truth: Truth
    is_sealed: bool
    state: str
    reasons: tuple[str, ...]


def judged(places: Places, *, sealed: bool, only: str = "") -> Iterator[Judged | str]:
    """Yield every pair that is counted; of a scan that is not there its name."""
    for scan in scans(places):
        if only not in scan.name:
            continue
        wanted = [
            (spec, truth)
            for spec, truth in pairs_of(scan)
            if is_kept(scan, spec.name) and (sealed or not is_sealed(scan.name, spec.name))
        ]
        if not wanted:
            continue
        try:
            volume = scan.make()
        except FileNotFoundError:
            yield scan.name
            continue
        scan_is = [what_is(volume)]
        for spec, truth in wanted:
            found = _judge(spec, volume, scan_is)
            yield Judged(scan.name, spec.name, truth, is_sealed(scan.name, spec.name), found.state, found.reasons)


def _judge(spec: ModelSpec, volume: Volume, scan_is: list[Traits]) -> Suitability:
    """Return what a run would say; classifiers, whose second guard looks at their features, are run."""
    found = judge(spec, [volume], scan_is)
    if found.state == "refused":
        return found
    try:
        if spec.task == "classification":
            made_by = run(volume, spec, device="cpu").provenance["suitability"]
            return Suitability(made_by["state"], tuple(made_by["reasons"]))
        plan(volume, spec, device="cpu")
    except RadcnnError as error:
        return Suitability("refused", (str(error),))
    return found


def confusion(found: list[Judged]) -> str:
    """Return the table of models: right and wrong pairs by what was said of them."""
    rows = []
    names = sorted({one.model for one in found})
    for name in (*names, "all"):
        mine = [one for one in found if name in (one.model, "all")]
        counts = Counter((one.truth, one.state) for one in mine)
        rows.append(
            [f"`{name}`" if name != "all" else "**all**"]
            + [counts[truth, state] for truth in ("right", "wrong") for state in ("fits", "doubtful", "refused")]
        )
    head = ["model", "right: fits", "doubtful", "refused", "wrong: plain answer", "doubtful", "refused"]
    return table(head, rows)


def shown(places: Places) -> str:
    """Return the table of what scans are without their header, beside what they are."""
    rows = []
    for scan in scans(places):
        if not (scan.modality or scan.region) or scan.name not in BASES:
            continue
        try:
            found = what_is(scan.make())
        except FileNotFoundError:
            continue
        regions = ", ".join(found.regions.value or ()) or "unknown"
        seen = [found.modality.value or "unknown", regions, found.contrast.value or "", found.view.value or ""]
        rows.append([scan.name, scan.modality, scan.region or "-", *seen])
    return table(["scan", "is", "region", "taken for", "region", "contrast", "view"], rows)


_TEXT = """# How scans and models are judged

Written by `python -m benchmarks.suitability --data DIR --sealed --write`; not edited by hand.

Every scan is judged with every model that ships: scans that a model was made for, and scans of another modality, region
or view, pictures, noise, gradients, phantoms, label maps, and right scans cut, turned, flipped, scaled, inverted,
resampled and shifted. Headers were taken away unless the name of a scan says otherwise. {pairs} pairs; {unclear} of
which one can say either are not counted. A third, {sealed} pairs, was set aside by a hash of their names before any
rule was made.

## All pairs

{all}

Right pairs called doubtful: {right_doubtful}; refused: {right_refused}. Wrong pairs with a plain answer: {plain};
refused: {refused}.

## The third that was set aside

{aside}

## Mistakes

{mistakes}

## What scans are without their header

{shown}
"""


def page(found: list[Judged], places: Places) -> str:
    """Return the page of the documents."""
    counted = [one for one in found if one.truth != "unclear"]
    aside = [one for one in counted if one.is_sealed]
    right = [one for one in counted if one.truth == "right"]
    wrong = [one for one in counted if one.truth == "wrong"]

    def share(pairs: list[Judged], state: str) -> str:
        count = sum(one.state == state for one in pairs)
        return f"{count} of {len(pairs)} ({count / max(1, len(pairs)):.1%})"

    mistakes = [
        f"* {one.truth}, {one.state}{' (set aside)' * one.is_sealed}: {one.scan} + `{one.model}`. "
        + " ".join(one.reasons)
        for one in counted
        if (one.state != "fits") == (one.truth == "right")
    ]
    return _TEXT.format(
        pairs=len(found),
        unclear=len(found) - len(counted),
        sealed=len(aside),
        all=confusion(counted),
        right_doubtful=share(right, "doubtful"),
        right_refused=share(right, "refused"),
        plain=share(wrong, "fits"),
        refused=share(wrong, "refused"),
        aside=confusion(aside),
        mistakes="\n".join(mistakes) or "None.",
        shown=shown(places),
    )


def main() -> None:
    """Read the command line, judge and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suitability", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the scans")
    parser.add_argument("--packages", type=Path, nargs="*", default=[], help="folders of unpacked packages")
    parser.add_argument("--sealed", action="store_true", help="also the pairs that no rule was made with")
    parser.add_argument("--only", default="", help="scans whose names hold this")
    parser.add_argument("--write", action="store_true", help="write docs/suitability.md")
    parsed = parser.parse_args()
    found, absent = [], []
    for one in judged(Places(parsed.data, tuple(parsed.packages)), sealed=parsed.sealed, only=parsed.only):
        if isinstance(one, str):
            absent.append(one)
            continue
        found.append(one)
        is_right = one.state == "fits" if one.truth == "right" else one.state != "fits"
        if one.truth != "unclear" and not is_right:
            print(f"{one.truth} {one.state}: {one.scan} + {one.model}: {'; '.join(one.reasons)}", flush=True)
    print(confusion(found))
    if parsed.write:
        target = ROOT / "docs" / "suitability.md"
        target.write_text(page(found, Places(parsed.data, tuple(parsed.packages))), encoding="utf-8")
        print(f"written: {target}")
    print("not there:", ", ".join(absent) or "none")


if __name__ == "__main__":
    main()
