"""Brush and eraser: what a stroke covers, in any plane or as a ball, on any grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.prompts import FARTHEST_MM, check_reach
from napari_radcnn.interactive.tools.base import (
    TOLERANCE,
    Tool,
    ToolState,
    as_number,
    as_triple,
    check_keys,
    moved,
    overlap,
    reach,
    relative,
)
from napari_radcnn.interactive.tools.ranges import checked_range, in_range, refuse_color
from napari_radcnn.interactive.update import Mask, MaskUpdate, box_of, joined, whole_box
from napari_radcnn.progress import Monitor

#: Two ends of a straight piece of a stroke, in fractional indices.
Segment = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

_KEYS = {
    "points_mm": "points",
    "radius_mm": "radius",
    "erase": "erase",
    "low": "low",
    "high": "high",
    "is_flat": "is_flat",
    "normal": "normal",
    "is_connected": "is_connected",
}


@dataclass(frozen=True)
class Paint(Tool):
    """One stroke of the brush or of the eraser.

    Parameters
    ----------
    points : sequence of (x, y, z)
        The line that was drawn, LPS mm; one point or more. What lies outside the scan is clipped.
    radius : float
        Of the brush, mm. The voxel under the line is always covered, so that a radius of 0 draws one voxel wide.
    erase : bool
        Whether voxels are removed from the object instead of added to it.
    low, high : float or None
        Only voxels whose value in the scan's units lies in ``low..high``, ends included, change; None is no limit.
    is_flat : bool
        Whether the brush is a disk in the plane through the line; else a ball.
    normal : (x, y, z) or None
        Of the plane of a flat brush, in the patient, of any length. None is the plane of the scan's slices. A voxel is
        in the plane where its body, not just its center, meets it.
    is_connected : bool
        Whether of the voxels in the range only those change that hang together, over faces and edges, with some under
        the line, within what the brush covers: the smart brush, which does not reach over an edge.

    Raises
    ------
    OptionError
        If a number is not finite, there is no point, the radius is negative or the range empty.
    """

    name: ClassVar[str] = "paint"
    points: tuple[tuple[float, float, float], ...]
    radius: float
    erase: bool = False
    low: float | None = None
    high: float | None = None
    is_flat: bool = True
    normal: tuple[float, float, float] | None = None
    is_connected: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.points, str | bytes | Mapping) or not hasattr(self.points, "__len__"):
            raise OptionError(f"The points of a stroke must be a list of [x, y, z], got {self.points!r}.")
        points = tuple(as_triple("A point of a stroke", point) for point in self.points)
        if not points:
            raise OptionError("A stroke needs at least one point.")
        radius = as_number("The radius of a brush", self.radius)
        if not 0 <= radius <= FARTHEST_MM:
            raise OptionError(f"The radius of a brush must be 0 to {FARTHEST_MM:g} mm, got {radius:g}.")
        low, high = checked_range(self.low, self.high)
        for name in ("erase", "is_flat", "is_connected"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"'{name}' must be true or false, got {getattr(self, name)!r}.")
        normal = None if self.normal is None else as_triple("The normal of a plane", self.normal)
        if normal is not None and math.hypot(*normal) == 0:
            raise OptionError("The normal of a plane must not be [0, 0, 0].")
        for name, value in {"points": points, "radius": radius, "low": low, "high": high, "normal": normal}.items():
            object.__setattr__(self, name, value)

    @property
    def title(self) -> str:
        """What a history calls it."""
        if self.is_connected:
            return "Smart eraser" if self.erase else "Smart brush"
        return "Eraser" if self.erase else "Brush"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the stroke that `to_dict` wrote.

        Raises
        ------
        OptionError
            If a key is missing or unknown, or a value makes no sense.
        """
        check_keys(cls.name, plain, _KEYS, ("points_mm", "radius_mm"))
        return cls(**{_KEYS[key]: value for key, value in plain.items() if key != "name"})

    def to_dict(self) -> dict[str, Any]:
        """Return the stroke as JSON types."""
        plain: dict[str, Any] = {
            "name": self.name,
            "points_mm": [list(point) for point in self.points],
            "radius_mm": self.radius,
            "erase": self.erase,
            "is_flat": self.is_flat,
        }
        for key in ("low", "high"):
            if getattr(self, key) is not None:
                plain[key] = getattr(self, key)
        if self.normal is not None:
            plain["normal"] = list(self.normal)
        if self.is_connected:
            plain["is_connected"] = True
        return plain

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object with the stroke; None where it changes no voxel.

        Raises
        ------
        OptionError
            If a range of values is asked for on a color image, or a point lies more than 10 m away from the scan.
        """
        has_range = self.low is not None or self.high is not None
        if has_range:
            refuse_color(state.volume)
        check_reach("stroke", self.points, state.geometry)
        covered = stroke(self, state.geometry, monitor)
        if covered is None:
            return None
        box, mask = covered
        if has_range:
            mask &= in_range(state.volume.read_block(box), self.low, self.high)
        if self.is_connected:
            mask = _with_line(mask, box, _segments(self, state.geometry))
        before = state.mask(box)
        return state.update(box, before & ~mask if self.erase else before | mask)


def stroke(paint: Paint, geometry: Geometry, monitor: Monitor) -> tuple[Box, Mask] | None:
    """Return the voxels that a stroke covers, whatever their values, in a box; None where all lie outside."""
    normal = _normal(paint, geometry)
    segments = _segments(paint, geometry)
    extent = _extent(geometry, paint.radius, normal)
    boxes = [_segment_box(geometry, ends, extent) for ends in segments]
    box: Box | None = None
    for each in boxes:
        box = joined(box, each)
    if box is None:
        return None
    mask = np.zeros([extent.stop - extent.start for extent in box], bool)
    for ends, each in zip(segments, boxes, strict=True):
        if each is not None:
            monitor.check()
            mask[relative(each, box)] |= _capsule(geometry, ends, each, paint.radius, normal)
    _draw_line(mask, box, segments)
    found = box_of(mask)
    return None if found is None else (moved(found, box), mask[found])


def _normal(paint: Paint, geometry: Geometry) -> npt.NDArray[np.float64] | None:
    """Return the unit normal of a flat brush's plane; None for a ball."""
    if not paint.is_flat:
        return None
    columns = geometry.affine[:3, :3]
    normal = np.cross(columns[:, 1], columns[:, 2]) if paint.normal is None else np.asarray(paint.normal, float)
    across = normal @ columns
    sign = np.sign(across[np.abs(across).argmax()])  # so that "half a voxel is rounded up" means the higher index
    return np.asarray(normal * (sign / np.linalg.norm(normal)))


