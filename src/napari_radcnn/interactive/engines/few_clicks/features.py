"""What is known of every voxel around an object before it is decided which of them belong to it.

The network's answer is one of many things: how alike a voxel is to what the marks have settled, in this very scan; how
far it is from marks, straight and along ways of its values; what it was before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.interactive.engines.few_clicks.channels import arrival
from napari_radcnn.interactive.engines.few_clicks.depth import depth_in
from napari_radcnn.interactive.engines.few_clicks.looks import Looks
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.few_clicks.scan import Scan
from napari_radcnn.interactive.engines.lattice import Array, Floats, Lattice, Mask, thinned
from napari_radcnn.interactive.update import box_of

#: In this order.
NAMES = (
    "network",  # logit of the network, over 3
    "before",  # logit of the object as it was, over 3
    "proposal",  # of another engine
    "likeness",  # log likelihood ratio of the voxel's values, fitted to what is settled, over 3
    "near",  # how near to positive marks along ways of the values
    "against",  # to negative marks
    "nearer",  # which of both is nearer
    "beside_positive",  # how near in a straight line
    "beside_negative",
    "beside_newest",  # with the newest mark's sign
    "near_newest",
    "difference",  # from the value of the first mark
    "difference_newest",
    "depth",  # in the network's answer
    "depth_before",  # in the object as it was
    "count",  # of marks
    "has_negative",
    "edge",
    "is_first",
    "network_smooth",
    "likeness_smooth",
    "before_smooth",
    "is_newest_negative",
    "within_newest",  # how near to the newest mark, beside its way to the border of the object as it was
    "within_ways",  # the same along ways of the values
)
#: Voxels of the working grid, were it a cube; the margin around what is seen: mm in voxels of the finest spacing, and
#: as a share of the largest side.
_MOST, _LEAST_MARGIN, _MARGIN = 56, 8.0, 0.25
#: Of ways: cost of a step, the difference in units that costs ten steps, steps across the grid, farthest.
_STEP, _DIFFERENCE, _ACROSS, _FAR = 0.1, 50.0, 20.0, 12.0
#: Logits of the object as it was.
_BEFORE_IN, _BEFORE_OUT, _NOT_BEFORE = 2.94, -3.9, -2.94
#: Samples of inside and outside from which a likeness can be told, and its largest size.
_ENOUGH, _LIKE = 20, 5.0


@dataclass(frozen=True, eq=False)
class Known:
    """Features of the voxels of a working grid, and what the decision needs beside them.

    Attributes
    ----------
    lattice : Lattice
        The grid.
    features : (f, k, j, i) array of float32
        As `NAMES` lists them.
    values : (k, j, i) array of float32
        The scan, in units.
    spacing : (3,) array of float
        Of the grid, mm.
    """

    lattice: Lattice
    features: Array
    values: Array
    spacing: Floats


def known_of(scan: Scan, marks: Marks, looks: Looks, current: Mask, proposal: Mask) -> Known:
    """Return what is known around an object.

    Parameters
    ----------
    scan : Scan
        The scan.
    marks : Marks
        All that was pointed at.
    looks : Looks
        What the network has seen.
    current, proposal : (k, j, i) array of bool
        The object as it was, and what another engine makes of the first prompt, on the scan's grid.
    """
    lattice = _working_grid(scan, looks)
    spacing = np.asarray(lattice.steps) * scan.spacing
    picture = scan.on(lattice)
    before = box_of(current) is not None
    logits = np.clip(looks.vouched(lattice), -6, 6)
    was = thinned(current, lattice)
    was_logits = _logit(0.02 + 0.93 * was) if before else np.full(lattice.shape, _NOT_BEFORE, np.float32)
    finest = spacing.min()
    in_voxels = spacing / finest
    ways = _Ways(picture, spacing, lattice, marks)
    straight = _Straight(lattice, spacing, marks)
    chance = 1 / (1 + np.exp(-logits))
    inside, outside = depth_in(chance > 0.5, spacing), depth_in(chance <= 0.5, spacing)
    radius = max(float(inside.max()), float(finest))
    smooth = np.stack([picture, *(ndimage.gaussian_filter(picture, s / in_voxels) for s in (1.0, 2.5))])
    believed = (chance + 0.02 + 0.93 * was) / 2 if before else chance
    settled = _settled(np.asarray(believed, np.float32), inside, outside, straight, radius)
    likeness = _likeness(smooth, *settled)
    spread = max(float(np.std(picture[outside < 2 * radius])), 1.0)
    sign = np.float32(1 if marks.is_newest_positive else -1)
    ones = np.ones(lattice.shape, np.float32)
    has_negative = bool(len(marks.negative()))
    depth_before = depth_in(was > 0.5, spacing) - depth_in(was <= 0.5, spacing)
    features = [
        logits / 3,
        was_logits / 3,
        thinned(proposal, lattice),
        likeness / 3,
        np.exp(-ways.positive),
        np.exp(-ways.negative),
        np.clip(ways.negative - ways.positive, -3, 3) / 3 if has_negative else 0 * ones,
        np.exp(-straight.positive / (2 * radius)),
        np.exp(-straight.negative / (2 * radius)),
        sign * np.exp(-straight.newest / (2 * radius)),
        sign * np.exp(-ways.newest),
        np.clip(np.abs(picture - ways.first_value) / 100, 0, 2),
        np.clip(np.abs(picture - ways.newest_value) / 100, 0, 2),
        np.clip((inside - outside) / radius, -2, 2),
        np.clip(depth_before / radius, -2, 2) if before else -2 * ones,
        ones * np.float32(np.log(max(1, len(marks.all))) / 2),
        ones * has_negative,
        np.clip(ndimage.gaussian_gradient_magnitude(picture, 1 / in_voxels) / spread, 0, 3),
        ones * (not before),
        ndimage.gaussian_filter(logits, 2 / in_voxels) / 3,
        ndimage.gaussian_filter(likeness, 1.5 / in_voxels) / 3,
        ndimage.gaussian_filter(1 / (1 + np.exp(-was_logits)), 2 / in_voxels),
        ones * (sign < 0),
        *_within(ways.newest, straight.newest, was > 0.5, depth_before, sign),
    ]
    return Known(lattice, np.stack(features).astype(np.float32), picture, spacing)


def _within(ways: Array, straight: Array, was: Mask, depth: Array, sign: np.float32) -> tuple[Array, Array]:
    """Return how near voxels are to the newest mark, straight and along ways, with its sign; 0 of a first one.

    What is one is as far from the mark as the border of the object as it was: where somebody points at the middle of
    what is wrong, most of that is nearer.
    """
    opposite = was if sign > 0 else ~was
    if not was.any() or not opposite.any():
        return 0 * straight, 0 * ways
    border = max(abs(float(depth.flat[int(np.argmin(straight))])), float(straight.min()), 1e-3)
    way = max(float(ways[opposite].min()), 0.1)
    return sign * np.exp(-straight / border), sign * np.exp(-ways / way)


def _working_grid(scan: Scan, looks: Looks) -> Lattice:
    low, high = looks.extent()
    margin = max(_LEAST_MARGIN * float(scan.spacing.min()), _MARGIN * float(((high - low) * scan.spacing).max()))
    start = np.maximum(np.floor(low - margin / scan.spacing), 0).astype(int)
    stop = np.minimum(np.ceil(high + margin / scan.spacing), scan.shape).astype(int)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return Lattice.over((k, j, i), scan.spacing.tolist(), _MOST)


def _logit(chance: Array) -> Array:
    return np.asarray(np.log(chance / (1 - chance)), np.float32)


class _Ways:
    """How far voxels are from marks along ways of the values, from 0 to `_FAR`."""

    def __init__(self, picture: Array, spacing: Floats, lattice: Lattice, marks: Marks) -> None:
        self._lattice = lattice
        self._halve = max(picture.shape) > 24
        shape = np.array(picture.shape)
        half = np.maximum((shape + 1) // 2, 1) if self._halve else shape
        self._scale = shape / half
        self._picture = picture
        self._coarse = picture
        if self._halve:
            blurred = ndimage.gaussian_filter(picture, 0.5)
            self._coarse = ndimage.affine_transform(
                blurred, self._scale, (self._scale - 1) / 2, tuple(half), order=1, mode="nearest"
            )
        longest = float((shape * spacing).max())
        self._relative = np.float32(_ACROSS * float((spacing * self._scale).min()) / longest)
        far = np.full(tuple(half), _FAR, np.float32)
        totals = {True: far, False: far}
        newest = far
        self.first_value = self.newest_value = float(np.median(picture))
        for number, mark in enumerate(marks.all):
            places = lattice.voxels(mark.at)
            if not len(places):
                continue
            value = self._value(places)
            self.newest_value = value
            if number == 0 or not marks.all[0].positive:
                self.first_value = value
            newest = self._from(places, value)
            totals[mark.positive] = np.minimum(totals[mark.positive], newest)
        self.positive, self.negative, self.newest = (self._fine(far) for far in (totals[True], totals[False], newest))

    def _value(self, places: npt.NDArray[np.int64]) -> float:
        """Return the median of the values at and beside some voxels."""
        around = [self._picture[tuple(slice(max(0, x - 1), x + 2) for x in place)].ravel() for place in places]
        return float(np.median(np.concatenate(around)))

    def _from(self, places: npt.NDArray[np.int64], value: float) -> Array:
        at = np.clip((places / self._scale).astype(np.int64), 0, np.array(self._coarse.shape) - 1)
        cost = np.float32(_STEP) + np.abs(self._coarse - np.float32(value)) / np.float32(_DIFFERENCE)
        return arrival((cost * self._relative).astype(np.float32), np.unique(at, axis=0))

    def _fine(self, far: Array) -> Array:
        if not self._halve:
            return far
        offset = (1 / self._scale - 1) / 2
        fine = ndimage.affine_transform(far, 1 / self._scale, offset, self._picture.shape, order=1, mode="nearest")
        return np.asarray(fine, np.float32)


class _Straight:
    """How far voxels are from marks, mm."""

    def __init__(self, lattice: Lattice, spacing: Floats, marks: Marks) -> None:
        self._lines = [(np.arange(n) * s).astype(np.float32) for n, s in zip(lattice.shape, spacing, strict=True)]
        self._spacing, self._lattice = spacing, lattice
        self.positive = self._to(marks.positive())
        self.negative = self._to(marks.negative())
        self.newest = self._to(marks.all[-1].at if marks.all else np.zeros((0, 3)))

    def _to(self, places: Floats) -> Array:
        nearest = np.full(self._lattice.shape, 1e9, np.float32)
        for place in self._lattice.index(places) * self._spacing:
            k, j, i = ((line - np.float32(at)) ** 2 for line, at in zip(self._lines, place, strict=True))
            np.minimum(nearest, np.sqrt(k[:, None, None] + j[:, None] + i), out=nearest)
        return nearest


def _settled(chance: Array, inside: Array, outside: Array, straight: _Straight, radius: float) -> tuple[Mask, Mask]:
    """Return what surely belongs to the object, and what surely does not."""
    positive, negative = straight.positive, straight.negative
    belongs = ((chance > 0.6) & (inside > 0.25 * radius)) | (
        (positive < 0.4 * radius) & (positive < negative) & (chance > 0.3)
    )
    belongs &= ~(negative < np.minimum(0.4 * radius, positive))
    not_so = ((chance < 0.3) & (outside > 0.3 * radius)) | ((negative < 0.4 * radius) & (negative < positive))
    not_so &= ~(positive < 0.3 * radius)
    return np.asarray(belongs), np.asarray(not_so)


def _likeness(smooth: Array, belongs: Mask, not_so: Mask) -> Array:
    """Return the log likelihood ratio of every voxel's values between two normal distributions fitted to samples."""
    if np.count_nonzero(belongs) <= _ENOUGH or np.count_nonzero(not_so) <= _ENOUGH:
        return np.zeros(smooth.shape[1:], np.float32)
    values = smooth.reshape(len(smooth), -1)
    values = (values - np.median(values[0])) / max(float(np.std(values[0])), 1e-3)
    ratio = _log_likelihood(values, belongs.ravel()) - _log_likelihood(values, not_so.ravel())
    return np.clip(ratio, -_LIKE, _LIKE).reshape(smooth.shape[1:]).astype(np.float32)


def _log_likelihood(values: Array, samples: Mask) -> npt.NDArray[np.float64]:
    """Return the log density, up to a constant, of the normal distribution of some of the values at all of them."""
    chosen = values[:, samples]
    spread = np.cov(chosen) + 1e-2 * np.eye(len(values))
    apart = values - chosen.mean(1)[:, None]
    distance = np.einsum("fn,fg,gn->n", apart, np.linalg.inv(spread), apart)
    return np.asarray(-0.5 * (distance + np.linalg.slogdet(spread)[1]))
