"""How well risks order the cases by when their event came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_radcnn.errors import OptionError


def compare_risks(times: Sequence[float], events: Sequence[bool], risks: Sequence[float]) -> dict[str, Any]:
    """Return how often the case whose event came first has the higher risk, as JSON types.

    Parameters
    ----------
    times : sequence of float
        Until the event, or until a case was last seen; 0 or more, in any unit.
    events : sequence of bool
        Whether the event came.
    risks : sequence of float
        Higher where the event is expected earlier.

    Returns
    -------
    dict
        ``n``, ``events``, ``pairs`` that can be compared, and ``c_index``: the share of them in the right order, equal
        risks counting half (Harrell et al. 1982, JAMA 247, 2543); None without a pair.

    Raises
    ------
    OptionError
        If there is no case, numbers of cases differ, or one is not finite or a time below 0.

    Examples
    --------
    >>> compare_risks([5, 8, 9], [True, False, True], [2.0, 1.0, 1.5])
    {'n': 3, 'events': 2, 'pairs': 2, 'c_index': 1.0}
    """
    if not len(times) == len(events) == len(risks) or not len(times):
        raise OptionError(
            f"{len(times)} times, {len(events)} events and {len(risks)} risks: each case needs all three."
        )
    when, came, risk = np.asarray(times, float), np.asarray(events, bool), np.asarray(risks, float)
    if not (np.isfinite(when).all() and np.isfinite(risk).all() and (when >= 0).all()):
        raise OptionError("Times must be finite and 0 or more, and risks finite.")
    pairs, right = 0, 0.0
    for case in np.flatnonzero(came).tolist():
        later = (when > when[case]) | ((when == when[case]) & ~came)  # seen at that time, and no event
        pairs += int(later.sum())
        right += float((risk[case] > risk[later]).sum() + 0.5 * (risk[case] == risk[later]).sum())
    found: dict[str, Any] = {"n": len(when), "events": int(came.sum()), "pairs": pairs}
    return found | {"c_index": right / pairs if pairs else None}
