"""What a correction tool gets, what it is, and the boxes that it works in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, OptionError, SessionError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.update import LabelsUpdate, Mask, MaskUpdate, box_of, box_shape, whole_box
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.options import CheckedOptions, describe, make_options
from napari_radcnn.volume import Volume


class NumberedObject(Protocol):
    """An object of a session, as far as a tool needs to know it."""

    @property
    def value(self) -> int:
        """Its number in the label map, at least 1."""
        ...


@dataclass(frozen=True, eq=False)
class ToolState:
    """What a tool gets. Nothing of it is written to.

    Parameters
    ----------
    volume : Volume
        The scan; its voxels are read for a threshold range only.
    labels : (k, j, i) array of unsigned integer
        The label map of the session; 0 belongs to no object.
    value : int
        The object that the tool works on.
    objects : sequence of objects with a `value`
        All objects of the session.
    object_box : tuple of slice, optional
        A box that holds all voxels of the object, where it is known; larger than needed does no harm. Without it a
        tool that needs the object looks through the whole label map. For a tool that is of all objects it holds those
        of all of them.
    locked : collection of int
        Objects whose voxels must not change. Whoever takes the answer over sees to that anyway; a tool that is of all
        objects goes round them.

    Raises
    ------
    SessionError
        If there is no such object.
    GeometryError
        If labels and scan differ in shape.
    """

    volume: Volume
    labels: npt.NDArray[Any]
    value: int
    objects: Sequence[NumberedObject]
    object_box: Box | None = None
    locked: Collection[int] = ()

    def __post_init__(self) -> None:
        self.check_object(self.value)
        if self.labels.shape != self.volume.geometry.shape:
            raise GeometryError(
                f"The label map has shape {self.labels.shape}, but the scan has {self.volume.geometry.shape}."
            )

    @property
    def geometry(self) -> Geometry:
        """The grid of scan and labels."""
        return self.volume.geometry

    def check_object(self, value: int) -> None:
        """Raise if there is no object of that value.

        Raises
        ------
        SessionError
            If there is none.
        """
        values = [item.value for item in self.objects]
        if value not in values:
            raise SessionError(f"There is no object {value}; objects: {', '.join(map(str, values)) or 'none'}.")

    def mask(self, box: Box) -> Mask:
        """Return the object's voxels in a box, as a new array."""
        return np.asarray(self.labels[box] == self.value)

    def find(self) -> Box | None:
        """Return the smallest box that holds the object; None for an empty object."""
        return find_label(self.labels, self.value, self.object_box)

    def update(self, box: Box, mask: Mask) -> MaskUpdate | None:
        """Return what changes where the object becomes `mask` inside `box`, in the smallest box; None for nothing."""
        changed = box_of(mask != self.mask(box))
        if changed is None:
            return None
        return MaskUpdate(moved(changed, box), np.ascontiguousarray(mask[changed]))


