"""Findings under review: which of them are shown, what was decided of each, what of them is written. Knows no Qt."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from napari_radcnn.results import Detection, Detections, FindingState


class Review:
    """The findings of one result, best first, as somebody goes through them.

    A finding is named by its place in `boxes`, which never changes.

    Parameters
    ----------
    detections : Detections
        What is reviewed; decisions that were made before are kept.
    threshold : float
        See `threshold`.
    """

    def __init__(self, detections: Detections, threshold: float = 0.0) -> None:
        self.detections = detections
        #: Findings with a lower score are neither shown nor written; those without a score always are.
        self.threshold = threshold
        self._boxes = sorted(detections.boxes, key=lambda box: math.inf if math.isnan(box.score) else -box.score)
        self._decisions: list[tuple[int, FindingState]] = []

    @property
    def boxes(self) -> tuple[Detection, ...]:
        """All findings, the highest score first, those without a score last."""
        return tuple(self._boxes)

    @property
    def shown(self) -> list[int]:
        """The findings that are not below the threshold."""
        return [n for n, box in enumerate(self._boxes) if not box.score < self.threshold]

    @property
    def has_scores(self) -> bool:
        """Whether any finding has a score."""
        return any(not math.isnan(box.score) for box in self._boxes)

    @property
    def can_undo(self) -> bool:
        """Whether a decision can be taken back."""
        return bool(self._decisions)

    def decide(self, number: int, state: FindingState) -> None:
        """Accept or reject a finding, or make it a candidate again."""
        before = self._boxes[number]
        if state != before.state:
            self._decisions.append((number, before.state))
            self._boxes[number] = replace(before, state=state)

    def undo(self) -> int | None:
        """Take the last decision back, and return of which finding; None where there is none."""
        if not self._decisions:
            return None
        number, state = self._decisions.pop()
        self._boxes[number] = replace(self._boxes[number], state=state)
        return number

    def next_after(self, number: int) -> int:
        """Return the next finding that is shown; the same one where it is the last."""
        return next((other for other in self.shown if other > number), number)

    @property
    def counts(self) -> Counter[FindingState]:
        """How many of the findings that are shown are in each state."""
        return Counter(self._boxes[n].state for n in self.shown)

    @property
    def summary(self) -> str:
        """Such as ``"7 of 23 findings · 2 accepted · 1 rejected"``."""
        if not self._boxes:
            return "No findings."
        counts, total = self.counts, len(self._boxes)
        told = [f"{len(self.shown)} of {total} finding{'s' * (total > 1)}"]
        told += [f"{counts[state]} {state}" for state in ("accepted", "rejected") if counts[state]]
        hidden = sum(box.state == "accepted" for box in self._boxes) - counts["accepted"]
        if hidden:
            told.append(f"{hidden} accepted, but below the score and left out")
        return " · ".join(told)

    def kept(self) -> Detections:
        """Return what is written: the findings that are shown and not rejected.

        Their provenance says so: the threshold, and how many were accepted, left undecided, rejected, or lay below it.
        """
        boxes = tuple(self._boxes[n] for n in self.shown if self._boxes[n].state != "rejected")
        provenance = self.detections.provenance
        if provenance or len(boxes) < len(self._boxes) or self.can_undo:
            before: Any = provenance.get("reviews", ())
            provenance = {**provenance, "reviews": [*before, self._account()]}
        return replace(self.detections, boxes=boxes, provenance=provenance, evidence=())

    def _account(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "score_threshold": self.threshold,
            "accepted": counts["accepted"],
            "undecided": counts["candidate"],
            "rejected": counts["rejected"],
            "below_threshold": len(self._boxes) - len(self.shown),
        }
