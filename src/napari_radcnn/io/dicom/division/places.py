"""Which frames lie at the same place, and whether places follow each other at even distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_radcnn.io.dicom.frames import Frame

#: Two frames nearer than this (mm, along the normal) lie at the same place, unless their pixels are finer.
_SAME_PLACE_MM = 0.01
#: In micro-CT and OCT, whose pixels are this small, slices may be nearer: a share of the pixel, but not rounding.
_SHARE_OF_PIXEL, _ROUNDING_MM = 0.05, 1e-4


def same_place_mm(frames: Sequence[Frame]) -> float:
    """Return how near to each other (mm, along the normal) two frames of this grid lie at the same place.

    That is 0.01 mm, which is the rounding of positions in headers, and less where the pixels are below 0.2 mm.
    """
    spacing = frames[0].pixel_spacing
    if spacing is None:
        return _SAME_PLACE_MM
    return min(_SAME_PLACE_MM, max(_ROUNDING_MM, _SHARE_OF_PIXEL * min(spacing)))


def places(depths: npt.ArrayLike, same_mm: float = _SAME_PLACE_MM) -> npt.NDArray[np.intp]:
    """Return for every depth the number of its place, counted from the lowest one."""
    values = np.asarray(depths, float)
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order], prepend=values[order[0]]) > same_mm
    numbers = np.empty(len(values), np.intp)
    numbers[order] = np.cumsum(steps)
    return numbers


def is_even(depths: npt.ArrayLike) -> bool:
    """Whether the gaps between neighbors agree within `gap_tolerance`, and are gaps at all."""
    gaps = np.diff(np.sort(np.asarray(depths, float)))
    if len(gaps) == 0:
        return True
    typical = float(np.median(gaps))
    return typical > _ROUNDING_MM and bool(np.abs(gaps - typical).max() <= gap_tolerance(typical))


def gap_tolerance(gap: float) -> float:
    """Return by how much (mm) gaps between slices may differ: positions are rounded in headers.

    It is 1 %, but 0.01 mm where the gap is below 1 mm, and a tenth where it is below 0.1 mm.
    """
    return max(min(0.01, 0.1 * gap), 0.01 * gap)
