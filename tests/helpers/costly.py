"""Cases of a claim, of which `make test` runs a few and `make test-slow` the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few_of(cases: Iterable[Any], *few: Any) -> list[Any]:
    """Return all cases for `pytest.mark.parametrize`; those that are not named are slow.

    Raises
    ------
    ValueError
        If one that is named is no case.
    """
    cases = list(cases)
    for case in few:
        if case not in cases:
            raise ValueError(f"{case!r} is none of the cases")
    return [case if case in few else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def few_together(few: Iterable[tuple[Any, ...]], *lists: Iterable[Any]) -> list[Any]:
    """Return each combination of the lists for `pytest.mark.parametrize`; those that are not named are slow.

    Raises
    ------
    ValueError
        If one that is named is no combination.
    """
    from itertools import product

    few, combined = list(few), list(product(*lists))
    for case in few:
        if case not in combined:
            raise ValueError(f"{case!r} is none of the combinations")
    return [pytest.param(*case, marks=[] if case in few else pytest.mark.slow) for case in combined]
