"""Cases of a claim, of which `make test` runs a few and `make test-slow` the others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def few_of(cases: Iterable[Any], *few: Any) -> list[Any]:
    """Return all cases of one argument for `pytest.mark.parametrize`; those that are not named are slow.

    Raises
    ------
    ValueError
        If one that is named is no case.
    """
    return few_rows([(case,) for case in cases], *((case,) for case in few))


def few_rows(rows: Iterable[tuple[Any, ...]], *few: tuple[Any, ...]) -> list[Any]:
    """Return all rows of several arguments for `pytest.mark.parametrize`; those that are not named are slow.

    Raises
    ------
    ValueError
        If one that is named is no row.
    """
    rows = list(rows)
    for row in few:
        if row not in rows:
            raise ValueError(f"{row!r} is none of the cases")
    return [pytest.param(*row, marks=[] if row in few else pytest.mark.slow) for row in rows]


def few_together(few: Iterable[tuple[Any, ...]], *lists: Iterable[Any]) -> list[Any]:
    """Return each combination of the lists for `pytest.mark.parametrize`; those that are not named are slow.

    Raises
    ------
    ValueError
        If one that is named is no combination.
    """
    return few_rows(product(*lists), *few)
