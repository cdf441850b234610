"""Operating points: from which probability a finding counts, chosen on cases that each network never saw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.results import OperatingPoint

#: Sensitivities that points are chosen for.
SENSITIVITIES = (0.8, 0.9)


def choose_points(
    said: npt.NDArray[np.float64], is_positive: npt.NDArray[np.bool_]
) -> tuple[OperatingPoint, OperatingPoint, OperatingPoint]:
    """Return the points that are balanced and that reach sensitivities of 0.8 and 0.9, with what they did.

    Parameters
    ----------
    said : (N,) array of float64
        Probabilities of the finding, 0..1, of cases that were not learned from.
    is_positive : (N,) array of bool
        Which of them have it.

    Raises
    ------
    ValueError
        If all or none have it.
    """
    if is_positive.all() or not is_positive.any():
        raise ValueError("Operating points need cases with the finding and cases without it.")
    # Halfway between two cases, so that neither lies on the threshold.
    levels = np.unique(said)
    between = (levels[1:] + levels[:-1]) / 2
    thresholds = np.concatenate([between, levels[:1] / 2])
    found = np.array([(said[is_positive] >= level).mean() for level in thresholds])
    spared = np.array([(said[~is_positive] < level).mean() for level in thresholds])

    def point(name: str, number: int) -> OperatingPoint:
        values = (float(array[number]) for array in (thresholds, found, spared))
        return OperatingPoint(name, *(round(value, 4) for value in values))

    balanced = point("balanced", int(np.argmax(found + spared)))
    reached = [
        # the most selective point that finds as many
        point(f"sensitivity {wanted:g}", int(np.argmax(np.where(found >= wanted, thresholds, -1))))
        for wanted in SENSITIVITIES
    ]
    return balanced, reached[0], reached[1]
