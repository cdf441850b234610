"""From the numbers of a network to a risk and the share that is free of the event at each time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.described import Hazards

_Floats = npt.NDArray[np.float64]
#: How far rounding may take a hazard out of 0..1; and beyond what the exponential of a risk overflows.
_ROUNDING, _MOST_RISK = 2e-3, 80.0


def risk_of(numbers: _Floats, hazards: Hazards, shown: str) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return the risk, and pairs of a time and the probability that the event has not come by then.

    Parameters
    ----------
    numbers : (count,) array
        What the network said; finite.
    hazards : Hazards
        What they mean.
    shown : str
        The model, for messages.

    Raises
    ------
    ModelError
        If hazards are stated to be probabilities and are none.
    """
    if hazards.form == "log-hazard":
        risk = float(numbers[0]) - hazards.reference
        factor = np.exp(np.clip(risk, -_MOST_RISK, _MOST_RISK))
        free = np.exp(-np.array(hazards.baseline, float) * factor)
    else:
        each = numbers
        if hazards.activation == "sigmoid":
            each = 1 / (1 + np.exp(-np.clip(numbers, -_MOST_RISK, _MOST_RISK)))
        elif not ((numbers >= -_ROUNDING) & (numbers <= 1 + _ROUNDING)).all():
            raise ModelError(
                f"{shown}: the network's hazards lie between {numbers.min():.3g} and {numbers.max():.3g}, not between "
                '0 and 1, so they are logits: set "activation" to "sigmoid".'
            )
        each = np.clip(each, 0.0, 1.0)
        free = np.cumprod(1 - each)
        risk = float(-np.log1p(-np.minimum(each, 1 - np.finfo(float).eps)).sum())
    return risk, tuple(zip(hazards.times, map(float, free), strict=True))
