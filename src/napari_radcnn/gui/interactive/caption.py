"""What a session reads and works on, written on the canvas."""

from __future__ import annotations

from typing import Any

from napari_radcnn.gui.interactive.editing import Editing

_NAME = "radcnn_session"
#: Below the lines on the window that are painted in the same corner.
_BELOW = "\n\n\n"


def show_caption(viewer: Any, editing: Editing | None) -> None:
    """Write the scan and the active object of a session into a corner of the canvas; nothing where there is none."""
    overlays = viewer.canvas.overlays
    text = "" if editing is None or not editing.is_open else _text(editing)
    if _NAME not in overlays:
        if not text:
            return
        from napari.components.overlays import TextOverlay

        overlays[_NAME] = TextOverlay(text="", position="top_right", visible=True, font_size=10)
    if overlays[_NAME].text != text:
        overlays[_NAME].text = text


def _text(editing: Editing) -> str:
    scan = editing.scan
    item = editing.state.object(editing.state.active)
    name = editing.name if scan is None else scan.name
    return f"{_BELOW}Segmenting: {name}" + ("" if item is None else f" · {item.name}")
