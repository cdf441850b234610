"""When an answer was of something else: what a further mark denies is its very middle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.interactive.engines.few_clicks.guesses import Guess
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.lattice import Array, Floats, Lattice, Mask, thinned
from napari_radcnn.interactive.update import MaskUpdate, box_of, box_shape, box_within, joined
from napari_radcnn.metrics import dice

#: Marks up to which an object may be begun anew; how deep a negative one lies then, as a share of the deepest place.
_MARKS, _CORE = 3, 0.7
#: How sharply likely answers are told from unlikely ones, and the Dice coefficient with them below which an object is
#: something else. (All chosen on scans and lumps that were trained on.)
_SHARP, _UNLIKE = 4.0, 0.2
#: Voxels of the grid that depth is measured on, were it a cube.
_VOXELS = 48


def is_denied(marks: Marks, current: Mask, spacing: Sequence[float]) -> bool:
    """Return whether the newest mark, one of the first few, is negative and lies in the middle of the object."""
    newest = marks.newest
    if newest is None or newest.positive or marks.box is not None or len(marks.all) > _MARKS:
        return False
    return coreness(current, newest.at, spacing) > _CORE


def is_as_answered(current: Mask, update: MaskUpdate) -> bool:
    """Return whether an object is what was answered, and nothing was painted or undone since."""
    is_same = np.array_equal(current[update.box], update.mask)
    return is_same and np.count_nonzero(current) == np.count_nonzero(update.mask)


def coreness(mask: Mask, places: npt.ArrayLike, spacing: Sequence[float]) -> float:
    """Return how deep places lie in an object, as a share of the depth of its deepest place: 0 outside, 1 there.

    Parameters
    ----------
    mask : (k, j, i) array of bool
        The object, on the scan's grid or a part of it.
    places : (n, 3) array
        Indices in it; the deepest of them counts.
    spacing : sequence of float
        mm.
    """
    box = box_of(mask)
    if box is None:
        return 0.0
    lattice = Lattice.over(box, spacing, _VOXELS)
    inside = np.pad(thinned(mask, lattice) > 0.5, 1)
    depth = ndimage.distance_transform_edt(inside, np.asarray(lattice.steps) * spacing)[1:-1, 1:-1, 1:-1]
    at = lattice.voxels(places)
    if not len(at) or not inside.any():
        return 0.0
    return float(depth[tuple(at.T)].max() / depth.max())


def likelier(
    guesses: Sequence[tuple[Guess, Lattice, Array]], scores: Array, after: Mask
) -> tuple[Guess, Lattice, Array] | None:
    """Return the answer that scores best, if it is smaller than an object that is like none that scores well.

    Parameters
    ----------
    guesses : sequence of tuple
        Answers for several sizes, see `Looks.guesses`.
    scores : (n,) array of float32
        How likely each is to be right.
    after : (k, j, i) array of bool
        The object as it would be otherwise, on the scan's grid.
    """
    chance = np.exp(_SHARP * (scores - scores.max()))
    seen = [thinned(after, lattice) > 0.5 for _, lattice, _ in guesses]
    alike = [dice(mask, guess.logits > 0) for mask, (guess, _, _) in zip(seen, guesses, strict=True)]
    best = int(scores.argmax())
    is_smaller = np.count_nonzero(guesses[best][0].logits > 0) < np.count_nonzero(seen[best])
    is_unlike = float(np.dot(chance, alike) / chance.sum()) < _UNLIKE
    return guesses[best] if is_smaller and is_unlike else None


def instead(update: MaskUpdate, current: Mask) -> MaskUpdate:
    """Return an object as it is found anew, with nothing left of what it was."""
    whole = joined(update.box, box_of(current))
    assert whole is not None
    mask = np.zeros(box_shape(whole), bool)
    mask[box_within(update.box, whole)] = update.mask
    return MaskUpdate(whole, mask)


def denies(marks: Marks, organ: MaskUpdate, spacing: Floats) -> bool:
    """Return whether a negative mark lies in the middle of an organ."""
    negative = marks.negative()
    if not len(negative):
        return False
    start = [extent.start for extent in organ.box]
    return coreness(organ.mask, negative - start, spacing.tolist()) > _CORE
