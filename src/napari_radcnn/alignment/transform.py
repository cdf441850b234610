"""A rigid transform between the patient spaces of two scans, and how far it can be relied on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume

#: How far a matrix may be off a rotation and a translation.
_RIGID = 1e-6
Scan = TypeVar("Scan", Volume, LabelMap)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a scan lies in the patient space of another. Voxels are not touched by it.

    Parameters
    ----------
    matrix : (4, 4) array of float
        From positions of the moving scan to those of the fixed one, LPS mm: a rotation and a translation.
    residual_mm : float
        How far two solutions from separate halves of the voxels lie apart, over the part that both scans show, root
        mean square. It tells how well the voxels determine the place, not how right it is.
    similarity : float
        Normalized mutual information of the values there, from 1 (nothing in common) to 2 (one tells the other)
        (Studholme et al. 1999, Pattern Recognition 32:71).
    overlap : float
        The part of the smaller scan that lies in the other, 0 to 1.
    doubts : tuple of str
        Why the two do not seem to belong together; empty where they do.
    center : (x, y, z)
        The middle of the fixed scan, LPS mm: about it the turn is stated.
    fixed, moving : mapping of str to str
        What the two scans are: ``name``, and where known ``series_uid``, ``frame_of_reference_uid``.

    Raises
    ------
    GeometryError
        If the matrix is not rigid.
    """

    matrix: npt.NDArray[np.float64]
    residual_mm: float = 0.0
    similarity: float = 0.0
    overlap: float = 1.0
    doubts: tuple[str, ...] = ()
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    fixed: Mapping[str, str] = field(default_factory=dict)
    moving: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, float)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise GeometryError("An alignment needs a matrix of 4 x 4 finite numbers.")
        turn = matrix[:3, :3]
        is_rigid = np.allclose(turn.T @ turn, np.eye(3), atol=_RIGID) and np.linalg.det(turn) > 0
        if not is_rigid or not np.allclose(matrix[3], (0, 0, 0, 1), atol=_RIGID):
            raise GeometryError("The matrix of an alignment must be a rotation and a translation: it is neither.")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @property
    def belongs_together(self) -> bool:
        """Whether nothing speaks against the two scans showing the same part of the same patient."""
        return not self.doubts

    @property
    def rotation_degrees(self) -> float:
        """The angle by which the moving scan is turned, 0 to 180 degrees."""
        return angle_of(self.matrix)

    @property
    def translation_mm(self) -> tuple[float, float, float]:
        """How far the middle of the fixed scan is moved, (x, y, z), LPS mm."""
        middle = np.array(self.center)
        x, y, z = (self.matrix[:3, :3] @ middle + self.matrix[:3, 3] - middle).tolist()
        return x, y, z

    @property
    def inverse(self) -> Alignment:
        """The same from the fixed scan to the moving one."""
        matrix = np.linalg.inv(self.matrix).astype(np.float64)
        x, y, z = (matrix[:3, :3] @ np.array(self.center) + matrix[:3, 3]).tolist()
        return replace(self, matrix=matrix, center=(x, y, z), fixed=self.moving, moving=self.fixed)

    def to_fixed(self, positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return where positions of the moving scan are in the fixed one.

        Parameters
        ----------
        positions : (..., 3) array of float
            LPS mm.
        """
        return np.asarray(positions, float) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def to_moving(self, positions: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return where positions ``(..., 3)`` of the fixed scan, LPS mm, are in the moving one."""
        return (np.asarray(positions, float) - self.matrix[:3, 3]) @ self.matrix[:3, :3]

    def moved(self, scan: Scan) -> Scan:
        """Return the moving scan, or labels or another series in its space, at its place in the fixed one.

        Its voxels stay as they are, and are shared: only its grid moves.

        Examples
        --------
        >>> from napari_radcnn.phantom import head
        >>> shift = np.eye(4)
        >>> shift[:3, 3] = (4.0, -2.0, 1.0)
        >>> moved = Alignment(shift).moved(head())
        >>> np.subtract(moved.geometry.origin, head().geometry.origin).round(3).tolist()
        [4.0, -2.0, 1.0]
        """
        return replace(scan, geometry=Geometry(scan.geometry.shape, self.matrix @ scan.geometry.affine))

    def distance_mm(self, other: Alignment, positions: npt.ArrayLike) -> float:
        """Return how far two alignments place positions ``(n, 3)`` of the moving scan apart, root mean square."""
        apart = self.to_fixed(positions) - other.to_fixed(positions)
        return float(np.sqrt((apart**2).sum(-1).mean()))

    def summary(self) -> str:
        """Return in one line what was found."""
        x, y, z = self.translation_mm
        moved = f"turned by {self.rotation_degrees:.1f} degrees and moved by ({x:.1f}, {y:.1f}, {z:.1f}) mm"
        told = (
            f"{moved}; residual {self.residual_mm:.2f} mm, similarity {self.similarity:.3f}, overlap {self.overlap:.0%}"
        )
        if not self.doubts:
            return told
        return f"The scans do not seem to belong together: {' '.join(self.doubts)} Result: {told}."


def angle_of(matrix: npt.NDArray[np.float64]) -> float:
    """Return the angle of the rotation in a rigid matrix, in degrees."""
    turn = matrix[:3, :3]
    # Of small angles the cosine tells nothing: the skew part has their sine.
    sine = np.linalg.norm([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2
    return float(np.degrees(np.arctan2(sine, (np.trace(turn) - 1) / 2)))
