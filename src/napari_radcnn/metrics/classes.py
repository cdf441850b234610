"""How well probabilities of classes agree with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError

Floats = npt.NDArray[np.float64]


def roc_auc(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """Return the area under the ROC curve, 0..1; ties count half. None where one of the two classes is missing.

    Parameters
    ----------
    truth : (n,) array-like of bool
        Whether each case is positive.
    scores : (n,) array-like of float
        Larger means more likely positive.
    """
    from scipy.stats import rankdata

    positive = np.asarray(truth, bool)
    count, others = int(positive.sum()), int((~positive).sum())
    if count == 0 or others == 0:
        return None
    ranks = rankdata(np.asarray(scores, float))
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def roc_auc_interval(
    truth: npt.ArrayLike, scores: npt.ArrayLike, resamples: int = 1000, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % interval of the area under the ROC curve: percentiles of the bootstrap over cases.

    Positive and negative cases are drawn apart, each as many as there are. None where one of the two is missing.
    """
    positive, scores = np.asarray(truth, bool), np.asarray(scores, float)
    groups = np.flatnonzero(positive), np.flatnonzero(~positive)
    if not all(group.size for group in groups):
        return None
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(group, group.size) for group in groups])
        found.append(roc_auc(positive[drawn], scores[drawn]))
    low, high = np.percentile(np.asarray(found, float), (2.5, 97.5))
    return float(low), float(high)