def _segments(paint: Paint, geometry: Geometry) -> list[Segment]:
    """Return the pieces of a stroke's line in index space; long ones are cut, so that their boxes are mostly full."""
    points = np.asarray(paint.points, float)
    points = points[np.concatenate([[True], (np.diff(points, axis=0) != 0).any(axis=1)])]
    longest = 4 * max(paint.radius, *geometry.spacing)
    cut = [points[:1]]
    for start, stop in pairwise(points):
        pieces = math.ceil(float(np.linalg.norm(stop - start)) / longest)
        cut.append(start + np.arange(1, pieces + 1)[:, None] / pieces * (stop - start))
    index = geometry.to_index(np.concatenate(cut))
    return list(pairwise(index)) or [(index[0], index[0])]


def _extent(geometry: Geometry, radius: float, normal: npt.NDArray[np.float64] | None) -> npt.NDArray[np.int_]:
    """Return how many voxels along each axis the brush reaches at most."""
    if normal is None:
        return np.asarray(reach(geometry, radius)) + 1
    rows = np.linalg.inv(geometry.affine[:3, :3])
    across = rows @ normal
    inside = np.linalg.norm(rows - np.outer(across, normal), axis=1)
    return np.asarray(np.ceil(inside * radius + np.abs(across) * _half_thickness(geometry, normal)), int)


def _half_thickness(geometry: Geometry, normal: npt.NDArray[np.float64]) -> float:
    """Return how far a voxel, a parallelepiped, reaches from its center along a direction, mm."""
    return 0.5 * float(np.abs(normal @ geometry.affine[:3, :3]).sum())


def _segment_box(geometry: Geometry, ends: Segment, extent: npt.NDArray[np.int_]) -> Box | None:
    """Return the box of the voxels that a piece of a stroke may cover; None outside the volume."""
    low = np.floor(np.minimum(*ends)).astype(int) - extent
    high = np.ceil(np.maximum(*ends)).astype(int) + extent + 1
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return overlap((k, j, i), whole_box(geometry.shape))


