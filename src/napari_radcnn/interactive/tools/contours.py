"""Closed lines: the contour of equal value through a voxel, and scissors that cut along a drawn outline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.prompts import Position, check_reach
from napari_radcnn.interactive.tools.base import TOLERANCE, Tool, ToolState, as_triple, check_keys, overlap
from napari_radcnn.interactive.tools.ranges import AXES, in_range, index_at, refuse_color
from napari_radcnn.interactive.update import Mask, MaskUpdate, whole_box
from napari_radcnn.progress import Monitor

#: What scissors do with the voxels inside their outline.
CUTS = ("erase_inside", "erase_outside", "fill_inside")
#: mm a slice by which a cut may lean and still count as straight through the slices.
_STRAIGHT = 1e-9
_TITLES = {"erase_inside": "Scissors", "erase_outside": "Scissors, outside", "fill_inside": "Scissors, filled"}


@dataclass(frozen=True)
class TraceLevel(Tool):
    """Add what the contour of equal value through a voxel encloses, in one slice.

    Parameters
    ----------
    position : (x, y, z)
        LPS mm, in the voxel.
    axis : str
        The scan's axis across the slice: ``"k"``, ``"j"`` or ``"i"``.
    erase : bool
        Whether the enclosed voxels are removed instead of added.

    Raises
    ------
    OptionError
        If the position is none, or the axis unknown.

    Notes
    -----
    Voxels at least as bright as the one pointed at, which hang together with it over their edges, have an outer
    contour; so have those at most as bright. That one is taken which does not meet the border of the slice, of two
    such the smaller one, and its holes are filled.
    """

    name: ClassVar[str] = "trace_level"
    position: Position
    axis: str = "k"
    erase: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", as_triple("The position of a level", self.position))
        if self.axis not in AXES:
            raise OptionError(f"'axis' must be one of k, j, i, got {self.axis!r}.")
        if not isinstance(self.erase, bool):
            raise OptionError(f"'erase' must be true or false, got {self.erase!r}.")

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Level tracing, erased" if self.erase else "Level tracing"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the tool that `to_dict` wrote.

        Raises
        ------
        OptionError
            If a key is missing or unknown, or a value makes no sense.
        """
        check_keys(cls.name, plain, ("position_mm", "axis", "erase"), ("position_mm",))
        return cls(plain["position_mm"], plain.get("axis", "k"), plain.get("erase", False))

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as JSON types."""
        return {"name": self.name, "position_mm": list(self.position), "axis": self.axis, "erase": self.erase}

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object with what the contour encloses.

        Raises
        ------
        OptionError
            If the position lies outside the scan, the scan has no value there, or no contour passes through it.
        """
        monitor.check()
        box, enclosed = traced(self, state)
        before = state.mask(box)
        return state.update(box, before & ~enclosed if self.erase else before | enclosed)


def traced(tool: TraceLevel, state: ToolState) -> tuple[Box, Mask]:
    """Return the slice of a level tracing as a box one voxel thick, and what its contour encloses there.

    Raises
    ------
    OptionError
        As of `TraceLevel.apply`.
    """
    from scipy import ndimage

    refuse_color(state.volume)
    index, number = index_at(state.geometry, tool.position), AXES.index(tool.axis)
    ends = list(whole_box(state.geometry.shape))
    ends[number] = slice(index[number], index[number] + 1)
    box = (ends[0], ends[1], ends[2])
    values = state.volume.read_block(box).squeeze(number)
    at = tuple(n for axis, n in enumerate(index) if axis != number)
    level = float(values[at])
    if not math.isfinite(level):
        raise OptionError("The scan has no finite value there: point at another voxel.")
    found = []
    for low, high in ((level, None), (None, level)):
        numbers, _ = ndimage.label(in_range(values, low, high))
        region = ndimage.binary_fill_holes(numbers == numbers[at])
        rim = region[0].any() or region[-1].any() or region[:, 0].any() or region[:, -1].any()
        found.append((bool(rim), int(np.count_nonzero(region)), region))
    _, size, region = min(found, key=lambda each: each[:2])
    if size == region.size:
        raise OptionError(f"No contour of the value {level:g} passes there: point at another voxel.")
    return box, np.expand_dims(region, number)


