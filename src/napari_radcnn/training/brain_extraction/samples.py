"""Cubes of whole heads at 2 mm in any contrast, and how much of each voxel is brain.

A head is bent and stretched and shown as its own T1, or with its gray values exchanged: by one curve within the brain,
by another around it, so that what is bright in one sequence is dark in the next. Around brains that were cut out, a
head of layers is drawn. What scanners do to it follows, as for `brain-tissue`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.models.brain_extraction.network import OUTSIDE, SPACING
from napari_radcnn.training.brain_extraction.heads import REACH, Head
from napari_radcnn.training.brains.samples import blurred, scanned, smooth, turn

if TYPE_CHECKING:
    from torch import Tensor

    Rng = np.random.Generator

#: How often a whole head is shown as it was scanned.
_AS_IT_IS = 0.3
#: How often a sample shows the brain alone, lesions, only a part of the field, or something far below the brain.
_STRIPPED, _LESIONS, _CUT, _BELOW = 0.06, 0.3, 0.2, 0.04
#: Gray values at which a curve may bend.
_KNOTS = np.array([0.0, 0.12, 0.3, 0.45, 0.6, 0.75, 0.95, 1.5])


class Sampler:
    """Draws cubes.

    Parameters
    ----------
    heads : sequence of Head
        What to draw from.
    size : int
        Voxels along a side.
    seed : int
        Of everything random.

    Attributes
    ----------
    variety : float
        Share of the cubes that may look like anything, 0..1; the others look like T1.
    """

    def __init__(self, heads: Sequence[Head], size: int, seed: int) -> None:
        import torch

        self._rng, self._size, self._heads = np.random.default_rng(seed), size, heads
        self.variety = 1.0
        self._odds = np.array([2.0 if head.is_whole else 1.0 for head in heads])
        self._odds /= self._odds.sum()
        self._stacks = []
        for head in heads:
            soft = blurred(torch.from_numpy(head.t1), (0.6, 0.6, 0.6))  # a voxel of 2 mm shows a mean
            self._stacks.append(torch.stack([soft, torch.from_numpy(head.distance)])[None])
        self._middles = [np.argwhere(head.distance < 0).mean(0) for head in heads]

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return a picture ``(1, n, n, n)`` as the network sees it, and the share of brain in each voxel, 0..1."""
        import torch
        from torch.nn.functional import grid_sample

        rng, number = self._rng, int(self._rng.choice(len(self._heads), p=self._odds))
        head = self._heads[number]
        places, scale = self._places(number)
        stack, shape = self._stacks[number], self._heads[number].t1.shape
        ends = torch.tensor([n - 1 for n in shape], dtype=torch.float32).view(3, 1, 1, 1)
        grid = (2 * places / ends - 1).flip(0).permute(1, 2, 3, 0)[None]
        t1 = grid_sample(stack[:, :1], grid, padding_mode="zeros", align_corners=True)[0, 0]
        distance = grid_sample(stack[:, 1:], grid, padding_mode="border", align_corners=True)[0, 0]
        share = (0.5 - distance / (SPACING * scale)).clamp(0, 1)
        is_plain = rng.random() > self.variety
        if head.is_whole and (is_plain or rng.random() < _AS_IT_IS):
            picture = t1
        else:
            around = _curve(rng, t1, dark=0.8) if head.is_whole else _drawn(rng, distance, places[2] - ends[2] / 2)
            inside = _curve(rng, t1, dark=0.35, is_t1=is_plain)
            edge = torch.sigmoid((distance - float(rng.uniform(0, 1))) / 0.5)
            picture = inside * (1 - edge) + around * edge
        if rng.random() < _LESIONS:
            picture = _with_lesions(rng, picture, distance)
        if rng.random() < _STRIPPED:
            wavy = distance + 2 * smooth(rng, self._size, 8, 1)[0]
            picture = torch.where(wavy < float(rng.uniform(0, 5)), picture, torch.zeros_like(picture))
        picture = scanned(rng, picture)
        seen = self._field_of_view()
        picture, share = torch.where(seen, picture, torch.zeros_like(picture)), share * seen
        return _scaled(rng, picture)[None], share[None]

    def _places(self, number: int) -> tuple[Tensor, float]:
        """Return where each voxel of a cube lies in a head, in its voxels, and by how much it is stretched."""
        import torch

        rng = self._rng
        axis = (torch.arange(self._size, dtype=torch.float32) - (self._size - 1) / 2) * SPACING
        grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
        matrix = turn(rng, degrees=12.0) * float(np.exp(rng.normal(0, 0.08)))
        places = torch.einsum("ab,bijk->aijk", torch.from_numpy(matrix), grid)
        for knots, most in ((4, 9.0), (7, 4.0), (14, 1.2)):
            places += smooth(rng, self._size, knots, 3) * float(rng.uniform(0, most))
        middle = self._middles[number] + rng.normal(0, (6, 10, 12))
        middle[2] -= rng.uniform(0, 25)  # whole heads reach down to the neck
        if rng.random() < _BELOW:
            middle[2] -= rng.uniform(60, 130)
        places += torch.from_numpy(middle.astype(np.float32)).view(3, 1, 1, 1)
        return places, float(abs(np.linalg.det(matrix)) ** (1 / 3))

    def _field_of_view(self) -> Tensor:
        """Return what a scan of a smaller field shows."""
        import torch

        seen = torch.ones((self._size,) * 3, dtype=torch.bool)
        for axis in range(3):
            if self._rng.random() < _CUT:
                cut = int(self._rng.uniform(0.05, 0.35) * self._size)
                part = slice(0, cut) if self._rng.random() < 0.5 else slice(self._size - cut, self._size)
                seen[tuple(part if n == axis else slice(None) for n in range(3))] = False
        return seen


