"""Fits what the shape of a gland says, and how much it counts beside the networks, on cases each never saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.classifiers.shape import ShapeModel

Floats = npt.NDArray[np.floating[Any]]

#: How strongly weights are held back: of the shape's features, and of the two logits that are joined.
_FEATURE_PENALTY, _JOINT_PENALTY = 1 / 30, 1e-3


def logistic(
    inputs: Floats, is_positive: npt.NDArray[np.bool_], penalty: float, counts: Floats | None = None
) -> tuple[npt.NDArray[np.float64], float]:
    """Return weights and bias of a logistic regression.

    Parameters
    ----------
    inputs : (N, n) array
        Of each case.
    is_positive : (N,) array of bool
        Which class it is.
    penalty : float
        Times half the sum of squares of the weights, added to the summed loss.
    counts : (N,) array, optional
        How much each case counts; 1 by default.
    """
    from scipy.optimize import minimize

    sign = np.where(is_positive, 1.0, -1.0)
    share = np.ones(len(inputs)) if counts is None else counts

    def loss(values: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (inputs @ values[:-1] + values[-1])
        pull = -sign * share / (1 + np.exp(np.clip(margin, -50, 50)))
        value = float((share * np.logaddexp(0, -margin)).sum() + penalty / 2 * np.square(values[:-1]).sum())
        return value, np.append(inputs.T @ pull + penalty * values[:-1], pull.sum())

    found = minimize(loss, np.zeros(inputs.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    return found[:-1], float(found[-1])


def fit_shape(features: Floats, is_positive: npt.NDArray[np.bool_]) -> ShapeModel:
    """Return the regression on features `(N, n)`; networks do not count in it yet."""
    logs = np.log1p(features)
    center, scale = logs.mean(0), np.maximum(logs.std(0), 1e-6)
    weights, bias = logistic((logs - center) / scale, is_positive, _FEATURE_PENALTY)
    numbers = [tuple(round(float(value), 6) for value in each) for each in (center, scale, weights)]
    return ShapeModel(numbers[0], numbers[1], numbers[2], round(bias, 6))


def unseen_logits(
    features: Floats, is_positive: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return what the shape says of each case `(N,)` by a regression that never saw its fold."""
    said = np.zeros(len(features))
    for number in np.unique(fold):
        unseen = fold == number
        said[unseen] = fit_shape(features[~unseen], is_positive[~unseen]).logit(features[unseen])
    return said


def fit_joint(
    logits: Floats, features: Floats, is_positive: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64]
) -> tuple[ShapeModel, npt.NDArray[np.float64]]:
    """Return the regression of all cases, joined with networks, and joint logits of cases that nothing had seen.

    Parameters
    ----------
    logits : (N, views) array
        Of the second class against the first: what the network of each case's own fold says of its views.
    features : (N, n) array
        See `napari_radcnn.models.classifiers.shape.shape_features`.
    is_positive : (N,) array of bool
        Whether it is of the second class.
    fold : (N,) array of int
        Which network never saw it.

    Returns
    -------
    model : ShapeModel
        The regression, and how much each counts.
    unseen : (N,) array of float64
        The mean of its views' joint logits; how much each counts was fitted to the other folds.
    """
    shape = unseen_logits(features, is_positive, fold)
    views = logits.shape[1]
    pairs = np.stack([logits.ravel(), np.repeat(shape, views)], 1)
    positive, counts = np.repeat(is_positive, views), np.full(logits.size, 1 / views)
    unseen = np.zeros(len(logits))
    for number in np.unique(fold):
        here = np.repeat(fold == number, views)
        weights, bias = logistic(pairs[~here], positive[~here], _JOINT_PENALTY, counts[~here])
        unseen[fold == number] = (pairs[here] @ weights + bias).reshape(-1, views).mean(1)
    weights, bias = logistic(pairs, positive, _JOINT_PENALTY, counts)
    network, share, shift = (round(float(value), 6) for value in (*weights, bias))
    return replace(fit_shape(features, is_positive), network=network, shape=share, shift=shift), unseen
