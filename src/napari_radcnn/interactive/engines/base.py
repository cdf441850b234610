"""What a session asks of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume


@dataclass(frozen=True, eq=False)
class EngineRequest:
    """What an engine gets.

    Parameters
    ----------
    volume : Volume
        The scan, in its native order; the same object from click to click, so that an engine may keep what it made of
        it.
    prompts : tuple of Prompt
        All prompts of the object since it was last begun, oldest first; the last one is new. None lies outside the
        volume.
    current : (k, j, i) array of bool
        The object's mask before the new prompt, on the whole grid; read-only. Strokes and tools may have changed it
        since the last prompt.
    forbidden : (k, j, i) array of bool or None
        Voxels that belong to locked objects: whatever the engine says of them is dropped.
    """

    volume: Volume
    prompts: tuple[Prompt, ...]
    current: Mask
    forbidden: Mask | None = None


class Engine(Protocol):
    """Turns prompts into a mask. It is used by one thread at a time, not always the one that opened it."""

    @property
    def name(self) -> str:
        """The name on the list of models: ``"region"``."""
        ...

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Do what is slow the first time (load weights, compile), so that the first click is not; may be skipped.

        Raises
        ------
        ModelError
            If weights are missing or damaged, or the engine cannot work on such a volume.
        """
        ...

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Return the object's new mask in a box; the same request gives the same answer.

        Raises
        ------
        CancelledError
            If the user asked to stop; `monitor.check` is called a few times a second at least.
        ModelError
            If this engine cannot answer such prompts; the text names the kind and what to use.
        """
        ...

    def close(self) -> None:
        """Give its memory back; it may be prepared again."""
        ...
