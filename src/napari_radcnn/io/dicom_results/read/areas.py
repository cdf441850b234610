"""The area that the contours of a region enclose on each slice: holes, contours stored twice, contours that overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Which part of a hole may lie outside of the area that it is in: contours that share an edge differ by a voxel or two.
_OUTSIDE = 0.05


@dataclass(frozen=True, eq=False)
class Polygon:
    """A closed contour on a slice.

    Attributes
    ----------
    points : (n, 2) array of float
        ``(j, i)`` of its corners.
    is_xor : bool
        Whether its kind says that the contours of a slice are combined by exclusive or (CLOSEDPLANAR_XOR).
    """

    points: npt.NDArray[np.float64]
    is_xor: bool = False


#: The polygons of one region by slice.
Polygons = Mapping[int, list[Polygon]]


@dataclass(frozen=True, eq=False)
class Area:
    """Voxels of a slice: a mask no larger than it must be, and the ``(j, i)`` of its first voxel."""

    corner: tuple[int, int]
    mask: npt.NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> tuple[slice, slice]:
        """The rows and columns that the mask is of."""
        (j, i), (rows, columns) = self.corner, self.mask.shape
        return slice(j, j + rows), slice(i, i + columns)

    def on(self, shape: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return the mask of the whole slice."""
        whole = np.zeros(tuple(shape), bool)
        whole[self.box] = self.mask
        return whole

    def overlap(self, other: Area) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the box that two masks share, in this mask and in the other."""
        low = np.maximum(self.corner, other.corner)
        high = np.maximum(low, np.minimum(np.add(self.corner, self.mask.shape), np.add(other.corner, other.mask.shape)))
        (j, i), (end_j, end_i) = low - self.corner, high - self.corner
        (other_j, other_i), (other_end_j, other_end_i) = low - other.corner, high - other.corner
        return (slice(j, end_j), slice(i, end_i)), (slice(other_j, other_end_j), slice(other_i, other_end_i))

    def shared(self, other: Area) -> int:
        """Return the number of voxels that are in both."""
        own, others = self.overlap(other)
        return int(np.count_nonzero(self.mask[own] & other.mask[others]))


@dataclass(frozen=True, eq=False)
class Region:
    """The area of a region on each slice, and what was found in its contours.

    Attributes
    ----------
    slices : mapping of int to Area
        By slice.
    twice : int
        Contours that enclose the voxels of another one, and were counted once.
    united : int
        Slices on which contours cross each other, and were united or taken for holes.
    canceled : int
        Slices on which equal contours cancel each other, since their kind says exclusive or.
    """

    slices: Mapping[int, Area]
    twice: int = 0
    united: int = 0
    canceled: int = 0

    def doubts(self, name: str) -> list[str]:
        """Return what the user must be told."""
        told = []
        if self.twice:
            told.append(
                f"{self.twice} contours of '{name}' are duplicates, stored twice or more (they enclose the same voxels "
                "as another contour): each was used once."
            )
        if self.united:
            told.append(
                f"Contours of '{name}' overlap on {self.united} slices without one lying completely inside another: "
                "they were merged, or subtracted where one lies almost completely inside the other; check these "
                "slices."
            )
        if self.canceled:
            told.append(
                f"Contours of '{name}' are duplicated on {self.canceled} slices and cancel each other because of "
                "their type (CLOSEDPLANAR_XOR): voxels may be missing."
            )
        if not any(area.mask.any() for area in self.slices.values()):
            told.append(f"'{name}' does not enclose the center of any voxel: it is not shown.")
        return told


def filled_region(polygons: Polygons, shape: Sequence[int]) -> Region:
    """Fill the contours of a region.

    Parameters
    ----------
    polygons : mapping of int to list of Polygon
        By slice.
    shape : (2,) sequence of int
        Rows and columns of a slice.

    Notes
    -----
    A contour in another one is a hole, one in the hole a part again, and so on. Of contours that enclose the same
    voxels one counts; the area of those that cross each other is united, unless nearly all of one lies in the other and
    much of the other around it: then it is a hole that touches the edge. To fill by even and odd crossings, as
    programs that know no better do, would erase a contour that is stored twice. Where the kind of the contours is
    CLOSEDPLANAR_XOR, exclusive or is what the file says (DICOM PS3.3, C.8.8.6.3).
    """
    slices: dict[int, Area] = {}
    twice = united = canceled = 0
    for k, drawn in polygons.items():
        areas = [area for polygon in drawn if (area := _inside(polygon.points, shape)).size]
        different = _different(areas)
        n_more = len(areas) - len(different)
        if all(polygon.is_xor for polygon in drawn):
            slices[k], canceled = _together(areas, np.logical_xor), canceled + (n_more > 0)
            continue
        slices[k], is_crossing = _filled(different)
        twice, united = twice + n_more, united + is_crossing
    return Region(slices, twice, united, canceled)


def _inside(points: npt.NDArray[np.float64], shape: Sequence[int]) -> Area:
    """Return the voxels whose center a polygon encloses."""
    from skimage.measure import grid_points_in_poly

    low = np.clip(np.floor(points.min(0)), 0, shape).astype(int)
    high = np.clip(np.ceil(points.max(0)) + 1, 0, shape).astype(int)
    if (high <= low).any():
        return Area((0, 0), np.zeros((0, 0), bool))
    mask = grid_points_in_poly(tuple(high - low), points - low)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return Area((0, 0), np.zeros((0, 0), bool))
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Area((int(low[0] + rows[0]), int(low[1] + columns[0])), cut)


def _different(areas: Sequence[Area]) -> list[Area]:
    """Return the areas, each once, the largest first."""
    once = {(area.corner, area.mask.shape, area.mask.tobytes()): area for area in areas}
    return sorted(once.values(), key=lambda area: -area.size)


def _filled(areas: Sequence[Area]) -> tuple[Area, bool]:
    """Return what areas that all differ, the largest first, enclose: those in others are holes in these, and so on.

    The second value says whether some cross each other. Their areas are united, but for one that lies in another up to
    a few voxels, such as a hole that touches the edge.
    """
    corners = np.array([area.corner for area in areas]).reshape(-1, 2)
    ends = corners + np.array([area.mask.shape for area in areas]).reshape(-1, 2)
    levels: list[int] = []
    is_crossing = False
    for n, area in enumerate(areas):
        is_near = (corners[:n] < ends[n]).all(1) & (ends[:n] > corners[n]).all(1)
        around = [-1]
        for m in np.flatnonzero(is_near).tolist():
            n_shared = area.shared(areas[m])
            n_outside = area.size - n_shared
            if n_outside <= _OUTSIDE * area.size and areas[m].size - n_shared >= 2 * n_outside:
                around.append(levels[m])
            is_crossing |= n_shared > 0 and n_outside > 0
        levels.append(max(around) + 1)
    whole = Area((0, 0), np.zeros((0, 0), bool))
    for level in range(max(levels, default=-1), -1, -1):
        holes, whole = whole, _together([areas[n] for n, other in enumerate(levels) if other == level], np.logical_or)
        if holes.size:
            in_whole, in_holes = whole.overlap(holes)
            whole.mask[in_whole] &= ~holes.mask[in_holes]
    return whole, is_crossing


def _together(areas: Sequence[Area], combine: np.ufunc) -> Area:
    """Return areas combined voxel by voxel, in the box around them."""
    if not areas:
        return Area((0, 0), np.zeros((0, 0), bool))
    corners = np.array([area.corner for area in areas])
    low = corners.min(0)
    mask = np.zeros(tuple((corners + [area.mask.shape for area in areas]).max(0) - low), bool)
    for area in areas:
        rows, columns = area.box
        place = mask[rows.start - low[0] : rows.stop - low[0], columns.start - low[1] : columns.stop - low[1]]
        combine(place, area.mask, out=place)
    return Area((int(low[0]), int(low[1])), mask)