def roc_curve(truth: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the ROC curve: false positive rate, sensitivity, and the score from which a case counts as positive.

    Parameters
    ----------
    truth, scores
        As in `roc_auc`; both classes must occur.

    Returns
    -------
    three 1-D arrays
        From (0, 0), with a score of infinity, to (1, 1).

    Raises
    ------
    OptionError
        If one of the two classes is missing.
    """
    positive, scores = np.asarray(truth, bool), np.asarray(scores, float)
    if positive.all() or not positive.any():
        raise OptionError("A ROC curve needs positive and negative cases.")
    levels = np.unique(scores)[::-1]
    hits = np.array([(scores[positive] >= level).mean() for level in levels])
    alarms = np.array([(scores[~positive] >= level).mean() for level in levels])
    return np.r_[0.0, alarms], np.r_[0.0, hits], np.r_[np.inf, levels]


def decisions(truth: npt.ArrayLike, decided: npt.ArrayLike) -> dict[str, float | None]:
    """Return sensitivity, specificity, positive and negative predictive value; None where nothing is divided by.

    Parameters
    ----------
    truth, decided : (n,) array-like of bool
        What each case is, and what it was taken for.
    """
    is_so, is_said = np.asarray(truth, bool), np.asarray(decided, bool)
    both, neither = int((is_so & is_said).sum()), int((~is_so & ~is_said).sum())

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return {
        "sensitivity": share(both, int(is_so.sum())),
        "specificity": share(neither, int((~is_so).sum())),
        "ppv": share(both, int(is_said.sum())),
        "npv": share(neither, int((~is_said).sum())),
    }


def calibration_error(is_right: npt.ArrayLike, confidence: npt.ArrayLike, bins: int = 15) -> float:
    """Return the expected calibration error (Guo et al. 2017, ICML): how far confidence is from being right, 0..1.

    Parameters
    ----------
    is_right : (n,) array-like of bool
        Whether each decision was right.
    confidence : (n,) array-like of float
        The probability that was given to it.
    bins : int
        Of equal width; the first begins at 0 and holds its upper end, as do all.
    """
    right, given = np.asarray(is_right, float), np.asarray(confidence, float)
    bin_of = np.clip(np.ceil(given * bins).astype(int) - 1, 0, bins - 1)
    off = np.bincount(bin_of, right - given, bins)
    return float(np.abs(off).sum() / right.size)


def kappa(truth: npt.ArrayLike, decided: npt.ArrayLike, classes: int, *, is_quadratic: bool = False) -> float | None:
    """Return Cohen's kappa: how far two agree beyond chance, 1 for always; None where one class is all there is.

    Parameters
    ----------
    truth, decided : (n,) array-like of int
        Numbers of classes from 0; of grades the lowest first.
    classes : int
        How many there are.
    is_quadratic : bool
        Whether a difference counts by its square (weighted kappa, Cohen 1968), as grades have it.
    """
    table = np.zeros((classes, classes))
    np.add.at(table, (np.asarray(truth, int), np.asarray(decided, int)), 1)
    chance = np.outer(table.sum(1), table.sum(0)) / table.sum()
    apart = np.subtract.outer(np.arange(classes), np.arange(classes))
    weight = apart**2 if is_quadratic else apart != 0
    expected = float((weight * chance).sum())
    return None if expected == 0 else 1 - float((weight * table).sum()) / expected


def compare_present(
    truth: Mapping[str, Sequence[bool]], probabilities: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Return how well probabilities of findings that may stand together agree with the truth, as JSON types.

    Parameters
    ----------
    truth : mapping of str to sequence of bool
        For each finding whether it is there in every case.
    probabilities : mapping of str to sequence of float
        Its probability in every case, 0..1; from 0.5 on it counts as there.

    Returns
    -------
    dict
        ``n``, ``mean_auc`` over the findings that have one, ``all_right`` (the share of cases of which every finding is
        right), and ``classes`` as of `compare_classes`.

    Raises
    ------
    OptionError
        If there is no case, numbers of cases or names differ, or a probability is not within 0..1.
    """
    if set(truth) != set(probabilities):
        name = min(set(truth) ^ set(probabilities))
        raise OptionError(f"'{name}' is in only one of reference and prediction: both need a column for each finding.")
    names = list(truth)
    is_so = np.array([list(truth[name]) for name in names], bool)
    table = np.array([list(probabilities[name]) for name in names], float)
    if not table.size or is_so.shape != table.shape:
        raise OptionError("One probability of each finding is needed for each case, and at least one case.")
    if not ((table >= 0) & (table <= 1)).all():
        raise OptionError("Probabilities must be between 0 and 1.")
    is_said = table >= 0.5
    classes = {}
    for number, name in enumerate(names):
        limits = roc_auc_interval(is_so[number], table[number])
        classes[name] = {
            "n": int(is_so[number].sum()),
            "auc": roc_auc(is_so[number], table[number]),
            "auc_interval": None if limits is None else list(limits),
            **decisions(is_so[number], is_said[number]),
        }
    areas = [one["auc"] for one in classes.values() if one["auc"] is not None]
    right = float((is_so == is_said).all(0).mean())
    mean = float(np.mean(areas)) if areas else None
    return {"n": table.shape[1], "mean_auc": mean, "all_right": right, "classes": classes}


def compare_classes(truth: Sequence[str], probabilities: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return how well probabilities agree with the true classes, as JSON types.

    Parameters
    ----------
    truth : sequence of str
        The class of each case.
    probabilities : mapping of str to sequence of float
        Each class's probability in every case, 0..1. The largest decides. With one class only, the others are what is
        not it, and 0.5 decides.

    Returns
    -------
    dict
        ``n``, ``accuracy``, ``calibration_error``, ``kappa``, of three classes and more ``quadratic_kappa`` (for grades
        in the order of `probabilities`) and ``top_2`` (the share of cases whose class is among the two likeliest), and
        ``classes``: for each class, held against all others, ``n``,
        ``auc``, ``auc_interval`` (95 %), ``sensitivity``, ``specificity``, ``ppv``, ``npv``. Figures that cannot be
        computed are None.

    Raises
    ------
    OptionError
        If there is no case, numbers of cases differ, a class is unknown, or a probability is not within 0..1.
    """
    names, table = list(probabilities), np.array([list(values) for values in probabilities.values()], float)
    _check(truth, names, table)
    shown = names
    if len(names) == 1:
        names, table = [*names, ""], np.vstack([table, 1 - table])
        truth = [name if name == names[0] else "" for name in truth]
    number = np.array([names.index(name) for name in truth])
    decided = table.argmax(0)
    classes: dict[str, Any] = {}
    for index, name in enumerate(shown):
        is_so = number == index
        limits = roc_auc_interval(is_so, table[index])
        classes[name] = {
            "n": int(is_so.sum()),
            "auc": roc_auc(is_so, table[index]),
            "auc_interval": None if limits is None else list(limits),
            **decisions(is_so, decided == index),
        }
    right = decided == number
    error = calibration_error(right, table.max(0))
    agreement: dict[str, Any] = {"kappa": kappa(number, decided, len(names))}
    if len(names) > 2:
        agreement["quadratic_kappa"] = kappa(number, decided, len(names), is_quadratic=True)
        agreement["top_2"] = float((np.argsort(-table, 0, kind="stable")[:2] == number).any(0).mean())
    head = {"n": len(truth), "accuracy": float(right.mean()), "calibration_error": error}
    return {**head, **agreement, "classes": classes}


def _check(truth: Sequence[str], names: list[str], table: Floats) -> None:
    if not names or not len(truth) or table.shape[1] != len(truth):
        counts = (
            f"{len(truth)} cases and {table.shape[1] if table.ndim == 2 else 0} probabilities of {len(names)} classes"
        )
        raise OptionError(f"{counts}: one for each case is needed, and at least one.")
    if not ((table >= 0) & (table <= 1)).all():
        raise OptionError("Probabilities must be between 0 and 1.")
    if len(names) == 1 and names[0] not in truth:
        raise OptionError(f"There are probabilities of the class '{names[0]}', but no case of it.")
    unknown = sorted(set(truth) - set(names))
    if unknown and len(names) > 1:
        raise OptionError(f"There is no probability of the class '{unknown[0]}'; the classes are: {', '.join(names)}.")
