"""Keys of a session: bound to its layers and to the viewer while it is the one in use, and given back after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: What the dock tells about keys and mouse, and napari's name of a key where one is bound; "1" stands for 1 to 9.
KEY_SHEET: tuple[tuple[str, str], ...] = (
    ("Left / right button", "positive / negative prompt; paint / erase"),
    ("Shift+arrows", "move the cross-hair; with Ctrl ten steps at once"),
    ("Return / Shift+Return", "apply the preview; otherwise a positive / negative prompt at the cross-hair"),
    ("Space, held", "pan the view with the mouse"),
    ("H", "tool Navigate: the mouse pans and zooms the view"),
    ("P, B, S, L", "tools Point, Box, Scribble, Lasso"),
    ("D, E, W", "tools Brush, Eraser, Smart"),
    ("T, G, V, C", "tools Threshold, Seeds, Trace, Scissors"),
    ("[ and ]", "decrease and increase the radius"),
    ("N", "new object"),
    ("1 … 9", "choose an object"),
    ("Ctrl+Z", "undo; first cancels computations still waiting"),
    ("Ctrl+Shift+Z", "redo"),
    ("Esc", "discard the stroke being drawn; otherwise cancel"),
    ("Wheel, Ctrl+wheel", "next slice, zoom"),
)

#: Names as napari understands them.
UNDO, REDO, HOLD = "Control-Z", "Control-Shift-Z", "Space"
CLICK, OTHER_CLICK = "Enter", "Shift-Enter"

Action = Callable[[], object]


class Keys:
    """Binds keys to layers and a viewer.

    Parameters
    ----------
    actions : mapping of str to callable
        What each key does; called without arguments.
    hold : callable, optional
        Called with True when the space bar goes down and with False when it comes up.
    """

    def __init__(self, actions: Mapping[str, Action], hold: Callable[[bool], object] | None = None) -> None:
        self._functions: dict[str, Callable[[Any], Any]] = {key: _calling(action) for key, action in actions.items()}
        if hold is not None:
            self._functions[HOLD] = _holding(hold)
        self._bound: list[tuple[Any, str, Any]] = []

    def bind(self, *owners: Any) -> None:
        """Bind all keys to each of some layers or viewers.

        A layer's own keys come before the viewer's in napari, so that both are needed: the first for the layers of the
        session, the second for when another layer is active.
        """
        for owner in owners:
            for key, function in self._functions.items():
                before = owner.bind_key(key, function, overwrite=True)
                self._bound.append((owner, key, before))

    def release(self) -> None:
        """Give every key back to what it did before."""
        while self._bound:
            owner, key, before = self._bound.pop()
            owner.bind_key(key, before, overwrite=True)


def _calling(action: Action) -> Callable[[Any], None]:
    def on_key(_owner: Any) -> None:
        action()

    return on_key


def _holding(hold: Callable[[bool], object]) -> Callable[[Any], Iterator[None]]:
    def on_key(_owner: Any) -> Iterator[None]:
        hold(True)
        yield
        hold(False)

    return on_key
