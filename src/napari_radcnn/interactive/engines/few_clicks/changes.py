"""What a further click may change: what it is about, and beside it only what it was given for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_radcnn.interactive.engines.few_clicks.marks import Mark
from napari_radcnn.interactive.engines.lattice import Array, Floats, Mask

#: Marks up to which an object is rough: up to which a positive one may take away, too, and a negative one reaches
#: farther.
_ROUGH, _NEGATIVE_ROUGH = 1, 2
#: How far from a negative mark the object is taken away, in ways from the mark to the object's border, while it is
#: rough and afterwards; the chance below which it is taken away wherever it is connected with that.
#: (All chosen in games on scans that were trained on.)
_FAR_WAYS, _WAYS, _SURELY_NOT = 6.0, 2.0, 0.25
#: By how many times itself an object may grow at a mark; what makes it grow more reaches so many ways from the mark to
#: the object. (Chosen likewise.)
_GROWTH, _REACH = 2.0, 2.5


def limited(
    after: Mask, before: Mask, chance: Array, mark: Mark, start: Sequence[int], spacing: Floats, *, number: int
) -> Mask:
    """Return what becomes of an object after a mark: more of it after a positive one, less after a negative one.

    In games a positive click that also takes away, and a negative one that takes away far from itself, are what makes
    an object worse.

    Parameters
    ----------
    after, before : (k, j, i) array of bool
        The object as it is decided to be, and as it was.
    chance : (k, j, i) array of float32
        Of each voxel to belong to it.
    mark : Mark
        The newest.
    start : sequence of int
        Index in the scan of the first voxel of these arrays.
    spacing : (3,) array of float
        mm.
    number : int
        Of marks, the newest included.
    """
    if mark.positive:
        return after if number <= _ROUGH else before | _added(after & ~before, before, mark, start, spacing)
    gone = before & ~after
    if not gone.any():
        return before
    far, way = _distances(mark, ~before, start, spacing)
    surely = gone & (chance < _SURELY_NOT)
    near = gone & (far <= (_FAR_WAYS if number <= _NEGATIVE_ROUGH else _WAYS) * way)
    pieces, _ = ndimage.label(near | surely, np.ones((3, 3, 3), bool))
    return np.asarray(before & ~np.isin(pieces, np.unique(pieces[near])))


def _added(added: Mask, before: Mask, mark: Mark, start: Sequence[int], spacing: Floats) -> Mask:
    """Return what a positive mark adds: what is near it alone, where it would make the object many times as large."""
    if np.count_nonzero(added) <= _GROWTH * np.count_nonzero(before):
        return added
    far, way = _distances(mark, before, start, spacing)
    return np.asarray(added & (far <= _REACH * way)) if way > 0 else added


def _distances(mark: Mark, others: Mask, start: Sequence[int], spacing: Floats) -> tuple[Array, float]:
    """Return how far every voxel is from a mark, and the longest way from a place of it to other voxels, mm."""
    lines = [(np.arange(n) * s).astype(np.float32) for n, s in zip(others.shape, spacing, strict=True)]
    nearest = np.full(others.shape, np.inf, np.float32)
    way = 0.0
    for place in (mark.at - np.asarray(start)) * spacing:
        k, j, i = ((line - np.float32(at)) ** 2 for line, at in zip(lines, place, strict=True))
        far = np.sqrt(k[:, None, None] + j[:, None] + i)
        # The object ends at the latest one voxel beyond these arrays.
        faces = min(float((at + s).min()) for at, s in zip(_to_faces(place, lines), spacing, strict=True))
        way = max(way, min(float(far[others].min()) if others.any() else np.inf, faces))
        np.minimum(nearest, far, out=nearest)
    return nearest, way


def _to_faces(place: Floats, lines: Sequence[Array]) -> list[Floats]:
    return [np.array([at - line[0], line[-1] - at]) for at, line in zip(place, lines, strict=True)]
