"""What an engine or a tool gives back: the new mask of one object, or new labels of several, in one box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Box

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MaskUpdate:
    """The voxels of one object inside a box; outside the box the object stays as it was.

    Parameters
    ----------
    box : tuple of slice
        In (k, j, i), within the volume.
    mask : (k, j, i) array of bool
        Of the box's shape: True where the object is.
    """

    box: Box
    mask: Mask

    def __post_init__(self) -> None:
        shape = box_shape(self.box)
        if self.mask.shape != shape or self.mask.dtype != np.bool_:
            raise GeometryError(
                f"The mask of a box of {shape} voxels must be boolean and of that shape, "
                f"got {self.mask.dtype} of shape {self.mask.shape}."
            )


@dataclass(frozen=True, eq=False)
class LabelsUpdate:
    """The voxels of several objects inside a box; outside the box all objects stay as they were.

    Parameters
    ----------
    box : tuple of slice
        In (k, j, i), within the volume.
    labels : (k, j, i) array of uint16
        Of the box's shape: the value of the object that each voxel belongs to, 0 for none.
    """

    box: Box
    labels: npt.NDArray[np.uint16]

    def __post_init__(self) -> None:
        shape = box_shape(self.box)
        if self.labels.shape != shape or self.labels.dtype != np.uint16:
            raise GeometryError(
                f"The labels of a box of {shape} voxels must be uint16 and of that shape, "
                f"got {self.labels.dtype} of shape {self.labels.shape}."
            )


def box_shape(box: Box) -> tuple[int, int, int]:
    """Return the number of voxels of a box along k, j, i."""
    k, j, i = (max(0, extent.stop - extent.start) for extent in box)
    return k, j, i


def whole_box(shape: tuple[int, ...]) -> Box:
    """Return the box of a whole volume."""
    return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])


def box_within(box: Box, whole: Box) -> Box:
    """Return a box as it lies in an array of a larger one."""
    k, j, i = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, whole, strict=True))
    return k, j, i


def joined(first: Box | None, second: Box | None) -> Box | None:
    """Return the smallest box that holds both; None stands for nothing."""
    if first is None or second is None:
        return first or second
    k, j, i = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return k, j, i


def box_of(mask: Mask, offset: tuple[int, int, int] = (0, 0, 0)) -> Box | None:
    """Return the smallest box that holds the True voxels of `mask`, moved by `offset`; None where there are none."""
    ends = []
    part = mask
    for axis in range(3):  # each axis narrows what the next ones look through
        hit = np.flatnonzero(part.any(axis=tuple(other for other in range(3) if other != axis)))
        if not hit.size:
            return None
        low, high = int(hit[0]), int(hit[-1]) + 1
        ends.append(slice(low + offset[axis], high + offset[axis]))
        part = part[(slice(None),) * axis + (slice(low, high),)]
    return ends[0], ends[1], ends[2]
