"""The values within a region: IBSI's intensity-based statistics, of values or of a histogram of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Values:
    """Values in rising order, each with how often it occurs.

    Attributes
    ----------
    values : (n,) array of float
        Finite, rising, at least one.
    counts : (n,) array of float or None
        None where each occurs once.
    """

    values: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64] | None = None

    @property
    def n(self) -> float:
        """How many they are."""
        return float(len(self.values)) if self.counts is None else float(self.counts.sum())

    def scaled(self, factor: float) -> Values:
        """Return them times a positive factor."""
        return Values(self.values * factor, self.counts)

    def above(self, threshold: float) -> Values | None:
        """Return those at or above a threshold; None where there are none."""
        start = int(np.searchsorted(self.values, threshold, side="left"))
        if start == len(self.values):
            return None
        return Values(self.values[start:], None if self.counts is None else self.counts[start:])

    def within(self, low: float, high: float) -> Values:
        """Return those of a range, its ends included."""
        start, stop = np.searchsorted(self.values, low, "left"), np.searchsorted(self.values, high, "right")
        return Values(self.values[start:stop], None if self.counts is None else self.counts[start:stop])

    def mean_of(self, what: npt.NDArray[np.float64]) -> float:
        """Return the mean of something that each value has."""
        return float(what.mean()) if self.counts is None else float(what @ self.counts / self.n)

    def percentile(self, level: float) -> float:
        """Return a percentile, from 0 to 100, linear between the two nearest values."""
        rank = (self.n - 1) * level / 100
        low = int(np.floor(rank))
        first, second = self._at(low), self._at(min(low + 1, int(self.n) - 1))
        return first + (second - first) * (rank - low)

    def _at(self, position: int) -> float:
        if self.counts is None:
            return float(self.values[position])
        return float(self.values[np.searchsorted(np.cumsum(self.counts), position, side="right")])


@dataclass
class Tally:
    """Number, mean, SD, lowest and highest of values that come in parts, none of which is kept.

    Attributes
    ----------
    n : int
        How many.
    mean, lowest, highest : float
        NaN for none.
    """

    n: int = 0
    mean: float = np.nan
    lowest: float = np.nan
    highest: float = np.nan
    _squares: float = 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add values, which are finite."""
        if not len(values):
            return
        n, mean = self.n + len(values), float(values.mean())
        apart = 0.0 if not self.n else mean - self.mean
        self._squares += float(((values - mean) ** 2).sum()) + apart**2 * self.n * len(values) / n
        self.mean = mean if not self.n else self.mean + apart * len(values) / n
        self.lowest = float(np.fmin(self.lowest, values.min()))
        self.highest = float(np.fmax(self.highest, values.max()))
        self.n = n

    @property
    def sd(self) -> float:
        """Of the population; NaN for none."""
        return float(np.sqrt(self._squares / self.n)) if self.n else np.nan


def first_order(found: Values) -> dict[str, float | None]:
    """Return IBSI's intensity-based statistics (reference manual, 3.3), by the names of `features.FEATURES`.

    Parameters
    ----------
    found : Values
        Of one region, in the scan's unit.

    Returns
    -------
    dict
        None for what is not defined: a ratio to a mean of 0. Of values that are all alike skewness and kurtosis are 0,
        as IBSI has it.
    """
    mean = found.mean_of(found.values)
    apart = found.values - mean
    variance = found.mean_of(apart**2)
    low, high = float(found.values[0]), float(found.values[-1])
    p10, p25, median, p75, p90 = (found.percentile(level) for level in (10, 25, 50, 75, 90))
    # of values that are all alike, rounding leaves a variance that is not quite 0
    is_flat = high == low
    variance = 0.0 if is_flat else variance
    sd = float(np.sqrt(variance))
    inner = found.within(p10, p90)
    inner_mean = inner.mean_of(inner.values)
    return {
        "mean": mean,
        "sd": sd,
        "min": low,
        "median": median,
        "max": high,
        "p10": p10,
        "p25": p25,
        "p75": p75,
        "p90": p90,
        "variance": variance,
        "skewness": 0.0 if is_flat else found.mean_of(apart**3) / variance**1.5,
        "kurtosis": 0.0 if is_flat else found.mean_of(apart**4) / variance**2 - 3,
        "interquartile_range": p75 - p25,
        "range": high - low,
        "mean_absolute_deviation": found.mean_of(np.abs(apart)),
        "robust_mean_absolute_deviation": inner.mean_of(np.abs(inner.values - inner_mean)),
        "median_absolute_deviation": found.mean_of(np.abs(found.values - median)),
        "coefficient_of_variation": None if mean == 0 else sd / mean,
        "quartile_coefficient_of_dispersion": None if p75 + p25 == 0 else (p75 - p25) / (p75 + p25),
        "energy": found.mean_of(found.values**2) * found.n,
        "root_mean_square": float(np.sqrt(found.mean_of(found.values**2))),
    }
