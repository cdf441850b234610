"""What is listened to while scans are side by side, and not longer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Callback = Callable[..., None]


class Ears:
    """Callbacks that are connected together, and disconnected together."""

    def __init__(self) -> None:
        self._heard: list[tuple[Any, Callback]] = []

    def hear(self, heard: Sequence[tuple[Any, Callback]]) -> None:
        """Listen to emitters of napari's events, each with its callback, and to no others any more."""
        self.close()
        self._heard = list(heard)
        for emitter, callback in self._heard:
            emitter.connect(callback)

    def close(self) -> None:
        """Listen to nothing."""
        for emitter, callback in self._heard:
            emitter.disconnect(callback)
        self._heard = []
