"""Tools that ask the scan's values: a threshold, and a margin that stays within a range of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.prompts import FARTHEST_MM, Position
from napari_radcnn.interactive.tools.base import (
    Tool,
    ToolState,
    as_number,
    check_keys,
    find_label,
    overlap,
    padded,
    reach,
)
from napari_radcnn.interactive.tools.distance import near
from napari_radcnn.interactive.tools.ranges import (
    EVERY_SLICE,
    checked_axis,
    checked_place,
    checked_range,
    in_range,
    refuse_color,
    slice_box,
)
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.progress import Monitor

#: What a threshold makes of the object.
OPERATIONS = ("replace", "add", "keep", "remove")
_TITLES = {"replace": "Threshold", "add": "Threshold, added", "keep": "Keep values", "remove": "Remove values"}
#: Voxels looked at between two looks at the cancel event.
_SLAB_VOXELS = 8_000_000


@dataclass(frozen=True)
class Threshold(Tool):
    """Make the object of the voxels whose values lie in a range.

    Parameters
    ----------
    low, high : float or None
        In the scan's unit, HU of a CT; ends included. None is no limit; one of the two is needed. NaN is in no range.
    operation : str
        ``"replace"``: the object becomes what is in the range. ``"add"``: that is added to it. ``"keep"``: only its own
        voxels in the range stay. ``"remove"``: these go.
    within : int
        Value of another object: besides the object's own voxels only those of that one come in question, and become
        this object's. 0: all voxels of the scan.
    axis : str
        ``"k"``, ``"j"``, ``"i"``: only the slice across that axis at `position` changes. ``"none"``: all slices.
    position : (x, y, z) or None
        LPS mm, on that slice.

    Raises
    ------
    OptionError
        If the range is empty or without ends, an operation or axis unknown, or a slice without its position.
    """

    name: ClassVar[str] = "threshold"
    low: float | None = None
    high: float | None = None
    operation: str = "replace"
    within: int = 0
    axis: str = EVERY_SLICE
    position: Position | None = None

    def __post_init__(self) -> None:
        low, high = checked_range(self.low, self.high)
        if low is None and high is None:
            raise OptionError("A threshold needs 'low' or 'high', or both.")
        if self.operation not in OPERATIONS:
            raise OptionError(f"'operation' must be one of {', '.join(OPERATIONS)}, got {self.operation!r}.")
        if type(self.within) is not int or self.within < 0:
            raise OptionError(f"'within' must be the value of an object, or 0, got {self.within!r}.")
        axis, position = checked_axis(self.axis), checked_place(self.position)
        if axis != EVERY_SLICE and position is None:
            raise OptionError(f"A slice across '{axis}' needs 'position_mm', a position on it.")
        for name, value in {"low": low, "high": high, "position": position}.items():
            object.__setattr__(self, name, value)

    @property
    def title(self) -> str:
        """What a history calls it."""
        ends = ["" if end is None else f"{end:g}" for end in (self.low, self.high)]
        where = "" if self.axis == EVERY_SLICE else " on one slice"
        return f"{_TITLES[self.operation]} {ends[0]}…{ends[1]}{where}"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the threshold that `to_dict` wrote.

        Raises
        ------
        OptionError
            If a key is unknown, or a value makes no sense.
        """
        check_keys(cls.name, plain, ("low", "high", "operation", "within", "axis", "position_mm"))
        renamed = {"position_mm": "position"}
        return cls(**{renamed.get(key, key): value for key, value in plain.items() if key != "name"})

    def to_dict(self) -> dict[str, Any]:
        """Return the threshold as JSON types."""
        plain: dict[str, Any] = {"name": self.name, "operation": self.operation}
        for key in ("low", "high"):
            if getattr(self, key) is not None:
                plain[key] = getattr(self, key)
        if self.within:
            plain["within"] = self.within
        if self.axis != EVERY_SLICE:
            plain["axis"] = self.axis
        if self.position is not None:
            plain["position_mm"] = list(self.position)
        return plain

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object after the threshold; None where nothing changes.

        Raises
        ------
        OptionError
            If the scan is a color image, or the slice lies outside of it.
        SessionError
            If there is no object `within`.
        """
        refuse_color(state.volume)
        box = self._box(state)
        if box is None:
            return None
        mask = state.mask(box)
        step = max(1, _SLAB_VOXELS // max(1, mask.shape[1] * mask.shape[2]))
        monitor.total = mask.shape[0]
        for start in range(0, mask.shape[0], step):
            monitor.done = start
            monitor.say("applying the threshold")
            rows = slice(start, min(start + step, mask.shape[0]))
            part = (slice(box[0].start + rows.start, box[0].start + rows.stop), box[1], box[2])
            mask[rows] = self.seen(state.volume.read_block(part), state.labels[part], state.value)
        return state.update(box, mask)

    def seen(self, values: npt.NDArray[Any], labels: npt.NDArray[Any], value: int) -> Mask:
        """Return where an object is after the threshold, by values and labels of the same voxels, of any shape."""
        own, inside = np.asarray(labels == value), in_range(values, self.low, self.high)
        if self.within:
            inside &= (labels == self.within) | own
        if self.operation == "replace":
            return inside
        if self.operation == "add":
            return own | inside
        return own & inside if self.operation == "keep" else own & ~inside

    def _box(self, state: ToolState) -> Box | None:
        """Return the box of what may change; None for nothing."""
        if self.within:
            state.check_object(self.within)
        box = slice_box(state.geometry, self.axis, self.position)
        if self.operation in ("keep", "remove"):
            found = state.find()
            return None if found is None else overlap(found, box)
        if not self.within:
            return box
        parts = [found for found in (state.find(), find_label(state.labels, self.within)) if found is not None]
        if not parts:
            return None
        k, j, i = (slice(min(part[n].start for part in parts), max(part[n].stop for part in parts)) for n in range(3))
        return overlap((k, j, i), box)


@dataclass(frozen=True)
class Margin(Tool):
    """Add what lies within a distance of the object, has values in a range, and hangs together with it.

    Parameters
    ----------
    distance : float
        mm in the patient, in every direction, from voxel center to voxel center.
    low, high : float or None
        In the scan's unit, ends included; None is no limit.

    Raises
    ------
    OptionError
        If the distance is not above 0, or the range is empty.

    Notes
    -----
    A voxel is added where a way leads to the object over faces of voxels that would be added, too: the margin goes
    round what is out of the range, and not through it.
    """

    name: ClassVar[str] = "margin"
    distance: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        distance = as_number("The distance of a margin", self.distance)
        if not 0 < distance <= FARTHEST_MM:
            raise OptionError(f"The distance of a margin must be above 0 and at most {FARTHEST_MM:g} mm.")
        low, high = checked_range(self.low, self.high)
        for name, value in {"distance": distance, "low": low, "high": high}.items():
            object.__setattr__(self, name, value)

    @property
    def title(self) -> str:
        """What a history calls it."""
        ends = ["" if end is None else f"{end:g}" for end in (self.low, self.high)]
        within = "" if self.low is None and self.high is None else f" within {ends[0]}…{ends[1]}"
        return f"Margin of {self.distance:g} mm{within}"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the margin that `to_dict` wrote.

        Raises
        ------
        OptionError
            If a key is missing or unknown, or a value makes no sense.
        """
        check_keys(cls.name, plain, ("distance_mm", "low", "high"), ("distance_mm",))
        return cls(plain["distance_mm"], plain.get("low"), plain.get("high"))

    def to_dict(self) -> dict[str, Any]:
        """Return the margin as JSON types."""
        plain: dict[str, Any] = {"name": self.name, "distance_mm": self.distance}
        for key in ("low", "high"):
            if getattr(self, key) is not None:
                plain[key] = getattr(self, key)
        return plain

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object with its margin; None where nothing changes.

        Raises
        ------
        OptionError
            If the scan is a color image.
        """
        from scipy import ndimage

        refuse_color(state.volume)
        found = state.find()
        if found is None:
            return None
        box = padded(found, reach(state.geometry, self.distance), state.labels.shape)
        mask = state.mask(box)
        candidates = near(mask, state.geometry, self.distance, monitor, "adding a margin")
        candidates &= in_range(state.volume.read_block(box), self.low, self.high)
        monitor.check()
        return state.update(box, ndimage.binary_propagation(mask, mask=candidates | mask))
