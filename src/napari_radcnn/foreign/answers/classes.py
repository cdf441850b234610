"""From the numbers of a network to probabilities of classes, or a line that says why they are none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.described import Classes

_Floats = npt.NDArray[np.float64]
#: How far rounding may take probabilities out of 0..1, or their sum away from 1.
_ROUNDING = 2e-3
#: How far float32 takes the sum of a softmax away from 1: nearer, numbers are no logits but by a chance of that size.
_EXACTLY = 1e-5


def probabilities_of(numbers: _Floats, classes: Classes, shown: str) -> tuple[_Floats, tuple[str, ...]]:
    """Return the probability of each class, and what to tell.

    Parameters
    ----------
    numbers : (count,) array
        What the network said of one input; finite.
    classes : Classes
        What they mean.
    shown : str
        The model, for messages.

    Raises
    ------
    ModelError
        If logits are stated to be probabilities, or the reverse.
    """
    told: tuple[str, ...] = ()
    if classes.activation == "none":
        _check_probabilities(numbers, classes, shown)
        found = np.clip(numbers, 0.0, 1.0)
    elif classes.activation == "softmax":
        if len(numbers) > 1 and _are_shares(numbers, _EXACTLY):
            raise ModelError(
                f"{shown}: the network's numbers ({_listed(numbers)}) are between 0 and 1 and add to 1, so they are "
                'probabilities already, but its description says "activation": "softmax": set it to "none".'
            )
        found = _softmax(numbers / classes.temperature)
    else:
        if len(numbers) > 2 and ((numbers >= 0) & (numbers <= 1)).all():
            told = (
                f"All numbers of '{shown}' are between 0 and 1 before its sigmoid ({_listed(numbers)}): if the network "
                'applies one itself, set "activation" to "none".',
            )
        found = 1 / (1 + np.exp(-np.clip(numbers / classes.temperature, -80, 80)))
    if classes.is_cumulative:
        found, steps_up = _grades(found)
        if steps_up > _ROUNDING:
            told += (
                f"'{shown}' gives a higher grade a greater probability of being reached than a lower one (by "
                f"{steps_up:.2f}): "
                "its probabilities of the grades are unreliable.",
            )
    elif classes.kind == "exclusive" and len(found) < len(classes.names):
        found = np.array([1 - found[0], found[0]])
    return found, told


def _check_probabilities(numbers: _Floats, classes: Classes, shown: str) -> None:
    if not ((numbers >= -_ROUNDING) & (numbers <= 1 + _ROUNDING)).all():
        raise ModelError(
            f"{shown}: the network's numbers ({_listed(numbers)}) are not between 0 and 1, so they are logits, but its "
            'description says "activation": "none": set it to "softmax" or "sigmoid".'
        )
    one_of_them = classes.kind != "multi-label" and not classes.is_cumulative and classes.count == len(classes.names)
    if one_of_them and not _are_shares(numbers, _ROUNDING):
        raise ModelError(
            f"{shown}: the probabilities of classes that exclude each other ({_listed(numbers)}) add to "
            f'{numbers.sum():.3g}, not 1: if several can be present, set "kind" to "multi-label".'
        )


def _are_shares(numbers: _Floats, rounding: float) -> bool:
    within = ((numbers >= -_ROUNDING) & (numbers <= 1 + _ROUNDING)).all()
    return bool(within) and abs(float(numbers.sum()) - 1) <= rounding


def _grades(at_least: _Floats) -> tuple[_Floats, float]:
    """Return the probability of each grade, and by how much "at least" rises where it must not."""
    falling = np.minimum.accumulate(at_least)
    reached = np.concatenate([[1.0], falling, [0.0]])
    return reached[:-1] - reached[1:], float((at_least - falling).max())


def _softmax(values: _Floats) -> _Floats:
    shares = np.exp(values - values.max())
    return np.asarray(shares / shares.sum())


def _listed(numbers: _Floats) -> str:
    told = ", ".join(f"{value:.3g}" for value in numbers[:4])
    return f"{told}, ..." if len(numbers) > 4 else told
