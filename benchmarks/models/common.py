"""Shared by the evaluations of models: intervals, and throughput beside a plain loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def interval(values: Sequence[float], resamples: int = 2000) -> dict[str, float | int]:
    """Return the mean over scans with the 95 % interval of the bootstrap over them.

    Parameters
    ----------
    values : sequence of float
        One a scan, or whatever was drawn independently.
    resamples : int
        Of the bootstrap; the seed is fixed.

    Returns
    -------
    dict
        ``n``, ``mean``, ``low``, ``high``, ``min``, ``max``.
    """
    found = np.asarray(values, float)
    drawn = found[np.random.default_rng(0).integers(len(found), size=(resamples, len(found)))].mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    figures = {"mean": found.mean(), "low": low, "high": high, "min": found.min(), "max": found.max()}
    return {"n": len(found), **{name: float(value) for name, value in figures.items()}}


def throughput(ours: Callable[[], Any], plain: Callable[[], Any], rounds: int = 3) -> dict[str, float]:
    """Return how fast a model runs here as a ratio to a plain float32 loop in the same run; above 1 is faster.

    Both are run in turns, so that a busy machine slows both alike, and the best of each counts. To be put under the key
    ``speed``, which is recorded and not compared.

    Parameters
    ----------
    ours, plain : callable
        The model as the package runs it, and the same network in a loop over the same patches in plain torch.
    rounds : int
        How often each is run, after once to warm up.
    """
    best = {"ours": np.inf, "plain": np.inf}
    for number in range(rounds + 1):
        for name, run in (("ours", ours), ("plain", plain)):
            started = time.perf_counter()
            run()
            if number:
                best[name] = min(best[name], time.perf_counter() - started)
    return {"ratio": best["plain"] / best["ours"], "ours_s": best["ours"], "plain_s": best["plain"]}
