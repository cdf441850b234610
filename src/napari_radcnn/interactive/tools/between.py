"""Fill between slices: an object drawn on some slices, completed in between."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.tools.base import FormTool, ToolState
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.options import option

_AXES = ("k", "j", "i")
Flat = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FillBetweenSlices(FormTool):
    """Complete the object in the empty slices between those that it was drawn on, which stay as they are.

    Parameters
    ----------
    axis : str
        The scan's axis that the slices follow each other along: ``"k"``, ``"j"`` or ``"i"``.

    Notes
    -----
    Shape-based interpolation: between two drawn slices the signed distance to the outline changes linearly (Raya and
    Udupa 1990, IEEE Trans. Med. Imaging 9(1)). Parts that lie over each other belong together, and what is left over is
    paired with the nearest. Parts that would share a tenth more were their centers of mass above each other are moved
    along the way between these, so that what runs obliquely through the slices neither thins nor vanishes.
    """

    name: ClassVar[str] = "fill_between_slices"
    axis: str = option("k", title="Axis", help="The axis along which slices follow each other", choices=_AXES)

    @property
    def title(self) -> str:
        """What a history calls it."""
        return f"Fill between slices along {self.axis}"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the completed object; None where no slice in between is empty."""
        found = state.find()
        if found is None:
            return None
        axis = _AXES.index(self.axis)
        mask = state.mask(found)
        slices = np.moveaxis(mask, axis, 0)  # a view: filling it fills the mask
        rest = [n for n in range(3) if n != axis]
        spacing = (state.geometry.spacing[rest[0]], state.geometry.spacing[rest[1]])
        drawn = np.flatnonzero(slices.any(axis=(1, 2))).tolist()
        gaps = [(first, last) for first, last in pairwise(drawn) if last - first > 1]
        monitor.total, monitor.done = len(gaps), 0
        for first, last in gaps:
            monitor.step("filling between slices")
            for start, stop in _pairs(slices[first].copy(), slices[last].copy(), spacing):
                _fill(slices[first + 1 : last], start, stop, spacing)
        return state.update(found, mask)


def _pairs(first: Flat, last: Flat, spacing: tuple[float, float]) -> list[tuple[Flat, Flat]]:
    """Return the parts of two slices that belong together."""
    from scipy import ndimage, optimize

    everywhere = np.ones((3, 3), bool)
    (one, n_one), (two, n_two) = ndimage.label(first, everywhere), ndimage.label(last, everywhere)
    touching = np.zeros((n_one, n_two), bool)
    both = first & last
    touching[one[both] - 1, two[both] - 1] = True
    lone = np.flatnonzero(~touching.any(axis=1)), np.flatnonzero(~touching.any(axis=0))
    if lone[0].size and lone[1].size:
        from_center = np.array(ndimage.center_of_mass(first, one, lone[0] + 1)) * spacing
        to_center = np.array(ndimage.center_of_mass(last, two, lone[1] + 1)) * spacing
        distances = np.linalg.norm(from_center[:, None] - to_center[None], axis=2)
        row, column = optimize.linear_sum_assignment(distances)
        touching[lone[0][row], lone[1][column]] = True
    groups = _groups(touching)
    return [(np.isin(one, rows + 1), np.isin(two, columns + 1)) for rows, columns in groups]


def _groups(touching: Flat) -> list[tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]]:
    """Return the connected groups of a table of which row belongs to which column, those without partner left out."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.nonzero(touching)
    count = sum(touching.shape)
    links = coo_array((np.ones(rows.size), (rows, columns + touching.shape[0])), shape=(count, count))
    number, group = connected_components(links, directed=False)
    of_row, of_column = group[: touching.shape[0]], group[touching.shape[0] :]
    members = [(np.flatnonzero(of_row == n), np.flatnonzero(of_column == n)) for n in range(number)]
    return [(some, others) for some, others in members if some.size and others.size]


def _fill(between: Mask, first: Flat, last: Flat, spacing: tuple[float, float]) -> None:
    """Add to the slices between two outlines what the interpolated one holds.

    Both are moved by whole voxels: the shape is that of the outlines, and the place right to half a voxel.
    """
    way = _way(first, last)
    margin = np.abs(way) + 1
    distances = [_signed_distance(np.pad(flat, [(n, n) for n in margin]), spacing) for flat in (first, last)]
    for n, target in enumerate(between, start=1):
        part = n / (len(between) + 1)
        gone = np.floor(part * way + 0.5).astype(int)
        from_first, from_last = (
            distance[tuple(slice(m, m + size) for m, size in zip(margin - by, first.shape, strict=True))]
            for distance, by in zip(distances, (gone, gone - way), strict=True)
        )
        target |= (1 - part) * from_first + part * from_last >= 0


def _way(first: Flat, last: Flat) -> npt.NDArray[np.int_]:
    """Return how many voxels one outline moves to become the other: from center to center, or not at all.

    Not at all, unless they then share a tenth more: the center of a ring or of a lobe that ends moves though nothing
    else does.
    """
    from scipy import ndimage

    start, stop = (np.array(ndimage.center_of_mass(flat)) for flat in (first, last))
    way = np.rint(stop - start).astype(int)
    here, there = (
        tuple(slice(max(0, sign * by), min(size, size + sign * by)) for by, size in zip(way, first.shape, strict=True))
        for sign in (-1, 1)
    )
    shared, shared_moved = np.count_nonzero(first & last), np.count_nonzero(first[here] & last[there])
    return way if shared_moved > 1.1 * shared else np.zeros(2, int)


def _signed_distance(flat: Flat, spacing: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Return how far voxel centers are from the outline, mm: positive inside, negative outside."""
    return _to_outline(flat, spacing) - _to_outline(~flat, spacing)


def _to_outline(flat: Flat, spacing: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Return how far the centers of True voxels are from the nearest False voxel's edge, mm; 0 for False ones.

    Its edge and not its center: what is inside by half a voxel would else count as a whole one, and the interpolated
    outline would lie too near to the smaller of two.
    """
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(flat, sampling=spacing, return_distances=False, return_indices=True)
    steps = [np.abs(there - here) for there, here in zip(nearest, np.indices(flat.shape), strict=True)]
    return np.hypot(*(np.maximum(step - 0.5, 0) * size for step, size in zip(steps, spacing, strict=True)))
