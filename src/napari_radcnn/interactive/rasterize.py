"""The voxels that a prompt covers, on any grid.

All of it is done in index space: the map from the patient to indices is affine, so that lines stay lines, flat areas
flat and boxes parallelepipeds, whatever the spacing, the angles or the shear.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools_base import moved
from napari_radcnn.interactive.update import Box, Mask, MaskUpdate, box_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Rounding of positions to and fro, in voxels: a click on the outermost edge of the volume is inside.
_TOLERANCE = 1e-6


def rasterize(prompt: Prompt, geometry: Geometry) -> MaskUpdate | None:
    """Return the voxels that a prompt covers, in the smallest box.

    Parameters
    ----------
    prompt : Prompt
        A point covers the voxel it lies in. A scribble covers the voxels along its line, without gaps (26-connected),
        and those whose center is within its radius. A lasso or a flat box covers its area, one voxel thick, in any
        plane, and a box with depth all voxels inside; both to the nearest voxel, outline included.
    geometry : Geometry
        The grid.

    Returns
    -------
    MaskUpdate or None
        None where none of them lies inside the volume.
    """
    points = geometry.to_index(np.array(prompt.points))
    if prompt.kind == "point":
        return _from_voxels(_nearest(points), geometry.shape)
    if prompt.kind == "scribble":
        line = _line(points, geometry.shape)
        return _thick(prompt, line, geometry) if prompt.radius > 0 else _from_voxels(line, geometry.shape)
    if prompt.kind == "lasso":
        return _from_voxels(_area(points, geometry.shape), geometry.shape)
    if len(points) == 3:
        return _from_voxels(_area(_parallelogram(*points), geometry.shape), geometry.shape)
    return _solid(points, geometry.shape)


def is_inside(prompt: Prompt, geometry: Geometry) -> bool:
    """Return whether a prompt covers any voxel of a volume."""
    points = geometry.to_index(np.array(prompt.points))
    if prompt.kind == "box" and len(points) == 4:  # without filling it
        return _faces(points, geometry.shape).size > 0 or bool(_holds(points, np.zeros((1, 3)))[0])
    return rasterize(prompt, geometry) is not None


# -- voxels ------------------------------------------------------------------------------------------------------------


def _nearest(points: Floats) -> Integers:
    return np.floor(points + 0.5 + _TOLERANCE * np.where(points < 0, 1, -1)).astype(np.int64)


def _inside(voxels: Integers, shape: tuple[int, int, int]) -> Integers:
    return voxels[((voxels >= 0) & (voxels < np.array(shape))).all(axis=1)]


def _from_voxels(voxels: Integers, shape: tuple[int, int, int]) -> MaskUpdate | None:
    """Return voxels ``(n, 3)`` as a mask in their smallest box, those outside the volume left out."""
    voxels = _inside(voxels, shape)
    if not len(voxels):
        return None
    low = voxels.min(axis=0)
    mask = np.zeros(voxels.max(axis=0) - low + 1, np.bool_)
    mask[tuple((voxels - low).T)] = True
    return MaskUpdate(_box(low, low + np.array(mask.shape)), mask)


def _box(low: npt.ArrayLike, high: npt.ArrayLike) -> Box:
    k, j, i = (slice(int(a), int(b)) for a, b in zip(np.asarray(low), np.asarray(high), strict=True))
    return k, j, i


# -- lines -------------------------------------------------------------------------------------------------------------


def _line(points: Floats, shape: tuple[int, int, int]) -> Integers:
    """Return the voxels ``(n, 3)`` along a polyline; neighbors differ by at most 1 along every axis."""
    pieces = [_nearest(points[:1])]
    for start, end in pairwise(points):
        clipped = _clipped(start, end, shape)
        if clipped is not None:
            pieces.append(_nearest(_sampled(*clipped)))
    return _inside(np.unique(np.concatenate(pieces), axis=0), shape)


def _sampled(start: Floats, end: Floats) -> Floats:
    """Return points from start to end, at most half a voxel apart along every axis."""
    count = int(np.ceil(2 * np.abs(end - start).max())) + 1
    return start + np.linspace(0, 1, max(2, count))[:, None] * (end - start)


def _clipped(start: Floats, end: Floats, shape: tuple[int, int, int]) -> tuple[Floats, Floats] | None:
    """Return the part of a line inside the volume and a voxel round it, so that a far end costs nothing."""
    first, last = 0.0, 1.0
    for a, step, n in zip(start, end - start, shape, strict=True):
        low, high = -1.5 - a, n + 0.5 - a
        if abs(step) < 1e-12:
            if low > 0 or high < 0:
                return None
            continue
        enters, leaves = sorted((low / step, high / step))
        first, last = max(first, enters), min(last, leaves)
    if first > last:
        return None
    return start + first * (end - start), start + last * (end - start)


def _thick(prompt: Prompt, line: Integers, geometry: Geometry) -> MaskUpdate | None:
    """Return the voxels of a line and those whose center is within its radius, mm, of the polyline."""
    world = np.array(prompt.points)
    index = geometry.to_index(world)
    reach = np.linalg.norm(np.linalg.inv(geometry.affine[:3, :3]), axis=1) * prompt.radius
    low = np.maximum(0, np.ceil(index.min(axis=0) - reach - _TOLERANCE)).astype(int)
    high = np.minimum(geometry.shape, np.floor(index.max(axis=0) + reach + _TOLERANCE).astype(int) + 1)
    if len(line):
        low, high = np.minimum(low, line.min(axis=0)), np.maximum(high, line.max(axis=0) + 1)
    if (low >= high).any():
        return None
    mask = np.zeros(high - low, np.bool_)
    mask[tuple((line - low).T)] = True
    for start, end in pairwise(world) if len(world) > 1 else [(world[0], world[0])]:
        ends = geometry.to_index(np.array((start, end)))
        first = np.maximum(low, np.ceil(ends.min(axis=0) - reach - _TOLERANCE).astype(int))
        last = np.minimum(high, np.floor(ends.max(axis=0) + reach + _TOLERANCE).astype(int) + 1)
        if (first < last).all():
            near = _near(geometry, _box(first, last), start, end, prompt.radius)
            mask[_box(first - low, last - low)] |= near
    hit = np.argwhere(mask)
    return _from_voxels(hit + low, geometry.shape)


def _near(geometry: Geometry, box: Box, start: Floats, end: Floats, radius: float) -> Mask:
    """Return which voxel centers of a box lie within `radius` mm of the line from start to end."""
    steps = geometry.affine[:3, :3]
    k, j, i = (np.arange(extent.start, extent.stop, dtype=float) for extent in box)
    along = end - start
    length = float(along @ along)
    x, y, z = (
        k[:, None, None] * steps[axis, 0]
        + j[:, None] * steps[axis, 1]
        + i * steps[axis, 2]
        + (geometry.affine[axis, 3] - start[axis])
        for axis in range(3)
    )
    if length > 0:
        part = np.clip((x * along[0] + y * along[1] + z * along[2]) / length, 0.0, 1.0)
        x, y, z = x - part * along[0], y - part * along[1], z - part * along[2]
    return np.asarray(x * x + y * y + z * z <= radius * radius * (1 + _TOLERANCE))


# -- flat areas --------------------------------------------------------------------------------------------------------


def _parallelogram(corner: Floats, a: Floats, b: Floats) -> Floats:
    return np.array((corner, a, a + b - corner, b))


def _area(outline: Floats, shape: tuple[int, int, int]) -> Integers:
    """Return the voxels ``(n, 3)`` of a flat, closed outline and of what it encloses.

    Along the axis that its plane faces most there is one voxel for each column of the grid: the plane is one voxel
    thick and without holes. A part that the outline encloses twice is inside too.
    """
    closed = np.concatenate((outline, outline[:1]))
    normal = _normal(outline)
    if normal is None:  # all on one line: nothing is enclosed
        return _line(closed, shape)
    axis = int(np.argmax(np.abs(normal)))
    u, v = (other for other in range(3) if other != axis)
    flat = np.concatenate((_line_2d(closed[:, [u, v]], (shape[u], shape[v])), _filled(closed, u, v, shape)))
    flat = np.unique(flat, axis=0)
    center = outline.mean(axis=0)
    offset = (flat - center[[u, v]]) @ normal[[u, v]]
    voxels = np.empty((len(flat), 3), np.int64)
    voxels[:, [u, v]] = flat
    height = np.clip(center[axis] - offset / normal[axis], -2.0, shape[axis] + 1.0)
    voxels[:, axis] = _nearest(height)
    return _inside(voxels, shape)


def _normal(outline: Floats) -> Floats | None:
    """Return the unit normal, in index space, of the plane through an outline; None where it is a line or a point.

    It is that of least squares, so that a figure of eight, whose halves have opposite senses, has one too.
    """
    _, sizes, axes = np.linalg.svd(outline - outline.mean(axis=0), full_matrices=True)
    if sizes[1] < 1e-3:  # voxels
        return None
    return np.asarray(axes[2])


def _line_2d(points: Floats, shape: tuple[int, int]) -> Integers:
    voxels = _line(np.concatenate((points, np.zeros((len(points), 1))), axis=1), (*shape, 1))
    return voxels[:, :2]


def _filled(closed: Floats, u: int, v: int, shape: tuple[int, int, int]) -> Integers:
    """Return the columns ``(n, 2)`` whose centers an outline goes round, counted by where it crosses each row."""
    winding = np.zeros((shape[u], shape[v] + 1), np.int64)
    for start, end in pairwise(closed[:, [u, v]]):
        below, above = (start, end) if start[0] < end[0] else (end, start)
        rows = np.arange(max(0, int(np.ceil(below[0]))), min(shape[u], int(np.ceil(above[0]))))
        if rows.size:
            crossing = below[1] + (rows - below[0]) / (above[0] - below[0]) * (above[1] - below[1])
            column = np.clip(np.ceil(crossing), 0, shape[v]).astype(int)
            winding[rows, column] += 1 if end[0] > start[0] else -1
    return np.argwhere(np.cumsum(winding, axis=1)[:, :-1] != 0)


# -- boxes with depth --------------------------------------------------------------------------------------------------


def _faces(points: Floats, shape: tuple[int, int, int]) -> Integers:
    """Return the voxels ``(n, 3)`` of the six faces of a box, given by a corner and the three beside it."""
    corner, *beside = points
    found = []
    for number, opposite in enumerate(beside):
        a, b = (other for n, other in enumerate(beside) if n != number)
        face = _parallelogram(corner, a, b)
        found += [_area(face, shape), _area(face + (opposite - corner), shape)]
    return np.concatenate(found)


def _holds(points: Floats, voxels: Floats) -> Mask:
    """Return which positions ``(n, 3)`` lie in a box; none where it has no volume."""
    edges = (points[1:] - points[0]).T
    if abs(np.linalg.det(edges)) < 1e-6:  # voxels
        return np.zeros(len(voxels), np.bool_)
    parts = np.linalg.solve(edges, (voxels - points[0]).T)
    return np.asarray(((parts >= -_TOLERANCE) & (parts <= 1 + _TOLERANCE)).all(axis=0))


def _solid(points: Floats, shape: tuple[int, int, int]) -> MaskUpdate | None:
    """Return the voxels whose centers lie in a box, and those of its faces."""
    edges = points[1:] - points[0]
    corners = points[0] + np.array(list(product((0, 1), repeat=3))) @ edges
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, shape).astype(int)  # a voxel more: faces are rounded
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, 0, shape).astype(int)
    if (low >= high).any():
        return None
    mask = np.zeros(high - low, np.bool_)
    _, *across = (np.arange(a, b, dtype=float) for a, b in zip(low, high, strict=True))
    j, i = (line.ravel() for line in np.meshgrid(*across, indexing="ij"))
    for number, plane in enumerate(mask):  # one slice at a time: a box may be as large as the volume
        centers = np.stack((np.full(j.size, float(low[0] + number)), j, i), axis=1)
        plane[:] = _holds(points, centers).reshape(plane.shape)
    mask[tuple((_faces(points, shape) - low).T)] = True
    inner = box_of(mask)
    return None if inner is None else MaskUpdate(moved(inner, _box(low, high)), np.ascontiguousarray(mask[inner]))
