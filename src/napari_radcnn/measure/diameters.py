"""How long a region is: in space, in a slice, and at right angles to that.

A mask says where a boundary lies to one voxel only: somewhere beyond the outermost centers that are inside. A diameter
here lies halfway between the distance of two centers and that of the outer ends of their voxels along it, so that it is
wrong by half a voxel's diagonal at most where the outline of the mask is that of the region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Pairs of points that are compared at once.
_PAIRS = 500_000
#: In which the width of a slice is looked at before its diameter is measured.
_DIRECTIONS = 8


@dataclass(frozen=True)
class Hull:
    """The convex hull of a mask's mesh.

    Attributes
    ----------
    centers : (n, d) array
        The voxel centers at its corners, mm.
    volume, area : float
        Of the hull, mm^3 and mm^2; in a plane mm^2 and the perimeter in mm.
    """

    centers: npt.NDArray[np.float64]
    volume: float
    area: float


@dataclass(frozen=True)
class AxialDiameters:
    """The longest diameter in a slice, and the longest at right angles to it, mm.

    Attributes
    ----------
    longest, perpendicular : float
        RECIST 1.1's longest diameter and short axis of the slice with the longest one.
    position : int
        The slice.
    """

    longest: float
    perpendicular: float
    position: int


def hull(points: npt.NDArray[np.int64], steps: npt.NDArray[np.float64]) -> Hull:
    """Return the hull of the mesh of voxels: of the points half a voxel from their centers along each axis.

    Parameters
    ----------
    points : (n, d) array of int
        Indices of voxels, among them all at corners of the hull; of two or three axes.
    steps : (d, d) array
        Columns are the steps along the axes, mm.
    """
    from scipy.spatial import ConvexHull

    axes = points.shape[1]
    halves = np.concatenate([np.eye(axes), -np.eye(axes)]) / 2
    around = (points[:, None, :] + halves).reshape(-1, axes) @ steps.T
    found = ConvexHull(around)
    corners = np.unique(found.vertices // len(halves))
    return Hull(points[corners] @ steps.T, float(found.volume), float(found.area))


def longest(centers: npt.NDArray[np.float64], steps: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the longest diameter, mm, and its direction, as the module says it.

    Parameters
    ----------
    centers : (n, d) array
        Voxel centers at the corners of the hull, mm.
    steps : (d, d) array
        Columns are the steps along the axes, mm.
    """
    margin = float(np.abs(steps).sum(1) @ np.ones(len(steps))) if len(centers) > 1 else 0.0
    pairs = _long_pairs(centers, margin)
    lengths = np.linalg.norm(pairs, axis=1)
    directions = pairs / np.maximum(lengths, 1e-9)[:, None]
    directions[lengths == 0] = _diagonal(steps)
    totals = lengths + np.abs(directions @ steps).sum(1) / 2
    best = int(np.argmax(totals))
    return float(totals[best]), directions[best]


def longest_of_mesh(centers: npt.NDArray[np.float64], steps: npt.NDArray[np.float64]) -> float:
    """Return the longest distance between two points of the mesh, mm: IBSI's maximum 3D diameter, L0JK."""
    margin = 2 * float(np.linalg.norm(steps, axis=0).max())
    pairs = _long_pairs(centers, margin)
    halves = np.concatenate([steps.T, -steps.T]) / 2
    apart = (halves[:, None] - halves[None]).reshape(-1, steps.shape[0])
    return max(float(np.linalg.norm(pairs + one, axis=1).max()) for one in apart)


def axial_diameters(
    points: npt.NDArray[np.int64], shape: tuple[int, int, int], steps: npt.NDArray[np.float64]
) -> AxialDiameters:
    """Return the longest diameter in one slice, and the longest chord of the outline's hull at right angles to it.

    Parameters
    ----------
    points : (n, 3) array of int
        The first and last voxel of each row, ordered by slice; slices lie along the first axis.
    shape : tuple of int
        Of the box that they are counted in.
    steps : (3, 3) array
        Columns are the steps along the axes, mm.
    """
    plane = np.linalg.qr(steps[:, 1:])[1]  # the steps within the slice, in a right-angled frame of the slice
    starts = np.flatnonzero(np.diff(points[:, 0], prepend=-1))
    slices = np.split(points[:, 1:], starts[1:])
    most = [_reach(one, plane) for one in slices]
    best = AxialDiameters(0.0, 0.0, int(points[0, 0]))
    for n in np.argsort(most, kind="stable")[::-1]:
        if most[n] <= best.longest:
            break
        corners = hull(_outer(slices[n], shape[1:]), plane).centers
        length, direction = longest(corners, plane)
        if length > best.longest:
            best = AxialDiameters(length, _chord(corners, direction, plane), int(points[starts[n], 0]))
    return best


