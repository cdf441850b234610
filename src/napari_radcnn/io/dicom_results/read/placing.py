"""Where the frames of a segmentation lie on the grid of a series, flipped or cropped as they may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom.frames import Frame

#: A frame lies on a slice of the series if its pixels are within this of the slice's, mm.
ON_SLICE_MM = 0.05
_SAME_DIRECTION = 1e-4


@dataclass(frozen=True)
class Placed:
    """Where a frame lies on a grid.

    Attributes
    ----------
    k : int
        The slice.
    rows, columns : slice
        What the frame covers of it; its first row is the first of `rows`, unless flipped.
    flips : tuple of bool
        Whether rows and columns of the frame run against those of the grid.
    """

    k: int
    rows: slice
    columns: slice
    flips: tuple[bool, bool]

    def on(self, mask: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Return the frame's mask as one of the whole slice of the given rows and columns."""
        turned = mask[:: -1 if self.flips[0] else 1, :: -1 if self.flips[1] else 1]
        if turned.shape == shape:
            return turned
        whole = np.zeros(shape, bool)
        whole[self.rows, self.columns] = turned
        return whole


def placed_on(frames: Sequence[Frame], geometry: Geometry) -> list[Placed] | str:
    """Return where each frame lies on a grid, or how it lies otherwise.

    Parameters
    ----------
    frames : sequence of Frame
        All with position, cosines and pixel spacing.
    geometry : Geometry
        The grid.

    Returns
    -------
    list of Placed or str
        As in "is shifted against it by 0.6 mm".
    """
    found = []
    for frame in frames:
        one = _placed(frame, geometry)
        if isinstance(one, str):
            return one
        found.append(one)
    return found


def _placed(frame: Frame, geometry: Geometry) -> Placed | str:
    assert frame.position is not None
    assert frame.cosines is not None
    assert frame.pixel_spacing is not None
    spacing = np.array(geometry.spacing[1:])
    if np.abs((np.array(frame.pixel_spacing) - spacing) * frame.shape).max() > ON_SLICE_MM:
        height, width = frame.pixel_spacing
        return f"has pixels of {height:g} x {width:g} mm, not {spacing[0]:g} x {spacing[1]:g} mm"
    along = geometry.direction[:, [1, 2]].T  # the grid's directions along a column and along a row
    turn = np.einsum("ac,ac->a", frame.cosines[::-1], along)
    if np.abs(frame.cosines[::-1] - np.sign(turn)[:, None] * along).max() > _SAME_DIRECTION:
        return "is turned against it"
    flips = bool(turn[0] < 0), bool(turn[1] < 0)
    index = np.asarray(geometry.to_index(frame.position), float)
    whole = np.rint(index)
    away = float(np.linalg.norm(np.asarray(geometry.to_world(whole)) - frame.position))
    if away > ON_SLICE_MM * 3**0.5:
        return f"is shifted against it by {away:.2f} mm"
    k, row, column = (int(n) for n in whole)
    starts = [first - (size - 1) * flip for first, size, flip in zip((row, column), frame.shape, flips, strict=True)]
    rows, columns = (slice(start, start + size) for start, size in zip(starts, frame.shape, strict=True))
    ends = (k + 1, rows.stop, columns.stop)
    if min(k, *starts) < 0 or any(end > size for end, size in zip(ends, geometry.shape, strict=True)):
        return "reaches beyond it"
    return Placed(k, rows, columns, flips)
