"""What a session reads and works on, written on the canvas."""

from __future__ import annotations

from typing import Any

from napari_radcnn.gui.interactive.editing import Editing
from napari_radcnn.gui.layers.layers import name_of
from napari_radcnn.gui.reading.room import room_of
from napari_radcnn.models import ModelSpec


def show_caption(viewer: Any, editing: Editing | None) -> None:
    """Write the scan and the active object of a session into a corner of the canvas; nothing where there is none."""
    room = room_of(viewer)
    if room is not None:
        room.say("" if editing is None or not editing.is_open else _text(editing))


def _text(editing: Editing) -> str:
    scan = editing.scan
    item = editing.state.object(editing.state.active)
    name = editing.name if scan is None else name_of(scan, editing.point)
    return f"Segmenting: {name}" + ("" if item is None else f" · {item.name}")


def engine_words(spec: ModelSpec) -> str:
    """Return what an engine does, its license, and what is missing to use it."""
    return f"{spec.summary}\n{_licence(spec)}\n{spec.how_to_install}".strip()


def _licence(spec: ModelSpec) -> str:
    """Return what an engine may be used for, and the license that says so."""
    if "not for commercial" in spec.licence:
        return f"Not for commercial use. License: {spec.licence}."
    is_free = spec.licence.startswith(("BSD", "MIT", "Apache")) and "research only" not in spec.licence
    return f"{('Free for any use. ' if is_free else '')}License: {spec.licence}."
