"""From mouse events on the canvas to lines drawn in the patient, whatever layer is active."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.layers.layers import to_patient
from napari_radcnn.gui.layers.pointer import frame_of, is_cut, world_position
from napari_radcnn.interactive.prompts import Position

ToolName = Literal[
    "navigate",
    "point",
    "box",
    "scribble",
    "lasso",
    "brush",
    "eraser",
    "smart",
    "threshold",
    "seeds",
    "trace",
    "scissors",
    "keep",
    "remove",
]

#: napari's numbers of the mouse buttons.
_LEFT, _RIGHT = 1, 2
#: Tools that one place is enough for.
_CLICKED = ("point", "brush", "eraser", "smart", "seeds", "trace", "keep", "remove")


@dataclass(frozen=True)
class Drawn:
    """What the mouse has drawn so far.

    Attributes
    ----------
    tool : str
        The tool that was chosen when the button went down.
    positive : bool
        Left button; False for the right one.
    points : tuple of (x, y, z)
        LPS mm, on the slice that is shown; the first is where the button went down.
    right, down : tuple of float
        Unit vectors, LPS, along the two world axes on the screen: the faster and the slower one.
    """

    tool: ToolName
    positive: bool
    points: tuple[Position, ...]
    right: Position
    down: Position

    @property
    def normal(self) -> Position:
        """Unit vector, LPS, across the slice that is shown."""
        x, y, z = np.cross(self.right, self.down).tolist()
        return x, y, z


class Canvas(Protocol):
    """Who wants to know what is drawn."""

    def tool(self) -> ToolName:
        """Return the tool that the next button chooses."""
        ...

    def shown(self) -> ShownLabels | None:
        """Return the grid that is drawn on; None while nothing can be."""
        ...

    def draw(self, drawn: Drawn) -> None:
        """Show what has been drawn so far."""
        ...

    def finish(self, drawn: Drawn) -> None:
        """Take what was drawn: the button was let go."""
        ...

    def drop(self) -> None:
        """Forget what was drawn."""
        ...

    def tell(self, line: str) -> None:
        """Tell the user why nothing is drawn."""
        ...


class Mouse:
    """Draws on a viewer's canvas with the left and the right button while a tool is chosen.

    Modified buttons, the wheel and, without a tool, everything is left to napari.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas.
    canvas : Canvas
        Kept by a weak reference.
    """

    def __init__(self, viewer: Any, canvas: Canvas) -> None:
        self._viewer = viewer
        self._canvas = weakref.ref(canvas)
        self.is_drawing = False
        #: Set while the user holds the key that moves the view for a moment.
        self.is_held_off = False
        self._is_given_up = False
        self._double_click: list[Any] = []

    def attach(self) -> None:
        """Listen to the viewer's mouse."""
        if self._on_button not in self._viewer.mouse_drag_callbacks:
            # First, so that what else listens sees that a button is taken.
            self._viewer.mouse_drag_callbacks.insert(0, self._on_button)
            # napari zooms on a double click, and two quick prompts are one; its own come back with `detach`.
            self._double_click = list(self._viewer.mouse_double_click_callbacks)
            self._viewer.mouse_double_click_callbacks[:] = [self._on_double_click]

    def detach(self) -> None:
        """Leave the mouse to napari."""
        if self._on_button in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_button)
            since = [each for each in self._viewer.mouse_double_click_callbacks if each != self._on_double_click]
            self._viewer.mouse_double_click_callbacks[:] = [*self._double_click, *since]

    def give_up(self) -> None:
        """Forget what is being drawn; the button may still be down."""
        canvas = self._canvas()
        if self.is_drawing and canvas is not None:
            self._is_given_up = True
            canvas.drop()

    def click_at_point(self, *, positive: bool) -> None:
        """Give a prompt or a dab of the brush at the point that all views show, as a click there would."""
        canvas, viewer = self._canvas(), self._viewer
        if canvas is None or (shown := canvas.shown()) is None or self.is_drawing:
            return
        if canvas.tool() not in _CLICKED:
            canvas.tell("Choose Point (P), a brush (D, E, W, G) or Trace (V): the others are drawn with the mouse.")
            return
        axes = self._displayed(viewer)
        if viewer.dims.ndisplay != 2 or len(axes) != 2:
            canvas.tell("Prompts need a slice view of this scan.")
            return
        down, right = (_UNITS[axis] for axis in axes)
        x, y, z = shown.on_slice(viewer.dims.point, axes).tolist()
        drawn = Drawn(canvas.tool(), positive, ((x, y, z),), right, down)
        canvas.draw(drawn)
        canvas.finish(drawn)

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_button(self, viewer: Any, event: Any) -> Iterator[None]:
        canvas = self._canvas()
        if canvas is None or event.handled or not self._is_ours(canvas, event):  # a ruler may be drawn
            return
        event.handled = True  # else the camera moves along
        if self.is_drawing:
            return
        drawn = self._begun(canvas, viewer, event)
        if drawn is None:
            return
        self.is_drawing, self._is_given_up = True, False
        try:
            canvas.draw(drawn)
            yield
            while event.type == "mouse_move":
                event.handled = True
                longer = self._longer(canvas, viewer, event, drawn)
                if longer is not drawn and not self._is_given_up:
                    drawn = longer
                    canvas.draw(drawn)
                yield
            event.handled = True
            if not self._is_given_up:
                canvas.finish(self._longer(canvas, viewer, event, drawn))
        finally:
            self.is_drawing = False

    def _on_double_click(self, viewer: Any, event: Any) -> None:
        """Take the second of two quick clicks, which comes as this and not as a press."""
        canvas = self._canvas()
        if canvas is None or not self._is_ours(canvas, event):
            for callback in self._double_click:
                callback(viewer, event)
            return
        event.handled = True
        drawn = self._begun(canvas, viewer, event)
        if drawn is not None:
            canvas.draw(drawn)
            canvas.finish(drawn)

    def _is_ours(self, canvas: Canvas, event: Any) -> bool:
        if canvas.tool() == "navigate" or self.is_held_off or canvas.shown() is None:
            return False
        if tuple(event.modifiers) or event.button not in (_LEFT, _RIGHT):
            return False
        active = self._viewer.layers.selection.active
        if active is not None and str(active.mode) not in ("pan_zoom", "PAN_ZOOM"):
            canvas.tell(
                f"'{active.name}' is being edited with napari's own tools: choose a tool in this dock to continue."
            )
            return False
        return True

    def _begun(self, canvas: Canvas, viewer: Any, event: Any) -> Drawn | None:
        if viewer.dims.ndisplay != 2:
            canvas.tell("Prompts need a slice view: switch to 2-D (the button below the layer list, or Ctrl+Y).")
            return None
        if is_cut(viewer) and canvas.tool() != "point":
            canvas.tell(
                "On turned planes and slabs only points can be set: F8 turns the planes upright again, and Slab > None "
                "removes the slab."
            )
            return None
        axes = self._displayed(viewer)
        if len(axes) != 2 and not is_cut(viewer):
            canvas.tell(
                "The view does not show a plane of this scan: choose an axis order that displays two of S, P, L."
            )
            return None
        down, right = (_as_position(part) for part in frame_of(viewer))
        position = self._position(canvas, viewer, event)
        return Drawn(canvas.tool(), event.button == _LEFT, (position,), right, down)

    def _longer(self, canvas: Canvas, viewer: Any, event: Any, drawn: Drawn) -> Drawn:
        """Return what was drawn with the present position, where it is not the last one."""
        position = self._position(canvas, viewer, event)
        if position == drawn.points[-1]:
            return drawn
        return Drawn(drawn.tool, drawn.positive, (*drawn.points, position), drawn.right, drawn.down)

    def _position(self, canvas: Canvas, viewer: Any, event: Any) -> Position:
        shown = canvas.shown()
        if shown is None:  # the session ended under the mouse
            return 0.0, 0.0, 0.0
        x, y, z = shown.on_slice(world_position(viewer, event), self._displayed(viewer)).tolist()
        return x, y, z

    @staticmethod
    def _displayed(viewer: Any) -> tuple[int, ...]:
        """Return which of S, P, L run along the screen, the slower one first."""
        extra = viewer.dims.ndim - 3
        return tuple(axis - extra for axis in viewer.dims.displayed if axis >= extra)


def _as_position(vector: npt.NDArray[np.float64]) -> Position:
    x, y, z = vector.tolist()
    return x, y, z


#: The directions of napari's three world axes, LPS.
_UNITS: tuple[Position, ...] = tuple((x, y, z) for x, y, z in to_patient(np.eye(3)).tolist())
