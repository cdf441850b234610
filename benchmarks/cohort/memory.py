"""Cohorts in memory and messages: the process that asks and the scheduler, for few cases, many, and all at once.

    python -m benchmarks.cohort.memory [--quick]

The model is replaced by one that waits (for no time at all), so that only the case itself counts. No clock is read.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cohort.common import clusters, cohorts, peak_mb, told_peak
from benchmarks.common import table
from napari_radcnn.cohort.cluster.connecting import connect

_FEW, _MANY = 60, 6000
_WAITING, _PAPER = 10_000, 100_000


def report() -> str:
    """Return the figures as Markdown."""
    return _report(is_quick=False)


def _report(*, is_quick: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="radcnn-cohorts-") as temporary:
        folder = Path(temporary)
        models = cohorts.lay_out_model(folder / "models")
        rows: list[tuple[str, str]] = []
        for part in (_here, _by_workers, _messages, _all_at_once):
            rows += part(folder, models, is_quick)
            print(*rows, sep="\n", flush=True)
    return table(("what", "measured"), rows)


def _here(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Compare what the process that asks takes for few cases and for many, with processes on this computer."""
    peaks = {n: _peak_of(folder, models, n, "here", ["--jobs", "2"]) for n in _numbers(is_quick)}
    return [("the process that asks, two processes here", _compared(peaks))]


def _by_workers(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Compare the same where two workers of a scheduler do it, and what the scheduler takes after either run."""
    (folder / "cluster").mkdir()
    client, scheduler = {}, {}
    with clusters.Processes(folder / "cluster", models) as cluster:
        cluster.scheduler()
        cluster.worker("one")
        cluster.worker("two")
        pid = _scheduler_pid(cluster)
        for n in _numbers(is_quick):
            client[n] = _peak_of(folder, models, n, "cluster", cluster.words)
            scheduler[n] = peak_mb(pid)
    return [
        ("the process that asks, two workers of a scheduler", _compared(client)),
        ("the scheduler meanwhile", _compared(scheduler)),
    ]


def _messages(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Count what a scheduler is told and asked in a run, besides the signs of life."""
    n = _FEW if is_quick else 10 * _FEW
    (folder / "messages").mkdir()
    with clusters.Processes(folder / "messages", models) as cluster:
        cluster.scheduler()
        cluster.worker("one")
        client = connect(cluster.address, cluster.certificates)
        try:
            before = _counted(client)
            _peak_of(folder, models, n, "messages", cluster.words)
            after = _counted(client)
        finally:
            client.close()
    more = {name: after[name] - before.get(name, 0) for name in after if not name.startswith("heartbeat")}
    most = sorted(((count, name) for name, count in more.items() if count > n / 2), reverse=True)
    listed = ", ".join(f"{name} {count / n:.1f}" for count, name in most)
    return [("messages that reach a scheduler for each case", f"{sum(more.values()) / n:.1f} ({listed})")]


def _counted(client: Any) -> dict[str, int]:
    """Return how often each kind of message has reached the scheduler since it was asked first."""

    # inside, so that it travels as a whole: the scheduler does not know this module
    def count(dask_scheduler: Any) -> dict[str, int]:
        import functools
        import inspect

        counts: dict[str, int] | None = getattr(dask_scheduler, "radcnn_counts", None)
        if counts is not None:
            return dict(counts)
        told = dask_scheduler.radcnn_counts = {}

        def counting(name: str, handler: Any) -> Any:
            @functools.wraps(handler)
            async def later(*words: Any, **named: Any) -> Any:
                told[name] = told.get(name, 0) + 1
                return await handler(*words, **named)

            @functools.wraps(handler)
            def at_once(*words: Any, **named: Any) -> Any:
                told[name] = told.get(name, 0) + 1
                return handler(*words, **named)

            return later if inspect.iscoroutinefunction(handler) else at_once

        for handlers in (dask_scheduler.handlers, dask_scheduler.stream_handlers):
            handlers |= {name: counting(name, handler) for name, handler in handlers.items()}
        return {}

    found: dict[str, int] = client.run_on_scheduler(count)
    return found


def _all_at_once(folder: Path, models: Path, is_quick: bool) -> list[tuple[str, str]]:
    """Measure what waiting cases would take in the scheduler if all of them were given to it."""
    n = 1000 if is_quick else _WAITING
    (folder / "state").mkdir()
    with clusters.Processes(folder / "state", models) as cluster:
        cluster.scheduler()
        pid = _scheduler_pid(cluster)
        empty = peak_mb(pid)
        n_bytes = _submit_waiting(cluster, n)
        full = peak_mb(pid)
    each = (full - empty) / n * 1e3
    return [
        (f"a scheduler to which {n} cases are given at once", f"{full - empty:.0f} MB more, {each:.1f} KB a case"),
        (f"the same for {_PAPER} cases, by that", f"{_PAPER * each / 1e6:.2f} GB"),
        ("a case on its way to it", f"{n_bytes} bytes of JSON"),
        ("cases that a run gives it at a time", "2 for each that is worked on; with --send 1, and one more in all"),
    ]


def _numbers(is_quick: bool) -> tuple[int, int]:
    return _FEW, 600 if is_quick else _MANY


def _compared(peaks: dict[int, float]) -> str:
    (few, before), (many, after) = peaks.items()
    each = (after - before) / (many - few) * 1e3
    return f"{before:.0f} MB with {few} cases, {after:.0f} MB with {many}: {each:.1f} KB a case"


def _peak_of(folder: Path, models: Path, n: int, name: str, more: list[str]) -> float:
    """Run so many cases, all of one small scan; return the most memory that the process that asks took, MB."""
    place = folder / "memory"
    if not place.exists():
        cohorts.write_cohort(place, 1)
    cases = place / f"cases{n}.csv"
    cases.write_text("case,image\n" + "".join(f"c{k:05},scan000.nii.gz\n" for k in range(n)), encoding="utf-8")
    words = ["cohort", "run", cohorts.MODEL, str(cases), "-o", str(folder / f"{name}-{n}"), *more]
    peak, told = told_peak(words, models)
    if f"{n} cases done" not in told:
        raise SystemExit(told)
    return peak


def _scheduler_pid(cluster: clusters.Processes) -> int:
    return cluster.running["scheduler"].pid  # the command became the scheduler


def _submit_waiting(cluster: clusters.Processes, n: int) -> int:
    """Give a scheduler without workers so many cases, and wait until it has them; return the bytes of one."""
    from napari_radcnn.cohort.chain import chain_of, keys_of, resolve
    from napari_radcnn.cohort.cluster import remote
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
    """Measure and print."""
    print(_report(is_quick="--quick" in sys.argv[1:]))


if __name__ == "__main__":
    main()
