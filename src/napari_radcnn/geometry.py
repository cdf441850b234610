"""Where voxels lie in the patient: affine, shape, spacing, orientation. NumPy only.

World is DICOM's patient coordinate system, LPS, in millimetres (DICOM PS3.3, C.7.6.2.1.1). Arrays have axes
``(k, j, i)`` = slice, row, column, and an affine maps ``(k, j, i, 1)`` to ``(x, y, z, 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError

#: The letter of each world axis, towards positive and towards negative coordinates.
_POSITIVE, _NEGATIVE = "LPS", "RAI"
#: Direction cosines below this are rounding, not obliqueness: 1e-3 is 0.06 degrees, half a voxel over 500.
AXIS_TOLERANCE = 1e-3

#: Voxels along (k, j, i).
Shape = tuple[int, int, int]
#: A part of a grid: slices along (k, j, i).
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class AxisMap:
    """A permutation of array axes followed by flips: an exact, invertible change of orientation.

    Attributes
    ----------
    order : tuple of int
        ``order[n]`` is the source axis that becomes axis ``n``.
    flip : tuple of bool
        Whether axis ``n``, after the permutation, runs backwards.
    """

    order: tuple[int, int, int]
    flip: tuple[bool, bool, bool]

    def apply(self, array: npt.NDArray) -> npt.NDArray:
        """Return a view of `array` in the new orientation; axes after the third (color) stay last."""
        rest = tuple(range(3, array.ndim))
        return array.transpose(*self.order, *rest)[self._slices]

    def invert(self, array: npt.NDArray) -> npt.NDArray:
        """Return a view of `array`, which is in the new orientation, in the old one."""
        rest = tuple(range(3, array.ndim))
        return array[self._slices].transpose(*np.argsort(self.order), *rest)

    @property
    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flipped else None) for flipped in self.flip)


@dataclass(frozen=True, eq=False)
class Geometry:
    """The grid of a volume in the patient.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along ``(k, j, i)``, each at least 1.
    affine : (4, 4) array of float
        Maps index ``(k, j, i, 1)`` to world ``(x, y, z, 1)``, LPS mm. Kept as a read-only float64 copy.

    Raises
    ------
    GeometryError
        If the affine is not finite, singular, or its last row is not ``(0, 0, 0, 1)``, or the shape is empty.

    Examples
    --------
    >>> grid = Geometry.from_parts((3, 4, 5), spacing=(2.5, 0.8, 0.7), origin=(-10, 20, 30))
    >>> grid.orientation
    'SPL'
    >>> grid.to_world((2, 0, 0)).tolist()
    [-10.0, 20.0, 35.0]
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"A volume needs three axes with at least one voxel each, but its shape is {shape}.")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(f"The affine must be a finite 4x4 matrix, got {affine.tolist()}.")
        if not np.allclose(affine[3], (0, 0, 0, 1)):
            raise GeometryError(f"The last row of the affine must be (0, 0, 0, 1), got {affine[3].tolist()}.")
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        if min(steps) <= 0 or abs(np.linalg.det(affine[:3, :3] / steps)) < 1e-6:
            raise GeometryError(f"The affine is singular (not invertible): {affine[:3, :3].tolist()}.")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def from_parts(
        cls,
        shape: Sequence[int],
        spacing: Sequence[float],
        origin: Sequence[float] = (0.0, 0.0, 0.0),
        direction: npt.ArrayLike | None = None,
    ) -> Geometry:
        """Build a geometry from spacing, origin and direction.

        Parameters
        ----------
        shape : sequence of int
            Voxels along ``(k, j, i)``.
        spacing : sequence of float
            mm along ``(k, j, i)``.
        origin : sequence of float
            World position ``(x, y, z)`` of voxel ``(0, 0, 0)``, mm.
        direction : (3, 3) array, optional
            Columns are the unit world directions of k, j and i. By default k runs to S, j to P, i to L.
        """
        columns = np.eye(3)[:, ::-1] if direction is None else np.asarray(direction, float)
        affine = np.eye(4)
        affine[:3, :3] = columns * np.asarray(spacing, float)
        affine[:3, 3] = origin
        return cls((int(shape[0]), int(shape[1]), int(shape[2])), affine)

    # -- what it is ---------------------------------------------------------------------------------------------

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along ``(k, j, i)``, mm."""
        k, j, i = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @property
    def origin(self) -> tuple[float, float, float]:
        """World position ``(x, y, z)`` of the center of voxel ``(0, 0, 0)``, mm."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @cached_property
    def direction(self) -> npt.NDArray[np.float64]:
        """(3, 3) unit world directions of k, j, i, as columns; not orthogonal where the grid is sheared."""
        return np.asarray(self.affine[:3, :3] / np.asarray(self.spacing))

    @cached_property
    def orientation(self) -> str:
        """Three letters: towards what k, j and i run, to the nearest axis (``"SPL"`` for a usual axial scan)."""
        return "".join(
            _POSITIVE[axis] if self.direction[axis, n] > 0 else _NEGATIVE[axis]
            for n, axis in enumerate(self._nearest_axes)
        )

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, mm^3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not at right angles (gantry tilt, affine registration)."""
        products = self.direction.T @ self.direction - np.eye(3)
        return bool(np.abs(products).max() > AXIS_TOLERANCE)

    @property
    def is_axis_aligned(self) -> bool:
        """Whether every axis runs along a world axis, within 0.06 degrees."""
        snapped = np.zeros((3, 3))
        for n, axis in enumerate(self._nearest_axes):
            snapped[axis, n] = np.sign(self.direction[axis, n])
        return bool(np.abs(self.direction - snapped).max() <= AXIS_TOLERANCE)

    @cached_property
    def corners(self) -> npt.NDArray[np.float64]:
        """(8, 3) world positions of the centers of the corner voxels, mm."""
        ends = [(0, n - 1) for n in self.shape]
        return self.to_world(np.array(list(product(*ends)), float))

    @cached_property
    def _nearest_axes(self) -> tuple[int, int, int]:
        """World axis (0 x, 1 y, 2 z) that each array axis runs along most; a permutation, also at 45 degrees."""
        cosines = np.abs(self.direction)
        best = max(permutations(range(3)), key=lambda axes: sum(cosines[axis, n] for n, axis in enumerate(axes)))
        return best[0], best[1], best[2]

    def is_close(self, other: Geometry, tolerance: float = 0.01) -> bool:
        """Whether both are the same grid: same shape, corners within `tolerance` mm."""
        return self.shape == other.shape and bool(np.abs(self.corners - other.corners).max() <= tolerance)

    # -- from index to world and back ---------------------------------------------------------------------------

    def to_world(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the world positions ``(..., 3)`` in LPS mm of indices ``(..., 3)`` in ``(k, j, i)`` order."""
        return np.asarray(np.asarray(index, float) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, position: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the (fractional) indices ``(..., 3)`` of world positions ``(..., 3)`` in LPS mm."""
        offset = np.asarray(position, float) - self.affine[:3, 3]
        return np.asarray(np.linalg.solve(self.affine[:3, :3], offset[..., None])[..., 0])

    # -- related grids ------------------------------------------------------------------------------------------

    def axis_map(self, orientation: str) -> AxisMap:
        """Return the permutation and flips that bring the axes nearest to `orientation`, such as ``"SPL"``.

        Raises
        ------
        GeometryError
            If `orientation` does not name one direction of each of L/R, P/A and S/I.
        """
        targets = [_letter_axis(letter, orientation) for letter in orientation]
        if sorted(axis for axis, _ in targets) != [0, 1, 2]:
            raise GeometryError(
                f"'{orientation}' is not an orientation: it must contain each of L/R, P/A and S/I once."
            )
        order = [self._nearest_axes.index(axis) for axis, _ in targets]
        flip = [bool(self.direction[axis, n] * sign < 0) for (axis, sign), n in zip(targets, order, strict=True)]
        return AxisMap((order[0], order[1], order[2]), (flip[0], flip[1], flip[2]))

    def reoriented(self, axis_map: AxisMap) -> Geometry:
        """Return the grid of the array that `axis_map` makes of an array on this one."""
        new_shape = np.array(self.shape)[list(axis_map.order)]
        steps = np.zeros((4, 4))
        steps[3, 3] = 1
        for new, (old, flipped) in enumerate(zip(axis_map.order, axis_map.flip, strict=True)):
            steps[old, new] = -1 if flipped else 1
            steps[old, 3] = new_shape[new] - 1 if flipped else 0
        return Geometry((int(new_shape[0]), int(new_shape[1]), int(new_shape[2])), self.affine @ steps)

    def cropped(self, box: Sequence[slice]) -> Geometry:
        """Return the grid of ``array[box]``, for slices with step 1 and without negative ends."""
        starts = [extent.indices(n)[0] for extent, n in zip(box, self.shape, strict=True)]
        shape = [len(range(*extent.indices(n))) for extent, n in zip(box, self.shape, strict=True)]
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(starts)
        return Geometry((shape[0], shape[1], shape[2]), affine)

    def with_shape(self, shape: Sequence[int]) -> Geometry:
        """Return the grid of another shape that covers the same field of view, voxel edge to voxel edge.

        Voxel 0 is not kept in place: its *edge* is, so that the field of view does not move by half a voxel.
        """
        ratio = np.array(self.shape, float) / np.asarray(shape, float)
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, :3] * ratio
        affine[:3, 3] = self.to_world((ratio - 1) / 2)
        return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), affine)

    def with_spacing(self, spacing: Sequence[float]) -> Geometry:
        """Return the grid nearest to `spacing` (mm along k, j, i) that covers the same field of view."""
        extent = np.array(self.shape) * np.array(self.spacing)
        return self.with_shape([max(1, round(e / s)) for e, s in zip(extent, spacing, strict=True)])

    def axis_aligned(self) -> Geometry:
        """Return an (S, P, L) grid that contains this one, with the spacing of the nearest axes.

        For a grid that is aligned already this is the reoriented grid with its rounding removed.
        """
        upright = self.reoriented(self.axis_map("SPL"))
        low, high = self.corners.min(0), self.corners.max(0)
        counts = np.ceil(np.round((high - low)[::-1] / upright.spacing, 3)).astype(int) + 1
        return Geometry.from_parts(counts.tolist(), upright.spacing, low)


def _letter_axis(letter: str, orientation: str) -> tuple[int, int]:
    """Return the world axis and the sign of an orientation letter."""
    if len(orientation) == 3 and letter in _POSITIVE:
        return _POSITIVE.index(letter), 1
    if len(orientation) == 3 and letter in _NEGATIVE:
        return _NEGATIVE.index(letter), -1
    raise GeometryError(f"'{orientation}' is not an orientation: use three of the letters L, R, P, A, S, I.")
