"""A plane in the patient, with pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError

_Floats = npt.NDArray[np.float64]
_UNIT_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Plane:
    """A picture plane in the patient: pixels of one size along two directions at right angles.

    Parameters
    ----------
    origin : (3,) sequence of float
        Center of the pixel in the first row and column, LPS mm.
    right, down : (3,) sequence of float
        Directions of the rows' pixels and of the rows, LPS; of any length, kept with length 1.
    spacing : (down, right)
        mm from row to row and from column to column.
    shape : (rows, columns)
        Number of pixels.

    Raises
    ------
    GeometryError
        If the directions are not at right angles, or the plane has no extent.

    Examples
    --------
    >>> plane = Plane.centered((0, 0, 40), right=(1, 0, 0), down=(0, 1, 0), spacing=(0.5, 0.5), shape=(101, 201))
    >>> plane.normal.tolist(), plane.origin.tolist()
    ([0.0, 0.0, 1.0], [-50.0, -25.0, 40.0])
    """

    origin: _Floats
    right: _Floats
    down: _Floats
    spacing: tuple[float, float]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        origin, right, down = (np.array(part, float) for part in (self.origin, self.right, self.down))
        spacing, shape = np.array(self.spacing, float), np.array(self.shape)
        for part in (origin, right, down):
            if part.shape != (3,) or not np.isfinite(part).all():
                raise GeometryError(f"A place or direction of a plane is three finite numbers, got {part.tolist()}.")
        lengths = np.linalg.norm(right), np.linalg.norm(down)
        if min(lengths) == 0 or abs(right @ down) > _UNIT_TOLERANCE * lengths[0] * lengths[1]:
            raise GeometryError(
                f"The directions of a plane must be at right angles, got {right.tolist()} and {down.tolist()}."
            )
        if spacing.shape != (2,) or not np.isfinite(spacing).all() or min(spacing) <= 0:
            raise GeometryError(f"The spacing of a plane is two lengths above zero in mm, got {spacing.tolist()}.")
        if shape.shape != (2,) or min(shape) < 1:
            raise GeometryError(f"A plane has at least one row and one column, got {shape.tolist()}.")
        for name, value in (("origin", origin), ("right", right / lengths[0]), ("down", down / lengths[1])):
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "spacing", (float(spacing[0]), float(spacing[1])))
        object.__setattr__(self, "shape", (int(shape[0]), int(shape[1])))

    @classmethod
    def centered(
        cls,
        center: npt.ArrayLike,
        right: npt.ArrayLike,
        down: npt.ArrayLike,
        spacing: Sequence[float],
        shape: Sequence[int],
    ) -> Plane:
        """Return the plane whose middle lies at `center`, LPS mm; the rest as of a `Plane`."""
        across, along = (np.array(part, float) for part in (right, down))
        middle = (np.array(shape, float) - 1) / 2 * np.array(spacing, float)
        origin = np.array(center, float)
        for length, way in zip(middle, (along, across), strict=True):
            norm = np.linalg.norm(way)
            origin = origin - length * way / (norm if norm > 0 else 1.0)
        return cls(origin, across, along, (spacing[0], spacing[1]), (shape[0], shape[1]))

    @cached_property
    def normal(self) -> _Floats:
        """(3,) unit vector across the plane, LPS: towards the head in an axial picture with the front up."""
        return np.cross(self.right, self.down)

    @property
    def steps(self) -> _Floats:
        """(3, 2) LPS mm from row to row and from column to column, as columns."""
        return np.stack([self.down * self.spacing[0], self.right * self.spacing[1]], axis=1)

    def to_world(self, pixel: npt.ArrayLike) -> _Floats:
        """Return the LPS mm positions ``(..., 3)`` of pixels ``(..., 2)``, (row, column), also between them."""
        return np.asarray(np.asarray(pixel, float) @ self.steps.T + self.origin)

    def to_pixel(self, position: npt.ArrayLike) -> _Floats:
        """Return the pixels ``(..., 2)``, (row, column), onto which LPS mm positions ``(..., 3)`` are projected."""
        offset = np.asarray(position, float) - self.origin
        return np.stack([offset @ self.down / self.spacing[0], offset @ self.right / self.spacing[1]], axis=-1)

    def moved(self, distance: float) -> Plane:
        """Return the plane moved along its normal by mm."""
        return Plane(self.origin + distance * self.normal, self.right, self.down, self.spacing, self.shape)
