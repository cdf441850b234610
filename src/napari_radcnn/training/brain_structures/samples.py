"""Cubes of heads in any contrast, as `brain-tissue` learns from, with the structures that the teachers see in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.models.brain_structures.network import CLASSES
from napari_radcnn.training.brain_structures.heads import Mapped
from napari_radcnn.training.brains.cases import Anatomy
from napari_radcnn.training.brains.samples import FLUID, Sampler

if TYPE_CHECKING:
    from torch import Tensor

#: Structures of thin gray matter, which may have become fluid where a cortex was made thinner.
_THIN = tuple(CLASSES.index(name) for name in ("cortex", "cerebellar cortex"))
#: Structures whose neighborhood is drawn from as often as that of all others together: small, and all in the middle.
_SMALL = tuple(range(CLASSES.index("lateral ventricle"), CLASSES.index("cerebellar white matter"))) + tuple(
    range(CLASSES.index("thalamus"), len(CLASSES))
)
#: How often a cube lies around a voxel of one of them, and by how many voxels its middle is off.
_AROUND, _OFF = 0.6, 14.0


class StructureSampler(Sampler):
    """Draws cubes with tissue and structures.

    Parameters
    ----------
    heads : sequence of (Anatomy, Mapped)
        What to draw from.
    odds : sequence of float
        How often each.
    size : int
        Voxels along a side.
    seed : int
        Of everything random.
    """

    def __init__(self, heads: Sequence[tuple[Anatomy, Mapped]], odds: Sequence[float], size: int, seed: int) -> None:
        import torch

        super().__init__([anatomy for anatomy, _ in heads], odds, size, seed)
        self._maps = [torch.from_numpy(mapped.labels.astype(np.float32))[None, None] for _, mapped in heads]
        self._certain = [torch.from_numpy(mapped.certainty.astype(np.float32))[None, None] for _, mapped in heads]
        self._small = [
            [places for n in _SMALL if len(places := np.argwhere(mapped.labels == n))] for _, mapped in heads
        ]

    def middle(self, number: int) -> np.ndarray:
        """Return the voxel of a head in the middle of a cube."""
        rng = self._rng
        if rng.random() > _AROUND:
            return super().middle(number)
        voxels = self._small[number][int(rng.integers(len(self._small[number])))]
        return np.asarray(voxels[int(rng.integers(len(voxels)))] + rng.normal(0, _OFF, 3))

    def draw_structures(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return a picture, its tissues, its structures, and how much each voxel of those counts, 0..1."""
        import torch
        from torch.nn.functional import grid_sample

        number = self.any_head()
        places = self.places(number)
        picture, tissue, mask = self.show(number, places)
        found = grid_sample(self._maps[number], places, mode="nearest", align_corners=True)[0, 0].long()
        certain = grid_sample(self._certain[number], places, align_corners=True)[0, 0]
        is_thin = torch.isin(found, torch.tensor(_THIN))
        found = torch.where((is_thin & (tissue == FLUID)) | ~mask, torch.zeros_like(found), found)
        return picture, tissue, found, torch.where(mask, certain, torch.ones_like(certain))