class Tool(ABC):
    """One way to change an object: `apply` says what becomes of it, and changes nothing itself.

    Attributes
    ----------
    name : str
        In scripts and histories: ``"grow"``.
    is_of_all : bool
        Whether it changes several objects at once.
    """

    name: ClassVar[str]
    #: Whether it changes all objects, and not only the one that it is applied to.
    is_of_all: ClassVar[bool] = False

    @property
    @abstractmethod
    def title(self) -> str:
        """What a history calls it: ``"Grow by 2 mm"``."""

    @abstractmethod
    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | LabelsUpdate | None:
        """Return the object's new mask in the smallest box that holds all changes; None where nothing changes.

        A tool that is of all objects returns their new labels.

        Raises
        ------
        CancelledError
            If the user asked to stop.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the tool as JSON types, its name among them."""

    @classmethod
    @abstractmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the tool that `to_dict` wrote.

        Raises
        ------
        OptionError
            If a key is missing or unknown, or a value of the wrong kind or out of range.
        """


class FormTool(CheckedOptions, Tool):
    """A tool whose settings are numbers, switches and choices, described once for scripts and forms."""

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as JSON types, its name among them."""
        return {"name": self.name} | {_key(entry): getattr(self, entry.name) for entry in describe(type(self))}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the tool that `to_dict` wrote; what is left out has its default."""
        keys = {_key(entry): entry.name for entry in describe(cls)}
        check_keys(cls.name, plain, keys)
        return make_options(cls, {keys[key]: value for key, value in plain.items() if key != "name"})


def _key(entry: Any) -> str:
    """Return the key of a setting: a distance says its unit."""
    return f"{entry.name}_mm" if entry.unit == "mm" else str(entry.name)


def check_keys(name: str, plain: Mapping[str, Any], known: Collection[str], needed: Collection[str] = ()) -> None:
    """Raise if keys of a tool are unknown or missing.

    Raises
    ------
    OptionError
        If so; the text names the first.
    """
    unknown = sorted(str(key) for key in set(plain) - set(known) - {"name"})
    if unknown:
        raise OptionError(
            f"'{unknown[0]}' is not a setting of '{name}'; settings: {', '.join(sorted(known)) or 'none'}."
        )
    missing = sorted(set(needed) - set(plain))
    if missing:
        raise OptionError(f"'{name}' needs '{missing[0]}'.")


def as_number(what: str, value: object) -> float:
    """Return a finite float.

    Raises
    ------
    OptionError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise OptionError(f"{what} must be a number, got {value!r}.")
    if not math.isfinite(value):
        raise OptionError(f"{what} must be finite, got {value}.")
    return float(value)


def as_triple(what: str, value: object) -> tuple[float, float, float]:
    """Return three finite floats.

    Raises
    ------
    OptionError
        If they are not.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray) or len(value) != 3:
        raise OptionError(f"{what} must be [x, y, z], got {value!r}.")
    x, y, z = (as_number(what, number) for number in value)
    return x, y, z


def find_label(array: npt.NDArray[Any], value: int, within: Box | None = None) -> Box | None:
    """Return the smallest box that holds all voxels of a label, looking only inside `within`; None for none."""
    outer = whole_box(array.shape) if within is None else within
    found = box_of(np.asarray(array[outer] == value))
    return None if found is None else moved(found, outer)


def moved(box: Box, outer: Box) -> Box:
    """Return a box inside another as a box of the volume."""
    k, j, i = (slice(a.start + o.start, a.stop + o.start) for a, o in zip(box, outer, strict=True))
    return k, j, i


def relative(box: Box, outer: Box) -> Box:
    """Return a box of the volume as a box inside `outer`."""
    k, j, i = (slice(a.start - o.start, a.stop - o.start) for a, o in zip(box, outer, strict=True))
    return k, j, i


def padded(box: Box, margin: Sequence[int], shape: Sequence[int]) -> Box:
    """Return a box with `margin` voxels more on every side, clipped to a volume of `shape`."""
    k, j, i = (
        slice(max(0, extent.start - more), min(n, extent.stop + more))
        for extent, more, n in zip(box, margin, shape, strict=True)
    )
    return k, j, i


def overlap(first: Box, second: Box) -> Box | None:
    """Return what two boxes share; None for nothing."""
    k, j, i = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return (k, j, i) if all(box_shape((k, j, i))) else None


def reach(geometry: Geometry, distance: float) -> tuple[int, int, int]:
    """Return how many voxels along each axis a sphere of radius `distance` mm extends from its center.

    In index space a sphere is an ellipsoid; along an axis it reaches as far as the distance times the length of the
    row of the inverse matrix, which on a sheared grid is more than distance / spacing.
    """
    rows = np.linalg.norm(np.linalg.inv(geometry.affine[:3, :3]), axis=1)
    k, j, i = (math.floor(distance * row * (1 + TOLERANCE)) for row in rows)
    return k, j, i


#: What counts as "exactly the distance", relative: lattice points on the sphere are inside, whatever the rounding.
TOLERANCE = 1e-5
