"""From what is known of every voxel to the object: a small network voxel by voxel, and a walk that heeds the edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.engines.few_clicks.changes import limited
from napari_radcnn.interactive.engines.few_clicks.depth import depth_in
from napari_radcnn.interactive.engines.few_clicks.features import NAMES, Known
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.few_clicks.walk import Ties, noise_of, walk
from napari_radcnn.interactive.engines.lattice import Array, Floats, Lattice, Mask, carried
from napari_radcnn.interactive.update import MaskUpdate, box_within, joined

#: Weight of a voxel's own belief in the walk, and the difference of values, in standard deviations of the noise, that
#: loosens a tie to a third. (Chosen on scans that the network was trained on.)
_TRUST, _LOOSENS = 0.2, 1.5
#: Of the second walk: what lies deeper than this share of the deepest place within so many mm is settled, and so is
#: what lies farther outside than the median of those depths, at least two voxels; a voxel's own weight; the difference
#: that loosens a tie, in standard deviations of the values that far around. (Chosen in whole games on such scans.)
_CORE, _AROUND, _REST, _EDGES = 0.5, 8.0, 0.05, 0.11
#: How far beyond a box around the object, as a share of its sides and in voxels, the object may reach.
_BEYOND, _BEYOND_VOXELS = 0.04, 1.0


@dataclass(frozen=True, eq=False)
class Decision:
    """A network of three layers that sees one voxel at a time.

    Attributes
    ----------
    layers : tuple of (weights, bias)
        Of shapes ``(out, in)`` and ``(out,)``; between them what is below 0 becomes 0.
    """

    layers: tuple[tuple[Array, Array], ...]

    @classmethod
    def of(cls, tensors: Mapping[str, npt.NDArray], path: Path) -> Decision:
        """Return the network whose tensors are ``LAYER.weight`` and ``LAYER.bias``, by number from 0 on.

        Raises
        ------
        ModelError
            If they do not fit together, or take other features than `NAMES`.
        """
        layers = []
        width = len(NAMES)
        for number in range(len(tensors) // 2):
            weights, bias = (tensors.get(f"{number}.{kind}") for kind in ("weight", "bias"))
            if weights is None or bias is None or weights.shape != (len(bias), width):
                raise ModelError(
                    f"{path}: the weights do not match this version of few-clicks: install napari-radcnn again."
                )
            layers.append((weights.astype(np.float32), bias.astype(np.float32)))
            width = len(bias)
        if not layers or width != 1:
            raise ModelError(
                f"{path}: the weights do not match this version of few-clicks: install napari-radcnn again."
            )
        return cls(tuple(layers))

    def belief(self, features: Array) -> Array:
        """Return the probability (k, j, i) of each voxel to belong to the object, from its features (f, k, j, i)."""
        x = features.reshape(len(features), -1)
        for number, (weights, bias) in enumerate(self.layers):
            x = weights @ x + bias[:, None]
            if number + 1 < len(self.layers):
                np.maximum(x, 0, out=x)
        return np.asarray(1 / (1 + np.exp(-np.clip(x[0], -8, 8))), np.float32).reshape(features.shape[1:])


def decided(decision: Decision, known: Known, marks: Marks, current: Mask, spacing: Floats) -> MaskUpdate:
    """Return the object, with every mark obeyed.

    Parameters
    ----------
    decision : Decision
        What turns features into a belief.
    known : Known
        Of the voxels around the object.
    marks : Marks
        All that was pointed at.
    current : (k, j, i) array of bool
        The object as it was, on the scan's grid.
    spacing : (3,) array of float
        Of the scan, mm.
    """
    chance = _redrawn(_walked(decision.belief(known.features), known, marks), known, marks)
    box = _box_of(known.lattice, current.shape)
    whole = box
    for mark in marks.all:
        both = joined(whole, mark.voxels.box)
        assert both is not None
        whole = both
    fine = np.zeros([e.stop - e.start for e in whole], np.float32)
    fine[box_within(box, whole)] = (
        chance if known.lattice.is_fine else carried(chance, known.lattice, Lattice.fine(box))
    )
    mask = fine > 0.5
    if marks.box is not None:
        _cut(mask, whole, marks.box, is_flat=marks.is_flat)
    for mark in marks.all:
        inner = box_within(mark.voxels.box, whole)
        mask[inner] = (mask[inner] | mark.voxels.mask) if mark.positive else (mask[inner] & ~mark.voxels.mask)
    mask = _vouched(mask, whole, marks)
    before = current[whole]
    if marks.newest is None or not before.any():
        return MaskUpdate(whole, mask)
    start = [extent.start for extent in whole]
    return MaskUpdate(whole, limited(mask, before, fine, marks.newest, start, spacing, number=len(marks.all)))


def _walked(belief: Array, known: Known, marks: Marks) -> Array:
    if not marks.all:  # nothing holds the object: in a box alone the walk would dilute it
        return belief
    marked, positive = np.zeros(belief.shape, bool), np.zeros(belief.shape, bool)
    _obey(marked, positive, known, marks)
    ties = Ties.of(known.values, known.spacing.tolist(), _LOOSENS * noise_of(known.values))
    return walk(belief, ties, _TRUST, marked, positive)


def _redrawn(chance: Array, known: Known, marks: Marks) -> Array:
    """Return an object whose border went to where the image has one: its core and what is far outside are settled."""
    mask = chance > 0.5
    if not marks.all or not mask.any() or mask.all():
        return chance
    inside, outside = depth_in(mask, known.spacing), depth_in(~mask, known.spacing)
    around = ndimage.maximum_filter(inside, [2 * int(np.ceil(_AROUND / step)) + 1 for step in known.spacing])
    margin = max(float(np.median(around[mask])), 2 * float(known.spacing.min()))
    positive = mask & (inside > _CORE * around)
    settled = positive | (outside > margin)
    _obey(settled, positive, known, marks)
    spread = float(known.values[outside < 2 * margin].std())
    return walk(chance, Ties.of(known.values, known.spacing.tolist(), _EDGES * spread), _REST, settled, positive)


def _obey(marked: Mask, positive: Mask, known: Known, marks: Marks) -> None:
    """Enter marks, in place."""
    for mark in marks.all:
        at = tuple(known.lattice.voxels(mark.at).T)
        marked[at], positive[at] = True, mark.positive


def _box_of(lattice: Lattice, shape: tuple[int, ...]) -> Box:
    """Return the voxels of the scan that a working grid covers."""
    half = (np.asarray(lattice.steps) - 1) / 2
    start = np.rint(np.asarray(lattice.first) - half).astype(int)
    stop = np.rint(lattice.back(np.asarray(lattice.shape) - 1) + half).astype(int) + 1
    k, j, i = (slice(max(0, int(a)), min(n, int(b))) for a, b, n in zip(start, stop, shape, strict=True))
    return k, j, i


def _cut(mask: Mask, whole: Box, box: Floats, *, is_flat: bool) -> None:
    """Take away what lies well outside a box around the object, in place; across the slice of a flat one nothing."""
    sides = box[1] - box[0]
    slack = _BEYOND * sides + _BEYOND_VOXELS
    for axis, (extent, low, high, side) in enumerate(zip(whole, *box, sides, strict=True)):
        if is_flat and side <= 1:
            continue
        along = np.moveaxis(mask, axis, 0)
        at = np.arange(extent.start, extent.stop)
        along[(at < low - slack[axis]) | (at > high - 1 + slack[axis])] = False


def _vouched(mask: Mask, whole: Box, marks: Marks) -> Mask:
    """Return the pieces that hold a positive mark; without one the largest piece, such as in a box."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    kept = [
        np.unique(pieces[box_within(mark.voxels.box, whole)][mark.voxels.mask]) for mark in marks.all if mark.positive
    ]
    largest = np.array([1 + int(np.bincount(pieces.ravel())[1:].argmax())])
    wanted = np.concatenate(kept) if kept else largest
    return np.asarray(np.isin(pieces, wanted[wanted > 0]))
