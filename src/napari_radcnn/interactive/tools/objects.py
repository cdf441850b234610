"""Tools between objects: combine two, copy a model's result, clear one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from napari_radcnn.errors import GeometryError, OptionError
from napari_radcnn.geometry import Box, Geometry
from napari_radcnn.interactive.tools.base import (
    FormTool,
    Tool,
    ToolState,
    check_keys,
    find_label,
    overlap,
    padded,
    reach,
    relative,
)
from napari_radcnn.interactive.tools.distance import near
from napari_radcnn.interactive.update import Mask, MaskUpdate, box_shape, joined, whole_box
from napari_radcnn.preprocessing import resample
from napari_radcnn.progress import Monitor
from napari_radcnn.provenance import voxel_hash
from napari_radcnn.results import LabelMap
from napari_radcnn.spec.options import option

Operation = Literal["replace", "union", "intersection", "difference"]


@dataclass(frozen=True)
class Clear(FormTool):
    """Remove all voxels of the object."""

    name: ClassVar[str] = "clear"

    @property
    def title(self) -> str:
        """What a history calls it."""
        return "Clear"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the empty object."""
        monitor.check()
        found = state.find()
        return None if found is None else MaskUpdate(found, np.zeros(box_shape(found), bool))


@dataclass(frozen=True)
class Combine(FormTool):
    """Combine the object with another one of the session, which may be grown first; the other one is not asked.

    A voxel belongs to one object only. So a union takes all voxels of the other object over, and without a margin a
    difference changes nothing and an intersection leaves nothing: a margin says how near to the other object.

    Parameters
    ----------
    other : int
        The value of the other object.
    operation : str
        ``"union"``, ``"intersection"`` or ``"difference"`` (this object without the other).
    margin : float
        The other object is grown by this first, mm; 0 takes it as it is.
    """

    name: ClassVar[str] = "combine"
    other: int = option(0, title="Other object", help="The number of the other object", low=0, high=65535)
    operation: str = option(
        "union", title="Operation", help="What is kept", choices=("union", "intersection", "difference")
    )
    margin: float = option(
        0.0,
        title="Margin",
        help="The other object is first grown by this distance",
        low=0.0,
        high=200.0,
        step=0.5,
        unit="mm",
    )

    @property
    def title(self) -> str:
        """What a history calls it."""
        margin = f" grown by {self.margin:g} mm" if self.margin else ""
        return f"{self.operation.capitalize()} with object {self.other}{margin}"

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the combined object.

        Raises
        ------
        OptionError
            If the other object is this one.
        SessionError
            If there is no such object.
        """
        if self.other == state.value:
            raise OptionError(f"Object {state.value} cannot be combined with itself: choose another one.")
        state.check_object(self.other)
        monitor.check()
        margin = reach(state.geometry, self.margin)
        other = find_label(state.labels, self.other)
        area = None if other is None else padded(other, margin, state.labels.shape)
        box = _working_box(self.operation, state.find(), area)
        if box is None:
            return None
        source = padded(box, margin, state.labels.shape)
        mask = np.asarray(state.labels[source] == self.other)
        if self.margin:
            mask = near(mask, state.geometry, self.margin, monitor, "growing the other object")
        return state.update(box, _combined(self.operation, state.mask(box), mask[relative(box, source)]))


@dataclass(frozen=True, eq=False)
class CopyLabel(Tool):
    """Copy one label of a label map, such as a model's result, into the object.

    On another grid of the same patient space every voxel gets what the label map holds at its center.

    Parameters
    ----------
    label_map : LabelMap
        The result; not kept by `to_dict`, which writes down what identifies the copied voxels.
    label : int
        At least 1.
    operation : str
        ``"replace"``: the object becomes the copy; else how the two are combined: ``"union"``, ``"intersection"``,
        ``"difference"`` (the object without the label).

    Raises
    ------
    OptionError
        If no voxel has that label, or the operation is unknown.
    """

    name: ClassVar[str] = "copy_label"
    label_map: LabelMap
    label: int
    operation: Operation = "replace"

    def __post_init__(self) -> None:
        if self.operation not in get_args(Operation):
            raise OptionError(f"'operation' must be one of {', '.join(get_args(Operation))}, got {self.operation!r}.")
        _check_label(self.label)
        if self._source_box is None:
            raise OptionError(f"'{self.label_map.name}' has no voxel of label {self.label}.")

    @property
    def title(self) -> str:
        """What a history calls it."""
        return (
            f"Copy of {self._label_name}"
            if self.operation == "replace"
            else (f"{self.operation.capitalize()} with {self._label_name}")
        )

    @property
    def _label_name(self) -> str:
        known = self.label_map.labels.get(self.label)
        return f"label {self.label}" if known is None else known.name

    @cached_property
    def _source_box(self) -> Box | None:
        return find_label(self.label_map.array, self.label)

    @cached_property
    def _identity(self) -> str:
        """SHA-256 of the copied mask and its grid, whatever else the label map holds."""
        return voxel_hash(self.label_map.array == self.label, self.label_map.geometry)

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as JSON types: not the voxels, but what they are known by."""
        return {
            "name": self.name,
            "label_map": self.label_map.name,
            "label": self.label,
            "label_name": self._label_name,
            "operation": self.operation,
            "sha256": self._identity,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Refuse: the voxels are not in the dictionary; see `from_label_maps`.

        Raises
        ------
        OptionError
            Always.
        """
        return cls.from_label_maps(plain, ())

    @classmethod
    def from_label_maps(cls, plain: Mapping[str, Any], label_maps: tuple[LabelMap, ...]) -> Self:
        """Return the tool that `to_dict` wrote, with the one of the label maps that it copied from.

        Raises
        ------
        OptionError
            If a key is missing or unknown, or none of the label maps holds the same voxels.
        """
        keys = ("label_map", "label", "label_name", "operation", "sha256")
        check_keys(cls.name, plain, keys, ("label_map", "label", "sha256"))
        _check_label(plain["label"])
        for label_map in label_maps:
            if find_label(label_map.array, plain["label"]) is None:
                continue
            tool = cls(label_map, plain["label"], plain.get("operation", "replace"))
            if tool._identity == plain["sha256"]:
                return tool
        raise OptionError(
            f"'{cls.name}' needs the label map '{plain['label_map']}', from which it copied label {plain['label']}; "
            "none of the label maps provided has the same voxels."
        )

    def apply(self, state: ToolState, monitor: Monitor) -> MaskUpdate | None:
        """Return the object with the copy.

        Raises
        ------
        GeometryError
            If label map and scan are known to lie in different patient spaces, or the label lies outside the scan.
        """
        _check_frames(self.label_map, state)
        monitor.say("copying a label")
        area, mask = self._on_grid(state.geometry)
        monitor.check()
        box = _working_box(self.operation, state.find(), area)
        if box is None:
            return None
        copy = np.zeros(box_shape(box), bool)
        common = overlap(box, area)
        if common is not None:
            copy[relative(common, box)] = mask[relative(common, area)]
        return state.update(box, _combined(self.operation, state.mask(box), copy))

    def _on_grid(self, target: Geometry) -> tuple[Box, Mask]:
        """Return the label on another grid, in a box of it.

        Raises
        ------
        GeometryError
            If none of it lies inside.
        """
        source, found = self.label_map.geometry, self._source_box
        if found is None or source.is_close(target):
            box = whole_box(target.shape) if found is None else found
            return box, np.asarray(self.label_map.array[box] == self.label)
        ends = [(extent.start - 0.5, extent.stop - 0.5) for extent in found]
        corners = target.to_index(source.to_world(np.array(list(product(*ends)))))
        low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
        k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        inside = overlap((k, j, i), whole_box(target.shape))
        if inside is None:
            raise GeometryError(
                f"Label {self.label} of '{self.label_map.name}' lies outside the scan: check that both are of the "
                "same patient."
            )
        mask = self.label_map.array[found] == self.label
        moved = resample(mask, source.cropped(found), target.cropped(inside), interpolation="nearest")
        return inside, moved.astype(bool)


def _check_label(label: object) -> None:
    """Raise where a label is no whole number of at least 1."""
    if isinstance(label, bool) or not isinstance(label, int) or label < 1:
        raise OptionError(f"A label must be a whole number of at least 1, got {label!r}.")


def _check_frames(label_map: LabelMap, state: ToolState) -> None:
    """Raise where DICOM says that a label map lies in another patient space than the scan."""
    frames = {label_map.metadata.frame_of_reference_uid, state.volume.metadata.frame_of_reference_uid} - {""}
    if len(frames) > 1:
        raise GeometryError(
            f"'{label_map.name}' and '{state.volume.name}' have different frames of reference: their positions do not "
            "correspond. Register the two scans first."
        )


def _working_box(operation: str, object_box: Box | None, area: Box | None) -> Box | None:
    """Return the box outside which a combination of two boxes' contents changes nothing."""
    if operation == "difference":
        return None if object_box is None or area is None else overlap(object_box, area)
    return object_box if operation == "intersection" else joined(object_box, area)


def _combined(operation: str, first: Mask, second: Mask) -> Mask:
    """Return what an operation makes of two masks of one shape."""
    if operation == "replace":
        return second
    if operation == "union":
        return first | second
    return first & second if operation == "intersection" else first & ~second
