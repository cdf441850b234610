"""How long a model takes before it ran here: what it took on another computer, and how fast this one is beside that."""

from __future__ import annotations

import time

import numpy as np

from napari_radcnn.user_folders import recall, remember

#: The computer that models' figures were measured on: operations in a second of one processor (an AMD EPYC of 2024), in
#: 10^9, by `measured_speed`, and how many processors.
REFERENCE_SPEED, REFERENCE_THREADS = 73.0, 2
#: From this many threads on, more do not help much.
_MOST_THREADS = 8
_FILE, _KEY = "speed", "float32"
#: Matrices so small that no library divides them among processors: others that compute then disturb little.
_SIDE, _TURNS = 48, 400


def first_seconds(reference: float, amount: float, threads: int) -> float:
    """Return about how long work takes on this computer, s.

    Parameters
    ----------
    reference : float
        Seconds for one unit of work on the reference computer, on its processors.
    amount : float
        How many units.
    threads : int
        With how many threads it is computed here.
    """
    here = speed() * min(max(threads, 1), _MOST_THREADS)
    return reference * amount * REFERENCE_SPEED * REFERENCE_THREADS / here


def speed() -> float:
    """Return how fast one processor multiplies matrices, in 10^9 operations a second; measured once."""
    known = (recall(_FILE, _KEY) or {}).get("speed")
    if isinstance(known, int | float) and known > 0:
        return float(known)
    measured = measured_speed()
    remember(_FILE, _KEY, {"speed": float(f"{measured:.4g}")})
    return measured


def measured_speed() -> float:
    """Measure it, a hundredth of a second long: the best of many turns, since others use the processors, too."""
    left = np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)
    best = float("inf")
    for _ in range(_TURNS):
        started = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - started)
    return 2 * _SIDE**3 / max(best, 1e-9) / 1e9
