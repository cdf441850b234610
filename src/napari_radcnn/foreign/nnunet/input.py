"""What nnU-Net does to scans before its network sees them: turn, crop, normalize, resample; any part at a time.

The order is nnU-Net's (`DefaultPreprocessor`): normalization before resampling, statistics of the cropped scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.foreign.nnunet.plans import NnunetModel, Normalization, Resampling
from napari_radcnn.foreign.nnunet.resampling import Resampler, labels_like_nnunet, make_resampler, new_shape
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.patches.turned import TurnedScans
from napari_radcnn.progress import Monitor

_Floats = npt.NDArray[np.float32]

#: Voxels of all inputs that are read at once when the whole scan is looked at.
_SLAB_VOXELS = 1 << 25
#: nnU-Net divides by no less.
_LEAST_SPREAD = 1e-8
#: Marks what lies outside the scanned field among the labels of the stage before.
_OUTSIDE = -1


def scanned_box(scans: TurnedScans) -> Box:
    """Return the smallest box that holds every voxel that is not 0 in all scans; everything where all are 0."""
    shape = scans.shape
    whole = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    if all(scans.read(face).any() for face in _faces(shape)):
        return whole
    ends: list[list[int]] = [[n, 0] for n in shape]
    for slab in _slabs(shape, len(scans.volumes)):
        filled = (scans.read(slab) != 0).any(0)
        for axis in range(3):
            found = np.flatnonzero(filled.any(tuple(n for n in range(3) if n != axis)))
            if found.size:
                first = slab[axis].start
                ends[axis] = [min(ends[axis][0], first + found[0]), max(ends[axis][1], first + found[-1] + 1)]
    if ends[0][1] == 0:
        return whole
    k, j, i = (slice(int(first), int(stop)) for first, stop in ends)
    return k, j, i


def _faces(shape: Shape) -> Iterator[Box]:
    for axis, size in enumerate(shape):
        for place in {0, size - 1}:
            box = [slice(0, n) for n in shape]
            box[axis] = slice(place, place + 1)
            yield box[0], box[1], box[2]


def _slabs(shape: Shape, channels: int) -> Iterator[Box]:
    depth = max(1, _SLAB_VOXELS // (channels * shape[1] * shape[2]))
    for start in range(0, shape[0], depth):
        yield slice(start, min(start + depth, shape[0])), slice(0, shape[1]), slice(0, shape[2])


class NetworkInput:
    """What a network of nnU-Net sees of some scans, on its own grid.

    Parameters
    ----------
    scans : TurnedScans
        The scans.
    model : NnunetModel
        The configuration.
    box : tuple of slice
        Of `scanned_box`.
    previous : (k, j, i) array of int, optional
        For the second stage of a cascade: the labels of the first, on the scans' grid with the network's axes.
    whole_bytes : int
        Below this the whole input is made at once, above it each box when it is asked for: patches overlap.
    monitor : Monitor, optional
        May cancel.

    Attributes
    ----------
    shape : tuple of int
        Of the network's grid.
    spacing : tuple of float
        mm of the network's grid along its axes, as the plans have it.
    """

    def __init__(
        self,
        scans: TurnedScans,
        model: NnunetModel,
        box: Box,
        previous: npt.NDArray[Any] | None = None,
        *,
        whole_bytes: int = 0,
        monitor: Monitor | None = None,
    ) -> None:
        self._scans, self._model, self._box, self._previous = scans, model, box, previous
        self._monitor = monitor
        self.cropped = network_shape(box)
        self.spacing = target_spacing(model, scans.spacing)
        self.shape = self.cropped if model.data.skip else new_shape(self.cropped, scans.spacing, self.spacing)
        self._resampler = self._make(model.data)
        self._label_resampler = self._make(model.previous_labels)
        self._mask = self._scanned_mask()
        self._steps, self._limits = self._measure()
        self._whole: _Floats | None = None
        if 4 * len(scans.volumes) * int(np.prod(self.shape)) <= whole_bytes:
            self._whole = np.concatenate([self._read_scans(slab) for slab in _slabs(self.shape, 1)], axis=1)

    def _make(self, how: Resampling) -> Resampler:
        return make_resampler(self.cropped, self.shape, self._scans.spacing, self.spacing, how)

    def read(self, box: Box) -> _Floats:
        """Return a box of the network's input, ``(channels, k, j, i)``."""
        made = self._read_scans(box) if self._whole is None else self._whole[:, *box]
        if self._previous is None:
            return made
        old = self._label_resampler.support(box)
        labels = labels_like_nnunet(self._marked(old), self._label_resampler, box)
        return np.concatenate([made, *((labels == value).astype(np.float32)[None] for value in self._model.labels)])

    def normalized_hu(self, hu: float) -> float | None:
        """Return how the network sees a value of its first scan in HU; None where that is no CT by its description."""
        step = self._steps[0]
        return float(_normalize(np.array([hu], np.float32), step)[0]) if step.scheme == "ct" else None

    def _read_scans(self, box: Box) -> _Floats:
        return self._resampler.apply(self._normalized(self._resampler.support(box)), box, self._limits)

    def _crop(self, box: Box) -> Box:
        """Return a box of the cropped scan as a box of the whole one."""
        k, j, i = (slice(o.start + s.start, o.start + s.stop) for o, s in zip(self._box, box, strict=True))
        return k, j, i

    def _marked(self, box: Box) -> npt.NDArray[Any]:
        """Return the labels of the stage before, -1 where nothing was scanned and nothing found."""
        if self._previous is None:
            raise ValueError("there is no previous stage")
        labels = self._previous[self._crop(box)].astype(np.int32)
        if self._mask is not None:
            labels[(labels == 0) & ~self._mask[box]] = _OUTSIDE
        return labels

    # -- normalization ----------------------------------------------------------------------------------------

    def _scanned_mask(self) -> npt.NDArray[np.bool_] | None:
        """Return where the cropped scan is not 0, holes filled; None where that does not matter, or is everywhere."""
        in_mask = any(step.in_mask for step in self._model.normalizations)
        if not in_mask and self._previous is None:
            return None
        mask = np.empty(self.cropped, bool)
        for slab in _slabs(self.cropped, len(self._scans.volumes)):
            mask[slab] = (self._scans.read(self._crop(slab)) != 0).any(0)
        if mask.all():
            return None
        from scipy import ndimage

        mask = np.asarray(ndimage.binary_fill_holes(mask))
        return None if mask.all() else mask

    def _inside(self, box: Box) -> npt.NDArray[np.bool_] | None:
        """Return where values are normalized; None for everywhere."""
        if self._mask is None:
            return None
        return self._mask[box] if self._previous is None else self._marked(box) >= 0

    def _normalized(self, box: Box) -> _Floats:
        values = self._scans.read(self._crop(box))
        inside = self._inside(box)
        for channel, step in zip(values, self._steps, strict=True):
            changed = _normalize(channel, step)
            if step.in_mask and inside is not None:
                np.copyto(channel, changed, where=inside)
            else:
                channel[...] = changed
        return values

    def _measure(self) -> tuple[list[Normalization], tuple[_Floats, _Floats] | None]:
        """Return the normalizations with the scans' own figures, and the limits that resampling needs."""
        steps = list(self._model.normalizations)
        apart = self._resampler.apart
        needs_limits = self._resampler.needs_limits
        if not needs_limits and all(step.scheme in ("ct", "none", "rgb") for step in steps):
            return steps, None
        found = [_Figures(self.cropped[apart] if apart is not None else 1) for _ in steps]
        for slab in _slabs(self.cropped, len(steps)):
            if self._monitor is not None:
                self._monitor.check()
            inside = self._inside(slab)
            for channel, step, figures in zip(self._scans.read(self._crop(slab)), steps, found, strict=True):
                figures.add(channel, inside if step.in_mask else None, apart, slab[0])
        steps = [figures.settle(step) for step, figures in zip(steps, found, strict=True)]
        if not needs_limits:
            return steps, None
        limits = [figures.limits(step) for step, figures in zip(steps, found, strict=True)]
        return steps, (np.stack([low for low, _ in limits]), np.stack([high for _, high in limits]))


