"""The voxels that a prompt covers, on any grid.

All of it is done in index space: the map from the patient to indices is affine, so that lines stay lines, flat areas
flat and boxes parallelepipeds, whatever the spacing, the angles or the shear.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools.base import moved
from napari_radcnn.interactive.update import Mask, MaskUpdate, box_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Rounding of positions, in voxels: a click on the outermost edge of the volume is inside.
_TOLERANCE = 1e-6
#: Longest part of a thick line, in voxels, that is looked at at once.
_PIECE = 16.0


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
    well_inside = (points >= 0.5) & (points <= np.array(geometry.shape) - 1.5)
    if well_inside.all(axis=1).any():  # most prompts, without filling them
        return True
    if prompt.kind == "box" and len(points) == 4:
        return _faces(points, geometry.shape).size > 0 or _holds_origin(points)
    return rasterize(prompt, geometry) is not None


# -- voxels ------------------------------------------------------------------------------------------------------------


def _nearest(points: Floats) -> Integers:
    return np.floor(points + 0.5 + _TOLERANCE * np.where(points < 0, 1, -1)).astype(np.int64)


def _inside(voxels: Integers, shape: tuple[int, int, int]) -> Integers:
    k, j, i = ((line >= 0) & (line < n) for line, n in zip(voxels.T, shape, strict=True))
    return voxels[k & j & i]


def _from_voxels(voxels: Integers, shape: tuple[int, int, int]) -> MaskUpdate | None:
    """Return voxels ``(n, 3)`` as a mask in their smallest box, those outside the volume left out."""
    voxels = _inside(voxels, shape)
    if not len(voxels):
        return None
    low = voxels.min(axis=0)
    mask = np.zeros(voxels.max(axis=0) - low + 1, np.bool_)
    mask[tuple((voxels - low).T)] = True
    return MaskUpdate(_box(low, low + np.array(mask.shape)), mask)


def _shrunk(mask: Mask, low: Integers) -> MaskUpdate | None:
    """Return a mask whose first voxel is `low`, in its smallest box; None for an empty one."""
    inner = box_of(mask)
    if inner is None:
        return None
    return MaskUpdate(moved(inner, _box(low, low + np.array(mask.shape))), np.ascontiguousarray(mask[inner]))


def _box(low: npt.ArrayLike, high: npt.ArrayLike) -> Box:
    k, j, i = (slice(int(a), int(b)) for a, b in zip(np.asarray(low), np.asarray(high), strict=True))
    return k, j, i


# -- lines -------------------------------------------------------------------------------------------------------------


def _line(points: Floats, shape: tuple[int, int, int]) -> Integers:
    """Return the voxels ``(n, 3)`` along a polyline; neighbors differ by at most 1 along every axis."""
    starts, ends = _clipped(points[:-1], points[1:], shape, np.full(3, 1.0))
    delta = ends - starts
    counts = np.maximum(2, np.ceil(2 * np.abs(delta).max(axis=1)).astype(int) + 1)  # half a voxel apart at most
    segment = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    samples = starts[segment] + (number / (counts[segment] - 1))[:, None] * delta[segment]
    return _inside(_nearest(np.concatenate((points[:1], samples))), shape)


def _clipped(starts: Floats, ends: Floats, shape: tuple[int, int, int], margin: Floats) -> tuple[Floats, Floats]:
    """Return the parts of lines inside the volume and `margin` voxels round it, so that a far end costs nothing."""
    delta = ends - starts
    low, high = -0.5 - margin - starts, np.array(shape) - 0.5 + margin - starts
    is_across = np.abs(delta) < 1e-12
    step = np.where(is_across, 1.0, delta)
    enters = np.where(is_across, np.where((low > 0) | (high < 0), np.inf, -np.inf), np.minimum(low / step, high / step))
    leaves = np.where(is_across, np.inf, np.maximum(low / step, high / step))
    first = np.maximum(enters.max(axis=1), 0.0)
    last = np.minimum(leaves.min(axis=1), 1.0)
    kept = first <= last
    starts, delta, first, last = starts[kept], delta[kept], first[kept], last[kept]
    return starts + first[:, None] * delta, starts + last[:, None] * delta


def _thick(prompt: Prompt, line: Integers, geometry: Geometry) -> MaskUpdate | None:
    """Return the voxels of a line and those whose center is within its radius, mm, of the polyline."""
    reach = np.linalg.norm(np.linalg.inv(geometry.affine[:3, :3]), axis=1) * prompt.radius + _TOLERANCE
    points = geometry.to_index(np.array(prompt.points))
    starts, stops = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
    index = np.stack(_pieces(*_clipped(starts, stops, geometry.shape, reach)), axis=1)
    ends = geometry.to_world(index)
    lows = np.ceil(np.maximum(index.min(axis=1) - reach, 0)).astype(int)
    highs = np.floor(np.minimum(index.max(axis=1) + reach, np.array(geometry.shape) - 1.0)).astype(int) + 1
    inside = (lows < highs).all(axis=1)
    if not inside.any():
        return _from_voxels(line, geometry.shape)
    low, high = lows[inside].min(axis=0), highs[inside].max(axis=0)
    if len(line):
        low, high = np.minimum(low, line.min(axis=0)), np.maximum(high, line.max(axis=0) + 1)
    mask = np.zeros(high - low, np.bool_)
    mask[tuple((line - low).T)] = True
    for number in np.flatnonzero(inside):
        start, end = ends[number]
        near = _near(geometry, _box(lows[number], highs[number]), start, end, prompt.radius)
        mask[_box(lows[number] - low, highs[number] - low)] |= near
    return _shrunk(mask, low)


def _pieces(starts: Floats, ends: Floats) -> tuple[Floats, Floats]:
    """Return lines cut into pieces of a few voxels, since each is looked for in the box round it."""
    delta = ends - starts
    counts = np.maximum(1, np.ceil(np.abs(delta).max(axis=1) / _PIECE)).astype(int)
    line = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    first, last = ((number + more) / counts[line] for more in (0, 1))
    return starts[line] + first[:, None] * delta[line], starts[line] + last[:, None] * delta[line]


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
    columns = _filled(closed[:, [u, v]], (shape[u], shape[v]))
    columns[tuple(_line_2d(closed[:, [u, v]], (shape[u], shape[v])).T)] = True
    flat = np.argwhere(columns)
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
    _, sizes, axes = np.linalg.svd(outline - outline.mean(axis=0), full_matrices=False)
    if sizes[1] < 1e-3:  # voxels
        return None
    return np.asarray(axes[2])


def _line_2d(points: Floats, shape: tuple[int, int]) -> Integers:
    voxels = _line(np.concatenate((points, np.zeros((len(points), 1))), axis=1), (*shape, 1))
    return voxels[:, :2]


def _filled(closed: Floats, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return, on a grid of rows and columns, whose centers an outline goes round: counted where it crosses each row."""
    start, end = closed[:-1], closed[1:]
    rises = (end[:, 0] > start[:, 0])[:, None]
    below, above = np.where(rises, start, end), np.where(rises, end, start)
    first, last = (np.clip(np.ceil(ends[:, 0]), 0, shape[0]).astype(int) for ends in (below, above))
    counts = last - first
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (above[edge, 1] - below[edge, 1]) / (above[edge, 0] - below[edge, 0])
    crossing = below[edge, 1] + (rows - below[edge, 0]) * slope
    winding = np.zeros((shape[0], shape[1] + 1), np.int64)
    column = np.clip(np.ceil(crossing), 0, shape[1]).astype(int)
    np.add.at(winding, (rows, column), np.where(rises[edge, 0], 1, -1))
    return np.asarray(np.cumsum(winding, axis=1)[:, :-1] != 0)


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


