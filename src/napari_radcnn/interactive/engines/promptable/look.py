"""What `promptable-3d` is shown: a cube of the scan, the mask so far, and the prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.engines.promptable.input import (
    Array,
    Grid,
    inner_core,
    mark,
    near_channel,
    wide_channel,
)
from napari_radcnn.interactive.engines.promptable.network import CHANNELS
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import Mask, MaskUpdate, joined
from napari_radcnn.volume import Volume

#: Voxels along a side of what the network sees at once.
SIZE = 96


class Levels:
    """A scan, and the same averaged by two and by four along the axes that are fine enough, when first needed."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        array = volume.array
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            finite = array[np.isfinite(array)]
            low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
            array = np.nan_to_num(array, nan=low, posinf=high, neginf=low)
        self._made = [(volume.geometry, array)]

    def sample(self, grid: Grid) -> Array:
        """Return the scan on a grid, from the coarsest level that is still finer than it."""
        level = 0
        while grid.spacing >= 2 ** (level + 1) * min(self.volume.geometry.spacing) and level < 3:
            level += 1
        while len(self._made) <= level:
            self._made.append(_halved(*self._made[-1]))
        geometry, array = self._made[level]
        center = geometry.to_index(self.volume.geometry.to_world(grid.center))
        there = Grid(geometry, (float(center[0]), float(center[1]), float(center[2])), grid.spacing, grid.size)
        return there.sample(array)


def _halved(geometry: Geometry, array: npt.NDArray) -> tuple[Geometry, npt.NDArray]:
    """Return an array averaged by two along the axes whose spacing is below twice the finest, and its grid."""
    finest = min(geometry.spacing)
    by = [2 if s < 2 * finest and n >= 4 else 1 for s, n in zip(geometry.spacing, array.shape, strict=True)]
    even = array[tuple(slice(0, n - n % f) for n, f in zip(array.shape, by, strict=True))]
    total = np.zeros([n // f for n, f in zip(even.shape, by, strict=True)], np.float32)
    for k in range(by[0]):
        for j in range(by[1]):
            for i in range(by[2]):
                total += even[k :: by[0], j :: by[1], i :: by[2]]
    total /= float(np.prod(by))
    affine = geometry.affine.copy()
    affine[:3, :3] = affine[:3, :3] * by
    affine[:3, 3] = geometry.to_world([(f - 1) / 2 for f in by])
    shape = total.shape
    return Geometry((shape[0], shape[1], shape[2]), affine), total


@dataclass(frozen=True, eq=False)
class Drawn:
    """The prompts on the scan's grid.

    Attributes
    ----------
    positive, negative : tuple of MaskUpdate
        The voxels that belong, or do not belong, to the object for certain: clicks, scribbles, middles of lassos.
    box : Box or None
        Around all positive prompts, areas included.
    last : Box
        Around the newest prompt.
    """

    positive: tuple[MaskUpdate, ...]
    negative: tuple[MaskUpdate, ...]
    box: Box | None
    last: Box

    @classmethod
    def of(cls, prompts: tuple[Prompt, ...], geometry: Geometry) -> Drawn:
        """Draw prompts, the newest last.

        Raises
        ------
        ModelError
            If none of them lies inside the scan.
        """
        positive: list[MaskUpdate] = []
        negative: list[MaskUpdate] = []
        around, last = None, None
        for prompt in prompts:
            drawn = rasterize(prompt, geometry)
            if drawn is None:
                continue
            last = drawn.box
            if prompt.positive:
                around = joined(around, drawn.box)
            if prompt.kind in ("point", "scribble"):
                (positive if prompt.positive else negative).append(drawn)
            elif not prompt.positive:
                negative.append(drawn)
            elif prompt.kind == "lasso":
                positive.append(MaskUpdate(drawn.box, inner_core(drawn.mask)))
        if last is None:
            raise ModelError("None of the prompts lies inside the scan.")
        return cls(tuple(positive), tuple(negative), around, last)

    @property
    def has_positive(self) -> bool:
        """Whether anything was said of where the object is."""
        return self.box is not None


class View:
    """One look: a cube of the scan, what lies in it, and what the prompts say of it."""

    def __init__(self, levels: Levels, center: tuple[float, float, float], spacing: float) -> None:
        self.grid = Grid(levels.volume.geometry, center, spacing, SIZE)
        self._image = levels.sample(self.grid)

    def channels(self, current: Mask, prompts: tuple[Prompt, ...], proposal: Mask) -> Array:
        """Return what the network sees.

        Parameters
        ----------
        current : (k, j, i) array of bool
            The mask so far, on the scan's grid.
        prompts : tuple of Prompt
            Drawn on the cube anew, so that a click is as large as the network expects at any distance.
        proposal : (k, j, i) array of bool
            What the region engine makes of them, on the scan's grid.
        """
        channels = np.zeros((CHANNELS, SIZE, SIZE, SIZE), np.float32)
        channels[0], extent = wide_channel(self._image)
        channels[2] = self.nearest(current)
        channels[6] = self.nearest(proposal)
        for prompt in prompts:
            self._draw(channels, prompt)
        positive = channels[3]
        if not positive.any():
            positive = channels[5] if channels[5].any() else channels[2]
        channels[1] = near_channel(self._image, extent, positive)
        return channels

    def nearest(self, mask: Mask) -> Mask:
        """Return a mask of the scan on the cube; False outside the scan."""
        lines = [
            np.rint(first + step * np.arange(SIZE)).astype(int)
            for first, step in zip(self.grid.first, self.grid.steps, strict=True)
        ]
        inside = [(line >= 0) & (line < count) for line, count in zip(lines, mask.shape, strict=True)]
        found = mask[np.ix_(*(np.clip(line, 0, count - 1) for line, count in zip(lines, mask.shape, strict=True)))]
        found &= inside[0][:, None, None]
        found &= inside[1][None, :, None]
        found &= inside[2][None, None, :]
        return np.asarray(found)

    def _draw(self, channels: Array, prompt: Prompt) -> None:
        if prompt.kind == "point":
            at = np.rint(self.grid.geometry.to_index(np.array(prompt.points[0]))).astype(int)
            mark(channels[3 if prompt.positive else 4], (int(at[0]), int(at[1]), int(at[2])))
            return
        drawn = rasterize(prompt, self.grid.geometry)
        if drawn is None:
            return
        if prompt.kind == "scribble" or not prompt.positive:
            channel = channels[3 if prompt.positive else 4]
            if prompt.kind == "scribble":
                for at in np.argwhere(drawn.mask) + [extent.start for extent in drawn.box]:
                    mark(channel, (int(at[0]), int(at[1]), int(at[2])))
            else:
                channel[drawn.box][drawn.mask] = 1
            return
        channels[5][drawn.box][drawn.mask] = 1
        if prompt.kind == "lasso":
            channels[3][drawn.box][inner_core(drawn.mask)] = 1
