"""What is asked of the networks of `lung-nodules` about a cube, and what they are to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.lung_nodules.network import FOLD, SPACING, UNIT
from napari_radcnn.models.lung_nodules.places import fold, shown
from napari_radcnn.training.lung_nodules.samples import Nodule, Sample
from napari_radcnn.training.lung_nodules.scans import AROUND_LUNG

Floats = npt.NDArray[np.float32]

#: How wide the peak at a nodule's center is, as a share of its diameter, and at least (cells); mm around a nodule
#: nobody can see in which nothing is asked.
_PEAK, _NARROWEST, _UNSEEN = 1 / 6, 0.7, 4.0
#: A place this near to a center (mm, or as a share of the radius if that is more) is the nodule.
_HIT, _HIT_SHARE = 3.0, 0.8


@dataclass(frozen=True, eq=False)
class Lesson:
    """A cube as the finder sees it, and what it is to answer.

    Attributes
    ----------
    cells : (8, n, n, n) array of float32
        See `fold`.
    peaks : (n, n, n) array of float32
        1 at the centers of nodules, falling off around.
    weight : (n, n, n) array of float32
        0 where nothing is asked.
    places : (4, n, n, n) array of float32
        Where the center of the nearest nodule lies from each cell's middle, cells, and the logarithm of its diameter.
    """

    cells: Floats
    peaks: Floats
    weight: Floats
    places: Floats


def make_lesson(sample: Sample) -> Lesson:
    """Return what is asked of the finder about a cube."""
    cells = fold(shown(sample.hu))
    shape = cells.shape[1:]
    weight = (fold(sample.depth).max(0) > AROUND_LUNG).astype(np.float32)
    peaks, places = np.zeros(shape, np.float32), np.zeros((4, *shape), np.float32)
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))
    for nodule in sample.nodules:
        center = ((nodule.center + 0.5) / FOLD - 0.5).astype(np.float32)
        away = center[:, None, None, None] - grid
        squared = np.square(away).sum(0)
        if not nodule.counts:
            weight[squared < ((nodule.diameter / 2 + _UNSEEN) / (FOLD * SPACING)) ** 2] = 0
            continue
        wide = max(_NARROWEST, _PEAK * nodule.diameter / (FOLD * SPACING))
        peak = np.exp(-squared / np.float32(2 * wide**2))
        at = np.round(center).astype(int)
        if np.all(at >= 0) and np.all(at < shape):
            peak[tuple(at)] = 1
        nearer = peak > peaks
        places[:3, nearer] = away[:, nearer]
        places[3, nearer] = np.log(nodule.diameter / UNIT)
        np.maximum(peaks, peak, out=peaks)
    return Lesson(cells, peaks, weight, places)


def mirrored(rng: np.random.Generator, lesson: Lesson) -> Lesson:
    """Return a lesson mirrored along axes that are drawn, within the cells as well."""
    axes = tuple(axis for axis in range(3) if rng.random() < 0.5)
    turned = tuple(axis + 1 for axis in axes)
    order = np.flip(np.arange(FOLD**3).reshape((FOLD,) * 3), axes).ravel()
    places = np.flip(lesson.places, turned).copy()
    places[list(axes)] *= -1
    return Lesson(
        np.flip(lesson.cells, turned)[order], np.flip(lesson.peaks, axes), np.flip(lesson.weight, axes), places
    )


def judge(places: npt.NDArray[np.float64], nodules: Sequence[Nodule]) -> npt.NDArray[np.int_]:
    """Return 1 for places (voxels) that are a nodule, 0 for those that are none, -1 where nobody can tell."""
    found = np.zeros(len(places), int)
    for nodule in nodules:
        away = np.linalg.norm(places - nodule.center, axis=1) * SPACING
        hit = away <= max(_HIT, _HIT_SHARE * nodule.diameter / 2)
        near = away <= nodule.diameter / 2 + _UNSEEN
        found[near & (found == 0)] = -1
        found[hit] = 1 if nodule.counts else -1
    return found
