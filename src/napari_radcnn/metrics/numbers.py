"""How well values that were read off scans agree with the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError

#: Standard deviations that 95 % of a normal distribution lie within, to either side.
_WITHIN = 1.959963984540054
_Interval = tuple[float, float]


def compare_numbers(
    truth: Sequence[float], values: Sequence[float], intervals: Sequence[_Interval] | None = None
) -> dict[str, Any]:
    """Return how well values agree with the true ones, as JSON types.

    Parameters
    ----------
    truth, values : sequence of float
        One for each case, in the same unit.
    intervals : sequence of (float, float), optional
        Lower and upper end for each case.

    Returns
    -------
    dict
        In the unit of the values: ``mae`` (mean absolute error), ``rmse``, ``bias`` (mean of value minus truth) with
        ``bias_interval`` (95 %), ``limits_of_agreement`` (bias -+ 1.96 standard deviations, Bland and Altman 1986).
        Without a unit: ``n``, ``correlation`` (Pearson) with ``correlation_interval``, ``icc`` (two-way, absolute
        agreement, single values) with ``icc_interval``, and with `intervals` ``coverage``, the share of them that hold
        the truth. Figures that cannot be computed are None.

    Raises
    ------
    OptionError
        If there is no case, numbers of cases differ, or one is not finite.
    """
    given = np.array([truth, values], float) if len(truth) == len(values) else np.empty((2, 0))
    if given.shape[1] == 0:
        raise OptionError(
            f"{len(truth)} true values and {len(values)} values: one for each case is needed, and at least one."
        )
    if not np.isfinite(given).all():
        raise OptionError("Values must be finite numbers.")
    error = given[1] - given[0]
    count, bias = len(error), float(error.mean())
    spread = float(error.std(ddof=1)) if count > 1 else None
    found: dict[str, Any] = {
        "n": count,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": bias,
        "bias_interval": None if spread is None else _around(bias, _student(count) * spread / np.sqrt(count)),
        "limits_of_agreement": None if spread is None else _around(bias, _WITHIN * spread),
    }
    r, limits = pearson(given[0], given[1])
    agreement, agreement_limits = icc(given.T)
    found |= {
        "correlation": r,
        "correlation_interval": None if limits is None else list(limits),
        "icc": agreement,
        "icc_interval": None if agreement_limits is None else list(agreement_limits),
    }
    if intervals is not None:
        held = [low <= true <= high for (low, high), true in zip(intervals, truth, strict=True)]
        found["coverage"] = float(np.mean(held))
    return found


def _around(middle: float, reach: float) -> list[float]:
    return [float(middle - reach), float(middle + reach)]


def _student(count: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, count - 1))


def pearson(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[float | None, _Interval | None]:
    """Return Pearson's correlation and its 95 % interval (Fisher's transformation).

    Parameters
    ----------
    first, second : (n,) array-like of float
        Pairs.

    Returns
    -------
    correlation : float or None
        None for fewer than two pairs, or where one of them does not vary.
    interval : (float, float) or None
        None for fewer than four pairs.
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    if one.size < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None, None
    r = float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))
    if one.size < 4:
        return r, None
    if abs(r) == 1:
        return r, (r, r)
    reach = _WITHIN / np.sqrt(one.size - 3)
    return r, (float(np.tanh(np.arctanh(r) - reach)), float(np.tanh(np.arctanh(r) + reach)))


def icc(table: npt.ArrayLike) -> tuple[float | None, _Interval | None]:
    """Return the intraclass correlation of single values with absolute agreement, and its 95 % interval.

    Parameters
    ----------
    table : (cases, readers) array-like of float
        What each reader says of each case.

    Returns
    -------
    icc : float or None
        ICC(2,1) of Shrout and Fleiss 1979 (Psychol Bull 86:420), ICC(A,1) of McGraw and Wong 1996. None for fewer than
        two cases or readers, or where nothing varies.
    interval : (float, float) or None
        As McGraw and Wong (Psychol Methods 1:30) have it; None where the readers agree to the last digit.
    """
    from scipy.stats import f

    values = np.asarray(table, float)
    cases, readers = values.shape
    if cases < 2 or readers < 2:
        return None, None
    rows, columns, mean = values.mean(1), values.mean(0), values.mean()
    between = readers * ((rows - mean) ** 2).sum() / (cases - 1)
    judges = cases * ((columns - mean) ** 2).sum() / (readers - 1)
    rest = ((values - rows[:, None] - columns + mean) ** 2).sum() / ((cases - 1) * (readers - 1))
    whole = between + (readers - 1) * rest + readers * (judges - rest) / cases
    if whole <= 0:
        return None, None
    found = float((between - rest) / whole)
    if rest <= 1e-12 * whole:
        return found, None
    ratio = judges / rest
    a = readers * found
    b = cases * (1 + (readers - 1) * found) - readers * found
    free = (readers - 1) * (cases - 1) * (a * ratio + b) ** 2 / ((cases - 1) * (a * ratio) ** 2 + b**2)
    upper, lower = f.ppf(0.975, cases - 1, free), f.ppf(0.975, free, cases - 1)
    common = readers * judges + (readers * cases - readers - cases) * rest
    low = cases * (between - upper * rest) / (upper * common + cases * between)
    high = cases * (lower * between - rest) / (common + cases * lower * between)
    return found, (float(low), float(high))