def _capsule(
    geometry: Geometry, ends: Segment, box: Box, radius: float, normal: npt.NDArray[np.float64] | None
) -> Mask:
    """Return the voxels of a box whose centers lie within `radius` of a segment; of a flat brush those in its plane.

    Everything is a sum of one term an axis, so that little of it is done for every voxel, and in float32: the indices
    are counted from the segment's start, and rounding stays far below `TOLERANCE`.
    """
    steps = geometry.affine[:3, :3]
    line = steps @ (ends[1] - ends[0])
    axes = [
        (np.arange(extent.start, extent.stop) - start).astype(np.float32)
        for extent, start in zip(box, ends[0], strict=True)
    ]
    flat, first, last, met = np.eye(3), 0.0, 1.0, None
    if normal is not None:
        flat = flat - np.outer(normal, normal)
        first, last = _parts_in_plane(
            _sum(axes, normal @ steps), float(normal @ line), _half_thickness(geometry, normal)
        )
        met = first <= last
    metric, along = flat @ steps, flat @ line
    length = float(along @ along)
    squared = _squared(axes, metric.T @ metric)
    if length > 0:
        dot = _sum(axes, along @ metric)
        part = np.clip(dot * (1 / length), first, last)  # where on the line the nearest point is
        dot *= 2
        dot -= part * length
        dot *= part
        squared -= dot
    inside = squared <= (radius * (1 + TOLERANCE)) ** 2
    return np.asarray(inside if met is None else inside & met)


def _parts_in_plane(depth: npt.NDArray[np.float32], rise: float, half: float) -> tuple[Any, Any]:
    """Return from where to where on a segment, 0..1, the plane through it meets each voxel; an empty range for never.

    Parameters
    ----------
    depth : (k, j, i) array
        How high voxel centers lie above the segment's start, along the plane's normal, mm.
    rise : float
        How high its end lies.
    half : float
        How far a voxel reaches along the normal. One end is left open, so that a plane right between two slices paints
        one of them.
    """
    over, under = half * (1 + TOLERANCE), half * (1 - TOLERANCE)
    if abs(rise) <= TOLERANCE * half:
        return np.where((depth > -under) & (depth <= over), np.float32(0), np.float32(2)), 1.0
    enters, leaves = (depth - over) / rise, (depth + under) / rise
    return np.clip(np.minimum(enters, leaves), 0.0, None), np.clip(np.maximum(enters, leaves), None, 1.0)


def _sum(axes: list[npt.NDArray[np.float32]], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the sum of weighted indices at every voxel of a box."""
    k, j, i = (axis * weight for axis, weight in zip(axes, weights.tolist(), strict=True))
    return np.asarray((k[:, None] + j)[:, :, None] + i)


def _squared(axes: list[npt.NDArray[np.float32]], gram: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the squared lengths, by the products of a grid's steps, of the indices of a box."""
    k, j, i = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    (kk, kj, ki), (_, jj, ji), (_, _, ii) = gram.tolist()
    squared = i * ii + (2 * ki * k + 2 * ji * j)
    squared *= i
    squared += kk * k**2 + jj * j**2 + 2 * kj * k * j
    return np.asarray(squared)


def _with_line(mask: Mask, box: Box, segments: list[Segment]) -> Mask:
    """Return the parts of a mask that hang together, over faces and edges, with a voxel under a line."""
    from scipy import ndimage

    line = np.zeros(mask.shape, bool)
    _draw_line(line, box, segments)
    return np.asarray(ndimage.binary_propagation(line & mask, ndimage.generate_binary_structure(3, 2), mask))


def _draw_line(mask: Mask, box: Box, segments: list[Segment]) -> None:
    """Set the voxels under a line, without gaps; half a voxel is rounded up, as a flat brush does."""
    samples = [
        start + np.linspace(0, 1, int(np.ceil(np.abs(stop - start).max() * 2)) + 1)[:, None] * (stop - start)
        for start, stop in segments
    ]
    index = np.floor(np.concatenate(samples) + (0.5 + TOLERANCE)).astype(int) - [extent.start for extent in box]
    mask[tuple(index[((index >= 0) & (index < mask.shape)).all(axis=1)].T)] = True
