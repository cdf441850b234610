"""Few tiles fitted to what a scan holds: the fast way, for models that were measured to allow other tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, prod

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ResourceError
from napari_radcnn.inference.tiles import Box, Shape


def occupied_cells(
    read: Callable[[Box], npt.NDArray[np.generic]], shape: Shape, cell: Shape, above: float
) -> npt.NDArray[np.bool_]:
    """Return which cells of a volume hold a value that exceeds `above`, reading one layer of cells at a time.

    Parameters
    ----------
    read : callable
        Gives a ``(..., k, j, i)`` block of the volume; of several channels, one that exceeds suffices.
    shape, cell : tuple of int
        Of the volume, and of a cell; the last cells may be cut.
    above : float
        Background is at or below.
    """
    counts = tuple(ceil(n / c) for n, c in zip(shape, cell, strict=True))
    cells = np.zeros(counts, bool)
    edges = [np.arange(0, n, c) for n, c in zip(shape[1:], cell[1:], strict=True)]
    for layer in range(counts[0]):
        planes = slice(layer * cell[0], min((layer + 1) * cell[0], shape[0]))
        block = np.asarray(read((planes, slice(0, shape[1]), slice(0, shape[2]))))
        holds = (block > above).reshape(-1, *shape[1:]).any(0)
        cells[layer] = np.logical_or.reduceat(np.logical_or.reduceat(holds, edges[0], 0), edges[1], 1)
    return cells


def fitted_tiles(
    shape: Shape,
    occupancy: npt.NDArray[np.bool_] | None,
    *,
    cell: Shape = (1, 1, 1),
    divisor: Shape,
    max_voxels: int,
    halo: Shape,
) -> list[tuple[Box, Box]]:
    """Return the tiles that cover what is occupied with the least computation.

    Parameters
    ----------
    shape : tuple of int
        Of the volume.
    occupancy : array of bool, or None
        Which cells hold something, see `occupied_cells`; None for all.
    cell : tuple of int
        Voxels of a cell.
    divisor : tuple of int
        Tiles are multiples of this: what the network halves again and again must stay whole.
    max_voxels : int
        A tile may have, so that it fits into memory.
    halo : tuple of int
        Voxels around what is kept that the network must see, as far as the volume goes.

    Returns
    -------
    list of (read, keep)
        Boxes in voxels of the volume, in the order of their place. All `read` are of one shape, because a network is
        compiled for a shape; they reach outside the volume where it is smaller than a tile. The `keep` are disjoint
        and hold everything that is occupied; an empty list where nothing is.

    Raises
    ------
    ResourceError
        If not even the smallest tile with its halo fits into `max_voxels`.
    """
    cells = np.ones([ceil(n / c) for n, c in zip(shape, cell, strict=True)], bool) if occupancy is None else occupancy
    if cells.shape != tuple(ceil(n / c) for n, c in zip(shape, cell, strict=True)):
        raise ValueError(f"{cells.shape} cells of {cell} voxels do not fit a volume of {shape}")
    if not cells.any():
        return []
    body = _bounds(cells, shape, cell)
    choices = [_axis_choices(n, part, d, h) for n, part, d, h in zip(shape, body, divisor, halo, strict=True)]
    table = _occupied_before(cells, shape, cell)
    found: tuple[tuple[int, int], tuple[_AxisTiles, ...]] | None = None
    for axes in product(*choices):
        voxels = prod(axis.size for axis in axes)
        least = -(-int(table[-1, -1, -1]) // prod(axis.largest for axis in axes))
        if voxels > max_voxels or (found is not None and (least * voxels, least) > found[0]):
            continue
        count = int(np.count_nonzero(_holding(axes, table, cell)))
        if found is None or (count * voxels, count) < found[0]:
            found = ((count * voxels, count), axes)
    if found is None:
        least = prod(axis[-1].size for axis in choices)
        raise ResourceError(
            f"The smallest tile with its halo has {least} voxels, but memory suffices for {max_voxels}: close other "
            "programs, or run the model on its own patches."
        )
    return _tiles(found[1], _holding(found[1], table, cell))


@dataclass(frozen=True)
class _AxisTiles:
    """Tiles of one size along an axis."""

    size: int
    reads: tuple[int, ...]
    keeps: tuple[tuple[int, int], ...]

    @property
    def largest(self) -> int:
        return max(last - first for first, last in self.keeps)


def _axis_choices(length: int, body: tuple[int, int], divisor: int, halo: int) -> list[_AxisTiles]:
    """Return tilings of an axis from one tile to many, each with the smallest size for its number."""
    low, high = max(0, body[0] - halo), min(length, body[1] + halo)
    choices: list[_AxisTiles] = []
    for size in range(_up(high - low, divisor), 0, -divisor):
        if size >= high - low:
            choices.append(_AxisTiles(size, (_centered(low, high, size, length),), (body,)))
            continue
        if size <= 2 * halo:
            break
        count = ceil((high - low - 2 * halo) / (size - 2 * halo))
        spread = (high - low - size) / (count - 1)
        reads = [low + round(spread * n) for n in range(count)]
        # Neighbors share at least two halos: the border lies in the middle of what they share.
        cuts = [(after + before + size) // 2 for before, after in pairwise(reads)]
        ends = [body[0], *(min(max(cut, body[0]), body[1]) for cut in cuts), body[1]]
        if any(first >= last for first, last in pairwise(ends)):
            continue  # tiles smaller than the halo around the body keep nothing
        tiling = _AxisTiles(size, tuple(reads), tuple(pairwise(ends)))
        if len(tiling.keeps) == len(choices[-1].keeps):
            choices[-1] = tiling
        else:
            choices.append(tiling)
    return choices


def _up(size: int, divisor: int) -> int:
    return -(-size // divisor) * divisor


def _centered(low: int, high: int, size: int, length: int) -> int:
    """Return where a tile begins that holds ``low..high`` in its middle, within the volume if it fits there."""
    first = low - (size - (high - low)) // 2
    if size >= length:
        return -((size - length) // 2)
    return min(max(first, 0), length - size)


def _bounds(cells: npt.NDArray[np.bool_], shape: Shape, cell: Shape) -> list[tuple[int, int]]:
    """Return first and last voxel, exclusive, of what is occupied, along each axis."""
    found = []
    for axis in range(3):
        rows = np.flatnonzero(cells.any(tuple(n for n in range(3) if n != axis)))
        found.append((int(rows[0]) * cell[axis], min(int(rows[-1] + 1) * cell[axis], shape[axis])))
    return found


def _occupied_before(cells: npt.NDArray[np.bool_], shape: Shape, cell: Shape) -> npt.NDArray[np.int64]:
    """Return how many occupied voxels lie before each corner of the cells."""
    table = np.zeros(tuple(n + 1 for n in cells.shape), np.int64)
    counts = table[1:, 1:, 1:]
    counts[:] = cells
    for axis, (n, c) in enumerate(zip(shape, cell, strict=True)):
        sizes = np.minimum(np.arange(cells.shape[axis]) * c + c, n) - np.arange(cells.shape[axis]) * c
        counts *= sizes.reshape([-1 if other == axis else 1 for other in range(3)])
        np.cumsum(counts, axis, out=counts)
    return table


def _holding(axes: tuple[_AxisTiles, ...], table: npt.NDArray[np.int64], cell: Shape) -> npt.NDArray[np.bool_]:
    """Return for every tile whether what it keeps touches an occupied cell."""
    sums = table
    for axis, (tiles, c) in enumerate(zip(axes, cell, strict=True)):
        keeps = np.array(tiles.keeps)
        sums = sums.take(-(-keeps[:, 1] // c), axis) - sums.take(keeps[:, 0] // c, axis)
    return sums > 0


def _tiles(axes: tuple[_AxisTiles, ...], holding: npt.NDArray[np.bool_]) -> list[tuple[Box, Box]]:
    found = []
    for place in np.argwhere(holding):
        k, j, i = ((axis.reads[n], axis.size, axis.keeps[n]) for axis, n in zip(axes, place, strict=True))
        read = (slice(k[0], k[0] + k[1]), slice(j[0], j[0] + j[1]), slice(i[0], i[0] + i[1]))
        found.append((read, (slice(*k[2]), slice(*j[2]), slice(*i[2]))))
    return found
