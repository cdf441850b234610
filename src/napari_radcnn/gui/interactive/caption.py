"""What a session reads and works on, written on the canvas."""

from __future__ import annotations

from typing import Any

from napari_radcnn.gui.interactive.editing import Editing
from napari_radcnn.gui.reading.room import room_of


def show_caption(viewer: Any, editing: Editing | None) -> None:
    """Write the scan and the active object of a session into a corner of the canvas; nothing where there is none."""
    room = room_of(viewer)
    if room is not None:
        room.say("" if editing is None or not editing.is_open else _text(editing))


def _text(editing: Editing) -> str:
    scan = editing.scan
    item = editing.state.object(editing.state.active)
    name = editing.name if scan is None else scan.name
    return f"Segmenting: {name}" + ("" if item is None else f" · {item.name}")
