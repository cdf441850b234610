"""Operating points of `lung-nodules`: from which score on a finding counts, and what that finds and marks wrongly."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.errors import ModelError
from napari_radcnn.models.lung_nodules.spec import OWN
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.shipped import about_weights


@dataclass(frozen=True)
class Point:
    """A score from which on findings count.

    Attributes
    ----------
    name : str
        What it is for: ``"balanced"``.
    threshold : float
        The score, 0..1.
    sensitivity : float
        The share of nodules that is then found, 0..1, of those that it was chosen with.
    false_per_chest : float
        Findings per chest of five liters that are none.
    """

    name: str
    threshold: float
    sensitivity: float
    false_per_chest: float

    def sentence(self) -> str:
        """Return what the point does, for who chose it."""
        return (
            f"Operating point '{self.name}': findings count from a score of {self.threshold:.2f}. Of synthetic nodules "
            f"in lungs not used for training, {100 * self.sensitivity:.0f} of 100 were detected, with "
            f"{self.false_per_chest:.1f} false findings per chest of five liters."
        )


def operating_points(spec: ModelSpec) -> tuple[Point, ...]:
    """Return the points that lie beside the weights."""
    stored = about_weights(spec).get("operating_points", ())
    return tuple(Point(**point) for point in stored) if isinstance(stored, list) else ()


def chosen_point(spec: ModelSpec, name: str) -> Point | None:
    """Return the point of a name; None for the minimum score.

    Raises
    ------
    ModelError
        If the weights come without it.
    """
    if name == OWN:
        return None
    found = {point.name: point for point in operating_points(spec)}
    if name not in found:
        raise ModelError(f"The weights of '{spec.name}' have no operating point '{name}': set a minimum score.")
    return found[name]
