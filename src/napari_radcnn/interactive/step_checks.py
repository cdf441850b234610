"""Steps that were read from the disk, before they are done: bytes that fit their checksum may still make no sense."""

from __future__ import annotations

from napari_radcnn.errors import SessionError
from napari_radcnn.interactive.checks import checked_color
from napari_radcnn.interactive.difference import MOST_PLANES, Difference
from napari_radcnn.interactive.history import ObjectEdit, Step
from napari_radcnn.interactive.state import MOST_OBJECTS, State


def checked_step(payload: bytes, state: State) -> Step:
    """Return the step that bytes tell, if it can be done on a session as it is now.

    Raises
    ------
    SessionError
        If it cannot.
    """
    step = Step.decode(payload)
    before = {item.value: len(state.prompts(item.value)) for item in state.objects}
    after = dict(before)
    for edit in step.edits:
        _follow(edit, after)
    if step.active and not (len(step.active) == 2 and step.active[0] in {0, *before} and step.active[1] in {0, *after}):
        raise _damaged("the active object does not exist")
    if step.difference is not None:
        _check_difference(step.difference, state.labels.shape)
    return step


def _follow(edit: ObjectEdit, there: dict[int, int]) -> None:
    """Let `there`, which tells the number of prompts of each object, follow an edit.

    Raises
    ------
    SessionError
        If the edit does not fit it.
    """
    value = edit.value
    items = [item for item in (edit.before, edit.after) if item is not None]
    if not items or any(item.value != value for item in items) or not 1 <= value <= MOST_OBJECTS:
        raise _damaged("an object has an invalid value")
    if (edit.before is not None) != (value in there):
        raise _damaged("a changed object does not exist, or was created twice")
    if edit.kept < 0 or edit.kept + len(edit.removed) != there.get(value, 0):
        raise _damaged("its prompts do not belong to the object")
    for item in items:
        checked_color(item.color)
    if edit.after is None:
        del there[value]
    else:
        there[value] = edit.kept + len(edit.added)


def _check_difference(difference: Difference, shape: tuple[int, ...]) -> None:
    if not all(0 <= extent.start < extent.stop <= n for extent, n in zip(difference.box, shape, strict=True)):
        raise _damaged("its voxels are outside the scan")
    kinds = difference.kinds
    if len(kinds) > MOST_PLANES or not all(0 < kind <= MOST_OBJECTS for kind in kinds):
        raise _damaged("its labels are invalid")
    if not all(0 < value <= MOST_OBJECTS for value in difference.gained):
        raise _damaged("its objects have invalid values")


def _damaged(why: str) -> SessionError:
    return SessionError(f"A step of this session is damaged or from another version: {why}.")
