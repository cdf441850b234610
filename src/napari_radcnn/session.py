"""The interactive session, without Qt: one scan, its objects, and every step that made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_radcnn import provenance
from napari_radcnn.errors import RadcnnError, SessionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.monitor import CancelEvent, Monitor, Progress
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.answering import Answering
from napari_radcnn.interactive.autosave import Autosave
from napari_radcnn.interactive.checks import (
    check_box,
    check_prompt,
    check_same_scan,
    check_volume,
    checked_color,
    step_title,
)
from napari_radcnn.interactive.colors import object_color
from napari_radcnn.interactive.difference import Labels
from napari_radcnn.interactive.engines.base import Engine, EngineRequest
from napari_radcnn.interactive.history import ObjectEdit, SegmentedObject, Step
from napari_radcnn.interactive.journal import Journal, SavedSession, saved_sessions
from napari_radcnn.interactive.manifest import manifest
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.state import MOST_OBJECTS, State
from napari_radcnn.interactive.timeline import Change, Timeline
from napari_radcnn.interactive.tools_base import Tool, ToolState
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.models.options import make_options
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume

__all__ = ["Change", "Pending", "Prompt", "PromptSession", "SegmentedObject"]

_SCHEMA = "radcnn-session/1"


@dataclass(frozen=True, eq=False)
class Pending:
    """A prompt or a tool that was checked and waits for its answer; made by `PromptSession.begin`.

    Attributes
    ----------
    what : Prompt or Tool
        What the user gave.
    item : SegmentedObject
        The object it is for.
    is_new : bool
        Whether that object begins with it.
    """

    what: Prompt | Tool
    item: SegmentedObject
    is_new: bool
    volume: Volume
    request: EngineRequest | ToolState
    answering: Answering
    mark: object

    @property
    def value(self) -> int:
        """The object's."""
        return self.item.value


