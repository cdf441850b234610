"""A prompt or a tool between its check and its answer."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.interactive.answering import Answering
from napari_radcnn.interactive.checks import step_title
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.history import SegmentedObject
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools.base import Tool, ToolState
from napari_radcnn.volume import Volume


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
    volume : Volume
        The scan.
    request : EngineRequest or ToolState
        What the engine or the tool gets.
    answering : Answering
        The engine of the session when it was begun.
    mark : object
        What must be the same when the answer comes.
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

    @property
    def title(self) -> str:
        """What a history calls it."""
        return step_title(self.what, self.item)
