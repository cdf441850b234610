"""Islands: the connected parts of an object.

Voxels that share a corner are connected (26 neighbors), so that a thin oblique structure is one island; what lies
between, the background, is connected over faces only, as the topology of digital images demands (Rosenfeld 1970).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.tools.base import FormTool, Tool, ToolState, as_triple, check_keys
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.progress import Monitor


@dataclass(frozen=True)
class KeepLargest(FormTool):
    """Keep the island with the most voxels; of several the one that comes first in the order of the slices."""

    name: ClassVar[str] = "keep_largest"

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Keep the largest island"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object without its other islands."""
        found = state.find()
        if found is None:
            return None
        numbers = _numbered(state, found, monitor)
        sizes = np.bincount(numbers.ravel())
        sizes[0] = 0
        return state.update(found, numbers == sizes.argmax())


@dataclass(frozen=True)
class _AtPosition(Tool):
    """A tool that works on the island at a position ``(x, y, z)``, LPS mm."""

    position: tuple[float, float, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", as_triple("A position", self.position))

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the tool that `to_dict` wrote.

        Raises
        ------
        OptionError
            If the position is missing or none, or a key is unknown.
        """
        check_keys(cls.name, plain, ("position_mm",), ("position_mm",))
        return cls(plain["position_mm"])

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as JSON types, its name among them."""
        return {"name": self.name, "position_mm": list(self.position)}

    def _island(self, state: ToolState, monitor: Monitor) -> tuple[Box, npt.NDArray[np.int32], int]:
        """Return the object's box, its numbered islands, and the number of the one at the position.

        Raises
        ------
        OptionError
            If the position is outside the scan, or not in the object.
        """
        index = np.rint(state.geometry.to_index(self.position)).astype(int)
        if (index < 0).any() or (index >= state.labels.shape).any():
            raise OptionError(f"The position {list(self.position)} mm lies outside the scan.")
        found = state.find()
        if found is None or state.labels[tuple(index)] != state.value:
            raise OptionError(
                f"There is no voxel of object {state.value} at {list(self.position)} mm: click on the object."
            )
        numbers = _numbered(state, found, monitor)
        k, j, i = (int(n) - extent.start for n, extent in zip(index, found, strict=True))
        return found, numbers, int(numbers[k, j, i])


@dataclass(frozen=True)
class KeepIsland(_AtPosition):
    """Keep the island at a position and remove the others.

    Parameters
    ----------
    position : (x, y, z)
        LPS mm; the nearest voxel must belong to the object.
    """

    name: ClassVar[str] = "keep_island"

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Keep one island"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return that island."""
        box, numbers, number = self._island(state, monitor)
        return state.update(box, numbers == number)


@dataclass(frozen=True)
class RemoveIsland(_AtPosition):
    """Remove the island at a position.

    Parameters
    ----------
    position : (x, y, z)
        LPS mm; the nearest voxel must belong to the object.
    """

    name: ClassVar[str] = "remove_island"

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Remove an island"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object without that island."""
        box, numbers, number = self._island(state, monitor)
        return state.update(box, (numbers > 0) & (numbers != number))


def _numbered(state: ToolState, box: Box, monitor: Monitor) -> npt.NDArray[np.int32]:
    """Return the number of every voxel's island in a box that holds the object; 0 outside the object."""
    from scipy import ndimage

    monitor.say("finding islands")
    numbers = np.empty([extent.stop - extent.start for extent in box], np.int32)
    ndimage.label(state.mask(box), np.ones((3, 3, 3), bool), output=numbers)
    monitor.check()
    return numbers
