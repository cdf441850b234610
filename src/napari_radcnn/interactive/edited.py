"""A scan, its objects and its history: what of a session needs no engine and no disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from napari_radcnn.errors import SessionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.checks import checked_color
from napari_radcnn.interactive.colors import object_color
from napari_radcnn.interactive.difference import Labels
from napari_radcnn.interactive.history import ObjectEdit, SegmentedObject, Step
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.state import MOST_OBJECTS, State
from napari_radcnn.interactive.timeline import Change, Timeline
from napari_radcnn.interactive.update import Mask
from napari_radcnn.volume import Volume


class EditedScan:
    """The objects of one scan, and every step that made them.

    `napari_radcnn.session.PromptSession` adds engines, tools and the disk.
    """

    def __init__(self) -> None:
        self._volume: Volume | None = None
        self._timeline = Timeline((1, 1, 1))

    # -- scan ------------------------------------------------------------------------------------------------------

    @property
    def has_volume(self) -> bool:
        """Whether there is a scan."""
        return self._volume is not None

    @property
    def volume(self) -> Volume:
        """The scan; `SessionError` where there is none."""
        return self._scan()

    @property
    def geometry(self) -> Geometry:
        """The grid of scan and labels."""
        return self._scan().geometry

    # -- objects ---------------------------------------------------------------------------------------------------

    @property
    def labels(self) -> Labels:
        """The label map, (k, j, i) of uint16: a read-only view of the live one, the same memory from step to step."""
        self._scan()
        return self._state.labels

    @property
    def objects(self) -> tuple[SegmentedObject, ...]:
        """All objects, by value."""
        return self._state.objects

    @property
    def active(self) -> int:
        """Value of the object that prompts and tools go to; 0 where there is none."""
        return self._state.active

    def add_object(self, name: str = "", color: Iterable[float] | None = None) -> SegmentedObject:
        """Begin an object; it becomes the active one.

        Parameters
        ----------
        name : str
            ``"object 1"``, ... where empty; a name that is taken gets a number: ``"tumor (2)"``.
        color : iterable of float, optional
            Red, green, blue in 0..1.

        Raises
        ------
        SessionError
            If there is no scan, the color is none, or there are 65535 objects already.
        """
        self._scan()
        item = self._new_object(name)
        record: dict[str, Any] = {"add": item.name}
        if color is not None:
            item = replace(item, color=checked_color(color))
            record["color"] = list(item.color)
        self._timeline.push(
            Step(f"New object: {item.name}", record, (ObjectEdit(None, item),), (self.active, item.value))
        )
        return item

    def activate(self, value: int) -> None:
        """Let prompts and tools go to an object; no step of the history."""
        self._state.active = self._object(value).value

    def rename(self, value: int, name: str) -> Change:
        """Give an object another name, which no other object has."""
        item, name = self._object(value), name.strip()
        if not name:
            raise SessionError(f"A name must not be empty; '{item.name}' keeps its name.")
        if any(other.name == name and other.value != value for other in self.objects):
            raise SessionError(f"There is already an object '{name}'; choose another name.")
        return self._change_object(item, replace(item, name=name), f"Rename: {name}", {"rename": item.name, "to": name})

    def recolor(self, value: int, color: Iterable[float]) -> Change:
        """Give an object another color: red, green, blue in 0..1."""
        item, chosen = self._object(value), checked_color(color)
        record = {"recolor": item.name, "color": list(chosen)}
        return self._change_object(item, replace(item, color=chosen), f"Color: {item.name}", record)

    def lock(self, value: int, is_locked: bool = True) -> Change:
        """Keep an object's voxels from every step, or allow steps again."""
        item = self._object(value)
        word = "lock" if is_locked else "unlock"
        after = replace(item, is_locked=bool(is_locked))
        return self._change_object(item, after, f"{word.capitalize()}: {item.name}", {word: item.name})

    def remove_object(self, value: int) -> Change:
        """Remove an object, its voxels and its prompts.

        Raises
        ------
        SessionError
            If there is none of that value, or it is locked.
        """
        item = self._unlocked(value)
        values = [other.value for other in self.objects if other.value != value]
        after = self.active
        if after == value:
            after = max((other for other in values if other < value), default=min(values, default=0))
        edit = ObjectEdit(item, None, removed=self.prompts(value))
        difference = self._state.erase(value)
        return self._timeline.push(
            Step(f"Remove: {item.name}", {"remove": item.name}, (edit,), (self.active, after), difference)
        )

    def reset(self, value: int | None = None) -> Change:
        """Begin an object anew, the active one by default: without voxels and without prompts."""
        item = self._unlocked(self.active if value is None else value)
        edit = ObjectEdit(item, item, removed=self.prompts(item.value))
        difference = self._state.erase(item.value)
        title = f"Clear: {item.name}"
        if difference is None and not edit.removed:
            return Change(title, None, objects_changed=False)
        return self._timeline.push(Step(title, {"reset": item.name}, (edit,), (), difference))

    def prompts(self, value: int) -> tuple[Prompt, ...]:
        """Return the prompts of an object since it was last begun, oldest first."""
        return self._state.prompts(self._object(value).value)

    def mask(self, value: int) -> Mask:
        """Return the voxels of an object as a new (k, j, i) array of bool."""
        return self._state.mask(self._object(value).value)

    def volume_ml(self, value: int) -> float:
        """Return the volume of an object in milliliters, without counting its voxels."""
        return self._state.count(self._object(value).value) * self.geometry.voxel_volume / 1000.0

    # -- history ---------------------------------------------------------------------------------------------------

    @property
    def history(self) -> tuple[str, ...]:
        """Titles of the steps that hold, oldest first."""
        return self._timeline.history.titles

    @property
    def history_bytes(self) -> int:
        """Memory that the history takes."""
        return self._timeline.history.n_bytes

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self.undo_title)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to bring back."""
        return bool(self.redo_title)

    @property
    def undo_title(self) -> str:
        """The step that `undo` takes back; empty for none."""
        return self._timeline.history.undo_title

    @property
    def redo_title(self) -> str:
        """The step that `redo` brings back; empty for none."""
        return self._timeline.history.redo_title

    def undo(self) -> Change:
        """Take the last step back, whatever it was.

        Raises
        ------
        SessionError
            If there is none.
        """
        return self._timeline.undo()

    def redo(self) -> Change:
        """Bring back the last step that was undone.

        Raises
        ------
        SessionError
            If there is none.
        """
        return self._timeline.redo()

    # -- what stands behind ----------------------------------------------------------------------------------------

    @property
    def _state(self) -> State:
        return self._timeline.state

    def _scan(self) -> Volume:
        if self._volume is None:
            raise SessionError("This session has no scan: open one first.")
        return self._volume

    def _object(self, value: int) -> SegmentedObject:
        item = self._state.find(value)
        if item is None:
            there = ", ".join(f"{other.value} ({other.name})" for other in self.objects)
            raise SessionError(f"There is no object {value}; objects: {there or 'none'}.")
        return item

    def _unlocked(self, value: int) -> SegmentedObject:
        item = self._object(value)
        if item.is_locked:
            raise SessionError(f"'{item.name}' is locked; unlock it to change it.")
        return item

    def _new_object(self, name: str) -> SegmentedObject:
        value = self._state.free_value()
        if not value:
            raise SessionError(f"A session can have at most {MOST_OBJECTS} objects; remove one first.")
        wanted = name.strip() or f"object {value}"
        taken = {item.name for item in self.objects}
        free = (f"{wanted} ({number})" for number in range(2, len(taken) + 3))
        chosen = wanted if wanted not in taken else next(other for other in free if other not in taken)
        return SegmentedObject(value, chosen, object_color(value))

    def _change_object(
        self, before: SegmentedObject, after: SegmentedObject, title: str, record: Mapping[str, Any]
    ) -> Change:
        if before == after:
            return Change(title, None, objects_changed=False)
        edit = ObjectEdit(before, after, len(self._state.prompts(before.value)))
        return self._timeline.push(Step(title, record, (edit,)))