def _curve(rng: Rng, t1: Tensor, dark: float, is_t1: bool = False) -> Tensor:
    """Return gray values that went through a random broken line, at times like T1; air stays `dark` that often."""
    import torch

    is_t1 = is_t1 or rng.random() < 0.25
    to = _KNOTS + rng.normal(0, 0.06, _KNOTS.size) if is_t1 else rng.uniform(0, 1.1, _KNOTS.size)
    if rng.random() < dark:
        to[0] = rng.uniform(0, 0.08)
    return torch.from_numpy(np.interp(t1.numpy(), _KNOTS, to.clip(0)).astype(np.float32))


def _drawn(rng: Rng, distance: Tensor, height: Tensor) -> Tensor:
    """Return a head around a brain: fluid and membranes, bone, fat and skin; below, face and neck; then air."""
    import torch

    size = distance.shape[0]
    wavy = distance + 1.5 * smooth(rng, size, 8, 1)[0]
    ends = np.cumsum([rng.uniform(0.5, 4), rng.uniform(3, 8), rng.uniform(3, 14)])
    values = np.array([rng.uniform(0, 1.2), rng.uniform(0, 0.2), rng.uniform(0.1, 1.3), rng.uniform(0, 0.05)])
    layer = torch.bucketize(wavy, torch.from_numpy(ends.astype(np.float32)))
    picture = torch.from_numpy(values.astype(np.float32))[layer]
    flesh = (0.5 + 0.35 * smooth(rng, size, int(rng.integers(8, 20)), 1)[0]).clamp(0, 1.3) * float(
        rng.uniform(0.4, 1.2)
    )
    is_below = (height + 12 * smooth(rng, size, 5, 1)[0] < -float(rng.uniform(20, 45))) & (wavy > float(ends[0]))
    is_flesh = is_below & (distance + 6 * smooth(rng, size, 5, 1)[0] < REACH - float(rng.uniform(2, 25)))
    return torch.where(is_flesh, flesh, picture)


def _with_lesions(rng: Rng, picture: Tensor, distance: Tensor) -> Tensor:
    """Return a picture with a few large blobs of other gray values in the brain, which belong to it."""
    import torch

    size = picture.shape[0]
    axis = torch.arange(size, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    ragged = 0.25 * smooth(rng, size, 12, 1)[0]
    for _ in range(int(rng.integers(1, 4))):
        middle = torch.from_numpy(rng.uniform(0.2, 0.8, 3).astype(np.float32) * size).view(3, 1, 1, 1)
        radii = torch.from_numpy(rng.uniform(2, 14, 3).astype(np.float32)).view(3, 1, 1, 1)
        near = torch.sigmoid((1 - ((grid - middle) / radii).square().sum(0).sqrt() + ragged) / 0.1) * (distance < 0)
        picture = picture * (1 - near) + near * (float(rng.uniform(0, 1.2)) + 0.3 * (picture - 0.5))
    return picture.clamp(min=0)


def _scaled(rng: Rng, picture: Tensor) -> Tensor:
    """Return a picture scaled as the network's input is, a little off, since a field of view may be larger."""
    import torch

    values = picture.flatten()[::37]
    low, high = (float(q) for q in torch.quantile(values, torch.tensor([0.005, 0.995])))
    shown = (picture - low) / max(high - low, 1e-3) * float(rng.uniform(0.8, 1.2)) + float(rng.normal(0, 0.03))
    return shown.clamp(OUTSIDE, 1.5)
