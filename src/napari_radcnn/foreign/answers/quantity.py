"""From the numbers of a network to a value with its unit and interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.described import Quantity

_Floats = npt.NDArray[np.float64]
#: Beyond this the standard deviation of a logarithm of a variance overflows.
_MOST_LOG = 80.0


def value_of(
    numbers: _Floats, quantity: Quantity, shown: str
) -> tuple[float, tuple[float, float] | None, tuple[str, ...]]:
    """Return the value, its interval, and what to tell.

    Parameters
    ----------
    numbers : (count,) array
        What the network said of one input; finite.
    quantity : Quantity
        What they mean.
    shown : str
        The model, for messages.

    Raises
    ------
    ModelError
        If a standard deviation is negative, or the value does not lie in its interval.
    """
    slope, intercept = quantity.slope, quantity.intercept
    value, interval = slope * numbers[0] + intercept, None
    if quantity.interval == "fixed":
        interval = value - quantity.half_width, value + quantity.half_width
    elif quantity.interval in ("deviation", "log-variance"):
        spread = _deviation(float(numbers[1]), quantity, shown)
        reach = abs(slope) * spread * _deviations_of(quantity.level)
        interval = value - reach, value + reach
    elif quantity.interval == "quantiles":
        low, value, high = (slope * numbers + intercept)[:: -1 if slope < 0 else 1]
        if not low <= value <= high:
            raise ModelError(
                f"{shown}: the network's interval {low:.4g} to {high:.4g} does not contain its value {value:.4g}: its "
                "outputs must be the lower end, the value and the upper end, in this order."
            )
        interval = low, high
    told: tuple[str, ...] = ()
    if quantity.limits is not None and not quantity.limits[0] <= value <= quantity.limits[1]:
        lowest, highest = quantity.limits
        told = (
            f"{quantity.name} is {value:.4g} {quantity.unit}, outside the range that '{shown}' can return "
            f"({lowest:g} to {highest:g} {quantity.unit}): do not rely on it.",
        )
    return float(value), None if interval is None else (float(interval[0]), float(interval[1])), told


def _deviation(number: float, quantity: Quantity, shown: str) -> float:
    if quantity.interval == "log-variance":
        return float(np.exp(0.5 * min(number, _MOST_LOG)))
    if number < 0:
        raise ModelError(
            f"{shown}: the network's standard deviation is {number:.4g}, but none is negative: if it is the logarithm "
            'of a variance, set "interval" to {"kind": "log-variance"}.'
        )
    return number


def _deviations_of(level: float) -> float:
    """Return how many standard deviations an interval of a normal distribution reaches to either side."""
    from scipy.stats import norm

    return float(norm.ppf(0.5 + level / 2))
