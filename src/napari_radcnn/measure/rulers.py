"""Rulers: distances, angles and regions drawn in the patient, and what they measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.measure.statistics import Tally
from napari_radcnn.volume import Volume

Kind = Literal["distance", "angle", "cobb", "bidirectional", "ellipse", "rectangle", "freehand", "sphere"]
Position = tuple[float, float, float]
#: How many points each kind has; None for any number from 3 on.
POINTS: dict[str, int | None] = {
    "distance": 2,
    "angle": 3,
    "cobb": 4,
    "bidirectional": 4,
    "ellipse": 4,
    "rectangle": 4,
    "freehand": None,
    "sphere": 2,
}
#: Those that enclose voxels.
REGIONS = ("ellipse", "rectangle", "freehand", "sphere")
#: Corners of the outline of an ellipse.
_CORNERS = 128
#: Voxels that are looked at at once.
_VOXELS = 500_000


@dataclass(frozen=True)
class Ruler:
    """One ruler.

    Attributes
    ----------
    kind : str
        ``"distance"``, ``"angle"``, ``"cobb"``, ``"bidirectional"``, ``"ellipse"``, ``"rectangle"``, ``"freehand"`` or
        ``"sphere"``.
    points : tuple of (x, y, z)
        LPS mm. A distance has its ends; an angle an end, its vertex and the other end; a Cobb angle the ends of one
        line and of another; a bidirectional ruler the ends of the long axis and of the short one; an ellipse the ends
        of its axes, two by two; a rectangle its corners in turn; freehand the corners of its outline; a sphere its
        center and a point on it.
    name : str
        Of the lesion, such as ``"liver 1"``: rulers of one name at several visits are one lesion.
    visit : str
        When, such as ``"2026-03-01"``; visits are ordered by it.
    is_target, is_node : bool
        Whether it is a target lesion (RECIST 1.1), and whether that is a lymph node, whose short axis counts.
    frame_of_reference_uid : str
        DICOM's name of the patient space that the points lie in; empty where unknown.

    Raises
    ------
    OptionError
        If the kind is unknown, or the points are not as many as it has, or not finite.
    """

    kind: Kind
    points: tuple[Position, ...]
    name: str = ""
    visit: str = ""
    is_target: bool = False
    is_node: bool = False
    frame_of_reference_uid: str = ""
    uid: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise OptionError(f"'{self.kind}' is no ruler: use {', '.join(get_args(Kind))}.")
        wanted, n = POINTS[self.kind], len(self.points)
        if n != wanted if wanted is not None else n < 3:
            raise OptionError(f"A ruler of kind {self.kind} has {wanted or 'at least 3'} points, not {n}.")
        if np.shape(self.points) != (n, 3) or not np.isfinite(self.points).all():
            raise OptionError(f"The points of a ruler are three finite numbers each, got {self.points}.")

    # -- its size --------------------------------------------------------------------------------------------------

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """(n, 3) its points, LPS mm."""
        return np.array(self.points, float)

    @property
    def center(self) -> Position:
        """The middle of its points; of a sphere its center."""
        x, y, z = (self.positions[0] if self.kind == "sphere" else self.positions.mean(0)).tolist()
        return x, y, z

    @property
    def sizes(self) -> dict[str, float]:
        """What it measures without a scan, by column.

        ``length_mm`` of a distance; ``angle_deg`` of an angle, 0 to 180, and of a Cobb angle, that of two lines, 0 to
        90; ``long_axis_mm`` and ``short_axis_mm`` of a bidirectional ruler and an ellipse; ``area_mm2`` of a region in
        a plane; ``diameter_mm`` and ``volume_ml`` of a sphere.
        """
        points = self.positions
        if self.kind == "distance":
            return {"length_mm": _length(points[0], points[1])}
        if self.kind == "angle":
            return {"angle_deg": _angle(points[0] - points[1], points[2] - points[1])}
        if self.kind == "cobb":
            angle = _angle(points[1] - points[0], points[3] - points[2])
            return {"angle_deg": min(angle, 180 - angle)}
        if self.kind == "sphere":
            radius = _length(points[0], points[1])
            return {"diameter_mm": 2 * radius, "volume_ml": 4 / 3 * np.pi * radius**3 / 1000}
        if self.kind in ("bidirectional", "ellipse"):
            axes = sorted((_length(points[0], points[1]), _length(points[2], points[3])))
            found = {"long_axis_mm": axes[1], "short_axis_mm": axes[0]}
            return (
                found if self.kind == "bidirectional" else {**found, "area_mm2": float(np.pi / 4 * axes[0] * axes[1])}
            )
        return {"area_mm2": _area(points)}

    @property
    def diameter(self) -> float | None:
        """What counts in a sum of diameters (RECIST 1.1), mm: the longest, of a lymph node the short axis."""
        sizes = self.sizes
        if self.is_node and "short_axis_mm" in sizes:
            return sizes["short_axis_mm"]
        return next((sizes[key] for key in ("long_axis_mm", "length_mm", "diameter_mm") if key in sizes), None)

    @property
    def outline(self) -> npt.NDArray[np.float64]:
        """(n, 3) the corners of what is drawn of a region in a plane, or the points of another ruler."""
        if self.kind != "ellipse":
            return self.positions
        center, first, second = _ellipse(self.positions)
        angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
        return np.asarray(center + np.cos(angles) * first + np.sin(angles) * second)

    # -- a scan ----------------------------------------------------------------------------------------------------

    def is_in_space_of(self, image: Volume) -> bool:
        """Whether it lies in the patient space of a scan, as far as both say (FrameOfReferenceUID)."""
        ours, theirs = self.frame_of_reference_uid, image.metadata.frame_of_reference_uid
        return not ours or not theirs or ours == theirs

    def measure(self, image: Volume | None = None, suv: bool = False) -> dict[str, float | int | None]:
        """Return its sizes and, of a region, the values of a scan in it.

        Parameters
        ----------
        image : Volume, optional
            One in another patient space counts as none. Of a region in a plane those voxels count whose slice the plane
            lies in, and whose center lies within the outline; of a sphere those whose center lies in it.
        suv : bool
            In SUV by body weight, where the scan has a factor.

        Returns
        -------
        dict
            `sizes` and, of a region on a scan, ``voxels``, ``mean``, ``sd``, ``min``, ``max``; None where no voxel of
            the scan lies in it, as of a region outside of the scan.
        """
        found: dict[str, float | int | None] = dict(self.sizes)
        if image is None or self.kind not in REGIONS or image.is_color or not self.is_in_space_of(image):
            return found
        factor = image.suvbw_factor if suv and image.suvbw_factor is not None else 1.0
        padding, tally = image.metadata.padding_value, Tally()
        for box, is_inside in self.inside(image.geometry):
            values = np.asarray(image.array[box])[is_inside].astype(float)
            is_value = np.isfinite(values) if padding is None else np.isfinite(values) & (values != padding)
            tally.add(values[is_value] * factor)
        figures = (tally.mean, tally.sd, tally.lowest, tally.highest)
        found["voxels"] = tally.n
        return found | {
            key: value if tally.n else None for key, value in zip(("mean", "sd", "min", "max"), figures, strict=True)
        }

    def inside(self, grid: Geometry) -> Iterator[tuple[Box, npt.NDArray[np.bool_]]]:
        """Give boxes of a grid, each with the mask of the voxels in it that lie in a region."""
        points, steps = self.positions, grid.affine[:3, :3]
        if self.kind == "sphere":
            radius = _length(points[0], points[1])
            reach = radius * np.linalg.norm(np.linalg.inv(steps), axis=1)
            middle = grid.to_index(points[0])
            for box in _boxes(grid, middle - reach, middle + reach):
                away = sum((_along(grid, box, axis) - points[0] @ axis) ** 2 for axis in np.eye(3))
                yield box, np.asarray(away <= (radius + 1e-9) ** 2)
            return
        outline = self.outline
        normal = _normal(outline)
        # how far a voxel reaches from its center along the normal: half of its extent along the grid's nearest axis
        half = float(np.abs(normal @ steps).max()) / 2
        corners = grid.to_index(outline)
        for box in _boxes(grid, corners.min(0) - 1, corners.max(0) + 1):
            away = _along(grid, box, normal) - outline.mean(0) @ normal
            is_inside = (away > -half + 1e-6) & (away <= half + 1e-6)
            near = np.argwhere(is_inside)
            position = grid.to_world(near + [extent.start for extent in box])
            is_inside[tuple(near.T)] = _within(position, outline, normal)
            yield box, is_inside


def _boxes(grid: Geometry, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> Iterator[Box]:
    """Give the part of a grid between two indices, some slices and rows at a time."""
    first = np.maximum(np.floor(low), 0).astype(int).tolist()
    stop = (np.minimum(np.ceil(high), np.array(grid.shape) - 1).astype(int) + 1).tolist()
    if any(b <= a for a, b in zip(first, stop, strict=True)):
        return
    columns = stop[2] - first[2]
    rows = max(1, min(stop[1] - first[1], _VOXELS // columns))
    slices = max(1, _VOXELS // columns // rows)
    for k in range(first[0], stop[0], slices):
        for j in range(first[1], stop[1], rows):
            yield (
                slice(k, min(k + slices, stop[0])),
                slice(j, min(j + rows, stop[1])),
                slice(first[2], stop[2]),
            )


def _along(grid: Geometry, box: Box, direction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how far the voxels of a box lie along a direction, mm."""
    steps = direction @ grid.affine[:3, :3]
    k, j, i = (step * np.arange(extent.start, extent.stop) for step, extent in zip(steps, box, strict=True))
    return np.asarray(k[:, None, None] + j[:, None] + i + direction @ grid.affine[:3, 3])


