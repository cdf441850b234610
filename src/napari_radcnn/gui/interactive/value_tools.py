"""The tools that ask the scan's values, from what the mouse draws to a preview and a step; and the scissors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, QTimer

from napari_radcnn.errors import OptionError, RadcnnError
from napari_radcnn.gui.interactive.editing import Editing
from napari_radcnn.gui.interactive.mouse import Drawn
from napari_radcnn.gui.interactive.overview import Overview
from napari_radcnn.gui.interactive.palette import WITH_RADIUS, Palette
from napari_radcnn.gui.interactive.seeds_box import BACKGROUND
from napari_radcnn.gui.layers.pointer import world_position
from napari_radcnn.gui.reading.room import room_of
from napari_radcnn.interactive.prompts import Position, Prompt
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.tools import Paint, TraceLevel, similar_range
from napari_radcnn.interactive.tools.base import ToolState
from napari_radcnn.interactive.tools.contours import traced
from napari_radcnn.interactive.tools.ranges import index_at
from napari_radcnn.interactive.update import MaskUpdate

#: Tools whose preview is shown as long as they are chosen.
_SHOWN = ("threshold", "seeds", "trace")
_DRAWN = ("threshold", "trace", "scissors")
#: After a move of the mouse until the contour under it is shown, ms.
_HOVER_MS = 30
#: A preview of seeds that takes longer is made when it is asked for, and no longer after each stroke, s.
_LIVE_SECONDS = 1.0


class ValueTools(QObject):
    """Serves the threshold, seeds, level tracing, smart brush and scissors of a dock.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas is drawn on.
    palette : Palette
        The tools and their settings.
    editing : callable
        Returns the present session; None where there is none.
    tell, fail : callable
        Show one line.
    """

    def __init__(
        self,
        viewer: Any,
        palette: Palette,
        editing: Callable[[], Editing | None],
        tell: Callable[[str], None],
        fail: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._viewer, self._palette, self._editing, self._tell, self._fail = viewer, palette, editing, tell, fail
        self._used: Editing | None = None
        self._state: Overview | None = None
        self._similar: tuple[Position, tuple[float, float]] | None = None
        self._first: float | None = None
        self._asked_at = 0.0
        self._hovered: npt.NDArray[np.float64] | None = None
        self._hover = QTimer(self)
        self._hover.setSingleShot(True)
        self._hover.setInterval(_HOVER_MS)
        self._hover.timeout.connect(self._show_hovered)
        palette.chosen.connect(self._on_tool)
        palette.radius_spin.valueChanged.connect(self._show_brush)
        palette.threshold_box.changed.connect(self._show_threshold)
        palette.threshold_box.asked.connect(self.apply)
        palette.seeds_box.changed.connect(self._ask_if_live)
        palette.seeds_box.preview_asked.connect(self._ask)
        palette.seeds_box.asked.connect(self.apply)
        palette.seeds_box.background_asked.connect(self._add_background)

    # -- what the dock tells ---------------------------------------------------------------------------------------

    @property
    def tool(self) -> str:
        """The tool that is chosen."""
        return self._palette.tool

    def update(self) -> None:
        """Follow the session and its state."""
        editing = self._editing()
        if editing is not self._used:
            if self._used is not None:
                self._used.previews.shown.disconnect(self._on_shown)
                self._used.previews.forget()
            self._used = editing
            if editing is not None:
                editing.previews.shown.connect(self._on_shown)
            self._show_brush()
        if editing is None or editing.state is self._state:
            return
        self._state = editing.state
        self._palette.threshold_box.show_state(editing.state)
        self._palette.seeds_box.show_state(editing.state)
        if self.tool == "threshold":
            self._show_threshold()
        elif self.tool == "seeds":
            self._ask_if_live()

    def draws(self, drawn: Drawn) -> bool:
        """Whether what is drawn is for one of these tools; the smart brush is a brush."""
        return drawn.tool in _DRAWN

    def draw(self, drawn: Drawn) -> None:
        """Show what has been drawn so far.

        Raises
        ------
        RadcnnError
            If the scan cannot be asked so.
        """
        editing = self._editing()
        if editing is None:
            return
        if drawn.tool == "scissors":
            editing.draw_prompt(self._outline(drawn))
        elif drawn.tool == "trace":
            self._show_trace(drawn.points[-1], drawn.positive)
        elif len(drawn.points) > 1:
            self._palette.threshold_box.set_range(*self._values_along(editing, drawn))

    def finish(self, drawn: Drawn) -> None:
        """Take what was drawn.

        Raises
        ------
        RadcnnError
            If the scan cannot be asked so.
        """
        editing = self._editing()
        if editing is None:
            return
        if drawn.tool == "scissors":
            editing.draw_prompt(None)
            editing.apply(self._palette.scissors(drawn))
        elif drawn.tool == "trace":
            editing.apply(TraceLevel(drawn.points[-1], editing.seen_axis() or "k", erase=not drawn.positive))
        elif len(drawn.points) > 1:
            self._first = None
            self._palette.threshold_box.set_range(*self._values_along(editing, drawn))
        else:
            self._click_threshold(editing, drawn.points[0])

    def paint(self, drawn: Drawn) -> Paint:
        """Return the stroke that was drawn; a smart brush keeps to the values where it began.

        Raises
        ------
        OptionError
            If the stroke begins outside the scan, or the range of values is empty.
        """
        editing = self._editing()
        if drawn.tool != "smart" or editing is None:
            return self._palette.paint(drawn)
        plain = self._palette.paint(drawn)
        if self._similar is None or self._similar[0] != drawn.points[0] or len(drawn.points) == 1:
            found = similar_range(
                editing.volume,
                drawn.points[0],
                plain.radius,
                tolerance=self._palette.tolerance(),
                is_flat=plain.is_flat,
                normal=plain.normal,
            )
            self._similar = drawn.points[0], found
        low, high = self._similar[1]
        self._tell(f"Smart brush: values from {low:g} to {high:g}.")
        return self._palette.paint(drawn, (low, high))

    def apply(self) -> bool:
        """Make what is previewed a step; return whether there was anything to apply."""
        editing = self._editing()
        if editing is None:
            return False
        try:
            if self.tool == "threshold":
                box = self._palette.threshold_box
                editing.apply(box.tool(editing.seen_axis(), editing.seen_position()))
                return True
            if self.tool == "seeds":
                editing.previews.forget()
                editing.apply(self._palette.seeds_box.tool(is_coarse=False))
                return True
        except RadcnnError as error:
            self._fail(str(error))
            return True
        return editing.previews.take()

    def take(self) -> None:
        """Make what is previewed a step, or say that nothing is."""
        if not self.apply():
            self._tell("Nothing is previewed: check 'Preview first' and press a button.")

    def discard(self) -> bool:
        """Show no preview any more; return whether there was one."""
        editing = self._editing()
        if editing is None or not editing.previews.is_ready:
            return False
        editing.previews.forget()
        self._tell("Discarded: nothing was changed.")
        return True

    # -- one tool after another ------------------------------------------------------------------------------------

    def _on_tool(self, name: str) -> None:
        editing = self._editing()
        self._first, self._similar = None, None
        self._show_brush()
        callbacks = self._viewer.mouse_move_callbacks
        if self._on_move in callbacks:
            callbacks.remove(self._on_move)
        self._hover.stop()
        if editing is None or not editing.is_open:
            return
        editing.previews.forget()
        if name == "threshold":
            self._show_threshold()
            self._tell("Drag over what belongs to it, or click two voxels; Return applies.")
        elif name == "seeds":
            self._ask_if_live()
            self._tell("Draw strokes in each object (keys 1 to 9 choose it) and on the background; Return applies.")
        elif name == "trace":
            callbacks.append(self._on_move)

    def _show_brush(self, _radius: float = 0.0) -> None:
        """Have a circle as large as the brush follow the mouse."""
        editing, room = self._editing(), room_of(self._viewer)
        is_brush = editing is not None and editing.is_open and self.tool in WITH_RADIUS
        if room is not None:
            room.show_brush(self._palette.radius_spin.value() if is_brush else None)

    def _show_threshold(self) -> None:
        editing = self._editing()
        if editing is None or not editing.is_open or self.tool != "threshold":
            return
        try:
            tool = self._palette.threshold_box.tool(editing.seen_axis(), editing.seen_position())
            editing.previews.show_threshold(tool, editing.active_object())
        except RadcnnError as error:
            self._fail(str(error))

    def _click_threshold(self, editing: Editing, position: Position) -> None:
        """Take the value of a voxel as one end of the range."""
        value = float(editing.volume.array[index_at(editing.volume.geometry, position)])
        if not np.isfinite(value):
            self._fail("The scan has no finite value there: click another voxel.")
        elif self._first is None:
            self._first = value
            self._tell(f"From {value:g}: click a voxel at the other end of the range.")
        else:
            self._palette.threshold_box.set_range(min(self._first, value), max(self._first, value))
            self._first = None

    @staticmethod
    def _values_along(editing: Editing, drawn: Drawn) -> tuple[float, float]:
        """Return the lowest and the highest value along a line."""
        covered = rasterize(Prompt.scribble(drawn.points), editing.volume.geometry)
        values = np.zeros(0) if covered is None else editing.volume.read_block(covered.box)[covered.mask]
        values = values[np.isfinite(values)]
        if not values.size:
            raise OptionError("The line covers no voxel with a value: draw it on the scan.")
        return float(values.min()), float(values.max())

    def _outline(self, drawn: Drawn) -> Prompt | None:
        return Prompt.lasso(drawn.points, positive=drawn.positive) if len(drawn.points) > 2 else None

    # -- seeds -----------------------------------------------------------------------------------------------------

    def _ask_if_live(self) -> None:
        if self.tool == "seeds" and self._palette.seeds_box.live_check.isChecked():
            self._ask(is_asked=False)

    def _ask(self, *_: Any, is_asked: bool = True) -> None:
        """Find out what would grow; without being asked for it only where there are seeds of two objects."""
        editing = self._editing()
        if editing is None or not editing.is_open:
            return
        seeded = [value for value, volume in editing.state.volumes_ml.items() if volume > 0]
        tool = self._palette.seeds_box.tool(is_coarse=True)
        if not is_asked and (len(seeded) < 2 or (tool.background and tool.background not in seeded)):
            return
        self._asked_at = time.monotonic()
        editing.previews.ask(tool)

    def _on_shown(self, _title: str) -> None:
        live = self._palette.seeds_box.live_check
        if self.tool == "seeds" and live.isChecked() and time.monotonic() - self._asked_at > _LIVE_SECONDS:
            live.setChecked(False)
            self._tell("The preview takes longer than a second: press Preview when the strokes are drawn.")

    def _add_background(self) -> None:
        editing = self._editing()
        if editing is not None:
            editing.edit("New object", lambda session: session.add_object(BACKGROUND))

    # -- level tracing ---------------------------------------------------------------------------------------------

    def _on_move(self, viewer: Any, event: Any) -> None:
        """Show soon what a click would add."""
        if viewer.dims.ndisplay == 2 and not self._hover.isActive():
            self._hovered = world_position(viewer, event)
            self._hover.start()
        else:
            self._hovered = world_position(viewer, event)

    def _show_hovered(self) -> None:
        editing = self._editing()
        if self._hovered is None or editing is None or editing.shown is None or self.tool != "trace":
            return
        x, y, z = editing.shown.on_slice(self._hovered, self._displayed()).tolist()
        try:
            self._show_trace((x, y, z), is_added=True)
        except RadcnnError:
            editing.previews.forget()  # outside, or without a contour: a click says which

    def _displayed(self) -> tuple[int, ...]:
        extra = self._viewer.dims.ndim - 3
        return tuple(axis - extra for axis in self._viewer.dims.displayed if axis >= extra)

    def _show_trace(self, position: Position, is_added: bool) -> None:
        editing = self._editing()
        if editing is None or editing.session is None:
            return
        item = editing.active_object()
        objects = editing.state.objects or (item,)
        state = ToolState(editing.volume, editing.session.labels, item.value, objects)
        box, enclosed = traced(TraceLevel(position, editing.seen_axis() or "k"), state)
        before = state.mask(box)
        after = before | enclosed if is_added else before & ~enclosed
        editing.previews.show_seen(MaskUpdate(box, after), item)
