"""Rulers drawn with the mouse on a slice, in whichever plane and view."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import to_patient
from napari_radcnn.gui.layers.pointer import frame_of, world_position
from napari_radcnn.measure.rulers import Kind

_Points = npt.NDArray[np.float64]
_LEFT = 1
#: Strokes of the mouse that a ruler takes.
_STROKES = {"angle": 2, "cobb": 2, "bidirectional": 2}
#: The least length of a stroke, pixels: less was a click by mistake.
_LEAST = 3.0


class Paper(Protocol):
    """Who takes what is drawn."""

    def tool(self) -> Kind | None:
        """Return the chosen tool; None while the mouse is napari's."""
        ...

    def draw(self, kind: Kind, points: _Points) -> None:
        """Show what is drawn so far; its points are (n, 3), LPS mm, and may be too few."""
        ...

    def finish(self, kind: Kind, points: _Points) -> None:
        """Take a ruler."""
        ...

    def tell(self, line: str) -> None:
        """Say why nothing is drawn, or what comes next."""
        ...


class RulerMouse:
    """Draws with the left button while a tool is chosen.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas, with its further views.
    paper : Paper
        Kept by a weak reference.
    """

    def __init__(self, viewer: Any, paper: Paper) -> None:
        self._viewer = viewer
        self._paper = weakref.ref(paper)
        self._strokes: list[_Points] = []

    def attach(self) -> None:
        """Listen to the viewer's mouse."""
        self._strokes = []
        if self._on_button not in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.insert(0, self._on_button)

    def detach(self) -> None:
        """Leave the mouse to napari."""
        self._strokes = []
        if self._on_button in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_button)

    def _on_button(self, view: Any, event: Any) -> Iterator[None]:
        paper = self._paper()
        kind = None if paper is None else paper.tool()
        if paper is None or kind is None or event.handled or event.button != _LEFT or tuple(event.modifiers):
            return
        axes = [axis - view.dims.ndim + 3 for axis in view.dims.displayed]
        if view.dims.ndisplay != 2 or min(axes) < 0:
            paper.tell("Rulers are drawn on slices: switch to 2-D.")
            return
        active = self._viewer.layers.selection.active
        if active is not None and str(active.mode) not in ("pan_zoom", "PAN_ZOOM"):
            paper.tell(f"'{active.name}' is being edited with napari's own tools: choose its pan and zoom first.")
            return
        event.handled = True  # else the camera moves along
        path = [_position(view, event)]
        frame = frame_of(view)
        yield
        while event.type == "mouse_move":
            event.handled = True
            path.append(_position(view, event))
            paper.draw(kind, self._ruler(kind, np.array(path), frame))
            yield
        event.handled = True
        path.append(_position(view, event))
        self._end(paper, kind, np.array(path), frame, view.scene.camera.zoom)

    def _end(self, paper: Paper, kind: Kind, path: _Points, frame: _Points, zoom: float) -> None:
        is_second_click = bool(self._strokes) and kind == "angle"  # only where it ends counts
        if not is_second_click and np.linalg.norm(path - path[0], axis=1).max() * zoom < _LEAST:
            paper.draw(kind, np.zeros((0, 3)))
            paper.tell("Draw with the left button held.")
            return
        points = self._ruler(kind, path, frame)
        self._strokes.append(path)
        if len(self._strokes) < _STROKES.get(kind, 1):
            paper.draw(kind, points)
            paper.tell("Now the other end." if kind == "angle" else "Now the second line.")
            return
        self._strokes = []
        paper.finish(kind, points)

    def _ruler(self, kind: Kind, path: _Points, frame: _Points) -> _Points:
        """Return the points of a ruler that the strokes so far and this one make; `frame` is the screen's two axes."""
        start, end = path[0], path[-1]
        if kind == "angle" and self._strokes:
            return np.stack([self._strokes[0][0], self._strokes[0][-1], end])
        if kind == "cobb" and self._strokes:
            return np.stack([self._strokes[0][0], self._strokes[0][-1], start, end])
        if kind == "bidirectional" and self._strokes:
            first = np.stack([self._strokes[0][0], self._strokes[0][-1]])
            return np.concatenate([first, _across(first, start, end, frame)])
        if kind in ("rectangle", "ellipse"):
            down, right = (end - start) @ frame.T
            corners = np.stack([start, start + right * frame[1], end, start + down * frame[0]])
            if kind == "rectangle":
                return corners
            middle = (start + end) / 2
            halves = [right / 2 * frame[1], down / 2 * frame[0]]
            return np.stack([middle - halves[0], middle + halves[0], middle - halves[1], middle + halves[1]])
        if kind == "freehand":
            kept = path[np.append(True, np.abs(np.diff(path, axis=0)).max(axis=1) > 1e-9)]
            return kept if len(kept) >= 3 else np.zeros((0, 3))
        return np.stack([start, end])


def _across(first: _Points, start: _Points, end: _Points, frame: _Points) -> _Points:
    """Return a stroke made right-angled to the first line: the short axis of a bidirectional ruler."""
    along = first[1] - first[0]
    along = along / np.linalg.norm(along)
    normal = np.cross(frame[0], frame[1])
    side = np.cross(normal, along)
    middle = start + ((end - start) @ along) / 2 * along
    return np.stack([middle, middle + ((end - start) @ side) * side])


def _position(view: Any, event: Any) -> _Points:
    """Return where the mouse is in the patient, on the slice that is shown."""
    world = world_position(view, event)
    for axis in view.dims.not_displayed:
        world[axis] = view.dims.point[axis]
    return to_patient(world[-3:])
