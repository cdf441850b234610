"""Crops of the scans at 3 mm, each bent, with other contrast medium, noise and field of view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.ct_organs.channels import AIR, HIGHEST, channels
from napari_radcnn.models.ct_organs.network import CLASSES, SPACING
from napari_radcnn.training.ct_organs.contrast import other_phase
from napari_radcnn.training.ct_organs.scans import Scan

if TYPE_CHECKING:
    import torch

#: How often a crop lies around a voxel of a class that is drawn first, so that small ones are seen as often as others.
_AROUND = 0.4
#: Octaves by which crops are larger or smaller, all of them and each side; radians by which they are turned.
_SCALE, _SIDE, _TURN = 0.12, 0.08, 0.15
#: Control points and voxels of the two fields that bend a crop.
_BENDS = (((4, 4, 5), 5.0), ((7, 9, 13), 1.2))
#: How often noise, blur, thick slices and a smaller field of view are simulated.
_NOISY, _BLURRED, _THICK, _CUT = 0.7, 0.15, 0.2, 0.25
#: mm by which the middle of the body is mistaken.
_MISTAKE = 12.0


@dataclass(frozen=True, eq=False)
class Sample:
    """What a training step learns from.

    Attributes
    ----------
    shown : (channels, k, j, i) tensor of float32
        What the network is shown.
    labels : (k, j, i) tensor of int64
        Rows of `sets`.
    sets : (n, classes) tensor of bool
        What a voxel may be.
    counts : (k, j, i) tensor of bool
        Whether a voxel lies in the scan.
    """

    shown: torch.Tensor
    labels: torch.Tensor
    sets: torch.Tensor
    counts: torch.Tensor


class Sampler:
    """Makes samples; equal seeds make equal ones.

    Parameters
    ----------
    scans : sequence of Scan
        What is shown.
    shape : tuple of int
        Of a crop.
    rng : numpy.random.Generator
        What decides.
    """

    def __init__(self, scans: Sequence[Scan], shape: tuple[int, int, int], rng: np.random.Generator) -> None:
        import torch

        self._scans, self._shape, self._rng = scans, shape, rng
        weights = np.array([scan.weight for scan in scans])
        self._weights = weights / weights.sum()
        self._images = [torch.from_numpy(scan.hu - np.float32(AIR))[None, None] for scan in scans]
        self._labels = [torch.from_numpy(scan.labels.astype(np.float32))[None, None] for scan in scans]
        self._class_of = [_only_class(scan) for scan in scans]
        self._medians = [_medians(scan, only) for scan, only in zip(scans, self._class_of, strict=True)]
        self._places = [_places(scan, only) for scan, only in zip(scans, self._class_of, strict=True)]
        lines = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape]
        self._grid = torch.from_numpy(np.stack(np.meshgrid(*lines, indexing="ij")))

    def make(self) -> Sample:
        """Return a sample."""
        import torch
        from torch.nn.functional import grid_sample

        rng, n = self._rng, int(self._rng.choice(len(self._scans), p=self._weights))
        scan = self._scans[n]
        middle = self._middle(n)
        where, matrix = self._positions(middle)
        sizes = torch.tensor(scan.hu.shape, dtype=torch.float32).view(3, 1, 1, 1)
        grid = (2 * where / (sizes - 1) - 1).flip(0).permute(1, 2, 3, 0)[None]
        inside = ((where > -0.5) & (where < sizes - 0.5)).all(0)
        hu = grid_sample(self._images[n], grid, align_corners=True, padding_mode="border")[0, 0] + AIR
        labels = grid_sample(self._labels[n], grid, mode="nearest", align_corners=True)[0, 0].long()
        only = torch.from_numpy(self._class_of[n])[labels]
        hu = other_phase(rng, hu, only, self._medians[n])
        hu = _worse(rng, hu)
        inside &= self._field_of_view()
        hu = torch.where(inside, hu, torch.as_tensor(AIR, dtype=hu.dtype))
        offset = np.linalg.inv(matrix) @ np.array([0.0, middle[1] - scan.middle[0], middle[2] - scan.middle[1]])
        offset = offset + rng.normal(0, _MISTAKE / SPACING, 3)
        rows, columns = self._grid[1] + float(offset[1]), self._grid[2] + float(offset[2])
        shown = torch.stack(channels(hu.clip(AIR, HIGHEST), inside.float(), rows, columns))
        return Sample(shown, labels, torch.from_numpy(scan.sets), inside)

    def _middle(self, n: int) -> npt.NDArray[np.float64]:
        """Return where a crop lies: mostly within the body, so that what is beside it is not shown too often."""
        rng, scan = self._rng, self._scans[n]
        size, half = np.array(scan.hu.shape, float), np.array(self._shape) / 2
        center = np.array([size[0] / 2, *scan.middle])
        room = np.maximum(size / 2 - half, 0) + 8
        room[0] = max(size[0] / 2 - 0.4 * half[0], 4)
        if rng.random() < _AROUND and self._places[n]:
            voxels = self._places[n][int(rng.integers(len(self._places[n])))]
            wanted = np.array(np.unravel_index(int(voxels[int(rng.integers(voxels.size))]), scan.hu.shape), float)
            wanted = wanted + rng.normal(0, 6, 3)
        else:
            wanted = center + rng.uniform(-1, 1, 3) * room
        return np.asarray(np.clip(wanted, center - room, center + room))

    def _positions(self, middle: npt.NDArray[np.float64]) -> tuple[torch.Tensor, npt.NDArray[np.float64]]:
        """Return the index in the scan of every voxel of a crop, and the matrix that turns and stretches it."""
        import torch
        from torch.nn.functional import interpolate

        rng = self._rng
        where = self._grid.clone()
        for points, strength in _BENDS:
            field = torch.from_numpy(rng.standard_normal((1, 3, *points)).astype(np.float32))
            field = interpolate(field, size=self._shape, mode="trilinear", align_corners=True)[0]
            where += float(rng.uniform(0, strength)) * field
        matrix = _turn(rng) * np.exp(rng.normal(0, _SCALE) + rng.normal(0, _SIDE, 3))
        flat = torch.from_numpy(matrix.astype(np.float32)) @ where.reshape(3, -1)
        moved = flat.reshape(where.shape) + torch.from_numpy(middle.astype(np.float32)).view(3, 1, 1, 1)
        return moved, matrix

    def _field_of_view(self) -> torch.Tensor:
        """Return what a scan shows that was cropped, often everything."""
        import torch

        rng = self._rng
        seen = torch.ones(self._shape, dtype=torch.bool)
        for axis, size in enumerate(self._shape):
            if rng.random() < _CUT:
                cut = int(rng.uniform(0.1, 0.45) * size)
                part = slice(0, cut) if rng.random() < 0.5 else slice(size - cut, size)
                seen[tuple(part if n == axis else slice(None) for n in range(3))] = False
        return seen


def _turn(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a rotation by a few degrees around any axis (Rodrigues' formula)."""
    axis = rng.standard_normal(3)
    z, y, x = axis / np.linalg.norm(axis)
    angle = rng.normal(0, _TURN)
    cross = np.array([[0, -x, y], [x, 0, -z], [-y, z, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _worse(rng: np.random.Generator, hu: torch.Tensor) -> torch.Tensor:
    """Return a crop with noise, blurred, or with thick slices."""
    import torch
    from torch.nn.functional import avg_pool3d, interpolate

    hu = hu * float(np.exp(rng.normal(0, 0.02))) + float(rng.normal(0, 5))
    if rng.random() < _NOISY:
        noise = torch.from_numpy(rng.standard_normal(hu.shape, np.float32))
        if rng.random() < 0.5:
            noise = 4.0 * avg_pool3d(noise[None], 3, 1, 1)[0]
        hu = hu + float(np.exp(rng.uniform(np.log(3), np.log(45)))) * noise
    if rng.random() < _BLURRED:
        hu = avg_pool3d(hu[None], 3, 1, 1, count_include_pad=False)[0]
    if rng.random() < _THICK:
        factor = int(rng.integers(2, 4))
        thick = avg_pool3d(hu[None, None], (factor, 1, 1), ceil_mode=True, count_include_pad=False)
        hu = interpolate(thick, size=hu.shape, mode="trilinear" if rng.random() < 0.5 else "nearest")[0, 0]
    return hu


def _only_class(scan: Scan) -> npt.NDArray[np.int64]:
    """Return the class of each of a scan's labels, 0 where it may be several."""
    return np.where(scan.sets.sum(1) == 1, scan.sets.argmax(1), 0).astype(np.int64)


def _medians(scan: Scan, only: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    classes = only[scan.labels]
    found = np.full(len(CLASSES), np.nan)
    for n in np.unique(classes):
        found[n] = float(np.median(scan.hu[classes == n]))
    return found


def _places(scan: Scan, only: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Return the voxels of each class that a scan shows, but for "other"."""
    classes = only[scan.labels].ravel()
    return [np.flatnonzero(classes == n) for n in np.unique(classes) if n]