def _parts(points: Floats) -> tuple[Floats, Floats] | None:
    """Return what maps an index to how far along each edge of a box it lies, 0 to 1; None for a box without volume."""
    edges = (points[1:] - points[0]).T
    if abs(np.linalg.det(edges)) < 1e-6:  # voxels
        return None
    inverse = np.linalg.inv(edges)
    return inverse, -inverse @ points[0]


def _holds_origin(points: Floats) -> bool:
    """Return whether voxel (0, 0, 0) lies in a box: whether a box none of whose faces is inside holds everything."""
    found = _parts(points)
    return found is not None and bool(((found[1] >= 0) & (found[1] <= 1)).all())


def _solid(points: Floats, shape: tuple[int, int, int]) -> MaskUpdate | None:
    """Return the voxels whose centers lie in a box, and those of its faces."""
    corners = points[0] + np.array(list(product((0, 1), repeat=3))) @ (points[1:] - points[0])
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, shape).astype(int)  # a voxel more: faces are rounded
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, 0, shape).astype(int)
    if (low >= high).any():
        return None
    mask = np.zeros(high - low, np.bool_)
    found = _parts(points)
    if found is not None:
        _fill_rows(mask, low, *found)
    mask[tuple((_faces(points, shape) - low).T)] = True
    return _shrunk(mask, low)


def _fill_rows(mask: Mask, low: Integers, inverse: Floats, offset: Floats) -> None:
    """Mark the voxels in a box, row by row: in each it is one interval, where all three parts are in 0..1."""
    _, n_j, n_i = mask.shape
    j, i = np.arange(n_j) + low[1], np.arange(n_i) + low[2]
    for number, plane in enumerate(mask):
        first, last = np.full(n_j, -np.inf), np.full(n_j, np.inf)
        for (along_k, along_j, along_i), constant in zip(inverse, offset, strict=True):
            rest = along_k * (low[0] + number) + along_j * j + constant
            if abs(along_i) < 1e-12:
                first[(rest < -_TOLERANCE) | (rest > 1 + _TOLERANCE)] = np.inf
                continue
            ends = np.sort(np.stack(((-_TOLERANCE - rest) / along_i, (1 + _TOLERANCE - rest) / along_i)), axis=0)
            first, last = np.maximum(first, ends[0]), np.minimum(last, ends[1])
        np.logical_and(i >= first[:, None], i <= last[:, None], out=plane)
