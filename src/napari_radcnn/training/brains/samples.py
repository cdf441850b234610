"""Cubes of heads in any contrast, with their tissue: domain randomization (Billot et al. 2023, SynthSeg).

A head is bent and stretched, and then shown in one of three ways: painted, with a random gray value for each tissue
and part of the brain; as its own T1; or as its own T1 with the gray values of the tissues exchanged, which keeps the
texture and the blur of a real scan. What scanners and brain extraction do to it follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.models.brain_structures.network import OUTSIDE
from napari_radcnn.training.brains.cases import CEREBELLUM, REACH, STEM, STRIATUM, THALAMUS, Anatomy

if TYPE_CHECKING:
    from torch import Tensor

    Rng = np.random.Generator

BACKGROUND, FLUID, GRAY, WHITE = range(4)
#: How often a head is painted, shown as its T1, shown with exchanged gray values.
_WAYS = (0.45, 0.33, 0.22)
_PLAIN_WAYS = (0.4, 0.6, 0.0)
#: Typical gray values of fluid, gray and white matter in T1, T2, FLAIR and in scans of no known kind, and how often.
_KINDS: tuple[tuple[tuple[float, float, float] | None, float], ...] = (
    ((0.25, 0.6, 0.9), 0.3),
    ((0.95, 0.5, 0.3), 0.3),
    ((0.2, 0.75, 0.6), 0.2),
    (None, 0.2),
)


class Sampler:
    """Draws cubes.

    Parameters
    ----------
    heads : sequence of Anatomy
        What to draw from.
    odds : sequence of float
        How often each.
    size : int
        Voxels along a side.
    seed : int
        Of everything random.

    Attributes
    ----------
    variety : float
        Share of the cubes that may look like anything, 0..1; the others look like T1.
    """

    def __init__(self, heads: Sequence[Anatomy], odds: Sequence[float], size: int, seed: int) -> None:
        import torch

        self._rng = np.random.default_rng(seed)
        self._size = size
        self.variety = 1.0
        self._odds = np.asarray(odds) / np.sum(odds)
        self._heads = heads
        self._stacks = [
            torch.from_numpy(np.stack([head.gray, head.white, head.distance, head.t1, head.has_t1])[None])
            for head in heads
        ]
        self._parts = [torch.from_numpy(head.part.astype(np.float32))[None, None] for head in heads]
        self._near = [np.argwhere(head.distance[::4, ::4, ::4] < 3) * 4 for head in heads]
        self._ventricles = [np.argwhere((head.distance < -15) & (head.gray + head.white < 0.1))[::20] for head in heads]

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return a picture ``(1, n, n, n)``, normalized as the network expects, and labels ``(n, n, n)`` of int64."""
        number = self.any_head()
        picture, label, _ = self.show(number, self.places(number))
        return picture, label

    def any_head(self) -> int:
        """Return the number of a head."""
        return int(self._rng.choice(len(self._heads), p=self._odds))

    def show(self, number: int, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return picture and labels of a cube, and where it shows anything: ``(n, n, n)`` of bool."""
        import torch

        rng, head = self._rng, self._heads[number]
        stack = torch.nn.functional.grid_sample(
            self._stacks[number], places, mode="bilinear", padding_mode="border", align_corners=True
        )[0]
        part = torch.nn.functional.grid_sample(
            self._parts[number], places, mode="nearest", padding_mode="border", align_corners=True
        )[0, 0].long()
        gray, white, distance, t1, has_t1 = stack
        gray, white = gray.clamp(0, 1), white.clamp(0, 1)
        is_plain = rng.random() > self.variety
        way = int(rng.choice(3, p=_PLAIN_WAYS if is_plain else _WAYS))
        values = head.levels if way == 1 else _tissue_values(rng, 0 if is_plain else None)
        if way == 0:
            gray, white = _shrunk(rng, gray, white)
            picture = _painted(rng, gray, white, distance, part, values)
        else:
            picture = t1.clamp(0, 1.6) if way == 1 else _exchanged(rng, t1, head.levels, values)
        mask = _stripped(rng, distance)
        if way:
            mask &= has_t1 > 0.5
        fluid = 1 - gray - white
        label = torch.where(white > gray, WHITE, GRAY)
        label = torch.where(fluid > torch.maximum(gray, white), FLUID, label) * mask
        picture = scanned(rng, picture)
        if values[0] > max(values[1:]):  # the network sees a scan with bright fluid reversed, as in T2
            picture = -picture
        return _normalized(rng, picture, mask)[None], label, mask

    def middle(self, number: int) -> np.ndarray:
        """Return at random the voxel of a head in the middle of a cube: in the brain or close to it."""
        near = self._near[number]
        return np.asarray(near[self._rng.integers(len(near))] + self._rng.uniform(-2, 2, 3))

    def places(self, number: int) -> Tensor:
        """Return at random where each voxel of a cube lies in a head, as `grid_sample` takes it."""
        import torch

        rng, size, shape = self._rng, self._size, self._heads[number].gray.shape
        center = self.middle(number)
        axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
        places = torch.einsum("ab,bijk->aijk", torch.from_numpy(turn(rng)), grid)
        for knots, most in ((4, 5.0), (7, 2.5), (14, 0.9)):
            places += smooth(rng, size, knots, 3) * float(rng.uniform(0, most))
        places += torch.from_numpy(center.astype(np.float32)).view(3, 1, 1, 1)
        if rng.random() < 0.5:  # ventricles are wider or narrower
            middle = self._ventricles[number][rng.integers(len(self._ventricles[number]))].astype(np.float32)
            away = places - torch.from_numpy(middle).view(3, 1, 1, 1)
            near = torch.exp(-away.square().sum(0) / (2 * float(rng.uniform(9, 22)) ** 2))
            places -= away * near * float(rng.uniform(-0.3, 0.65))
        ends = torch.tensor([n - 1 for n in shape], dtype=torch.float32).view(3, 1, 1, 1)
        return (2 * places / ends - 1).flip(0).permute(1, 2, 3, 0)[None]


def turn(rng: Rng, degrees: float = 9.0) -> np.ndarray:
    """Return a 3x3 matrix: rotation by about so many degrees, size, shear, and left for right in half of the cases."""
    angles = rng.normal(0, math.radians(degrees), 3)
    matrix = np.eye(3)
    for (a, b), angle in zip(((0, 1), (0, 2), (1, 2)), angles, strict=True):
        rotation = np.eye(3)
        rotation[a, a] = rotation[b, b] = math.cos(angle)
        rotation[a, b], rotation[b, a] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ rotation
    matrix = matrix @ (np.eye(3) + rng.normal(0, 0.04, (3, 3)))
    scale = rng.uniform(0.82, 1.2) * np.exp(rng.normal(0, 0.05, 3))
    flip = np.array([rng.choice((-1, 1)), 1, 1])
    return np.asarray(matrix * scale * flip, np.float32)


def smooth(rng: Rng, size: int, knots: int, channels: int) -> Tensor:
    """Return smooth noise ``(channels, n, n, n)`` of about unit spread."""
    import torch

    values = torch.from_numpy(rng.normal(0, 1, (1, channels, knots, knots, knots)).astype(np.float32))
    return torch.nn.functional.interpolate(values, size=(size, size, size), mode="trilinear", align_corners=True)[0]


def blurred(volume: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Return a volume smoothed by a Gaussian of so many voxels along each axis."""
    import torch

    result = volume[None, None]
    for axis, sigma in enumerate(sigmas):
        if sigma < 0.2:
            continue
        radius = math.ceil(2.5 * sigma)
        kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = -1
        padding = [0, 0, 0]
        padding[axis] = radius
        pads = [p for n in reversed(padding) for p in (n, n)]
        result = torch.nn.functional.pad(result, pads, mode="replicate")
        result = torch.nn.functional.conv3d(result, (kernel / kernel.sum()).view(shape))
    return result[0, 0]


def _shrunk(rng: Rng, gray: Tensor, white: Tensor) -> tuple[Tensor, Tensor]:
    """Return a thinner cortex in a third of the cases: fluid takes the gray matter it touches."""
    import torch

    if rng.random() > 0.35:
        return gray, white
    fluid = blurred((1 - gray - white).clamp(0, 1), (1.0, 1.0, 1.0))
    kept = torch.sigmoid((float(rng.uniform(0.25, 0.55)) - fluid) / 0.06)
    return gray * kept, white


def _painted(
    rng: Rng, gray: Tensor, white: Tensor, distance: Tensor, part: Tensor, values: tuple[float, float, float]
) -> Tensor:
    """Return a head with these gray values of the tissues, mixed in the voxels that hold several."""
    import torch

    size = gray.shape[0]
    fluid_value, gray_value, white_value = values
    step = white_value - gray_value
    grays, whites = np.full(5, gray_value), np.full(5, white_value)
    grays[STRIATUM] += step * rng.uniform(-0.1, 0.4)
    grays[THALAMUS] += step * rng.uniform(0.1, 0.8)
    grays[CEREBELLUM] += step * rng.uniform(-0.25, 0.25)
    whites[CEREBELLUM] -= step * rng.uniform(-0.15, 0.25)
    whites[STEM] -= step * rng.uniform(-0.1, 0.4)
    inside = torch.from_numpy(grays.astype(np.float32))[part] * gray
    inside = inside + torch.from_numpy(whites.astype(np.float32))[part] * white
    folds = fluid_value + rng.normal(0, 0.06) + rng.normal(0, 0.08) * smooth(rng, size, 6, 1)[0]
    fluid = torch.where(distance < -14, torch.full_like(gray, fluid_value), folds)
    picture = inside + fluid * (1 - gray - white).clamp(min=0)
    if rng.random() < 0.35:
        picture = _with_lesions(rng, picture, distance)
    head = _around(rng, distance)
    if rng.random() < 0.5:
        picture = blurred(picture, [float(rng.uniform(0.2, 0.8))] * 3)
    edge = torch.sigmoid((distance - float(rng.uniform(0.3, 2.5)) - 0.7 * smooth(rng, size, 8, 1)[0]) / 0.5)
    picture = picture * (1 - edge) + head * edge
    texture = torch.from_numpy(rng.normal(0, 1, picture.shape).astype(np.float32))
    return picture + float(rng.uniform(0, 0.06)) * blurred(texture, [float(rng.uniform(0.3, 1.2))] * 3) * 2


def _tissue_values(rng: Rng, number: int | None = None) -> tuple[float, float, float]:
    """Return gray values of fluid, gray and white matter, far enough from each other to be told; of a kind, or any."""
    kind = _KINDS[int(rng.choice(len(_KINDS), p=[odds for _, odds in _KINDS])) if number is None else number][0]
    while True:
        values = rng.uniform(0.05, 1, 3) if kind is None else np.asarray(kind) + rng.normal(0, 0.09, 3)
        if abs(values[1] - values[2]) > 0.09 and abs(values[0] - values[1]) > 0.07:
            fluid, gray, white = (float(v) for v in np.clip(values, 0.03, 1.2))
            return fluid, gray, white


def _with_lesions(rng: Rng, picture: Tensor, distance: Tensor) -> Tensor:
    """Return a picture with a few blobs whose gray values are shifted; the tissue below keeps its name."""
    import torch

    size = picture.shape[0]
    axis = torch.arange(size, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    ragged = 0.25 * smooth(rng, size, 12, 1)[0]
    for _ in range(int(rng.integers(1, 6))):
        middle = torch.from_numpy(rng.uniform(0, size, 3).astype(np.float32)).view(3, 1, 1, 1)
        radii = torch.from_numpy(rng.uniform(2, 12, 3).astype(np.float32)).view(3, 1, 1, 1)
        near = torch.sigmoid((1 - ((grid - middle) / radii).square().sum(0).sqrt() + ragged) / 0.1)
        picture = picture + float(rng.uniform(-0.35, 0.45)) * near * (distance < -3)
    return picture.clamp(min=0)


def _around(rng: Rng, distance: Tensor) -> Tensor:
    """Return what lies around the brain: membranes, bone, skin and fat in layers of random thickness, with vessels."""
    import torch

    size = distance.shape[0]
    values = rng.uniform(0, 1.3, 4)
    values[1] = rng.uniform(0, 0.15)
    wavy = distance + 1.5 * smooth(rng, size, 10, 1)[0]
    ends = np.cumsum([rng.uniform(0.5, 3), rng.uniform(2, 7), rng.uniform(2, 8)])
    layer = torch.bucketize(wavy, torch.from_numpy(ends.astype(np.float32)))
    around = torch.from_numpy(values.astype(np.float32))[layer]
    return around + 0.15 * smooth(rng, size, 20, 1)[0]


def _exchanged(rng: Rng, t1: Tensor, levels: tuple[float, float, float], values: tuple[float, float, float]) -> Tensor:
    """Return a T1 whose gray values went through a broken line that gives each tissue another one."""
    import torch

    fluid, gray, white = values
    at = np.array([0.0, *levels, 1.25, 2.0])
    to = np.array([rng.uniform(0, 1.0), fluid, gray, white, white + rng.uniform(-0.3, 0.3), rng.uniform(0, 1.2)])
    return torch.from_numpy(np.interp(t1.numpy(), at, to.clip(0)).astype(np.float32))


def _stripped(rng: Rng, distance: Tensor) -> Tensor:
    """Return where the brain extraction left something: well done, too generous, too tight, or all of the head."""
    how = rng.choice(4, p=(0.55, 0.25, 0.14, 0.06))
    if how == 3:
        return distance < REACH - 1
    limits, rough = (((-0.5, 2.5), 0.8), ((2, 9), 2.5), ((-1.5, 0), 0.5))[how]
    wavy = distance + rough * smooth(rng, distance.shape[0], int(rng.integers(5, 16)), 1)[0]
    return wavy < float(rng.uniform(*limits))


def scanned(rng: Rng, picture: Tensor) -> Tensor:
    """Return what a scanner makes of it: contrast curve, uneven coils, thick slices, blur, noise."""
    import torch

    size = picture.shape[0]
    picture = picture.clamp(min=0) ** float(np.exp(rng.normal(0, 0.18)))
    picture = picture * torch.exp(float(rng.uniform(0, 0.3)) * smooth(rng, size, int(rng.integers(2, 5)), 1)[0])
    noise = float(rng.uniform(0, 0.05) if rng.random() < 0.8 else rng.uniform(0.05, 0.1))
    if rng.random() < 0.3:
        picture = _thick(rng, picture, noise)
    else:
        picture = _with_noise(rng, picture, noise)
        if rng.random() < 0.4:
            picture = blurred(picture, [float(rng.uniform(0.2, 0.75))] * 3)
    return picture


def _thick(rng: Rng, picture: Tensor, noise: float) -> Tensor:
    """Return a scan of slices of 2 to 5 mm along any axis, brought back to 1 mm."""
    import torch

    size, axis, spacing = picture.shape[0], int(rng.integers(3)), float(rng.uniform(1.5, 5))
    sigmas = [0.0, 0.0, 0.0]
    sigmas[axis] = spacing / 2.355
    shape = [size, size, size]
    shape[axis] = max(4, round(size / spacing))
    thick = torch.nn.functional.interpolate(blurred(picture, sigmas)[None, None], size=shape, mode="trilinear")
    thick = _with_noise(rng, thick, noise)
    return torch.nn.functional.interpolate(thick, size=(size, size, size), mode="trilinear")[0, 0]


def _with_noise(rng: Rng, picture: Tensor, noise: float) -> Tensor:
    """Return the magnitude of a signal with complex noise."""
    import torch

    real, imaginary = (noise * torch.from_numpy(rng.standard_normal(picture.shape, np.float32)) for _ in range(2))
    return ((picture + real).square() + imaginary.square()).sqrt()


def _normalized(rng: Rng, picture: Tensor, mask: Tensor) -> Tensor:
    """Return a picture scaled as the network's input is, a little off, since a cube does not know the whole head."""
    import torch

    values = picture[mask]
    if values.numel() < 100:
        return torch.full_like(picture, OUTSIDE)
    sample = values[:: max(1, values.numel() // 20000)]
    low, high = (float(q) for q in torch.quantile(sample, torch.tensor([0.005, 0.995])))
    scaled = (picture - low) / max(high - low, 1e-3) * float(rng.uniform(0.75, 1.1)) + float(rng.normal(0, 0.05))
    return torch.where(mask, scaled.clamp(-0.2, 1.5), torch.full_like(picture, OUTSIDE))
