"""What a viewer gets for reading scans: the bar, corner texts, windows by key and mouse, the wheel, the status line."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QGridLayout, QWidget

from napari_radcnn.gui.layers.hanging import seen_hanging
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours
from napari_radcnn.gui.layers.pointer import put_all_right, world_position
from napari_radcnn.gui.layers.time_axis import point_of, seen_in_time
from napari_radcnn.gui.layers.view import letters
from napari_radcnn.gui.reading import captions, planes, windowing
from napari_radcnn.gui.reading.bar import Entry, ReadingBar
from napari_radcnn.gui.reading.beside.beside import Beside
from napari_radcnn.gui.reading.corners import Corners, CornersOverlay
from napari_radcnn.gui.reading.cursor import under_cursor
from napari_radcnn.gui.reading.cuts.desk import Desk
from napari_radcnn.gui.reading.cuts.dragging import HANDLE_PART, is_handle
from napari_radcnn.gui.reading.cuts.keys import add_cut_keys, ask_thickness
from napari_radcnn.gui.reading.cuts.model import CutModel
from napari_radcnn.gui.reading.cuts.slabs import slab_entries
from napari_radcnn.gui.reading.cuts.solids import SolidLook
from napari_radcnn.gui.reading.keyed import add_point_keys, move_point
from napari_radcnn.gui.reading.layouts import BESIDE, FOUR, ONE, THREE, Layouts
from napari_radcnn.gui.reading.protocols.hanger import KEY, Hanger
from napari_radcnn.gui.reading.solid import solid_entries
from napari_radcnn.gui.reading.stage import put_on_stage, viewer_widget_of
from napari_radcnn.gui.reading.time.bar import TimeBar

#: How much larger the picture gets by a notch of the wheel.
_ZOOM_STEP = 1.15
_LEFT, _MIDDLE = 1, 3
#: After a move of the mouse until the line below the pictures says what is there, at most.
_LINE_MS = 30
#: After a window was asked to close until it is seen whether it stays.
_STAYS_MS = 200


def open_room(viewer: Any) -> Room | None:
    """Return the room of a viewer, made at the first call; None for a model of a viewer that is in no window."""
    qt_viewer = viewer_widget_of(viewer)
    return None if qt_viewer is None else _room_in(qt_viewer) or Room(qt_viewer)


def room_of(viewer: Any) -> Room | None:
    """Return the room of a viewer; None where it has none yet, because no scan has been in it."""
    qt_viewer = viewer_widget_of(viewer)
    return None if qt_viewer is None else _room_in(qt_viewer)


class Room(QObject):
    """Serves the reader of a viewer; it belongs to the viewer's widget and ends with it.

    Parameters
    ----------
    qt_viewer : napari.qt.QtViewer
        In a main window.
    """

    NAME = "radcnn_reading_room"

    def __init__(self, qt_viewer: Any) -> None:
        super().__init__(qt_viewer)
        self.setObjectName(self.NAME)
        self._viewer = weakref.ref(qt_viewer.viewer)
        self._pointed: tuple[weakref.ref[Any], tuple[float, float]] | None = None
        self._line_timer = QTimer(self)
        self._line_timer.setSingleShot(True)
        self._line_timer.setInterval(_LINE_MS)
        self._line_timer.timeout.connect(self._show_line)
        self._layout_before = ONE
        self._stays_timer = QTimer(self)
        self._stays_timer.setSingleShot(True)
        self._stays_timer.setInterval(_STAYS_MS)
        self._stays_timer.timeout.connect(self._on_stays)
        self.names_patient, self.is_named_in_pictures = True, False
        self.said = ""
        #: Radius of the brush whose circle follows the mouse, mm; None without one.
        self.brush_radius: float | None = None
        self.bar = ReadingBar(self)
        self.time_bar = TimeBar(qt_viewer.viewer)
        self.grid = QGridLayout()
        #: Other scans beside the one in the viewer's own canvas.
        self.beside = Beside(self, self._on_wheel, self._on_mouse)
        put_on_stage(qt_viewer, (self.bar, self.beside.bar), self.grid, self.time_bar)
        self.overlay = CornersOverlay(qt_viewer.canvas.native, self._own_corners, self._on_own_mouse)
        #: Whether the cross-hair stands in a single view, too: the point is moved by keys.
        self.is_keyed = False
        add_point_keys(self.bar.parentWidget(), self.move_point)
        self.layouts = Layouts(qt_viewer.viewer, qt_viewer, self.grid, self._corners, self._on_wheel, self._on_mouse)
        #: Turned planes and slabs.
        self.desk = Desk(qt_viewer.viewer, self._views, self._on_mouse, self._on_cuts)
        self.solid_look = SolidLook()
        #: Hanging protocols.
        self.hanger = Hanger(self)
        self.bar.add(self.hanger.button, KEY, self.hanger.hang_first)
        add_cut_keys(self.bar.parentWidget(), self)
        for each in (qt_viewer, qt_viewer.window()):
            each.installEventFilter(self)
        self._listen(qt_viewer.viewer)
        self._on_layers()

    # -- what the viewer tells -------------------------------------------------------------------------------------

    @property
    def viewer(self) -> Any | None:
        """The viewer, while it is there."""
        return self._viewer() if isalive(self) else None

    def _listen(self, viewer: Any) -> None:
        for events in (viewer.dims.events, viewer.scene.camera.events):
            events.connect(self.repaint)
        layers = viewer.layers.events
        for changed in (layers.inserted, layers.removed, layers.reordered):
            changed.connect(self._on_layers, position="last")
        viewer.layers.selection.events.active.connect(self._on_layers)
        viewer.dims.events.order.connect(self.show_state)
        viewer.dims.events.ndisplay.connect(self.show_state)
        viewer.dims.events.point.connect(self._on_point)
        viewer.events.reset_view.connect(self._on_reset)
        viewer.events.status.connect(self._show_line, position="last")  # after napari has shown its own
        put_all_right(viewer)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        viewer.mouse_wheel_callbacks[:] = [
            self._on_wheel,
            *(each for each in viewer.mouse_wheel_callbacks if getattr(each, "__name__", "") != "dims_scroll"),
        ]
        for layer in viewer.layers:
            self._follow(layer)

    def _on_layers(self, event: Any = None) -> None:
        if event is not None and event.type == "inserted":
            self._follow(event.value)
        self.show_state()
        self.repaint()

    def _follow(self, layer: Any) -> None:
        from napari.layers import Image

        layer.events.visible.connect(self._on_layers)
        if isinstance(layer, Image) and not layer.rgb:
            layer.events.contrast_limits.connect(self.repaint)
            if is_ours(layer) and "look" in layer.metadata[METADATA_KEY]:
                windowing.extend_range(layer)

    def repaint(self, _event: Any = None) -> None:
        """Paint what lies over the views again."""
        if isalive(self) and isalive(self.overlay):
            self.overlay.update()
            self.layouts.repaint()

    def show_state(self, _event: Any = None) -> None:
        """Show in the bars what the views show now."""
        viewer = self.viewer
        if viewer is not None and isalive(self.bar):
            if self.layouts.name != ONE:
                self.layouts.follow()
            self.beside.sync()
            is_placed = seen_hanging(viewer).is_placed
            self.desk.sync()
            self.bar.show_state(planes.plane_of(viewer), self.layouts.name, is_placed=is_placed)
            self.bar.show_cuts(is_turned=self.desk.cuts.is_turned, is_placed=is_placed)
            self.time_bar.follow()
            self.hanger.follow()

    def _on_point(self, _event: Any = None) -> None:
        self.layouts.follow()
        self.beside.on_point()
        self.time_bar.follow()
        self.desk.on_point()
        self._clip()
        self._show_line()

    def _on_reset(self, _event: Any = None) -> None:
        self.desk.on_reset()
        self.beside.fit()

    def _on_cuts(self) -> None:
        self._clip()
        self.repaint()

    def _clip(self) -> None:
        """Have the view in 3-D clipped by the planes as they lie now."""
        solid = self.layouts.solid
        if solid is not None and self.solid_look.clips:
            solid.clip(self.desk.cuts.center, self.desk.cuts.normals)

    def _views(self) -> list[tuple[Any, QWidget]]:
        """Return the model of each view and its canvas, the viewer's own first."""
        own = [] if self.viewer is None else [(self.viewer, self.overlay.parentWidget())]
        at_side = self.beside.panes
        return own + [(pane.model, pane.overlay.parentWidget()) for pane in self.layouts.panes if pane not in at_side]

    def _on_own_mouse(self, where: tuple[float, float] | None) -> None:
        if self.viewer is not None:
            self._on_mouse(self.viewer, where)

    def _on_mouse(self, model: Any, where: tuple[float, float] | None) -> None:
        """Remember which view the mouse is over, and where, and say what is there, as often as a reader can follow."""
        if where is None:
            self._pointed = None
        else:
            self._pointed = weakref.ref(model), where
            if not self._line_timer.isActive():
                self._line_timer.start()
        if self.brush_radius is not None:
            self.overlay.update()

    def _show_line(self, _event: Any = None) -> None:
        """Show below the pictures what is under the cursor, in the place of napari's own line.

        While the mouse is elsewhere, napari tells of a place that nobody points at: that line is emptied.
        """
        viewer = self.viewer
        if viewer is None:
            return
        if self._pointed is None:
            if isinstance(viewer.status, dict) and planes.reference(viewer) is not None:
                viewer.status = ""
            return
        model = self._pointed[0]()
        if not any(model is each for each in self.layouts.models):
            return
        if model is not None and model.dims.ndisplay == 2 and self.beside.pane_of(model) is None:
            self.time_bar.point_at(planes.point_at(model, *self._pointed[1]))
        line = self.desk.line(model, self._pointed[1]) or under_cursor(model, self._pointed[1])
        if line and viewer.status != line:
            viewer.status = line

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Take the further views away before their window goes; they come back if it stays after all."""
        if event.type() == QEvent.Type.Close:
            self.hanger.close()
            if self.layouts.name != ONE:
                self._layout_before = self.layouts.name
                self._stays_timer.start()
            self.desk.close()
            self.layouts.close()
            self.beside.close()
        return super().eventFilter(watched, event)

    def _on_stays(self) -> None:
        """Show the layout again, once nobody is asked any more whether the window is to close."""
        if QApplication.activeModalWidget() is not None:
            self._stays_timer.start()
        elif isalive(self.overlay) and self.overlay.window().isVisible():
            self.choose_layout(self._layout_before)

    # -- planes and windows ----------------------------------------------------------------------------------------

    def show_plane(self, plane: str) -> None:
        """Show a plane, upright."""
        if self.viewer is not None:
            planes.show_plane(self.viewer, plane)
            self.show_state()
            self.hanger.note()

    @property
    def shows_cross(self) -> bool:
        """Whether the point that all views show is marked by a cross-hair."""
        return self.is_keyed or self.layouts.name != ONE

    def turn_cross(self, degrees: float) -> None:
        """Turn the cross-hair of the first view, clockwise; the other planes go with it."""
        self.is_keyed = True
        if self.viewer is not None:
            self.desk.turn(self.viewer, degrees)
            self.show_state()

    def straighten(self) -> None:
        """Have all planes upright again."""
        self.desk.straighten()
        self.show_state()

    def slab_entries(self) -> Sequence[Entry]:
        """Return the entries of the menu of slabs."""
        return slab_entries(self.desk, lambda: ask_thickness(self.bar, self.desk.cuts.thickness))

    def move_point(self, right: int, down: int) -> None:
        """Move the point by steps within the plane of the first view, under a cross-hair from now on."""
        self.is_keyed = True
        if self.beside.keyed_pane is not None:
            self.beside.move_point(right, down)
        elif self.viewer is not None:
            move_point(self.viewer, right, down)
            self.repaint()

    def choose_layout(self, name: str) -> None:
        """Show one view, three planes, these and the scan in 3-D, or several scans side by side."""
        self.is_keyed = False
        if name in BESIDE:
            self.beside.begin(name)
        else:
            self.beside.end()
            self.layouts.choose(name)
        if self.layouts.solid is not None:
            self.layouts.solid.choose(self.solid_look)
        self.show_state()
        self.hanger.note()

    def choose_window(self, number: int) -> None:
        """Choose the window that a key stands for: 0 is the one that the scan was opened with."""
        layer = self._window_layer()
        found = None if layer is None else windowing.keyed(layer).get(number)
        if found is not None:
            windowing.choose(layer, found)
            self.hanger.note()

    def window_entries(self) -> Sequence[Entry]:
        """Return the entries of the menu of windows."""
        layer = self._window_layer()
        return [] if layer is None else windowing.entries(layer)

    def patient_entries(self) -> Sequence[Entry]:
        """Return the entries of the menu of the patient's name."""
        return [
            ("Name and ID on the pictures", "", self.names_patient, partial(self.name_patient, not self.names_patient)),
            (
                "In screenshots and copies, too",
                "",
                self.is_named_in_pictures,
                partial(self.name_patient, True, in_pictures=not self.is_named_in_pictures),
            ),
        ]

    def name_patient(self, is_named: bool, *, in_pictures: bool = False) -> None:
        """Have the patient's name and ID on the pictures or not, and in screenshots only if it is asked for."""
        self.names_patient, self.is_named_in_pictures = is_named, is_named and in_pictures
        self.repaint()

    def say(self, line: str) -> None:
        """Have a line in the upper right corner, below those on window and zoom; an empty one takes it away."""
        if line != self.said:
            self.said = line
            self.repaint()

    def show_brush(self, radius: float | None) -> None:
        """Have a circle of a radius in mm follow the mouse over the first view, the one that is painted in."""
        if radius != self.brush_radius:
            self.brush_radius = radius
            self.repaint()

    def _circle(self, viewer: Any) -> tuple[float, float, float] | None:
        """Return the circle of the brush: where the mouse is, and its radius in pixels."""
        if self.brush_radius is None or self._pointed is None or viewer.dims.ndisplay != 2:
            return None
        radius = self.brush_radius * float(viewer.scene.camera.zoom)
        pointed, (x, y) = self._pointed
        return (x, y, radius) if pointed() is viewer else None

    def _window_layer(self) -> Any | None:
        at_side = self.beside.window_layer()
        if at_side is not None or self.viewer is None:
            return at_side
        return windowing.window_layer(self.viewer)

    # -- 3-D -------------------------------------------------------------------------------------------------------

    def solid_entries(self) -> Sequence[Entry]:
        """Return the entries of the menu of the view in 3-D."""
        scan = None if self.viewer is None else planes.reference(self.viewer)
        return [] if scan is None else solid_entries(scan, self.solid_look, self.show_solid)

    def show_solid(self, look: SolidLook) -> None:
        """Show the scan in 3-D, beside its planes, in a way of its own."""
        self.solid_look = look
        if self.layouts.name != FOUR:
            self.choose_layout(FOUR)
        elif self.layouts.solid is not None:
            self.layouts.solid.choose(look)
        if self.layouts.solid is not None:
            self.layouts.solid.clip(self.desk.cuts.center, self.desk.cuts.normals)

    # -- the mouse -------------------------------------------------------------------------------------------------

    def _on_drag(self, model: Any, event: Any) -> Iterator[None]:
        """Drag the window, the picture, or the point that all views show; `model` is that of any view."""
        viewer = self.viewer
        if viewer is None or event.handled or model.dims.ndisplay != 2:
            return
        pane = self.beside.pane_of(model)
        if pane is not None:
            yield from self.beside.drag(pane, event)
            return
        self.is_keyed = False
        self.beside.key_view(0)
        if isinstance(model, CutModel):
            yield from self.desk.drag(model, event, is_alone=self.layouts.name == ONE)
            self.show_state()
            return
        active, layer = viewer.layers.selection.active, self._window_layer()
        if layer is not None and windowing.is_window_drag(active, event):
            yield from windowing.drag(layer, event)
        elif event.button == _MIDDLE:
            yield from planes.drag_picture(model, event)
        elif self.layouts.name != ONE and event.button == _LEFT and not event.modifiers and windowing.is_idle(active):
            turn = self._turning(model, event)
            yield from self._drag_point(viewer, model, event) if turn is None else turn
            self.show_state()

    def _turning(self, model: Any, event: Any) -> Iterator[None] | None:
        """Return a drag that turns the cross-hair, where a button goes down on one of its handles."""
        canvas = next(canvas for each, canvas in self._views() if each is model)
        corners, size = self._corners(model), (canvas.width(), canvas.height())
        if corners.cross is None or not corners.reach or not is_handle(corners.cross, corners.arms, size, event.pos):
            return None
        return self.desk.drag_turn(model, size, corners.cross, event)

    @staticmethod
    def _drag_point(viewer: Any, model: Any, event: Any) -> Iterator[None]:
        while event.type in ("mouse_press", "mouse_move"):
            event.handled = True
            axes = list(model.dims.displayed)
            if viewer.dims.ndim == model.dims.ndim:
                viewer.dims.set_point(axes, world_position(model, event)[axes].tolist())
            yield

    def _on_wheel(self, viewer: Any, event: Any) -> None:
        """Scroll through the slices; with Control enlarge the picture about the cursor. In 3-D the camera zooms."""
        modifiers = set(windowing.modifier_names(event))
        if planes.deep_axis(viewer) is None or planes.reference(viewer) is None or modifiers - {"Control"}:
            return
        event.handled = True
        turned = float(event.delta[1])
        if modifiers:
            planes.zoom_about(viewer, world_position(viewer, event), _ZOOM_STEP**turned)
        elif turned:
            planes.step_slice(viewer, planes.towards_feet(viewer) * (1 if turned < 0 else -1))

    # -- the corners -----------------------------------------------------------------------------------------------

    def _own_corners(self) -> Corners:
        return Corners() if self.viewer is None else self._corners(self.viewer)

    def _corners(self, model: Any) -> Corners:
        """Return what is painted over a view; what is the same in all of them stands in the viewer's own."""
        if self.beside.pane_of(model) is not None:
            return self.beside.side_corners(model)
        viewer = self.viewer
        scan = None if viewer is None else planes.reference(viewer)
        if viewer is None or scan is None or planes.reference(model) is None:
            return Corners()
        zoom, cut = planes.zoom_words(model), self.desk.look(model)
        cross, arms, edges = None, Corners().arms, letters(model) if model is not viewer else {}
        if self.shows_cross and planes.deep_axis(model) is not None and model.dims.ndim == viewer.dims.ndim:
            cross = planes.offset_of(model, viewer.dims.point)
        time = seen_in_time(viewer)
        when = () if time is None else (time[1].words(point_of(viewer, time[0])),)
        below: tuple[str, ...] = (planes.slice_words(model), *when)
        if cut is not None:
            cross, arms = cut.cross if self.shows_cross else None, cut.arms
            if cut.is_cut:
                edges, below = cut.letters, tuple(line for line in (self.desk.note, cut.words, *when) if line)
        reach = HANDLE_PART if self.layouts.name in (THREE, FOUR) else 0.0
        if model is not viewer:
            return self.beside.corners(
                model, Corners((), (zoom,) if zoom else (), below, (), edges, cross, arms, reach)
            )
        # napari writes a caption over the first two lines.
        left = ("", "", scan.name) if seen_hanging(viewer).caption else (scan.name,)
        whose = captions.patient_words(viewer) if self.names_patient else ()
        if self.is_named_in_pictures:
            left, whose = (*left, *whose), ()
        right = tuple(
            line for line in (*captions.window_words(windowing.window_layer(viewer)), zoom, self.said) if line
        )
        circle = None if cut is not None and cut.is_cut else self._circle(viewer)
        return self.beside.corners(model, Corners(left, right, below, whose, edges, cross, arms, reach, circle))


def _room_in(qt_viewer: Any) -> Room | None:
    room = qt_viewer.findChild(QObject, Room.NAME)
    return room if isinstance(room, Room) else None
