"""What the prompts of an object mark: voxels that belong to it, that do not, and where it may lie at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.region.grid import Indices, Window, bounds, voxels_of
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.rasterize import rasterize

#: Part of a box, along each half axis, that is taken for the object.
_HEART = 0.35
_NONE = np.zeros((0, 3), np.intp)


@dataclass(frozen=True, eq=False)
class Mark:
    """One prompt in voxels.

    Attributes
    ----------
    prompt : Prompt
        What the user said.
    voxels : (n, 3) array of int
        What it covers within the volume; none where it lies outside.
    seeds : (n, 3) array of int
        Those that have the prompt's meaning for certain: all, but of a box around an object only its heart.
    """

    prompt: Prompt
    voxels: Indices
    seeds: Indices

    @classmethod
    def of(cls, prompt: Prompt, geometry: Geometry) -> Mark:
        """Return a prompt in the voxels of a grid."""
        covered = rasterize(prompt, geometry)
        if covered is None:
            return cls(prompt, _NONE, _NONE)
        voxels = voxels_of(covered.mask, [extent.start for extent in covered.box])
        return cls(prompt, voxels, _heart(voxels) if cls(prompt, voxels, voxels).is_frame else voxels)

    @property
    def is_frame(self) -> bool:
        """Whether the object lies within the prompt, rather than all of the prompt within the object."""
        return self.prompt.kind == "box" and self.prompt.positive

    @property
    def flat_axis(self) -> int | None:
        """The axis across which it is one voxel thick, if there is one."""
        if not len(self.voxels):
            return None
        low, high = bounds(self.voxels)
        thin = np.flatnonzero(high - low == 1)
        return int(thin[0]) if thin.size == 1 else None

    def outside(self, window: Window) -> Indices:
        """Return voxels of a window, one a block, that a box around an object says do not belong to it."""
        axis = self.flat_axis
        if axis is None:
            return _NONE
        centers = _block_centers(window)
        slab = (self.voxels[0, axis] - window.low[axis]) // window.factors[axis]
        plane = np.take(centers, [slab], axis).reshape(-1, 3)
        low, high = bounds(self.voxels)
        beyond = ((plane < low) | (plane >= high))[:, [other for other in range(3) if other != axis]].any(1)
        return np.asarray(plane[beyond], np.intp)


def _heart(voxels: Indices) -> Indices:
    """Return the voxels around the middle of a box."""
    low, high = bounds(voxels)
    center, half = (low + high - 1) / 2, np.maximum((high - low) / 2, 0.5)
    off = (((voxels - center) / half) ** 2).sum(1)
    return np.asarray(voxels[off <= max(_HEART**2, float(off.min()))], np.intp)


def _block_centers(window: Window) -> Indices:
    """Return the middle voxel of every block, (k, j, i, 3)."""
    axes = [
        np.minimum(low + factor * np.arange(n) + factor // 2, high - 1)
        for low, high, factor, n in zip(window.low, window.high, window.factors, window.shape, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.intp)
