"""How well boxes that were found agree with those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.results import Detection

Floats = npt.NDArray[np.float64]
Rule = Literal["center", "overlap"]
#: False positives a scan at which LUNA16 averages the sensitivity (Setio et al. 2017, Medical Image Analysis 42, 1).
FALSE_POSITIVES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, eq=False)
class Hits:
    """Findings of several scans, matched to what is there.

    Attributes
    ----------
    scores : (n,) array
        Of the findings that count, best first.
    is_hit : (n,) array of bool
        Whether each is the first on something that is there.
    present : int
        How many are there.
    scans : int
        In how many scans.
    """

    scores: Floats
    is_hit: npt.NDArray[np.bool_]
    present: int
    scans: int


def match(
    references: Sequence[Sequence[Detection]],
    predictions: Sequence[Sequence[Detection]],
    *,
    rule: Rule = "center",
    overlap: float = 0.1,
) -> Hits:
    """Match findings to what is there, scan by scan, best findings first.

    Parameters
    ----------
    references, predictions : sequences of sequences of Detection
        One for each scan, in the same order and place. Labels are not compared.
    rule : {"center", "overlap"}
        ``center``: a finding hits where its center lies within the ellipsoid that a reference's box holds; a second
        finding on the same reference counts for nothing, as in LUNA16. ``overlap``: where the boxes' intersection over
        union is at least `overlap`; a second finding is a false one, as in COCO.
    overlap : float
        For that rule, above 0 and at most 1.

    Raises
    ------
    OptionError
        If the numbers of scans differ, a finding has no score, or `overlap` is out of range.
    """
    if len(references) != len(predictions):
        raise OptionError(f"{len(references)} scans have references, but {len(predictions)} have findings.")
    if not 0 < overlap <= 1:
        raise OptionError(f"overlap is {overlap:g}: it must be more than 0 and at most 1.")
    scores, is_hit = [], []
    for there, found in zip(references, predictions, strict=True):
        if any(np.isnan(box.score) for box in found):
            raise OptionError("A finding without a score cannot be ranked.")
        taken: set[int] = set()
        for box in sorted(found, key=lambda one: -one.score):
            fits = _fits(box, there, rule, overlap)
            first = next((number for number in fits if number not in taken), None)
            if first is None and fits and rule == "center":
                continue
            if first is not None:
                taken.add(first)
            scores.append(box.score)
            is_hit.append(first is not None)
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    present = sum(map(len, references))
    return Hits(np.asarray(scores, float)[order], np.asarray(is_hit, bool)[order], present, len(references))


def _fits(box: Detection, there: Sequence[Detection], rule: Rule, overlap: float) -> list[int]:
    """Return the references that a finding hits, best first."""
    if rule == "center":
        far = [_distance(box, one) for one in there]
        return [int(number) for number in np.argsort(far, kind="stable") if far[number] <= 1]
    shares = [intersection_over_union(box, one) for one in there]
    return [int(number) for number in np.argsort(shares, kind="stable")[::-1] if shares[number] >= overlap]


def _distance(box: Detection, reference: Detection) -> float:
    """Return how far a center lies from that of a reference, in half axes of its ellipsoid."""
    half = np.maximum(np.asarray(reference.size) / 2, 1e-6)
    return float(np.linalg.norm((np.asarray(box.center) - reference.center) / half))


def intersection_over_union(first: Detection, second: Detection) -> float:
    """Return the intersection of two boxes over their union, 0..1; 0 for boxes without volume."""
    centers, sizes = np.array([first.center, second.center]), np.array([first.size, second.size])
    low, high = (centers - sizes / 2).max(0), (centers + sizes / 2).min(0)
    both = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(sizes, 1).sum()) - both
    return both / union if union > 0 else 0.0


def froc(hits: Hits) -> tuple[Floats, Floats]:
    """Return the free-response ROC curve: false positives a scan, and sensitivity, from (0, 0) on.

    Raises
    ------
    OptionError
        If there is nothing to be found, or no scan.
    """
    if not hits.present or not hits.scans:
        raise OptionError("A sensitivity needs at least one reference.")
    last = np.r_[hits.scores[1:] != hits.scores[:-1], True][: hits.scores.size]  # equal scores come in at once
    alarms, found = np.cumsum(~hits.is_hit)[last], np.cumsum(hits.is_hit)[last]
    return np.r_[0.0, alarms / hits.scans], np.r_[0.0, found / hits.present]


def sensitivity_at(hits: Hits, false_positives: float) -> float:
    """Return the best sensitivity with at most so many false positives a scan, 0..1; errors as in `froc`."""
    alarms, found = froc(hits)
    return float(found[alarms <= false_positives + 1e-9].max())


def average_precision(hits: Hits) -> float:
    """Return the area under the curve of precision over recall, 0..1; errors as in `froc`.

    Precision is made to fall, all steps of the recall count (Everingham et al. 2015, IJCV 111, 98, from 2010 on).
    """
    alarms, recall = froc(hits)
    found, false = recall * hits.present, alarms * hits.scans
    precision = found[1:] / np.maximum(found[1:] + false[1:], 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * falling))


def compare_findings(
    references: Sequence[Sequence[Detection]], predictions: Sequence[Sequence[Detection]]
) -> dict[str, Any]:
    """Return how well findings agree with what is there, as JSON types.

    Parameters
    ----------
    references, predictions : sequences of sequences of Detection
        One for each scan.

    Returns
    -------
    dict
        ``scans``, ``present``, ``found`` (findings), ``sensitivity`` (of all findings, hits by their centers),
        ``false_positives_per_scan``, ``froc`` (false positives a scan to sensitivity, at LUNA16's seven points),
        ``froc_score`` (their mean) and ``average_precision`` at an intersection over union of 0.1. Without anything to
        be found, what would be divided by that is None.

    Raises
    ------
    OptionError
        As `match` does.
    """
    hits = match(references, predictions)
    told: dict[str, Any] = {
        "scans": hits.scans,
        "present": hits.present,
        "found": sum(map(len, predictions)),
        "false_positives_per_scan": float((~hits.is_hit).sum() / hits.scans) if hits.scans else None,
    }
    if not hits.present:
        return {**told, "sensitivity": None, "froc": None, "froc_score": None, "average_precision": None}
    points = {f"{limit:g}": sensitivity_at(hits, limit) for limit in FALSE_POSITIVES}
    return {
        **told,
        "sensitivity": float(hits.is_hit.sum() / hits.present),
        "froc": points,
        "froc_score": float(np.mean(list(points.values()))),
        "average_precision": average_precision(match(references, predictions, rule="overlap")),
    }