def outermost(points: npt.NDArray[np.int64], shape: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """Return those first and last voxels of rows that are first or last along the other two axes as well.

    No other voxel can be at a corner of the hull.
    """
    k, j, i = points.T
    is_kept = _is_end(j, k * shape[2] + i) & _is_end(k, j * shape[2] + i)
    return points[is_kept]


def _outer(points: npt.NDArray[np.int64], shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    j, i = points.T
    return points[_is_end(j, i)] if shape[0] > 1 else points


def _is_end(position: npt.NDArray[np.int64], line: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether a voxel is the first or the last of those on its line."""
    order = np.lexsort((position, line))
    is_new = np.diff(line[order], prepend=-1) != 0
    is_last = np.append(is_new[1:], True)
    found = np.zeros(len(line), bool)
    found[order] = is_new | is_last
    return found


def _reach(points: npt.NDArray[np.int64], steps: npt.NDArray[np.float64]) -> float:
    """Return what no diameter of voxels exceeds, mm.

    Between two of some directions lies half an angle at most: what is longest there is as wide in one of them as its
    cosine says.
    """
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    across = np.stack([np.cos(angles), np.sin(angles)])
    places = (points @ steps.T) @ across
    widths = places.max(0) - places.min(0)
    voxel = float(max(np.linalg.norm(steps @ signs) for signs in ((1, 1), (1, -1))))
    return float(widths.max()) / float(np.cos(np.pi / 2 / _DIRECTIONS)) + voxel / 2


def _long_pairs(centers: npt.NDArray[np.float64], margin: float) -> npt.NDArray[np.float64]:
    """Return the differences of those pairs of points that lie apart as far as any do, up to a margin, mm."""
    middle = centers - (centers.max(0) + centers.min(0)) / 2
    radii = np.linalg.norm(middle, axis=1)
    bound = _far(middle) - margin
    middle = middle[radii >= bound - radii.max() - 1e-9]  # no other point is that far from any
    squares = (middle**2).sum(1)
    rows = max(1, _PAIRS // len(middle))
    found: list[npt.NDArray[np.float64]] = []
    for start in range(0, len(middle), rows):
        # each pair once, by the scalar product, which is rounded: a little more is kept than must be
        ours, others = middle[start : start + rows], middle[start:]
        apart = squares[start : start + rows, None] + squares[None, start:] - 2 * ours @ others.T
        bound = max(bound, float(np.sqrt(max(apart.max(), 0.0))) - margin)
        one, other = np.nonzero(apart >= max(bound - 1e-6, 0.0) ** 2 - 1e-6)
        found.append(ours[one] - others[other])
    pairs = np.concatenate(found)
    lengths = np.linalg.norm(pairs, axis=1)
    return np.asarray(pairs[lengths >= min(bound, lengths.max()) - 1e-6])


def _far(points: npt.NDArray[np.float64]) -> float:
    """Return a distance of two points that is nearly the longest."""
    start, best = points[0], 0.0
    for _ in range(4):
        lengths = np.linalg.norm(points - start, axis=1)
        start, best = points[int(np.argmax(lengths))], max(best, float(lengths.max()))
    return best


def _diagonal(steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the direction of a voxel's longest diagonal."""
    signs = np.stack(np.meshgrid(*[(1.0, -1.0)] * len(steps)), axis=-1).reshape(-1, len(steps))
    ends = signs @ steps.T
    lengths = np.linalg.norm(ends, axis=1)
    return np.asarray(ends[np.argmax(lengths)] / lengths.max())


def _chord(corners: npt.NDArray[np.float64], direction: npt.NDArray[np.float64], steps: npt.NDArray) -> float:
    """Return the longest chord of a convex outline at right angles to a direction, mm."""
    across = np.array([-direction[1], direction[0]])
    along, height = corners @ direction, corners @ across
    order = np.argsort(along, kind="stable")
    first, last = order[0], order[-1]
    line = np.interp(along, [along[first], along[last] + 1e-12], [height[first], height[last]])
    longest_chord = 0.0
    sides = [np.array([n for n in order if sign * (height[n] - line[n]) >= -1e-9]) for sign in (1, -1)]
    upper, lower = (np.interp(along, along[side], height[side]) for side in sides)
    longest_chord = float(np.max(upper - lower))
    return longest_chord + float(np.abs(across @ steps).sum()) / 2
