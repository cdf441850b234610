"""What the rules look at of a scan: some of its voxels, upright, and a few whole slices."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume
from napari_radcnn.voxels import n_bytes

Floats = npt.NDArray[np.float32]

#: mm between the voxels that are taken, and of the small grid that shapes are judged on.
_STEP, _SMALL = 2.0, 4.0
#: The most voxels that are taken, and the most pixels along a side of a picture.
_MOST, _MOST_SIDE = 3_000_000, 512
#: Of a scan in a store: the largest resolution that is read whole, and how many slices are read of a larger one.
_STORE_BYTES, _STORE_SLICES = 96 << 20, 12
#: What is decoded for them, at most.
_LAYERS_BYTES = 512 << 20
#: Slices that are looked at pixel by pixel.
_WHOLE_SLICES = 5
#: Voxels of the small grid, at most along an axis.
_MOST_SMALL = 200


@dataclass(frozen=True, eq=False)
class Sample:
    """Some of the voxels of a scan.

    Attributes
    ----------
    values : (k, j, i) array of float32
        Every n-th voxel, axes towards S, P, L; what is no finite number is NaN.
    spacing : tuple of float
        mm between them.
    slices : tuple of (j, i) array of float32
        A few slices, every pixel, in the scan's own order.
    geometry : Geometry
        Of the whole scan, axes towards S, P, L.
    missing : float
        Share of the values that are no finite numbers.
    """

    values: Floats
    spacing: tuple[float, float, float]
    slices: tuple[Floats, ...]
    geometry: Geometry
    missing: float

    @cached_property
    def finite(self) -> Floats:
        """All values that are finite numbers."""
        return self.values[np.isfinite(self.values)]

    @cached_property
    def extent(self) -> tuple[float, float, float]:
        """The mm that the scan covers towards S, P, L."""
        k, j, i = (n * s for n, s in zip(self.geometry.shape, self.geometry.spacing, strict=True))
        return k, j, i

    @property
    def is_picture(self) -> bool:
        """Whether it is a single slice."""
        return min(self.geometry.shape) == 1

    @cached_property
    def small(self) -> tuple[Floats, tuple[float, float, float]]:
        """The values in voxels of about 4 mm, each the mean of those in it, and their spacing; gaps have the least."""
        least = float(self.finite.min()) if self.finite.size else 0.0
        values = np.nan_to_num(self.values, nan=least, posinf=least, neginf=least)
        steps = [
            max(1, round(_SMALL / s), -(-n // _MOST_SMALL)) for s, n in zip(self.spacing, values.shape, strict=True)
        ]
        shape = [n // step for n, step in zip(values.shape, steps, strict=True)]
        cut = values[tuple(slice(0, n * step) for n, step in zip(shape, steps, strict=True))]
        means = cut.reshape([m for n, step in zip(shape, steps, strict=True) for m in (n, step)]).mean((1, 3, 5))
        k, j, i = (s * step for s, step in zip(self.spacing, steps, strict=True))
        return np.asarray(means, np.float32), (k, j, i)

    def sha256(self) -> str:
        """Return a hash of all that the rules see of the voxels and where they lie."""
        digest = hashlib.sha256(repr((self.values.shape, self.geometry.shape, self.missing)).encode())
        for part in (self.values, *self.slices, np.round(self.geometry.affine, 6)):
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        return digest.hexdigest()


def take_sample(volume: Volume) -> Sample:
    """Return what is looked at of a scan of gray values; of one in a store a coarser resolution, or some slices.

    Raises
    ------
    ReadError
        If it is in a store and damaged.
    """
    array, geometry = _voxels(volume)
    turned = geometry.axis_map("SPL")
    upright, grid = turned.apply(array), geometry.reoriented(turned)
    steps = _steps(grid)
    values = _as_floats(
        upright[
            tuple(slice(step // 2 if n > step else 0, None, step) for n, step in zip(upright.shape, steps, strict=True))
        ]
    )
    k, j, i = (s * step for s, step in zip(grid.spacing, steps, strict=True))
    slices = tuple(_as_floats(array[at]) for at in _places(array.shape[0]))
    missing = 1.0 - float(np.isfinite(values).mean()) if values.size else 1.0
    whole = volume.geometry.reoriented(volume.geometry.axis_map("SPL"))
    return Sample(values, (k, j, i), slices, whole, missing)


def _voxels(volume: Volume) -> tuple[npt.NDArray, Geometry]:
    source = volume.source
    if source is None or volume.is_loaded:
        return volume.array, volume.geometry
    levels = [(source, volume.geometry), *((level.source, level.geometry) for level in source.levels)]
    chosen, grid = next((level for level in levels if n_bytes(level[0]) <= _STORE_BYTES), levels[-1])
    if n_bytes(chosen) <= _STORE_BYTES:
        return chosen.read((slice(None), slice(None), slice(None))), grid
    # a slice costs the whole layer of blocks that it lies in
    layer = n_bytes(chosen) * min(1.0, chosen.chunks[0] / chosen.shape[0])
    count = max(1, min(_STORE_SLICES, int(_LAYERS_BYTES / layer)))
    step = max(1, chosen.shape[0] // count)
    places = range(step // 2, chosen.shape[0], step)
    slices = [chosen.read((slice(at, at + 1), slice(None), slice(None))) for at in places]
    spread = np.diag([float(step), 1.0, 1.0, 1.0])
    spread[0, 3] = step // 2
    array = np.concatenate(slices)
    return array, Geometry((array.shape[0], array.shape[1], array.shape[2]), grid.affine @ spread)


def _steps(grid: Geometry) -> list[int]:
    if min(grid.shape) == 1:
        return [max(1, -(-n // _MOST_SIDE)) for n in grid.shape]
    steps = [max(1, round(_STEP / s)) for s in grid.spacing]
    while np.prod([-(-n // step) for n, step in zip(grid.shape, steps, strict=True)]) > _MOST:
        steps[int(np.argmin([s * step for s, step in zip(grid.spacing, steps, strict=True)]))] += 1
    return steps


def _places(count: int) -> list[int]:
    return sorted({int((n + 0.5) * count / _WHOLE_SLICES) for n in range(_WHOLE_SLICES)})


def _as_floats(values: npt.NDArray) -> Floats:
    found = np.array(values, np.float32)
    if values.dtype.kind == "f":
        found[~np.isfinite(found)] = np.nan
    return found
