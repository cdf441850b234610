"""Scans with the axes of a network, as views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Shape
from napari_radcnn.volume import Volume

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TurnedScans:
    """The scans of a request with the axes of the network; nothing is copied or loaded.

    Attributes
    ----------
    volumes : tuple of Volume
        All on one grid, in its order.
    orientation : str
        Letters of k, j, i to turn to; empty to leave them as they are.
    transpose : tuple of int
        Axis (after that) which each of the network's is.
    """

    volumes: tuple[Volume, ...]
    orientation: str
    transpose: tuple[int, int, int]

    @property
    def turned(self) -> tuple[Volume, ...]:
        """The scans in the orientation, before `transpose`."""
        if not self.orientation:
            return self.volumes
        return tuple(volume.reoriented(self.orientation) for volume in self.volumes)

    @property
    def shape(self) -> Shape:
        """Along the network's axes."""
        k, j, i = (self.turned[0].shape[axis] for axis in self.transpose)
        return k, j, i

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Of the network's axes, mm, as precise as a NIfTI header: nnU-Net rounds shapes that hang on it."""
        spacing = self.turned[0].geometry.spacing
        k, j, i = (float(np.float32(round(spacing[axis], 6))) for axis in self.transpose)
        return k, j, i

    def read(self, box: Box) -> _Floats:
        """Return a box of all scans, ``(channels, k, j, i)``."""
        places = np.argsort(self.transpose)
        place = (box[places[0]], box[places[1]], box[places[2]])
        return np.stack(
            [volume.read_block(place).transpose(self.transpose) for volume in self.turned], dtype=np.float32
        )

    def view_of(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array on the scans' own grid as a view with the network's axes."""
        if self.orientation:
            array = self.volumes[0].geometry.axis_map(self.orientation).apply(array)
        return array.transpose(self.transpose)

    def box_of(self, box: Box, values: npt.NDArray[Any]) -> tuple[Box, npt.NDArray[Any]]:
        """Return a box with the network's axes, and its values, as a box of the scans' own grid."""
        places = np.argsort(self.transpose)
        sides, values = [box[n] for n in places], values.transpose(places)
        if not self.orientation:
            return (sides[0], sides[1], sides[2]), values
        axis_map = self.volumes[0].geometry.axis_map(self.orientation)
        back = [slice(0, 0)] * 3
        for n, (axis, is_flipped) in enumerate(zip(axis_map.order, axis_map.flip, strict=True)):
            size, side = self.volumes[0].shape[axis], sides[n]
            back[axis] = slice(size - side.stop, size - side.start) if is_flipped else side
        return (back[0], back[1], back[2]), axis_map.invert(values)