class _Figures:
    """Mean, standard deviation and limits of one channel, gathered slab by slab."""

    def __init__(self, slices: int) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._low, self._high = np.full(slices, np.inf, np.float32), np.full(slices, -np.inf, np.float32)
        self._has_outside = np.zeros(slices, bool)

    def add(self, values: _Floats, inside: npt.NDArray[np.bool_] | None, apart: int | None, planes: slice) -> None:
        """Take a slab of planes in; `apart` is the axis whose slices have limits of their own."""
        kept = values if inside is None else values[inside]
        if kept.size:
            # Sums of squares of neighboring slabs are put together without canceling (Chan et al. 1979).
            mean, count = float(kept.mean(dtype=np.float64)), kept.size
            shift = mean - self._mean
            self._squares += float(kept.var(dtype=np.float64)) * count
            self._squares += shift**2 * self._count * count / (self._count + count)
            self._mean += shift * count / (self._count + count)
            self._count += count
        others = tuple(n for n in range(3) if n != apart)
        place = planes if apart == 0 else slice(None)
        low = values if inside is None else np.where(inside, values, np.inf)
        high = values if inside is None else np.where(inside, values, -np.inf)
        self._low[place] = np.minimum(self._low[place], low.min(others))
        self._high[place] = np.maximum(self._high[place], high.max(others))
        if inside is not None:
            self._has_outside[place] |= (~inside).any(others)

    def settle(self, step: Normalization) -> Normalization:
        """Return a normalization with what was measured."""
        if step.scheme == "z-score":
            std = float(np.sqrt(self._squares / max(self._count, 1)))
            return replace(step, mean=self._mean, std=max(std, _LEAST_SPREAD))
        if step.scheme == "0-1":
            low, high = float(self._low.min()), float(self._high.max())
            return replace(step, mean=low, std=max(high - low, _LEAST_SPREAD))
        return step

    def limits(self, step: Normalization) -> tuple[_Floats, _Floats]:
        """Return smallest and largest normalized value, of every slice."""
        low, high = (np.nan_to_num(_normalize(v, step), posinf=0.0, neginf=0.0) for v in (self._low, self._high))
        if self._has_outside.any():  # what is outside stays 0
            low = np.where(self._has_outside, np.minimum(low, 0), low)
            high = np.where(self._has_outside, np.maximum(high, 0), high)
        return low.astype(np.float32), high.astype(np.float32)


def _normalize(values: _Floats, step: Normalization) -> _Floats:
    if step.scheme == "none":
        return values
    if step.scheme == "rgb":
        return values / np.float32(255)
    if step.scheme == "ct":
        values = np.clip(values, np.float32(step.low), np.float32(step.high))
    return (values - np.float32(step.mean)) / np.float32(step.std)


def network_shape(box: Box) -> Shape:
    """Return the shape of a box."""
    k, j, i = (side.stop - side.start for side in box)
    return k, j, i


def target_spacing(model: NnunetModel, spacing: Sequence[float]) -> tuple[float, float, float]:
    """Return the spacing of a model's grid; a network of two dimensions leaves the distance of slices as it is."""
    k, j, i = (spacing[0], *model.spacing) if model.dimensions == 2 else model.spacing
    return k, j, i
