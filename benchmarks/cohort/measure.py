"""Cohorts in figures: what a second worker brings, what a case costs besides its model, and what takes memory.

    python -m benchmarks.cohort.measure [--quick]

The model is replaced by one that waits, or does arithmetic of a fixed amount where cores are compared. Times of one run
are compared with each other; how busy the machine was otherwise stands below the table.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cohort.common import clusters, cohorts, peak_mb, seconds_of, told_peak
from benchmarks.common import RESULTS, machine, table

_FEW, _MANY = 60, 6000
_WAITING = 10_000


def report() -> str:
    """Return the figures as Markdown."""
    return _report(is_quick=False)


def _report(*, is_quick: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="radcnn-cohorts-") as temporary:
        folder = Path(temporary)
        models = cohorts.lay_out_model(folder / "models")
        rows: list[tuple[str, str]] = []
        for part in (_throughput, _overhead, _client_memory, _scheduler_state):
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


def _client_memory(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Compare what the process that asks takes for few cases and for many; all are of one small scan."""
    many = 600 if is_quick else _MANY
    peaks = {}
    place = folder / "memory"
    cohorts.write_cohort(place, 1)
    for n in (_FEW, many):
        cases = place / f"cases{n}.csv"
        cases.write_text("case,image\n" + "".join(f"c{k:05},scan000.nii.gz\n" for k in range(n)), encoding="utf-8")
        words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(folder / f"memory-{n}"), "--jobs", "2"]
        peaks[n], _ = told_peak(words, models)
    each = (peaks[many] - peaks[_FEW]) / (many - _FEW) * 1e3
    told = f"{peaks[_FEW]:.0f} MB and {peaks[many]:.0f} MB: {each:.1f} KB a case"
    return [(f"memory of the process that asks, {_FEW} and {many} cases", told)]


def _scheduler_state(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Measure what waiting cases take in the scheduler, all of them at once and as they are given to it."""
    n = 1000 if is_quick else _WAITING
    (folder / "state").mkdir()
    with clusters.Processes(folder / "state", models) as cluster:
        cluster.scheduler()
        pid = _scheduler_pid(cluster)
        empty = peak_mb(pid)
        began = time.monotonic()
        n_bytes = _submit_waiting(cluster, n)
        seconds = time.monotonic() - began
        full = peak_mb(pid)
    each = (full - empty) / n * 1e3
    paper = 100_000 * each / 1e6
    return [
        (f"state of a scheduler with {n} waiting cases at once", f"{full - empty:.0f} MB, {each:.1f} KB a case"),
        ("the same for 100 000 cases, by that", f"{paper:.2f} GB"),
        ("a case on its way to the scheduler", f"{n_bytes} bytes of JSON"),
        (f"time to give it {n} cases", f"{seconds:.1f} s"),
        (
            "cases that a run gives it at a time",
            "2 for each that is worked on; with --send 1, and one more in all",
        ),
    ]


def _scheduler_pid(cluster: clusters.Processes) -> int:
    return cluster.running["scheduler"].pid  # the command became the scheduler


def _submit_waiting(cluster: clusters.Processes, n: int) -> int:
    """Give a scheduler without workers so many cases, and wait until it has them; return the bytes of one."""
    from napari_radcnn.cohort.chain import chain_of, keys_of, resolve
    from napari_radcnn.cohort.cluster import remote
    from napari_radcnn.cohort.cluster.connecting import connect
    from napari_radcnn.cohort.jobs import Job, Placed

    steps = resolve(chain_of("nlm-denoise"))
    client = connect(cluster.address, cluster.certificates)
    try:
        texts = [
            json.dumps(
                Job(
                    f"case{k:06}", {"image": Placed(f"/data/cohort/case{k:06}/image.nii.gz")}, steps, keys_of(steps),
                    {"nlm-denoise": "nlm-denoise.nii.gz"}, f"/data/out/.radcnn-work/{k}",
                ).to_dict()
            )
            for k in range(n)
        ]  # fmt: skip
        held: list[Any] = [
            client.submit(remote.run_job, text, "t", b"", 60.0, key=f"radcnn-{k}", pure=False)
            for k, text in enumerate(texts)
        ]
        # a function without a name travels as a whole: the scheduler does not know this module
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) < n:
            time.sleep(0.1)
        del held
        return len(texts[0])
    finally:
        client.close()


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