@dataclass(frozen=True)
class Scissors(Tool):
    """Cut the object along a closed line, straight through all slices or on the slice it is drawn on.

    Parameters
    ----------
    points : sequence of (x, y, z)
        Corners of the line, LPS mm, three or more; it is closed from the last to the first. Where it crosses itself,
        what it goes round twice is outside.
    operation : str
        ``"erase_inside"``: the object loses what is inside. ``"erase_outside"``: it keeps only that.
        ``"fill_inside"``: what is inside is added to it.
    is_through : bool
        Whether all slices are cut; else only the voxels whose bodies the plane of the line meets.
    normal : (x, y, z) or None
        Of that plane, which is the direction of the cut; of any length. None is that of the scan's slices.

    Raises
    ------
    OptionError
        If there are too few points, a number is not finite, or the operation is unknown.
    """

    name: ClassVar[str] = "scissors"
    points: tuple[Position, ...]
    operation: str = "erase_inside"
    is_through: bool = True
    normal: Position | None = None

    def __post_init__(self) -> None:
        if isinstance(self.points, str | bytes | Mapping) or not hasattr(self.points, "__len__"):
            raise OptionError(f"The points of a cut must be a list of [x, y, z], got {self.points!r}.")
        points = tuple(as_triple("A point of a cut", point) for point in self.points)
        if len(set(points)) < 3:
            raise OptionError(f"A cut needs at least three different points, got {len(set(points))}.")
        if self.operation not in CUTS:
            raise OptionError(f"'operation' must be one of {', '.join(CUTS)}, got {self.operation!r}.")
        if not isinstance(self.is_through, bool):
            raise OptionError(f"'is_through' must be true or false, got {self.is_through!r}.")
        normal = None if self.normal is None else as_triple("The normal of a plane", self.normal)
        if normal is not None and math.hypot(*normal) == 0:
            raise OptionError("The normal of a plane must not be [0, 0, 0].")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "normal", normal)

    @property
    def title(self) -> str:
        """What a history calls it."""
        return f"{_TITLES[self.operation]}{'' if self.is_through else ' on one slice'}"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the cut that `to_dict` wrote.

        Raises
        ------
        OptionError
            If a key is missing or unknown, or a value makes no sense.
        """
        check_keys(cls.name, plain, ("points_mm", "operation", "is_through", "normal"), ("points_mm",))
        return cls(
            plain["points_mm"],
            plain.get("operation", "erase_inside"),
            plain.get("is_through", True),
            plain.get("normal"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the cut as JSON types."""
        plain: dict[str, Any] = {
            "name": self.name,
            "points_mm": [list(point) for point in self.points],
            "operation": self.operation,
            "is_through": self.is_through,
        }
        if self.normal is not None:
            plain["normal"] = list(self.normal)
        return plain

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object after the cut; None where nothing changes.

        Raises
        ------
        OptionError
            If a point lies more than 10 m away from the scan.
        """
        check_reach("cut", self.points, state.geometry)
        box = self._reached(state.geometry) if self.operation == "fill_inside" else state.find()
        if box is None:
            return None
        before = state.mask(box)
        inside = self._inside(state.geometry, box, before if self.operation != "fill_inside" else None, monitor)
        if self.operation == "fill_inside":
            return state.update(box, before | inside)
        if self.operation == "erase_inside":
            return state.update(box, before & ~inside)
        return state.update(box, before & (inside | ~self._on_plane(state.geometry, box)))

    def _reached(self, geometry: Geometry) -> Box | None:
        """Return the box of the voxels that may lie inside; None for none."""
        if self.is_through:
            return whole_box(geometry.shape)
        corners = geometry.to_index(np.array(self.points))
        low, high = np.floor(corners.min(axis=0)).astype(int) - 1, np.ceil(corners.max(axis=0)).astype(int) + 2
        k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return overlap((k, j, i), whole_box(geometry.shape))

    def _frame(self, geometry: Geometry) -> npt.NDArray[np.float64]:
        """Return three unit vectors, LPS, as rows: two in the plane of the line, and its normal."""
        columns = geometry.affine[:3, :3]
        normal = np.cross(columns[:, 1], columns[:, 2]) if self.normal is None else np.array(self.normal)
        across = normal @ columns
        normal = normal * (np.sign(across[np.abs(across).argmax()]) / np.linalg.norm(normal))
        first = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
        first /= np.linalg.norm(first)
        return np.stack([first, np.cross(normal, first), normal])

    def _on_plane(self, geometry: Geometry, box: Box) -> Mask:
        """Return the voxels of a box that the cut is about: all, or those that the plane of the line meets."""
        if self.is_through:
            return np.ones((1, 1, 1), bool)
        normal = self._frame(geometry)[2]
        half = 0.5 * float(np.abs(normal @ geometry.affine[:3, :3]).sum())
        depth = _along(geometry, box, normal) - float(np.array(self.points[0]) @ normal)
        return np.asarray((depth > -half * (1 - TOLERANCE)) & (depth <= half * (1 + TOLERANCE)))

    def _inside(self, geometry: Geometry, box: Box, among: Mask | None, monitor: Monitor) -> Mask:
        """Return the voxels of a box inside the line, of `among` where it is given."""
        from skimage.measure import points_in_poly

        across, along, _ = self._frame(geometry)
        corners = np.array(self.points) @ np.stack([across, along], axis=1)
        low, high = corners.min(axis=0) - 1e-9, corners.max(axis=0) + 1e-9
        shape = tuple(extent.stop - extent.start for extent in box)
        result = np.zeros(shape, bool)
        is_straight = np.abs(np.stack([across, along]) @ geometry.affine[:3, 0]).max() < _STRAIGHT
        monitor.total = shape[0]
        for n in range(shape[0]):
            if n % 16 == 0:
                monitor.done = n
                monitor.say("cutting")
            if is_straight and n > 0:  # every slice is cut as the first one is
                result[n] = result[0]
                continue
            row = (slice(box[0].start + n, box[0].start + n + 1), box[1], box[2])
            x, y = _along(geometry, row, across)[0], _along(geometry, row, along)[0]
            near = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
            if among is not None and not is_straight:
                near &= among[n]
            if near.any():
                result[n][near] = points_in_poly(np.stack([x[near], y[near]], axis=1), corners)
        result &= self._on_plane(geometry, box)
        return result


def _along(geometry: Geometry, box: Box, direction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how far the voxel centers of a box lie along a direction, mm, as a (k, j, i) array."""
    steps = direction @ geometry.affine[:3, :3]
    k, j, i = (np.arange(extent.start, extent.stop) * step for extent, step in zip(box, steps, strict=True))
    offset = float(direction @ geometry.affine[:3, 3])
    return np.asarray((k[:, None] + j)[:, :, None] + i + offset)
