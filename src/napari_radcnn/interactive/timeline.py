"""The state of a session and the steps that led to it: forward, back, and again from the disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_radcnn import provenance
from napari_radcnn.errors import SessionError
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.autosave import Autosave
from napari_radcnn.interactive.history import History, Step
from napari_radcnn.interactive.journal.journal import Journal
from napari_radcnn.interactive.state import State
from napari_radcnn.interactive.step_checks import checked_step


@dataclass(frozen=True)
class Change:
    """What a step changed, for whoever shows the session.

    Attributes
    ----------
    title : str
        Of the step.
    box : tuple of slice or None
        The voxels to draw anew, (k, j, i); None where none changed.
    objects_changed : bool
        Whether an object was begun, removed, named, colored, locked or unlocked, or another one is active. Prompts may
        have changed in any case.
    """

    title: str
    box: Box | None
    objects_changed: bool


class Timeline:
    """The steps of one scan.

    Parameters
    ----------
    shape : tuple of int
        Of the scan, (k, j, i).
    autosave : Autosave or None
        Where every step is kept; None for nowhere.
    """

    def __init__(self, shape: tuple[int, int, int], autosave: Autosave | None = None) -> None:
        self.state = State(shape)
        self.history = History()
        self.autosave = autosave

    def push(self, step: Step) -> Change:
        """Do a step and keep it."""
        payload = replace(step, time=provenance.now()).encode()
        change = self._do(step, 1)
        self.history.push(step.title, payload)
        if self.autosave is not None:
            self.autosave.keep("step", payload)
        return change

    def undo(self) -> Change:
        """Take the last step back.

        Raises
        ------
        SessionError
            If there is none.
        """
        change = self._undo()
        if self.autosave is not None:
            self.autosave.keep("undo")
        return change

    def redo(self) -> Change:
        """Bring back the last step that was undone.

        Raises
        ------
        SessionError
            If there is none.
        """
        change = self._redo()
        if self.autosave is not None:
            self.autosave.keep("redo")
        return change

    def replay(self, journal: Journal) -> None:
        """Do what a journal tells, without keeping it once more.

        Raises
        ------
        SessionError
            If a step is damaged or does not fit the scan.
        """
        for record in journal.records():
            if record.kind == "undo":
                self._undo()
            elif record.kind == "redo":
                self._redo()
            else:
                step = checked_step(record.payload, self.state)
                self._do(step, 1)
                self.history.push(step.title, record.payload)

    def _undo(self) -> Change:
        step = self.history.last()
        if step is None:
            raise SessionError("There is nothing to undo.")
        change = self._do(step, -1)
        self.history.undo()
        return change

    def _redo(self) -> Change:
        step = self.history.next()
        if step is None:
            raise SessionError("There is nothing to redo.")
        change = self._do(step, 1)
        self.history.redo()
        return change

    def _do(self, step: Step, sign: int) -> Change:
        """Do (1) or take back (-1) what a step changed."""
        state, difference, box = self.state, step.difference, None
        if difference is not None:
            state.toggle(difference, sign)
            box = difference.box
        before = (state.objects, state.active)
        for edit in step.edits if sign > 0 else reversed(step.edits):
            state.edit(edit if sign > 0 else edit.reversed())
        if step.active:
            state.active = step.active[1 if sign > 0 else 0]
        return Change(step.title, box, (state.objects, state.active) != before)
