"""Cohorts by the clock: what a second worker brings, and what a case costs besides its model; on a machine at rest.

    python -m benchmarks.cohort.measure [--quick]

The model is replaced by one that waits, or does arithmetic of a fixed amount where cores are compared. Times of one run
are compared with each other; how busy the machine was otherwise stands below the table. `benchmarks.cohort.memory` has
what needs no clock.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.cohort.common import clusters, cohorts, seconds_of
from benchmarks.common import RESULTS, machine, table


def report() -> str:
    """Return the figures as Markdown."""
    return _report(is_quick=False)


def _report(*, is_quick: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="radcnn-cohorts-") as temporary:
        folder = Path(temporary)
        models = cohorts.lay_out_model(folder / "models")
        rows: list[tuple[str, str]] = []
        for part in (_throughput, _overhead):
            rows += part(folder, models, is_quick)
            print(rows[-1], flush=True)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{table(('what', 'measured'), rows)}\n\nLoad of the machine (1, 5, 15 minutes) at the end: {load}."


def _throughput(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Compare one worker with two, each pinned to a core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return [("throughput of two workers, of one", "not measured: one core")]
    cases = cohorts.write_cohort(folder / "throughput", 16 if is_quick else 40)
    rounds = 1500 if is_quick else 6000
    before = {"one": ["taskset", "-c", str(cores[0])], "two": ["taskset", "-c", str(cores[1])]}
    seconds = {}
    for names in (("one",), ("one", "two")):
        (folder / "-".join(names)).mkdir()
        with clusters.Processes(folder / "-".join(names), models, before=before) as cluster:
            cluster.scheduler()
            for name in names:
                cluster.worker(name)
            for turn in ("warm", "measured"):  # the first run starts the processes and loads what they need
                out = folder / "-".join(names) / turn
                words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(out), "--option", f"rounds={rounds}"]
                status, _, errors = cohorts.finished([*words, *cluster.words], models)
                assert status == 0, errors
            seconds[names] = seconds_of(out)
    one, two = seconds["one",], seconds["one", "two"]
    text = f"{one / two:.2f} ({one:.1f} s and {two:.1f} s)"
    return [("throughput of two workers pinned to a core each, of one worker's", text)]


def _overhead(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Measure what a case of 10 s takes besides, on this computer and by a worker that scans are sent to."""
    n = 3 if is_quick else 6
    cases = cohorts.write_cohort(folder / "overhead", n + 1)
    words = ["cohort", "run", cohorts.MODEL, str(cases), "--option", "seconds=10"]
    rows = []
    with clusters.Processes(folder / "overhead", models) as cluster:
        cluster.scheduler()
        cluster.worker("one")
        for what, more in (("here", []), ("by a worker, sent", [*cluster.words, "--send"])):
            out = folder / f"overhead-{len(rows)}"
            status, _, errors = cohorts.finished([*words, *more, "-o", str(out)], models)
            assert status == 0, errors
            # from one answer to the next, without the first, for which the process starts
            besides = (_clock(out, n + 1) - _clock(out, 1)) / n - 10
            rows.append((f"a case of 10 s takes besides, {what}", f"{besides:.2f} s ({besides * 10:.1f} %)"))
    return rows


def _clock(out: Path, which: int) -> float:
    """Return when the answer of a number was written, by the record of its case, s since 1970."""
    times = sorted(path.stat().st_mtime for path in (out / "records").glob("*.json"))
    return times[which - 1]


def main() -> None:
    """Measure, print, and keep the figures."""
    is_quick = "--quick" in sys.argv[1:]
    text = _report(is_quick=is_quick)
    print(text)
    if not is_quick:
        target = RESULTS / "cohort.md"
        target.write_text(f"# Cohorts\n\nMeasured on: {machine()}.\n\n{text}\n", encoding="utf-8")
        print(f"written: {target}")


if __name__ == "__main__":
    main()