class PromptSession:
    """Segments objects of one scan by prompts and tools; every step can be undone and is kept on the disk.

    It is used by one thread at a time, but for `predict`; what is only looked at (`labels`, `objects`, `prompts`,
    `history`) may be read by another one.

    Parameters
    ----------
    volume : Volume, optional
        The scan; `set_volume` gives another one.
    engine : str or Engine
        What answers prompts: a name on the list of engines, or an engine that is open already.
    settings : RunSettings, optional
        Device and precision of the engine.
    folder : path, optional
        Where sessions are kept; the user's data folder by default.
    autosave : bool
        Whether every step is kept on the disk as soon as it is done.

    Raises
    ------
    ModelError
        If there is no such engine, or what it needs is missing.
    SessionError
        If the scan cannot be segmented so.

    Examples
    --------
    >>> from napari_radcnn.phantom import head
    >>> session = PromptSession(head(), autosave=False)
    >>> change = session.add(Prompt.point((-28, 20, 30)))
    >>> session.objects[0].name
    'object 1'
    """

    def __init__(
        self,
        volume: Volume | None = None,
        *,
        engine: str | Engine = "region",
        settings: RunSettings | None = None,
        folder: Path | None = None,
        autosave: bool = True,
    ) -> None:
        self._answering = Answering(engine, settings)
        self._folder, self._is_autosaved = folder, autosave
        #: Called with one line when steps can no longer be kept on the disk.
        self.on_warning: Callable[[str], object] | None = None
        self._warnings: tuple[str, ...] = ()
        self._timeline = Timeline((1, 1, 1))
        self._volume: Volume | None = None
        self._identity: Mapping[str, Any] | None = None
        self._started = ""
        if volume is not None:
            self.set_volume(volume)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- scan and engine -------------------------------------------------------------------------------------------

    def set_volume(
        self, volume: Volume, *, progress: Progress | None = None, cancel: CancelEvent | None = None
    ) -> None:
        """Begin a session of another scan; the one before is saved and closed.

        Parameters
        ----------
        volume : Volume
            One whose voxels are still in a store is loaded.
        progress, cancel : optional
            Of the loading.

        Raises
        ------
        SessionError
            If it is a color picture.
        ResourceError, ReadError, CancelledError
            If it cannot be loaded. The session is as it was before.
        """
        _load(volume, progress, cancel)
        identity = provenance.identify(volume) if self._is_autosaved else None
        self._close_scan(is_finished=False)
        self._begin(volume, identity, None)

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

    @property
    def engine(self) -> str:
        """Name of what answers prompts."""
        return self._answering.name

    def set_engine(self, engine: str | Engine, settings: RunSettings | None = None) -> None:
        """Let another engine answer the prompts from now on.

        Raises
        ------
        ModelError
            If there is no such engine, or what it needs is missing; the one before stays.
        """
        before, self._answering = self._answering, Answering(engine, settings)
        before.close()

    def prepare(self, *, progress: Progress | None = None, cancel: CancelEvent | None = None) -> None:
        """Let the engine do what is slow the first time, so that the first prompt is not; may run on another thread.

        Raises
        ------
        ModelError
            If weights are missing or damaged, or the engine cannot work on such a scan.
        """
        self._answering.prepare(self._scan(), Monitor(1, progress, cancel))

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
            raise SessionError(f"A name must not be empty; '{item.name}' keeps its own.")
        if any(other.name == name and other.value != value for other in self.objects):
            raise SessionError(f"There is an object '{name}' already; take another name.")
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
        title = f"Begin anew: {item.name}"
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

    # -- prompts and tools -----------------------------------------------------------------------------------------

    def add(
        self,
        prompt: Prompt,
        value: int | None = None,
        *,
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
    ) -> Change:
        """Give a prompt and wait for the engine's answer.

        Parameters
        ----------
        prompt : Prompt
            In the patient, LPS mm.
        value : int, optional
            The object it is about; the active one by default, a new one where there is none.
        progress, cancel : optional
            Of the engine.

        Raises
        ------
        SessionError
            If there is no scan, the prompt is outside of it or of another patient space, or the object is locked or
            unknown.
        ModelError
            If the engine cannot answer such a prompt.
        CancelledError
            If `cancel` was set.
        """
        pending = self.begin(prompt, value)
        return self.commit(pending, self.predict(pending, progress, cancel))

    def apply(
        self,
        tool: Tool,
        value: int | None = None,
        *,
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
    ) -> Change:
        """Mend an object by a correction tool; `Change.box` is None, and there is no step, where nothing changes.

        Parameters and errors are those of `add`.
        """
        pending = self.begin(tool, value)
        return self.commit(pending, self.predict(pending, progress, cancel))

    def begin(self, what: Prompt | Tool, value: int | None = None) -> Pending:
        """Check a prompt or a tool; `predict` and `commit` do the rest. Nothing changes yet.

        Parameters
        ----------
        what : Prompt or Tool
            As of `add` and `apply`.
        value : int, optional
            The object; the active one by default, a new one where there is none.

        Raises
        ------
        SessionError
            As of `add`.
        """
        volume, state = self._scan(), self._state
        value = value if value is not None else self.active
        is_new = value == 0 and not self.objects
        item = self._new_object("") if is_new else self._unlocked(value)
        request: EngineRequest | ToolState
        if isinstance(what, Prompt):
            check_prompt(what, volume)
            locked = [other.value for other in self.objects if other.is_locked]
            forbidden = state.lend(locked, "locked") if locked else None
            prompts = (*state.prompts(item.value), what)
            request = EngineRequest(volume, prompts, state.lend([item.value], "object"), forbidden)
        else:
            objects = (*self.objects, item) if is_new else self.objects
            request = ToolState(volume, state.labels, item.value, objects, state.box(item.value))
        return Pending(what, item, is_new, volume, request, self._answering, self._mark(what, item))

    def predict(
        self, pending: Pending, progress: Progress | None = None, cancel: CancelEvent | None = None
    ) -> MaskUpdate | None:
        """Return the answer to what was begun; touches nothing of the session, so that it may run on another thread.

        Raises
        ------
        ModelError
            If the engine cannot answer such a prompt.
        CancelledError
            If `cancel` was set.
        SessionError
            If the engine was changed meanwhile.
        """
        monitor = Monitor(1, progress, cancel)
        if isinstance(pending.request, EngineRequest):
            return pending.answering.predict(pending.request, monitor)
        if isinstance(pending.what, Prompt):
            raise SessionError("A prompt was given where a tool was begun.")
        monitor.check()
        return pending.what.apply(pending.request, monitor)

    def commit(self, pending: Pending, update: MaskUpdate | None) -> Change:
        """Take the answer over, as one step.

        Raises
        ------
        SessionError
            If the scan was replaced meanwhile, or the object removed, locked or changed by another step; nothing is
            taken over.
        """
        item, what = pending.item, pending.what
        self._check_still_fits(pending)
        title = step_title(what, item)
        if isinstance(pending.request, EngineRequest):
            self._state.give_back(pending.request.current)
            self._state.give_back(pending.request.forbidden)
        difference = None
        if update is not None:
            check_box(update.box, self.geometry.shape)
            difference = self._state.compare(item.value, update)
        prompts = self.prompts(item.value) if not pending.is_new else ()
        if isinstance(what, Prompt):
            edit = ObjectEdit(None if pending.is_new else item, item, len(prompts), added=(what,))
            record: dict[str, Any] = {"object": item.name, "prompt": what.to_dict()}
        else:
            if difference is None:
                return Change(title, None, objects_changed=False)
            edit = ObjectEdit(None if pending.is_new else item, item, len(prompts))
            record = {"object": item.name, "tool": what.to_dict()}
        active = (self.active, item.value) if pending.is_new else ()
        engine = pending.answering.name if isinstance(what, Prompt) else ""
        return self._timeline.push(Step(title, record, (edit,), active, difference, engine=engine))

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

    # -- results and disk ------------------------------------------------------------------------------------------

    def result(self, values: Iterable[int] | None = None) -> LabelMap:
        """Return the label map, with how it was made.

        Parameters
        ----------
        values : iterable of int, optional
            Only these objects; all by default.

        Raises
        ------
        SessionError
            If there is no scan or no such object.
        """
        volume = self._scan()
        items = self.objects if values is None else tuple(self._object(value) for value in dict.fromkeys(values))
        array = self._state.labels.copy()
        if len(items) < len(self.objects):
            kept = np.zeros(MOST_OBJECTS + 1, np.uint16)
            kept[[item.value for item in items]] = [item.value for item in items]
            array = kept[array]
        if self._identity is None:
            self._identity = provenance.identify(volume)
        told = manifest(self._timeline.history, self._answering, self._identity, self._started)
        told["result"] = {"sha256": provenance.voxel_hash(array, volume.geometry)}
        told["volumes_ml"] = {item.name: round(self.volume_ml(item.value), 3) for item in items}
        labels = {item.value: Label(item.name, item.color) for item in items}
        name = f"{volume.name} · interactive"
        return LabelMap(array, volume.geometry, labels, name, told, volume.warnings, volume.metadata)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must be told, one line each: steps that could not be kept on the disk."""
        return self._warnings

    @property
    def saved_in(self) -> Path | None:
        """The folder of this session, which is there from the first step on; None where it is not kept."""
        return None if self._timeline.autosave is None else self._timeline.autosave.path

    def save(self) -> None:
        """Wait until the disk has every step; they are written when they are done anyway."""
        if self._timeline.autosave is not None:
            self._timeline.autosave.save()

    def close(self, *, is_finished: bool = False) -> None:
        """Save, and give the memory of scan, labels and engine back.

        Parameters
        ----------
        is_finished : bool
            Whether the user has what was made, or does not want it: then it is not offered again.
        """
        self._close_scan(is_finished=is_finished)
        self._answering.close()

    @staticmethod
    def unfinished(folder: Path | None = None) -> list[SavedSession]:
        """Return the sessions that can be resumed, the last one first.

        Parameters
        ----------
        folder : path, optional
            Where sessions are kept; the user's data folder by default.
        """
        return [
            saved
            for saved in saved_sessions(folder)
            if saved.steps and not (saved.is_alive or saved.is_finished or saved.problem)
        ]

    @classmethod
    def resume(
        cls,
        saved: SavedSession,
        volume: Volume,
        *,
        engine: str | Engine | None = None,
        settings: RunSettings | None = None,
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
    ) -> Self:
        """Go on with a session as it was, with its whole history; it is kept in its own folder.

        Parameters
        ----------
        saved : SavedSession
            One of `unfinished`.
        volume : Volume
            The scan that it was made on, read again.
        engine : str or Engine, optional
            The session's own by default.
        settings : RunSettings, optional
            Of the engine; the session's own by default.
        progress, cancel : optional
            Of loading the scan.

        Raises
        ------
        SessionError
            If the scan is another one, or a step is damaged.
        JournalError
            If the session is open elsewhere, gone, or cannot be read.
        ModelError
            If its engine is not there any more: name another one.
        """
        _load(volume, progress, cancel)
        identity = provenance.identify(volume)
        journal = Journal.open(saved.path)
        try:
            header = journal.header
            check_same_scan(header, identity)
            if settings is None:
                settings = make_options(RunSettings, header.get("settings"))
            session = cls(engine=engine or str(header.get("engine")), settings=settings, folder=saved.path.parent)
            session._begin(volume, identity, journal)
        except RadcnnError:
            journal.close()
            raise
        return session

    # -- what stands behind ----------------------------------------------------------------------------------------

    @property
    def _state(self) -> State:
        return self._timeline.state

    def _scan(self) -> Volume:
        if self._volume is None:
            raise SessionError("There is no scan in this session: open one first.")
        return self._volume

    def _object(self, value: int) -> SegmentedObject:
        item = self._state.find(value)
        if item is None:
            there = ", ".join(f"{other.value} ({other.name})" for other in self.objects)
            raise SessionError(f"There is no object {value}; there are: {there or 'none'}.")
        return item

    def _unlocked(self, value: int) -> SegmentedObject:
        item = self._object(value)
        if item.is_locked:
            raise SessionError(f"'{item.name}' is locked; unlock it to change it.")
        return item

    def _new_object(self, name: str) -> SegmentedObject:
        value = self._state.free_value()
        if not value:
            raise SessionError(f"A session holds at most {MOST_OBJECTS} objects; remove one first.")
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

    def _mark(self, what: Prompt | Tool, item: SegmentedObject) -> object:
        """Return what must be the same when an answer comes as when it was asked for."""
        if isinstance(what, Prompt):
            return self._state.revision(item.value), [other.value for other in self.objects if other.is_locked]
        return self._state.n_changes

    def _check_still_fits(self, pending: Pending) -> None:
        name = pending.item.name
        if pending.volume is not self._volume:
            raise SessionError("Another scan was opened meanwhile; the answer was dropped.")
        now = self._state.find(pending.value)
        if not pending.is_new and now is None:
            raise SessionError(f"'{name}' was removed meanwhile; the answer was dropped.")
        if not pending.is_new and now is not None and now.is_locked:
            raise SessionError(f"'{name}' was locked meanwhile; the answer was dropped.")
        if pending.mark != self._mark(pending.what, pending.item):
            raise SessionError(f"'{name}' was changed by another step meanwhile; the answer was dropped. Try again.")

    def _warn(self, text: str) -> None:
        self._warnings = (*self._warnings, text)
        if self.on_warning is not None:
            self.on_warning(text)

    def _begin(self, volume: Volume, identity: Mapping[str, Any] | None, journal: Journal | None) -> None:
        """Begin with a scan; a journal says what was done on it already."""
        timeline, started = Timeline(volume.geometry.shape), provenance.now()
        header: Mapping[str, Any] = {
            "schema": _SCHEMA,
            "engine": self.engine,
            "settings": self._answering.settings_dict(),
            "input": identity,
            "started": started,
            "versions": provenance.versions(),
        }
        if journal is not None:
            timeline.replay(journal)
            started = str(journal.header.get("started", started))
        self._warnings = ()
        if self._is_autosaved:
            timeline.autosave = Autosave(self._folder, header, self._warn, journal)
        self._timeline, self._volume, self._identity, self._started = timeline, volume, identity, started

    def _close_scan(self, *, is_finished: bool) -> None:
        if self._timeline.autosave is not None:
            self._timeline.autosave.close(is_finished=is_finished)
        self._timeline, self._volume, self._identity = Timeline((1, 1, 1)), None, None


def _load(volume: Volume, progress: Progress | None, cancel: CancelEvent | None) -> None:
    check_volume(volume)
    volume.load(progress, cancel)  # type: ignore[arg-type]
