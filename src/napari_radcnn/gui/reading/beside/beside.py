"""Scans side by side: which ones, what is linked between them, and what the mouse and keys do in their views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.gui.layers.pointer import world_position
from napari_radcnn.gui.reading import planes, windowing
from napari_radcnn.gui.reading.bar import Entry
from napari_radcnn.gui.reading.beside import outlines, pairs
from napari_radcnn.gui.reading.beside.aside import Aside, scans_now
from napari_radcnn.gui.reading.beside.bar import BesideBar
from napari_radcnn.gui.reading.beside.copies import Copies, copy_entries
from napari_radcnn.gui.reading.beside.ears import Callback, Ears
from napari_radcnn.gui.reading.beside.frames import Framing, Seat
from napari_radcnn.gui.reading.beside.links import Links, layout_for
from napari_radcnn.gui.reading.beside.side import SidePane
from napari_radcnn.gui.reading.beside.sights import own_corners, side_corners, told
from napari_radcnn.gui.reading.beside.spaces import Link
from napari_radcnn.gui.reading.corners import Corners
from napari_radcnn.gui.reading.layouts import GRID, ONE, ROW

if TYPE_CHECKING:
    from napari_radcnn.gui.reading.room import Room

_Floats = npt.NDArray[np.float64]
_LEFT, _MIDDLE = 1, 3
_MOST_VIEWS = 2
ALONE = "Only one scan is open: open another one to see both side by side."


class Beside:
    """Shows other scans beside the one in a viewer's own canvas.

    Parameters
    ----------
    room : Room
        Of the viewer.
    wheel, on_mouse : callable
        As of a `Pane`.
    """

    def __init__(self, room: Room, wheel: Callable[[Any, Any], None], on_mouse: Callable[[Any, Any], None]) -> None:
        self._room, self._wheel, self._on_mouse = room, wheel, on_mouse
        self.bar = BesideBar(self)
        self.copies = Copies(self.bar, self.tell)
        self.links = Links()
        self.first: Any = None
        self.others: list[Any] = []
        self.panes: list[SidePane] = []
        #: The place of the first scan that is looked at, along S, P, L, mm.
        self.place: _Floats = np.zeros(3)
        self.shows_outlines = False
        #: The view in which the arrow keys move the cross-hair: 0 is the viewer's own.
        self.keyed = 0
        self._pool: list[SidePane] = []
        self._seen: _Floats = np.zeros(3)
        self._is_moving = self._is_busy = self._is_windowing = False
        self._ears = Ears()
        self.aside = Aside()
        self._framing = Framing(lambda: self.rows, self._away, self._is_one_scale)

    # -- beginning and end -----------------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether scans are side by side."""
        return bool(self.panes)

    def begin(self, name: str, chosen: Sequence[Any] = ()) -> bool:
        """Show other scans beside the first one; False where there is none.

        Parameters
        ----------
        name : str
            Of the layout. Pictures without planes, and scans that have no partner, get a simpler one.
        chosen : sequence of napari layers
            The other scans; what is missing is chosen here.
        """
        viewer = self._room.viewer
        first = None if viewer is None else pairs.chosen_scan(viewer)
        if viewer is None or first is None:
            return False
        found = pairs.partners_of(first, viewer.layers)
        kept = [scan for scan in chosen or self.others if scan in found]
        others = list(dict.fromkeys([*kept, *found]))[: 2 if name == ROW else 1]
        if not others:
            self._room.say(ALONE)
            return False
        self._room.say("")
        if self._room.desk.is_used:
            self._room.desk.straighten()
            self._room.desk.show_slab(0)
        if not self.is_on:
            self.aside.begin(list(viewer.layers))
        self._show(layout_for(name, first, others), first, others)
        return True

    def end(self) -> None:
        """Show one scan again."""
        if not self.is_on:
            return
        self._ears.close()
        self.panes, self.others, self.keyed = [], [], 0
        self.first = self.links.first = None
        self.bar.show_on(False)
        self.aside.end(self.layers)

    def close(self) -> None:
        """Let go of the further canvases, before their window goes."""
        self.end()
        for pane in self._pool:
            pane.close()
        self._pool = []

    def _show(self, name: str, first: Any, others: list[Any]) -> None:
        room, viewer = self._room, self._room.viewer
        if viewer is None:
            return
        self._is_busy = True
        self._ears.close()
        while len(self._pool) < _MOST_VIEWS:
            self._pool.append(self._new_pane(viewer))
        places = {id(pane.scan): pane.place.copy() for pane in self.panes}
        if self.first is not None and self.first is not first:
            places[id(self.first)] = self.place.copy()
        scans = others * 2 if name == GRID else others
        panes = self._pool[: len(scans)]
        self.first = self.links.first = first
        self.others = list(others)
        self.aside.put(list(viewer.layers), self.first, self.others)
        first.visible = True
        room.layouts.choose(name, panes)
        self.panes = panes
        self.keyed = min(self.keyed, len(others))
        self.place = self._seen = np.array(viewer.dims.point, float)[-3:]
        if id(first) in places:
            self._go(places[id(first)])
        for pane, scan in zip(panes, scans, strict=True):
            pane.begin(scan, self.aside.is_shown, self._plane_beside(pane))
            pane.place = self._start(scan, places.get(id(scan)))
            pane.follow()
        self._hear(viewer)
        self._is_busy = False
        self.fit()
        self._link_windows(first)
        self.bar.show_on(True)
        self.tell()

    def _new_pane(self, viewer: Any) -> SidePane:
        return SidePane(
            viewer,
            self.side_corners,
            self._wheel,
            self._on_mouse,
            moved=self._on_slice,
            drag=self.drag,
            may_hand_on=self._is_one_space,
        )

    def _start(self, scan: Any, before: _Floats | None) -> _Floats:
        """Return where the cross-hair of a scan is at first: the linked place, else where it was, or the middle."""
        link = self.links.followed(scan)
        if link is not None:
            return self.place + to_display(link.offset)
        return pairs.start_in(scan, self.place if before is None else before)

    def _plane_beside(self, pane: SidePane) -> str:
        """Return the plane of the view of the first scan in the same row."""
        viewer = self._room.viewer
        own = self._room.layouts.panes[0] if self._is_below(pane) else None
        if own is not None:
            return str(own.plane)
        return "" if viewer is None else planes.plane_of(viewer)

    def _is_below(self, pane: SidePane) -> bool:
        return self._room.layouts.name == GRID and pane is self._pool[1]

    # -- following the viewer --------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Follow the layers that come, go, and are shown or hidden."""
        viewer = self._room.viewer
        if viewer is None or self._is_busy:
            return
        if not self.is_on:
            self.aside.show_again(list(viewer.layers))
            return
        first, others = scans_now(viewer, self.first, self.others)
        if first is None or not others:
            gone = next((scan for scan in (self.first, *self.others) if scan not in viewer.layers), None)
            self.end()
            self._room.layouts.choose(ONE)
            if first is not None:
                first.visible = True
            self._room.say("" if gone is None else f"'{gone.name}' was closed.")
            self._room.show_state()
            return
        if first is not self.first or others != self.others:
            self._show(layout_for(self._room.layouts.name, first, others), first, others)
            self._room.show_state()
            return
        self._is_busy = True
        self.aside.put(list(viewer.layers), self.first, self.others)
        self._is_busy = False
        for pane in self.panes:
            if pane.plane != self._plane_beside(pane):
                pane.show_plane(self._plane_beside(pane))
                self.fit()
            pane.look_again()
        self._hear(viewer)
        self.tell()

    def _hear(self, viewer: Any) -> None:
        """Listen to windows, cameras, and labels whose outlines are seen elsewhere."""
        heard: list[tuple[Any, Callback]] = [
            (scan.events.contrast_limits, self._on_window)
            for scan in (self.first, *self.others)
            if hasattr(scan.events, "contrast_limits")
        ]
        for seat in (seat for row in self.rows for seat in row):
            events = seat.model.scene.camera.events
            heard += [(events.zoom, self._framing.on_camera), (events.center, self._framing.on_camera)]
        for layer in (layer for layer in viewer.layers if outlines.is_drawn(layer)):
            found = (getattr(layer.events, name, None) for name in ("paint", "data", "labels_update"))
            heard += [(emitter, self.repaint) for emitter in found if emitter is not None]
        self._ears.hear(heard)

    # -- links -----------------------------------------------------------------------------------------------------

    def link_to(self, scan: Any) -> Link | None:
        """Return how places in the first scan are found in another; None where that is not known."""
        return self.links.to(scan)

    def link(self, what: str, is_on: bool) -> None:
        """Link position, zoom or window, or let it loose."""
        self.links.wanted[what] = is_on
        if not self.is_on:
            return
        self._room.hanger.note()
        if is_on and what == "window":
            self._link_windows(self.first)
        elif is_on:
            self._carry()
            self._framing.follow(self._room.viewer)
        self.tell()

    def toggle(self, what: str) -> None:
        """Link what is loose, and let loose what is linked; nothing where it cannot be linked."""
        if what not in self.links.why_not(self.others):
            self.link(what, not self.links.wanted[what])

    def same_place(self) -> None:
        """Declare what is under the cross-hairs now the same place in all scans; from now on they are linked by it."""
        if not self.is_on:
            return
        self.links.declare(self.place, [(pane.scan, pane.place) for pane in self.panes])
        self.link("position", True)

    def undo(self) -> None:
        """Take back what was declared or copied last."""
        if self.links.steps:
            self.copies.told = self.links.steps.pop()()
            self.link("position", self.links.wanted["position"])

    def _is_one_space(self, pane: SidePane) -> bool:
        """Whether tools that work on the first scan mean the same place in a view at the side."""
        link = self.link_to(pane.scan)
        return link is not None and link.is_identity

    # -- position --------------------------------------------------------------------------------------------------

    def on_point(self) -> None:
        """Take the other views along to the point that the viewer shows."""
        viewer = self._room.viewer
        if viewer is None or not self.is_on or viewer.dims.ndim < 3:
            return
        now = np.array(viewer.dims.point, float)[-3:]
        moved = np.abs(now - self._seen) > 1e-6
        self._seen = now
        if not self._is_moving and not self._is_busy:
            self.place = np.where(moved, now, self.place)
            self._carry()

    def _go(self, place: _Floats) -> None:
        """Show a place of the first scan."""
        viewer = self._room.viewer
        if viewer is None or viewer.dims.ndim < 3:
            return
        self.place, self._is_moving = np.array(place, float), True
        axes = range(viewer.dims.ndim - 3, viewer.dims.ndim)
        viewer.dims.set_point(list(axes), self.place.tolist())
        self._is_moving = False
        self._seen = np.array(viewer.dims.point, float)[-3:]

    def _carry(self, source: Any = None) -> None:
        """Take the views of all scans that are linked to the first one along, but for one that says so itself."""
        for scan in self.others:
            link = self.links.followed(scan)
            if scan is not source and link is not None:
                self._put(scan, self.place + to_display(link.offset))
        self.repaint()

    def _put(self, scan: Any, place: _Floats) -> None:
        for pane in self.panes:
            if pane.scan is scan:
                pane.place = np.array(place, float)
                pane.follow()

    def _on_slice(self, pane: SidePane) -> None:
        """Take over a slice that was chosen in a view at the side."""
        dims, place = pane.model.dims, pane.place.copy()
        first, viewer = dims.ndim - 3, self._room.viewer
        for axis in dims.not_displayed:
            if axis >= first:
                place[axis - first] = dims.point[axis]
            elif viewer is not None and viewer.dims.ndim == dims.ndim:
                viewer.dims.set_point(axis, dims.point[axis])
        self.move_to(pane.scan, place)

    def move_to(self, scan: Any, place: _Floats) -> None:
        """Have the cross-hair of a scan at the side at a place, along S, P, L, mm; linked ones go along."""
        self._put(scan, place)
        link = self.links.followed(scan)
        if link is not None:
            self._go(place - to_display(link.offset))
            self._carry(scan)
        self.repaint()

    def drag(self, pane: SidePane, event: Any) -> Iterator[None]:
        """Drag the window, the picture or the cross-hair in a view at the side."""
        viewer, model = self._room.viewer, pane.model
        if viewer is None or event.handled or model.dims.ndisplay != 2:
            return
        self.key_view(1 + next(n for n, scan in enumerate(self.others) if scan is pane.scan))
        active = viewer.layers.selection.active
        if hasattr(pane.scan, "contrast_limits") and not pane.scan.rgb and windowing.is_window_drag(active, event):
            yield from windowing.drag(pane.scan, event)
        elif event.button == _MIDDLE:
            yield from planes.drag_picture(model, event)
        elif event.button == _LEFT and not event.modifiers and windowing.is_idle(active):
            while event.type in ("mouse_press", "mouse_move"):
                event.handled = True
                axes = np.array(model.dims.displayed)
                place = pane.place.copy()
                place[axes - (model.dims.ndim - 3)] = world_position(model, event)[axes]
                self.move_to(pane.scan, place)
                yield

    # -- keys ------------------------------------------------------------------------------------------------------

    def key_view(self, number: int) -> None:
        """Have the keys that move the cross-hair and set the window work in a view: 0 is the viewer's own."""
        self.keyed = number if self.is_on else 0
        self.repaint()

    def next_view(self) -> None:
        """Have them work in the next view."""
        self.key_view((self.keyed + 1) % (1 + len(self.others)))

    @property
    def keyed_pane(self) -> SidePane | None:
        """The view at the side in which keys work; None where they do in the viewer's own."""
        return self.panes[self.keyed - 1] if self.is_on and self.keyed else None

    def move_point(self, right: int, down: int) -> None:
        """Move the cross-hair of the keyed view at the side by steps of its voxels, as seen on the screen."""
        pane = self.keyed_pane
        if pane is not None and pane.model.dims.ndim >= 3:
            self.move_to(pane.scan, pane.stepped(right, down))

    def step(self, n: int) -> None:
        """Go slices on in the keyed view, towards the head where they are axial."""
        pane, viewer = self.keyed_pane, self._room.viewer
        model = viewer if pane is None else pane.model
        if model is not None and planes.deep_axis(model) is not None:
            planes.step_slice(model, -n * planes.towards_feet(model))

    def choose_other(self, number: int, scan: Any) -> None:
        """Show another scan in a view at the side."""
        if not self.is_on or number >= len(self.others) or scan is self.first:
            return
        others = [self.others[number] if each is scan else each for each in self.others]
        others[number] = scan
        self._show(layout_for(self._room.layouts.name, self.first, others), self.first, others)
        self._room.show_state()

    def choose_next(self) -> None:
        """Show the next scan in the first view at the side, after the last one the first."""
        viewer = self._room.viewer
        offered = [] if viewer is None else [scan for scan in pairs.scans_of(viewer.layers) if scan is not self.first]
        if self.others and len(offered) > 1:
            place = next(n for n, scan in enumerate(offered) if scan is self.others[0])
            self.choose_other(0, offered[(place + 1) % len(offered)])

    # -- windows and cameras ---------------------------------------------------------------------------------------

    def window_layer(self) -> Any | None:
        """Return the scan whose window the keys set, where it is one at the side."""
        pane = self.keyed_pane
        return None if pane is None or not hasattr(pane.scan, "contrast_limits") or pane.scan.rgb else pane.scan

    def _on_window(self, event: Any) -> None:
        if not self._is_windowing and not self._is_busy:
            self._link_windows(event.source)

    def _link_windows(self, source: Any) -> None:
        """Give the other scans the window of one, in the unit of the screen."""
        if self.links.wanted["window"] and self.is_on:
            self._is_windowing = True
            for scan in (self.first, *self.others):
                if scan is not source and pairs.same_unit(source, scan):
                    windowing.take_over(scan, source)
            self._is_windowing = False
        self.repaint()

    @property
    def rows(self) -> list[list[Seat]]:
        """The views that lie beside each other, the first scan's own before the others."""
        viewer, layouts = self._room.viewer, self._room.layouts
        if viewer is None or not self.is_on:
            return []
        seats = [Seat(pane.scan, pane.model, pane.canvas) for pane in self.panes]
        own = Seat(self.first, viewer, self._room.overlay.parentWidget())
        if layouts.name != GRID:
            return [[own, *seats]]
        below = layouts.panes[0]
        return [[own, seats[0]], [Seat(self.first, below.model, below.overlay.parentWidget()), seats[1]]]

    def fit(self) -> None:
        """Show all scans whole; at one scale, and the same part of the patient, where that is linked."""
        if self.is_on and not self._is_busy:
            self._framing.fit()
            self.repaint()

    def _is_one_scale(self) -> bool:
        return self.links.wanted["zoom"] and self.is_on and "zoom" not in self.links.why_not(self.others)

    def _away(self, scan: Any) -> _Floats | None:
        """Return how far places of a scan are from those of the first; None where they are not linked, or apart."""
        if scan is self.first:
            return np.zeros(3)
        link = self.links.followed(scan)
        return None if link is None or not pairs.overlap(self.first, scan, link) else to_display(link.offset)

    # -- what is seen and said -------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers of the viewer."""
        return [] if self._room.viewer is None else list(self._room.viewer.layers)

    def pane_of(self, model: Any) -> SidePane | None:
        """Return the view at the side that a model is of; None of other models."""
        return next((pane for pane in self.panes if pane.model is model), None)

    def corners(self, model: Any, corners: Corners) -> Corners:
        """Return what is painted over a view of the first scan, by what is painted there when it is alone."""
        viewer = self._room.viewer
        if not self.is_on or viewer is None or model.dims.ndisplay != 2 or model.dims.ndim < 3:
            return corners
        return own_corners(self, corners, model, model is viewer, np.array(model.dims.point, float))

    def side_corners(self, model: Any) -> Corners:
        """Return what is painted over a view at the side."""
        pane, room = self.pane_of(model), self._room
        return Corners() if pane is None else side_corners(self, pane, room.names_patient, room.is_named_in_pictures)

    def show_outlines(self, is_on: bool) -> None:
        """Show labels and findings of each scan in the others, too, or not."""
        self.shows_outlines = is_on
        self.bar.outlines_button.setChecked(is_on)
        self.repaint()

    def repaint(self, _event: Any = None) -> None:
        """Paint what lies over the views again."""
        self._room.repaint()

    def tell(self) -> None:
        """Say how the scans are linked, and what can be done."""
        if not self.is_on:
            return
        self.bar.show_scans(self.others, [scan for scan in pairs.scans_of(self.layers) if scan is not self.first])
        self.bar.show_links(self.links.wanted, self.links.why_not(self.others))
        self.bar.undo_button.setEnabled(bool(self.links.steps))
        self.bar.tell(*told(self))

    def copy_entries(self) -> Sequence[Entry]:
        """Return the entries of the menu of copies: what, whether it is possible, and what it does."""
        return copy_entries(self.layers, self.first, self.others, self.link_to, self.copy)

    def copy(self, layer: Any, source: Any, target: Any, link: Link | None) -> None:
        """Copy labels or findings of a scan to another one."""
        if link is not None and self._room.viewer is not None:
            self.copies.start(self._room.viewer, layer, source, target, link, self.links.steps.append)
