"""What a viewer shows of a session, apart from its voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.session import PromptSession, SegmentedObject


@dataclass(frozen=True)
class Overview:
    """Objects, prompts and history, taken on the session's thread after each step: the viewer never waits for it.

    Attributes
    ----------
    objects : tuple of SegmentedObject
        In their order.
    active : int
        Value of the one that prompts go to; 0 for none.
    volumes_ml : mapping of int to float
        By value.
    prompts : mapping of int to tuple of Prompt
        By value.
    undo_title, redo_title : str
        What undo and redo would take back and do again; empty for nothing.
    """

    objects: tuple[SegmentedObject, ...] = ()
    active: int = 0
    volumes_ml: Mapping[int, float] = field(default_factory=dict)
    prompts: Mapping[int, tuple[Prompt, ...]] = field(default_factory=dict)
    undo_title: str = ""
    redo_title: str = ""

    @classmethod
    def of(cls, session: PromptSession) -> Overview:
        """Return the overview of a session that nobody changes at the moment."""
        values = [each.value for each in session.objects]
        return cls(
            session.objects,
            session.active,
            {value: session.volume_ml(value) for value in values},
            {value: session.prompts(value) for value in values},
            session.undo_title,
            session.redo_title,
        )

    def object(self, value: int) -> SegmentedObject | None:
        """Return the object of a value."""
        return next((each for each in self.objects if each.value == value), None)
