"""Keys that turn the cross-hair and change the slab, and the question for a thickness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QInputDialog, QWidget

from napari_radcnn.gui.reading.bar import Entry

#: Of each key: degrees by which it turns the cross-hair of the first view, clockwise.
_TURNS = {"Shift+PgUp": -1.0, "Shift+PgDown": 1.0, "Ctrl+Shift+PgUp": -10.0, "Ctrl+Shift+PgDown": 10.0}
_THICKER, _THINNER, _KIND = "Alt+PgUp", "Alt+PgDown", "Alt+Home"
#: Of the entries of the menu of the view in 3-D, by their keys: next preset, each plane that clips, the other sides,
#: surfaces.
NEXT_PRESET, OTHER_SIDES, SURFACES = "Shift+F7", "Shift+F5", "Shift+F6"
CLIP_KEYS = {"Axial": "Shift+F2", "Coronal": "Shift+F3", "Sagittal": "Shift+F4"}
_MOST_MM = 1000.0


def add_cut_keys(views: QWidget, room: Any) -> None:
    """Let keys turn the cross-hair of a room, where a canvas has the keyboard, and change slabs and 3-D anywhere."""
    acts: dict[str, Callable[[], object]] = {key: partial(room.turn_cross, degrees) for key, degrees in _TURNS.items()}
    acts |= {
        _THICKER: partial(room.desk.step_slab, 1),
        _THINNER: partial(room.desk.step_slab, -1),
        _KIND: room.desk.next_kind,
    }
    for key in (NEXT_PRESET, *CLIP_KEYS.values(), OTHER_SIDES, SURFACES):
        acts[key] = partial(_choose, room.solid_entries, key)
    for key, act in acts.items():
        action = QAction(views)
        action.setShortcut(QKeySequence(key))
        is_text_key = key in _TURNS  # text and rows of lists are selected by these
        action.setShortcutContext(
            Qt.ShortcutContext.WidgetWithChildrenShortcut if is_text_key else Qt.ShortcutContext.WindowShortcut
        )
        action.triggered.connect(partial(_call, act))
        views.addAction(action)


def ask_thickness(parent: QWidget, present: float) -> float | None:
    """Ask for the thickness of slabs in mm; None where it is not answered."""
    found, is_answered = QInputDialog.getDouble(
        parent, "Slab", "Thickness, mm (0 for planes):", present, 0.0, _MOST_MM, 1
    )
    return float(found) if is_answered else None


def _choose(entries: Callable[[], Sequence[Entry]], key: str) -> None:
    """Do what the entry of a menu does that has a key."""
    for _, its_key, _, act in entries():
        if its_key == key:
            act()
            return


def _call(act: Callable[[], object], _checked: bool = False) -> None:
    act()
