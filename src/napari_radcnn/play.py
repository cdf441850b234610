"""Playing a script of prompts and tools on a scan: an interactive result without a viewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_radcnn.errors import GeometryError, ModelError, OptionError, SessionError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import Engine
from napari_radcnn.interactive.engines.registry import check_installed, engine_spec
from napari_radcnn.interactive.engines.specs import DEFAULT_ENGINE
from napari_radcnn.interactive.script import Script, ScriptStep, read_script, script_from_dict
from napari_radcnn.progress import CancelEvent, Monitor, Progress
from napari_radcnn.results import LabelMap
from napari_radcnn.session import PromptSession
from napari_radcnn.volume import Volume


def play(
    volume: Volume,
    script: Script | Mapping[str, Any] | str | Path,
    *,
    engine: str | Engine | None = None,
    settings: RunSettings | None = None,
    label_maps: Sequence[LabelMap] = (),
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> LabelMap:
    """Segment a scan by the steps of a script; the same script gives the same voxels.

    Parameters
    ----------
    volume : Volume
        The scan.
    script : Script, mapping or path
        The steps; see `napari_radcnn.interactive.script`. The manifest beside an interactive result is a script, too.
    engine : str or Engine, optional
        What answers all prompts, whatever the script says.
    settings : RunSettings, optional
        Device and precision; by default those of a manifest, or automatic ones.
    label_maps : sequence of LabelMap
        What the script's tools may copy from; each is recognized by its voxels.
    progress : callable, optional
        Called as ``progress(done, total, message)`` in the thread that plays; a step is one of the script's.
    cancel : object with ``is_set()``, optional
        Such as `threading.Event`; looked at between steps, and by the engine.

    Returns
    -------
    LabelMap
        On the scan's grid. Its provenance is the manifest: the steps that hold in the end, which can be played again.

    Raises
    ------
    ReadError
        If the script cannot be read; names the step.
    SessionError
        If a step does not fit: its prompt lies outside the scan, its object is locked or not there.
    ModelError
        If the engine is unknown, lacks something, or cannot answer a prompt.
    CancelledError
        If `cancel` was set.

    Examples
    --------
    >>> from napari_radcnn.phantom import head
    >>> click = {"object": "left", "prompt": {"kind": "point", "points_mm": [[-28, 20, 30]]}}
    >>> play(head(), {"steps": [click]}).labels[1].name
    'left'
    """
    opened = _opened(script, label_maps)
    check_engines(opened, engine)
    if settings is None:
        settings = RunSettings(**opened.settings)
    total = len(opened.steps)
    monitor = Monitor(total, progress, cancel)
    with PromptSession(engine=engine or opened.engine or DEFAULT_ENGINE, settings=settings, autosave=False) as session:
        session.set_volume(volume, progress=progress, cancel=cancel)
        player = _Player(session, settings, monitor, has_fixed_engine=engine is not None)
        for number, step in enumerate(opened.steps, 1):
            with _naming(number, step):
                player.play(step, progress, cancel)
        monitor.check()
        result = session.result()
    if opened.input_sha256 not in ("", result.provenance["input"]["sha256"]):
        told = f"The script was made on a scan other than '{volume.name}': the voxels or the grid differ."
        result = replace(result, warnings=(*result.warnings, told))
    return result


def check_engines(script: Script, engine: str | Engine | None = None) -> None:
    """Look for all engines that a script needs, before anything slow begins.

    Parameters
    ----------
    script : Script
        The steps.
    engine : str or Engine, optional
        What answers all prompts instead.

    Raises
    ------
    ModelError
        If one is unknown, or what it needs is missing.
    """
    if engine is not None:
        names = [engine] if isinstance(engine, str) else []
    else:
        names = [script.engine or DEFAULT_ENGINE, *(step.name for step in script.steps if step.action == "engine")]
    for name in dict.fromkeys(names):
        check_installed(engine_spec(name))


def _opened(script: Script | Mapping[str, Any] | str | Path, label_maps: Sequence[LabelMap]) -> Script:
    if isinstance(script, Script):
        return script
    if isinstance(script, Mapping):
        return script_from_dict(script, label_maps=label_maps)
    return read_script(Path(script), label_maps)


@contextmanager
def _naming(number: int, step: ScriptStep) -> Iterator[None]:
    """Say in an error which step it was."""
    where = f"Step {number} ({step.title}): "
    try:
        yield
    except SessionError as error:
        raise SessionError(f"{where}{error}") from error
    except ModelError as error:
        raise ModelError(f"{where}{error}") from error
    except OptionError as error:
        raise OptionError(f"{where}{error}") from error
    except GeometryError as error:
        raise GeometryError(f"{where}{error}") from error


class _Player:
    """Plays steps on a session.

    A step of the script may be several of the session's history, such as a new object and its first prompt; undo and
    redo count the script's.
    """

    def __init__(
        self, session: PromptSession, settings: RunSettings, monitor: Monitor, *, has_fixed_engine: bool
    ) -> None:
        self._session, self._settings, self._monitor = session, settings, monitor
        self._has_fixed_engine = has_fixed_engine
        self._done: list[int] = []
        self._undone: list[int] = []

    def play(self, step: ScriptStep, progress: Progress | None, cancel: CancelEvent | None) -> None:
        """Play one step."""
        self._monitor.say(step.title)
        if step.is_of_history:
            self._move(step)
        else:
            before = len(self._session.history)
            self._do(step, progress, cancel)
            added = len(self._session.history) - before
            if added:
                self._done.append(added)
                self._undone.clear()
        self._monitor.done += 1

    def _do(self, step: ScriptStep, progress: Progress | None, cancel: CancelEvent | None) -> None:
        session = self._session
        if step.action == "engine":
            if not self._has_fixed_engine:
                session.set_engine(step.name, self._settings)
        elif step.action == "add":
            if self._find(step.name):
                raise SessionError(f"There is already an object '{step.name}'.")
            session.add_object(step.name, step.color)
        elif step.prompt is not None:
            session.add(step.prompt, self._begun(step.name), progress=self._inner(step, progress), cancel=cancel)
        elif step.tool is not None:
            self._mend(step, progress, cancel)
        else:
            self._change(step)

    def _mend(self, step: ScriptStep, progress: Progress | None, cancel: CancelEvent | None) -> None:
        known = ", ".join(item.name for item in self._session.objects)
        is_new = not self._find(step.name)
        value = self._begun(step.name)
        if step.tool is None:
            return
        change = self._session.apply(step.tool, value, progress=self._inner(step, progress), cancel=cancel)
        if is_new and change.box is None:  # a tool that needs an object, and a name that is none: a slip of the pen
            raise SessionError(f"There is no object '{step.name}'; objects: {known or 'none'}.")

    def _change(self, step: ScriptStep) -> None:
        session, value = self._session, self._known(step.name)
        if step.action == "remove":
            session.remove_object(value)
        elif step.action == "reset":
            session.reset(value)
        elif step.action in ("lock", "unlock"):
            session.lock(value, step.action == "lock")
        elif step.action == "rename":
            session.rename(value, step.to)
        elif step.color is not None:
            session.recolor(value, step.color)

    def _move(self, step: ScriptStep) -> None:
        """Undo or redo steps of the script."""
        if step.action == "undo":
            source, target, move = self._done, self._undone, self._session.undo
        else:
            source, target, move = self._undone, self._done, self._session.redo
        if step.count > len(source):
            raise SessionError(
                f"There are only {len(source)} steps to {step.action}, but the script asks for {step.count}."
            )
        for _ in range(step.count):
            self._monitor.check()
            n = source.pop()
            for _ in range(n):
                move()
            target.append(n)

    def _find(self, name: str) -> int:
        return next((item.value for item in self._session.objects if item.name == name), 0)

    def _known(self, name: str) -> int:
        value = self._find(name)
        if not value:
            known = ", ".join(item.name for item in self._session.objects)
            raise SessionError(f"There is no object '{name}'; objects: {known or 'none'}.")
        return value

    def _begun(self, name: str) -> int:
        """Return the value of an object, which is begun where it is not there yet."""
        return self._find(name) or self._session.add_object(name).value

    def _inner(self, step: ScriptStep, progress: Progress | None) -> Progress | None:
        """Return the progress of an engine inside a step."""
        if progress is None:
            return None
        done, total = self._monitor.done, self._monitor.total
        return lambda _done, _total, message: progress(done, total, f"{step.title}: {message}")
