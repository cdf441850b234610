"""Shared: cohorts and clusters of the tests, and what a process takes."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.common import ROOT, peak_mb

sys.path.append(str(ROOT / "tests" / "helpers"))

import clusters
import cohorts

__all__ = ["clusters", "cohorts", "peak_mb", "seconds_of", "told_peak"]


def seconds_of(out: Path) -> float:
    """Return how long a run took, as its log says."""
    from napari_radcnn.cohort.results.table import read_log

    return float(next(event["seconds"] for event in read_log(out / "log.jsonl") if event["event"] == "ended"))


def told_peak(words: list[str], models: Path) -> tuple[float, str]:
    """Run the command line to its end; return the most memory it took, MB, and what it said."""
    with cohorts.started(words, models) as process, ThreadPoolExecutor(1) as reader:
        said = reader.submit(process.communicate)  # a pipe that nobody reads would stop the process
        most = 0.0
        while not said.done():
            most = max(most, peak_mb(process.pid))
            time.sleep(0.05)
        told, errors = said.result()
        if process.returncode:
            raise SystemExit(errors)
    return most, told
