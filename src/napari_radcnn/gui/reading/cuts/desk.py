"""Turned planes and slabs in the views of a viewer: which views show one, and what mouse and keys do there."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.layers.hanging import seen_hanging
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours, to_display, to_patient
from napari_radcnn.gui.layers.look import Look
from napari_radcnn.gui.reading import planes, windowing, words
from napari_radcnn.gui.reading.corners import CornersOverlay
from napari_radcnn.gui.reading.cursor import value_words
from napari_radcnn.gui.reading.cuts.dragging import Arms, angle_of, drag_picture, is_handle
from napari_radcnn.gui.reading.cuts.frames import KIND_NAMES, USUAL_THICKNESS, Cuts
from napari_radcnn.gui.reading.cuts.handing import hand_on
from napari_radcnn.gui.reading.cuts.marks import Mark, marks_near
from napari_radcnn.gui.reading.cuts.model import CutEvent, CutModel
from napari_radcnn.gui.reading.cuts.painter import Painter
from napari_radcnn.gui.reading.cuts.picture import LOOK, Sources, paint, sheets_of, value_at
from napari_radcnn.gui.reading.cuts.view import CutView
from napari_radcnn.progress import CancelEvent
from napari_radcnn.reformatting import Plane, SlabKind

_Floats = npt.NDArray[np.float64]
_LEFT, _MIDDLE = 1, 3
_ZOOM_STEP = 1.15
#: How long a word on what cannot be done stands on the picture.
_NOTE_MS = 5000
_REFUSED = "Turned planes and slabs cannot be painted on: F8 turns the planes upright, Slab > None removes the slab."
#: To either side of a plane without a slab, mm, within which points and rulers are taken for lying in it.
_REACH = 1.0


@dataclass(frozen=True)
class CutLook:
    """What is painted over a view because of turned planes and slabs.

    Attributes
    ----------
    is_cut : bool
        Whether the view itself shows one.
    words : str
        What the view shows.
    letters : dict of str to str
        Of the patient's sides at the edges, where the view is cut.
    cross : (x, y)
        Of the point of all views, in pixels from the middle.
    arms : two of (x, y)
        Directions of the lines of the cross-hair.
    """

    is_cut: bool
    words: str
    letters: dict[str, str]
    cross: tuple[float, float]
    arms: Arms


class Desk:
    """Has the views of a viewer show turned planes and slabs.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers are shown; kept by a weak reference.
    views : callable
        Returns the models of all views with the canvas of each, the viewer's own first.
    on_mouse : callable
        Called with the model of a view and where the mouse is.
    changed : callable
        Called when texts and cross-hairs are to be painted again.
    """

    def __init__(
        self,
        viewer: Any,
        views: Callable[[], Sequence[tuple[Any, QWidget]]],
        on_mouse: Callable[[Any, tuple[float, float] | None], None],
        changed: Callable[[], None],
    ) -> None:
        self._viewer = weakref.ref(viewer)
        self._views, self._on_mouse, self._changed = views, on_mouse, changed
        self.cuts = Cuts()
        self.sources = Sources()
        self.painter = Painter()
        self.note = ""
        self._shown: dict[int, CutView] = {}
        self._seen = np.zeros(3)
        self._is_moving = False
        self._followed: list[Any] = []

    @property
    def is_used(self) -> bool:
        """Whether any plane is turned, or shown as a slab."""
        return self.cuts.is_turned or self.cuts.thickness > 0

    # -- following the viewer --------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Have every view that shows a turned plane or a slab covered by one, and no other."""
        viewer = self._viewer()
        if viewer is None:
            return
        self._follow_point(viewer)
        can_cut = self.is_used and self._can_cut(viewer)
        present = {}
        for model, canvas in self._views() if self.is_used or self._shown else ():
            plane = planes.plane_of(model)
            view = self._shown.get(id(model))
            if can_cut and plane and self.cuts.is_cut(plane):
                if view is None or not isalive(view):
                    view = CutView(canvas, model, self)
                    view.stackUnder(_overlay_of(canvas, view))
                view.wake(plane)
            elif view is not None and isalive(view) and not view.isHidden():
                view.rest()
            if view is not None:
                present[id(model)] = view
        for key, view in self._shown.items():
            if key not in present and isalive(view):
                view.rest()
                present[key] = view
        self._shown = present
        if not self.awake:
            self.painter.close()
        self._follow_layers(viewer)
        self._changed()

    def close(self) -> None:
        """Let go of every view, before the canvases go."""
        self.painter.close()
        for view in self._shown.values():
            if isalive(view):
                view.part()
                view.deleteLater()
        self._shown = {}

    def on_point(self) -> None:
        """Take over a point that was chosen elsewhere."""
        viewer = self._viewer()
        if viewer is None or self._is_moving:
            return
        before = self.cuts.center
        self._follow_point(viewer)
        self._moved(self.cuts.center - before)

    def on_reset(self) -> None:
        """Show turned planes whole, as napari has done with the upright ones."""
        middle = self._middle()
        if middle is not None:
            for view in self.awake:
                view.show_whole(middle)

    def _follow_point(self, viewer: Any) -> None:
        if viewer.dims.ndim < 3:
            return
        point = to_patient(viewer.dims.point)
        moved = np.abs(point - self._seen) > 1e-6
        self.cuts.center = np.where(moved | (not self.is_used), point, self.cuts.center)
        self._seen = point

    def _moved(self, by: _Floats) -> None:
        for view in self.awake:
            view.shift(by)
            view.draw_soon()
        if self.is_used:
            self._changed()

    def _can_cut(self, viewer: Any) -> bool:
        reference = planes.reference(viewer)
        return reference is not None and seen_hanging(viewer).is_placed and not viewer.canvas.grid.enabled

    def _follow_layers(self, viewer: Any) -> None:
        wanted = list(viewer.layers) if self.awake else []
        if [id(each) for each in wanted] == [id(each) for each in self._followed]:
            return
        for layer in self._followed:
            self._connect(layer, is_on=False)
        for layer in wanted:
            self._connect(layer, is_on=True)
        self._followed = wanted

    def _connect(self, layer: Any, *, is_on: bool) -> None:
        from napari.layers import Image, Labels

        names = LOOK if isinstance(layer, Image | Labels) else ("visible", "set_data", "data")
        for name in names:
            emitter = getattr(layer.events, name, None)
            if emitter is not None:
                (emitter.connect if is_on else emitter.disconnect)(self._redraw)

    def _redraw(self, _event: Any = None) -> None:
        for view in self.awake:
            view.draw_soon()

    # -- what views ask --------------------------------------------------------------------------------------------

    @property
    def awake(self) -> list[CutView]:
        """The views that are shown."""
        return [view for view in self._shown.values() if isalive(view) and not view.isHidden()]

    def view_of(self, model: Any) -> CutView | None:
        """Return what covers the view of a model; None where nothing does."""
        return next((view for view in self.awake if view.model is model), None)

    def world_point(self) -> _Floats:
        """Return napari's world point that is shown, with the patient's axes as they are, not on slices."""
        viewer = self._viewer()
        point = np.zeros(3)
        if viewer is not None and viewer.dims.ndim >= 3:  # not once the last layer is gone
            point = np.array(viewer.dims.point, float)
        point[-3:] = to_display(self.cuts.center)
        return point

    def painting(self, plane: Plane, *, is_coarse: bool) -> Callable[[CancelEvent], npt.NDArray[np.uint8]]:
        """Return what paints a plane of the layers as they are now, in any thread."""
        viewer, cuts = self._viewer(), self.cuts
        layers = [] if viewer is None else list(viewer.layers)
        sheets = sheets_of(layers, self.world_point().tolist(), self.sources)
        thickness, kind = cuts.thickness, cuts.kind
        return lambda cancel: paint(sheets, plane, thickness, kind, is_coarse=is_coarse, cancel=cancel)

    def marks(self, plane: str) -> list[Mark]:
        """Return points and rulers in a plane."""
        viewer, cuts = self._viewer(), self.cuts
        layers = [] if viewer is None else list(viewer.layers)
        reach = max(cuts.thickness / 2, _REACH)
        return marks_near(layers, self.world_point().tolist(), cuts.frames[plane].normal, reach)

    def hover(self, model: Any, where: tuple[float, float] | None) -> None:
        """Take where the mouse is."""
        self._on_mouse(model, where)

    def look(self, model: Any) -> CutLook | None:
        """Return what is painted over a view; None while no plane is turned and no slab is shown."""
        plane = planes.plane_of(model) if self.is_used else ""
        if not plane:
            return None
        view, frame = self.view_of(model), self.cuts.frames[plane]
        if view is not None:
            right, down = view.pixel(self.cuts.center).tolist()
            return CutLook(True, self._words(model, plane), frame.letters(), (right, down), self.cuts.arms(plane))
        cross = planes.offset_of(model, self.world_point())
        return CutLook(False, "", {}, cross, self.cuts.arms(plane))

    def _words(self, model: Any, plane: str) -> str:
        if self.cuts.degrees(plane):
            return self.cuts.words(plane)
        return f"{planes.slice_words(model)} · {self.cuts.slab_words}" if self.cuts.thickness else f"{plane}, turned"

    def line(self, model: Any, where: tuple[float, float]) -> str:
        """Return what is under the mouse over a covered view, in words; empty over others."""
        viewer, view = self._viewer(), self.view_of(model)
        if viewer is None or view is None:
            return ""
        position, frame, cuts = view.position(*where), view.frame, self.cuts
        point = self.world_point()
        point[-3:] = to_display(position)
        pixel = Plane(position, frame.right, frame.down, (1.0, 1.0), (1, 1))
        found = []
        for layer in viewer.layers:
            if layer.visible:
                value = self._value(layer, point, pixel, cuts)
                found += [value] if value else []
        return " · ".join([*dict.fromkeys(found), words.position(position.tolist())])

    def _value(self, layer: Any, point: _Floats, pixel: Plane, cuts: Cuts) -> str:
        from napari.layers import Image

        if not isinstance(layer, Image) or layer.rgb:
            return value_words(layer, point)
        value = value_at(layer, self.sources, point.tolist(), pixel, cuts.thickness, cuts.kind)
        look = windowing.look_for(layer) if is_ours(layer) and METADATA_KEY in layer.metadata else Look()
        return "" if value is None else words.value_with_unit(value, look)

    # -- turning and moving ----------------------------------------------------------------------------------------

    def move_to(self, position: _Floats) -> None:
        """Have all views show a place in the patient, LPS mm; outside of the scans the nearest one in them."""
        viewer = self._viewer()
        if viewer is None or viewer.dims.ndim < 3:
            return
        before = self.cuts.center
        self._is_moving = True
        axes = range(viewer.dims.ndim - 3, viewer.dims.ndim)
        viewer.dims.set_point(list(axes), to_display(position).tolist())
        self._is_moving = False
        self._seen = to_patient(viewer.dims.point)
        steps = np.array([viewer.dims.range[axis].step for axis in axes])[::-1]
        clipped = np.abs(self._seen - position) > steps  # napari 0.9 goes to the nearest slice, which is no clipping
        self.cuts.center = np.where(clipped, self._seen, position)
        self._moved(self.cuts.center - before)

    def turn(self, model: Any, degrees: float, start: Any = None) -> None:
        """Turn the cross-hair in a view, clockwise; the other planes go with it."""
        viewer, plane = self._viewer(), planes.plane_of(model)
        if viewer is None or not plane or not self._can_cut(viewer):
            return
        self._follow_point(viewer)
        self.cuts.turn(plane, degrees, start)
        self.sync()

    def straighten(self) -> None:
        """Have all planes upright again."""
        self.cuts.straighten()
        self.sync()

    def show_slab(self, thickness: float, kind: SlabKind | None = None) -> None:
        """Show slabs of a thickness, mm; 0 for planes."""
        viewer = self._viewer()
        if viewer is None or not self._can_cut(viewer):
            return
        self._follow_point(viewer)
        self.cuts.thickness = max(float(thickness), 0.0)
        self.cuts.kind = self.cuts.kind if kind is None else kind
        self.sync()

    def step_slab(self, way: int) -> None:
        """Make the slab thicker or thinner."""
        self.show_slab(self.cuts.next_thickness(way))

    def next_kind(self) -> None:
        """Show the next kind of slab, 10 mm thick where there was none."""
        kinds = list(KIND_NAMES)
        kind = kinds[(kinds.index(self.cuts.kind) + 1) % len(kinds)] if self.cuts.thickness else self.cuts.kind
        self.show_slab(self.cuts.thickness or USUAL_THICKNESS, kind)

    # -- the mouse -------------------------------------------------------------------------------------------------

    def drag_turn(self, model: Any, size: tuple[int, int], cross: tuple[float, float], event: Any) -> Iterator[None]:
        """Turn the cross-hair of a view with the mouse, from a handle on."""
        event.handled = True
        middle = np.array(size) / 2 + np.array(cross)
        first, start = angle_of(event.pos, middle), dict(self.cuts.frames)
        yield
        while event.type == "mouse_move":
            event.handled = True
            self.turn(model, angle_of(event.pos, middle) - first, start)
            yield
        event.handled = True

    def press(self, view: CutView, event: CutEvent) -> list[Any]:
        """Hand a button over a turned plane on to the tools of ours."""
        viewer = self._viewer()
        return [] if viewer is None else hand_on(viewer, view.stand_in(), event)

    def drag(self, model: CutModel, event: CutEvent, *, is_alone: bool) -> Iterator[None]:
        """Drag over a turned plane or a slab: the window, the picture, the cross-hair, or the point of all views."""
        viewer, view = self._viewer(), model.view
        if viewer is None or event.handled:
            return
        active, layer = viewer.layers.selection.active, windowing.window_layer(viewer)
        look, size = self.look(view.model), (view.width(), view.height())
        if layer is not None and windowing.is_window_drag(active, event):
            yield from windowing.drag(layer, event)
        elif event.button == _MIDDLE or (event.button == _LEFT and is_alone and windowing.is_idle(active)):
            yield from drag_picture(view, event)
        elif event.button != _LEFT or event.modifiers:
            return
        elif not windowing.is_idle(active):
            event.handled = True
            self._use_tool(active, event)
        elif look is not None and is_handle(look.cross, look.arms, size, event.pos):
            yield from self.drag_turn(view.model, size, look.cross, event)
        else:
            while event.type in ("mouse_press", "mouse_move"):
                event.handled = True
                self.move_to(to_patient(event.position))
                yield

    def wheel(self, view: CutView, event: CutEvent) -> None:
        """Go through the patient across the plane, or enlarge with Control."""
        viewer, turned = self._viewer(), float(event.delta[1])
        if viewer is None or not turned or set(event.modifiers) - {"Control"}:
            return
        if event.modifiers:
            where = event.pos - np.array([view.width(), view.height()]) / 2
            view.enlarge((float(where[0]), float(where[1])), _ZOOM_STEP**turned)
            self._changed()
            return
        way = planes.towards_feet(view.model) * (1 if turned < 0 else -1)
        if not self.cuts.degrees(view.plane):
            planes.step_slice(view.model, way)
            self._tell_slice(viewer, view.model)
            return
        upright = planes.PATIENT_AXIS[words.PLANES[view.plane][0]]
        normal = view.frame.normal
        # as upright planes do, even where it is turned by more than a right angle: as its own frame was turned
        first = Cuts().frames[view.plane].normal[upright]
        self.move_to(self.cuts.center + way * first * self._step(viewer, normal) * normal)

    def _tell_slice(self, viewer: Any, model: Any) -> None:
        axis = planes.deep_axis(model)
        if model is not viewer and axis is not None and viewer.dims.point[axis] != model.dims.point[axis]:
            viewer.dims.set_point(axis, model.dims.point[axis])

    def _step(self, viewer: Any, normal: _Floats) -> float:
        """Return by how much one goes across a plane: one voxel of the scan along that axis of it that is nearest."""
        reference = planes.reference(viewer)
        voxels = None if reference is None else self.sources.of(reference, self.world_point().tolist())
        if voxels is None:
            return 1.0
        return 1.0 / float(np.abs(np.linalg.solve(voxels[1].affine[:3, :3], normal)).max())

    def _middle(self) -> _Floats | None:
        viewer = self._viewer()
        reference = None if viewer is None else planes.reference(viewer)
        voxels = None if reference is None else self.sources.of(reference, self.world_point().tolist())
        return None if voxels is None else voxels[1].to_world((np.array(voxels[1].shape) - 1) / 2)

    def _use_tool(self, active: Any, event: CutEvent) -> None:
        """Add a point with napari's tool for that; refuse all other tools, which work on slices."""
        from napari.layers import Points

        if isinstance(active, Points) and str(active.mode).lower() == "add":
            active.add([active.world_to_data(event.position[-active.ndim :])])
            self._redraw()
            return
        self.refuse()

    def refuse(self, line: str = _REFUSED) -> None:
        """Say for a moment why nothing is done."""
        self.note = line
        QTimer.singleShot(_NOTE_MS, partial(_forget, weakref.ref(self), line))
        self._changed()

    def forget(self, line: str) -> None:
        """Take a word away."""
        if self.note == line:
            self.note = ""
            self._changed()


def _overlay_of(canvas: QWidget, view: CutView) -> QWidget:
    """Return what is painted over a canvas, below which a view of ours belongs."""
    return next((each for each in canvas.children() if isinstance(each, CornersOverlay)), view)


def _forget(desk: weakref.ref[Desk], line: str) -> None:
    there = desk()
    if there is not None:
        there.forget(line)
