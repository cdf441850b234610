"""What the values alone tell: constant, noise, a gradient, labels, probabilities, Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_radcnn.suitability.sample import Floats, Sample

#: What a scan may be instead of an image of a patient.
Kind = Literal["image", "label map", "drawing", "probability map", "constant", "noise", "gradient", "no numbers"]

#: Correlation of neighbors below which there is nothing but noise.
_NOISE = 0.3
#: The most values of a label map; the share of its neighbors that are equal, where not both are background.
_MOST_LABELS, _MOST_LABEL, _EQUAL = 256, 65535, 0.6
#: The share of the variance that is left of a gradient.
_SMOOTH = 0.02
_MOST_FITTED = 20_000


def kind_of(sample: Sample) -> Kind:
    """Return what a scan is, told by its values."""
    values = sample.finite
    if values.size == 0 or sample.missing > 0.999:
        return "no numbers"
    low, high = float(values.min()), float(values.max())
    if low == high or all(np.nanmin(one) == np.nanmax(one) for one in _filled(sample)):
        return "constant"
    if _is_drawn(sample):
        return "label map" if low >= 0 else "drawing"
    if _is_noise(sample):
        return "noise"
    if _are_probabilities(sample):
        return "probability map"
    return "gradient" if _is_gradient(sample) else "image"


def _filled(sample: Sample) -> list[Floats]:
    """Return the slices that hold numbers, gaps filled with their least value."""
    found = []
    for one in sample.slices:
        is_number = np.isfinite(one)
        if is_number.any():
            found.append(np.where(is_number, one, one[is_number].min()))
    return found


def _is_drawn(sample: Sample) -> bool:
    """Return whether there are few values, whole numbers, each in areas of its own."""
    values = sample.finite
    some = values[:: max(1, values.size // _MOST_FITTED)]
    for part in (some, values):  # most scans are out after some of the values
        if (part != np.round(part)).any() or np.abs(part).max() > _MOST_LABEL or np.unique(part).size > _MOST_LABELS:
            return False
    kinds, counts = np.unique(some, return_counts=True)
    ground = kinds[counts.argmax()]
    equal = pairs = 0
    for one in _filled(sample):
        for first, second in ((one[1:], one[:-1]), (one[:, 1:], one[:, :-1])):
            counted = (first != ground) | (second != ground)
            pairs += int(counted.sum())
            equal += int(((first == second) & counted).sum())
    return pairs > 0 and equal > _EQUAL * pairs


def _are_probabilities(sample: Sample) -> bool:
    """Return whether values of 0 to 1 are mostly at either end."""
    values = sample.finite
    if values.min() < 0 or values.max() > 1 or values.max() < 0.5:
        return False
    inside = values[values > 0.02]
    return bool(inside.size < 0.9 * values.size and np.mean(inside > 0.9) > 0.3)


def _is_noise(sample: Sample) -> bool:
    found = [_neighbors(one) for one in _filled(sample) if min(one.shape) > 3 and one.std() > 0]
    return bool(found) and max(found) < _NOISE


def _neighbors(plane: Floats) -> float:
    """Return how much neighbors are alike, the greater of both directions: 0 for white noise, 1 where it is smooth."""
    varied = np.asarray(plane - plane.mean(), np.float64)
    power = float((varied**2).mean())
    down, across = (varied[1:] * varied[:-1]).mean(), (varied[:, 1:] * varied[:, :-1]).mean()
    return float(max(down, across)) / power if power else 1.0


def _is_gradient(sample: Sample) -> bool:
    """Return whether a plane through the values leaves nothing."""
    where = np.argwhere(np.isfinite(sample.values))
    where = where[:: max(1, len(where) // _MOST_FITTED)]
    values = sample.values[tuple(where.T)].astype(float)
    # a step of one axis over another, as a counter makes, is a gradient, too
    terms = np.column_stack([np.ones(len(where)), where, (where - where.mean(0)) ** 2])
    left = values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    return bool(left.var() < _SMOOTH * values.var())


#: HU that a forgotten intercept is at least.
_LEAST_OFFSET = 500.0

# -- Hounsfield units -----------------------------------------------------------------------------------------------


#: How far from 0 the values of a CT lie at most, whatever was added to them.
_FARTHEST = 1e5


@dataclass(frozen=True)
class Hounsfield:
    """How far values are those of a CT.

    Attributes
    ----------
    sure : float
        How sure it is that they are Hounsfield units, 0 to 1; 0 where they cannot be.
    offset : float or None
        What must be added to make them Hounsfield units, where that is plain.
    """

    sure: float
    offset: float | None = None


def hounsfield(sample: Sample) -> Hounsfield:
    """Return how far the values are those of a CT: air at -1000, soft tissue near 40, fat near -100, little between."""
    values = sample.finite
    if values.size == 0:
        return Hounsfield(0.0)
    direct = _as_hounsfield(values)
    if direct > 0:
        return Hounsfield(direct)
    for offset in _offsets(values):
        if _as_hounsfield(values + offset) > 0.8:
            return Hounsfield(0.0, offset)
    return Hounsfield(0.0)


def _as_hounsfield(values: Floats) -> float:
    air = np.mean(values < -900)
    soft, fat = _share(values, -20, 130), _share(values, -160, -30)
    gap, flesh = _share(values, -480, -230), _share(values, -200, 300)
    if soft + fat < 0.01 or values.min() > -50 or np.mean(values > 700) > 0.08:
        return 0.0
    # the density of flesh is several times that of what lies between lung and fat
    is_peaked = (soft + fat) / 280 > 3 * gap / 250
    if air > 0.005 and is_peaked:
        return 0.95
    near_water, muscle = _share(values, -15, 15), _share(values, 15, 100)
    if flesh > 0.6 and soft > fat > 0.02 and muscle > near_water and is_peaked and values.std() > 25:
        return 0.6  # from within a body: no air in sight
    return 0.0


def _share(values: Floats, low: float, high: float) -> float:
    return float(np.mean((values > low) & (values < high)))


def _offsets(values: Floats) -> list[float]:
    """Return what would bring the darkest peak to where a CT has air."""
    low, high = (float(v) for v in np.quantile(values, (0.001, 0.999)))
    if high - low < 700 or abs(low) > _FARTHEST:
        return []
    counts, edges = np.histogram(values, bins=256, range=(low, low + 1200))
    darkest = float(edges[int(np.argmax(counts[:100]))])
    # Lung at -800 is no air that has lost its intercept.
    known = (-1000.0 - darkest, -1024.0, -1000.0)
    return [offset for offset in known if abs(offset) >= _LEAST_OFFSET]
