"""What spoke for the findings of `lung-nodules`: maps around the best of them, from the methods for classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.evidence.ensemble import KINDS, explain
from napari_radcnn.models.lung_nodules.network import FOLD, SIDE
from napari_radcnn.progress import Monitor

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]

#: Findings that are explained, best first: each takes seconds.
MOST = 3
#: Voxels along a side of the cube around a finding that is looked at.
_CUBE = 2 * SIDE
#: Cells around the middle of the cube, in which the finder's answer counts.
_NEAR = slice(SIDE // 2 - 2, SIDE // 2 + 2)


def judge(finder: torch.nn.Module, second: torch.nn.Module, calibration: Mapping[str, float]) -> torch.nn.Module:
    """Return what both networks say together of the middle of a cube, as a network with a submodule ``features``.

    It maps ``(B, 1, 48, 48, 48)`` voxels, as `nodules.shown` gives them, to logits ``(B, 2)``: no nodule, nodule.

    Parameters
    ----------
    finder, second : torch.nn.Module
        Of `lung_nodules_net`, in evaluation mode.
    calibration : mapping
        As in `nodules.fused`.
    """
    import torch
    from torch import nn

    class Judge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = finder.up[-1]  # type: ignore[index]
            self.finder, self.second = finder, second

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, half = len(x), _CUBE // FOLD
            cells = x.reshape(batch, half, FOLD, half, FOLD, half, FOLD).permute(0, 2, 4, 6, 1, 3, 5)
            cells = cells.reshape(batch, FOLD**3, half, half, half)
            pointed = self.finder(cells)[:, 0, _NEAR, _NEAR, _NEAR].amax((1, 2, 3))
            middle = slice(SIDE // 2, SIDE // 2 + SIDE)
            seen = torch.stack([x[:, 0, middle, middle, middle], cells.mean(1)], 1)
            logit = calibration["finder"] * pointed + calibration["second"] * self.second(seen)[:, 0]
            logit = logit + calibration["shift"]
            return torch.stack([torch.zeros_like(logit), logit], 1)

    return Judge().eval()


def evidence(
    module: torch.nn.Module,
    voxels: Floats,
    centers: Sequence[npt.NDArray[np.float64]],
    monitor: Monitor,
    patches: tuple[int, int, int, int] = (8, 8, 8, 3),
) -> dict[str, Floats]:
    """Return a map of each kind on the grid of the voxels, 0 away from the findings that are explained.

    Parameters
    ----------
    module : torch.nn.Module
        See `judge`.
    voxels : (k, j, i) array
        See `nodules.shown`.
    centers : sequence of (3,) arrays
        Voxels along k, j and i; the first `MOST` count.
    monitor : Monitor
        Takes a step for each kind and finding; looked at between batches.
    patches : tuple of int
        Side of a patch, step between patches, reach and samples of occlusion and prediction difference, in voxels.
    """
    import torch

    found = {kind: np.zeros(voxels.shape, np.float32) for kind in KINDS}
    for center in centers[:MOST]:
        first = np.round(np.asarray(center) + 0.5).astype(int) - SIDE
        low, high = np.maximum(first, 0), np.minimum(first + _CUBE, voxels.shape)
        inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        part = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
        cube = np.zeros((_CUBE, _CUBE, _CUBE), np.float32)
        cube[part] = voxels[inside]
        maps = explain([module], torch.from_numpy(cube)[None, None], 1, monitor, patches=patches)
        for kind, values in maps.items():
            there = found[kind][inside]
            there[...] = np.where(np.abs(values[part]) > np.abs(there), values[part], there)
    return found