def _within(
    position: npt.NDArray[np.float64], outline: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Whether positions lie in an outline, seen along its normal: an odd number of its sides is to the right."""
    across = np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])
    frame = np.stack([across / np.linalg.norm(across), np.cross(normal, across) / np.linalg.norm(across)], axis=1)
    x, y = (position @ frame).T
    found = np.zeros(len(x), bool)
    corners = outline @ frame
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        is_crossed = (y1 > y) != (y2 > y)
        if is_crossed.any():
            found ^= is_crossed & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return found


def _length(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(second - first))


def _angle(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Return the angle between two directions, 0 to 180 degrees; exact near both ends, unlike the arc cosine."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(first, second)), first @ second)))


def _ellipse(
    ends: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return ends.mean(0), (ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2


def _vector_area(outline: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the area of a polygon as a vector along its normal (Newell)."""
    from_middle = outline - outline.mean(0)
    return np.asarray(np.cross(from_middle, np.roll(from_middle, -1, axis=0)).sum(0) / 2)


def _area(outline: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(_vector_area(outline)))


def _normal(outline: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the unit normal of an outline; of one without an area any at right angles to its longest side."""
    area = _vector_area(outline)
    size = np.linalg.norm(area)
    if size > 1e-12:
        return np.asarray(area / size)
    return np.array((0.0, 0.0, 1.0))


def units(columns: Sequence[str], unit: str) -> dict[str, str]:
    """Return the unit of each column of a ruler; `unit` is that of the scan."""
    by_end = {"_mm": "mm", "_mm2": "mm²", "_ml": "ml", "_deg": "°"}
    ends = {name: next((u for end, u in by_end.items() if name.endswith(end)), None) for name in columns}
    return {name: ("" if name == "voxels" else unit) if found is None else found for name, found in ends.items()}
