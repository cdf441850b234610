"""Logits of an ensemble to probabilities that mean what they say: a temperature and a shift a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Lowest and highest temperature, greatest shift of a logit: beyond these a network has learned nothing.
_TEMPERATURES, _SHIFT = (0.05, 20.0), 10.0


@dataclass(frozen=True)
class Calibration:
    """Softmax of ``logits / temperature + shift`` (Guo et al. 2017, ICML; the shift moves the operating point to 0.5).

    Attributes
    ----------
    temperature : float
        Above 1 it takes certainty away.
    shift : tuple of float
        One a class.
    """

    temperature: float
    shift: tuple[float, ...]


def probabilities(logits: npt.NDArray, calibration: Calibration) -> npt.NDArray[np.float64]:
    """Return the mean probabilities `(N, classes)` of what was said `(N, members, classes)`."""
    scaled = np.asarray(logits, np.float64) / calibration.temperature + np.asarray(calibration.shift)
    scaled -= scaled.max(-1, keepdims=True)
    shares = np.exp(scaled)
    shares /= shares.sum(-1, keepdims=True)
    return shares.mean(1)


def calibrate(logits: npt.NDArray, classes: npt.NDArray[np.int64], *, balanced: bool) -> Calibration:
    """Return the temperature and shift that make the classes `(N,)` most likely given logits `(N, classes)`.

    Parameters
    ----------
    balanced : bool
        Whether every class weighs the same, however often it occurs.
    """
    from scipy.optimize import minimize

    count = logits.shape[1]
    often = np.bincount(classes, minlength=count)
    weights = 1.0 / often[classes] if balanced else np.ones(len(classes))
    weights = weights / weights.sum()

    def unpacked(values: npt.NDArray) -> Calibration:
        return Calibration(float(np.exp(values[0])), (0.0, *map(float, values[1:])))

    def surprise(values: npt.NDArray) -> float:
        said = probabilities(logits[:, None], unpacked(values))[np.arange(len(classes)), classes]
        return float(-(weights * np.log(np.maximum(said, 1e-12))).sum())

    bounds = [np.log(_TEMPERATURES), *[(-_SHIFT, _SHIFT)] * (count - 1)]
    found = minimize(surprise, np.zeros(count), method="L-BFGS-B", bounds=bounds)
    return unpacked(found.x)
