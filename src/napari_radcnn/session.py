"""The interactive session, without Qt: one scan, its objects, and every step that made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_radcnn import provenance
from napari_radcnn.errors import JournalError, RadcnnError, SessionError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.answering import Answering
from napari_radcnn.interactive.autosave import Autosave
from napari_radcnn.interactive.checks import (
    check_box,
    check_prompt,
    check_same_scan,
    check_volume,
    step_title,
)
from napari_radcnn.interactive.edited import EditedScan
from napari_radcnn.interactive.engines.base import Engine, EngineRequest
from napari_radcnn.interactive.engines.specs import DEFAULT_ENGINE
from napari_radcnn.interactive.history import ObjectEdit, SegmentedObject, Step
from napari_radcnn.interactive.journal.journal import Journal, SavedSession, saved_sessions
from napari_radcnn.interactive.manifest import session_manifest
from napari_radcnn.interactive.pending import Pending
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.state import MOST_OBJECTS
from napari_radcnn.interactive.timeline import Change, Timeline
from napari_radcnn.interactive.tools.base import Tool, ToolState
from napari_radcnn.interactive.update import LabelsUpdate, MaskUpdate
from napari_radcnn.progress import CancelEvent, Monitor, Progress
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.schemas import SESSION
from napari_radcnn.spec.options import make_options
from napari_radcnn.volume import Volume

__all__ = ["Change", "Pending", "Prompt", "PromptSession", "SegmentedObject"]


class PromptSession(EditedScan):
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
        engine: str | Engine = DEFAULT_ENGINE,
        settings: RunSettings | None = None,
        folder: Path | None = None,
        autosave: bool = True,
    ) -> None:
        super().__init__()
        self._answering = Answering(engine, settings)
        self._folder, self._is_autosaved = folder, autosave
        #: Called with one line when steps can no longer be kept on the disk.
        self.on_warning: Callable[[str], object] | None = None
        self._warnings: tuple[str, ...] = ()
        self._identity: Mapping[str, Any] | None = None
        self._started = ""
        if volume is not None:
            try:
                self.set_volume(volume)
            except RadcnnError:
                self._answering.close()
                raise

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
        self._begin(volume, identity, None)

    @property
    def engine(self) -> str:
        """Name of what answers prompts."""
        return self._answering.name

    def set_engine(self, engine: str | Engine, settings: RunSettings | None = None) -> None:
        """Let another engine answer the prompts from now on, with the settings of the one before by default.

        Raises
        ------
        ModelError
            If there is no such engine, or what it needs is missing; the one before stays.
        """
        before = self._answering
        self._answering = Answering(engine, before.settings if settings is None else settings)
        before.close()

    def prepare(self, *, progress: Progress | None = None, cancel: CancelEvent | None = None) -> None:
        """Let the engine do what is slow the first time, so that the first prompt is not; may run on another thread.

        Raises
        ------
        ModelError
            If weights are missing or damaged, or the engine cannot work on such a scan.
        """
        self._answering.prepare(self._scan(), Monitor(1, progress, cancel))

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
            box = state.box_of_all() if what.is_of_all else state.box(item.value)
            locked = [other.value for other in self.objects if other.is_locked]
            request = ToolState(volume, state.labels, item.value, objects, box, locked)
        return Pending(what, item, is_new, volume, request, self._answering, self._mark(what, item))

    def predict(
        self, pending: Pending, progress: Progress | None = None, cancel: CancelEvent | None = None
    ) -> MaskUpdate | LabelsUpdate | None:
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
            raise SessionError("A prompt was received while a tool was in use.")
        monitor.check()
        return pending.what.apply(pending.request, monitor)

    def commit(self, pending: Pending, update: MaskUpdate | LabelsUpdate | None) -> Change:
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
            if isinstance(update, LabelsUpdate):
                difference = self._state.compare_labels(update)
            else:
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
        told = session_manifest(self._timeline.history, self._answering, self._identity, self._started)
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
        if saved.problem:
            raise JournalError(saved.problem)
        _load(volume, progress, cancel)
        identity = provenance.identify(volume)
        header = saved.header
        check_same_scan(header, identity)
        if settings is None:
            settings = make_options(RunSettings, header.get("settings"))
        session = cls(engine=engine or str(header.get("engine")), settings=settings, folder=saved.path.parent)
        journal = Journal.open(saved.path)
        try:
            session._begin(volume, identity, journal)
        except RadcnnError:
            journal.close()
            session.close()
            raise
        return session

    # -- what stands behind ----------------------------------------------------------------------------------------

    def _mark(self, what: Prompt | Tool, item: SegmentedObject) -> object:
        """Return what must be the same when an answer comes as when it was asked for."""
        if isinstance(what, Prompt):
            return self._state.revision(item.value), [other.value for other in self.objects if other.is_locked]
        return self._state.n_changes

    def _check_still_fits(self, pending: Pending) -> None:
        name = pending.item.name
        if pending.volume is not self._volume:
            raise SessionError("Another scan was opened in the meantime; the result was discarded.")
        now = self._state.find(pending.value)
        if not pending.is_new and now is None:
            raise SessionError(f"'{name}' was removed in the meantime; the result was discarded.")
        if not pending.is_new and now is not None and now.is_locked:
            raise SessionError(f"'{name}' was locked in the meantime; the result was discarded.")
        if pending.mark != self._mark(pending.what, pending.item):
            raise SessionError(
                f"'{name}' was changed by another step in the meantime; the result was discarded. Try again."
            )

    def _warn(self, text: str) -> None:
        self._warnings = (*self._warnings, text)
        if self.on_warning is not None:
            self.on_warning(text)

    def _begin(self, volume: Volume, identity: Mapping[str, Any] | None, journal: Journal | None) -> None:
        """Begin with a scan; a journal says what was done on it already."""
        timeline, started = Timeline(volume.geometry.shape), provenance.now()
        header: Mapping[str, Any] = {
            "schema": SESSION,
            "engine": self.engine,
            "settings": self._answering.settings_dict(),
            "input": identity,
            "started": started,
            "versions": provenance.versions(),
        }
        if journal is not None:
            timeline.replay(journal)
            started = str(journal.header.get("started", started))
        self._close_scan(is_finished=False)
        self._warnings = ()
        if self._is_autosaved:
            timeline.autosave = Autosave(self._folder, header, self._warn, journal)
        self._timeline, self._volume, self._identity, self._started = timeline, volume, identity, started
        if journal is not None and journal.lost_bytes:
            self._warn(
                f"The last steps of this session could not be read: {journal.lost_bytes} bytes of it are damaged on "
                "disk. Everything before them was recovered."
            )

    def _close_scan(self, *, is_finished: bool) -> None:
        if self._timeline.autosave is not None:
            self._timeline.autosave.close(is_finished=is_finished)
        self._timeline, self._volume, self._identity = Timeline((1, 1, 1)), None, None


def _load(volume: Volume, progress: Progress | None, cancel: CancelEvent | None) -> None:
    check_volume(volume)
    volume.load(progress, cancel)  # type: ignore[arg-type]
