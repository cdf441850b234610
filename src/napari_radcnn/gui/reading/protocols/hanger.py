"""Lays the open scans out as a hanging protocol says, offers what suits them, and remembers how it was done."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QMenu, QToolButton

from napari_radcnn.gui.layers.layers import points_of
from napari_radcnn.gui.reading import planes, windowing
from napari_radcnn.gui.reading.beside.pairs import chosen_scan, scans_of
from napari_radcnn.gui.reading.beside.spaces import space_of
from napari_radcnn.gui.reading.captions import volume_of
from napari_radcnn.gui.reading.layouts import BESIDE
from napari_radcnn.gui.reading.protocols import memory
from napari_radcnn.gui.reading.protocols.table import Protocol, Series, kind_of, offered, role_of

if TYPE_CHECKING:
    from napari_radcnn.gui.reading.room import Room

KEY = "Alt+Shift+H"
LAST = "As last time"
_NOTE_MS = 400
#: How a scan lies over another: napari's names.
_OVER = {"colormap": "inferno", "blending": "additive", "opacity": 0.6}


class Hanger:
    """Offers hanging protocols for the scans that are open.

    Parameters
    ----------
    room : Room
        Of the viewer.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        #: How scans that lie over others looked before.
        self._looks: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()
        self._kind, self._used = "", ""
        self.button = QToolButton()
        self.button.setText("Hang")
        self.button.setCheckable(True)
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.clicked.connect(lambda _checked: self.hang_first())
        self.menu = QMenu(self.button)
        self.menu.aboutToShow.connect(self._fill)
        self.button.setMenu(self.menu)
        self._timer = QTimer(self.button)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_NOTE_MS)
        self._timer.timeout.connect(self.flush)
        self.follow()

    @property
    def scans(self) -> list[Any]:
        """The layers of the scans that are open."""
        return [] if self._room.viewer is None else scans_of(self._room.viewer.layers)

    def offers(self) -> list[tuple[Protocol, list[Any]]]:
        """Return what suits the open scans, each with their layers in its places: first how it was the last time."""
        scans = self.scans
        series = series_of(scans)
        found = offered(series) if scans else []
        last = memory.recalled(kind_of(series)) if scans else None
        taken = None if last is None else last.assigned(series)
        if last is not None and taken is not None:
            found.insert(0, (last, taken))
        return [(protocol, [scans[n] for n in numbers]) for protocol, numbers in found]

    def hang(self, name: str) -> bool:
        """Lay the open scans out as the protocol of a name says; False where none of that name suits them."""
        found = next(((protocol, scans) for protocol, scans in self.offers() if protocol.name == name), None)
        if found is not None:
            self._apply(*found)
        return found is not None

    def hang_first(self) -> None:
        """Lay the open scans out as they were the last time, else by the first protocol that suits them."""
        offers = self.offers()
        if offers:
            self._apply(*offers[0])
        self._show_offers()

    # -- following the viewer --------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Offer what suits the scans that are open now."""
        kind = kind_of(series_of(self.scans))
        if kind != self._kind:
            self._kind, self._used = kind, ""
            self._show_offers()

    def note(self) -> None:
        """Remember, in a moment, how the scans are laid out: the user has just changed that."""
        self._used = self._kind
        self._show_offers()
        self._timer.start()

    def close(self) -> None:
        """Remember now what is to be remembered in a moment: the window goes."""
        if self._timer.isActive():
            self.flush()

    def flush(self) -> None:
        """Remember it now."""
        self._timer.stop()
        scans = self.scans
        if self._used and self._used == kind_of(series_of(scans)):
            present = self._present(scans)
            if present is not None:
                memory.remember(self._used, present)

    def _present(self, scans: Sequence[Any]) -> Protocol | None:
        """Return how the scans are laid out now."""
        room, viewer, beside = self._room, self._room.viewer, self._room.beside
        over = next((scan for scan in scans if scan in self._looks and scan.visible), None)
        below = next((scan for scan in scans if scan.visible and scan is not over), None)
        first = beside.first if beside.is_on else below if over is not None else None
        first = first or (None if viewer is None else chosen_scan(viewer))
        if viewer is None or first is None:
            return None
        others = beside.others if beside.is_on else [over] if over is not None else []
        series = series_of(scans)
        roles = tuple(role_of(series, scans.index(scan)) for scan in (first, *others))
        window = "" if first.rgb else windowing.present_window(first).name
        links = dict(beside.links.wanted) if beside.is_on else {}
        plane = planes.plane_of(viewer) or "Axial"
        is_over = over is not None and not beside.is_on
        return Protocol(LAST, room.layouts.name, roles, plane, window, is_over, room.time_bar.cine.is_playing, links)

    # -- laying out ------------------------------------------------------------------------------------------------

    def _apply(self, protocol: Protocol, scans: list[Any]) -> None:
        room, viewer = self._room, self._room.viewer
        if viewer is None:
            return
        room.beside.end()
        self._take_back_colors()
        first, others = scans[0], scans[1:]
        for scan in self.scans:
            scan.visible = scan is first
        viewer.layers.selection.active = first
        if protocol.is_over:
            self._lay_over(viewer, first, others[0])
        for name, is_on in protocol.links.items():
            room.beside.links.wanted[name] = is_on
        if protocol.layout in BESIDE:
            room.beside.begin(protocol.layout, others)
            room.show_state()
        else:
            room.choose_layout(protocol.layout)
        if planes.plane_of(viewer):
            room.show_plane(protocol.plane)
        self._choose_window(first, protocol.window)
        if protocol.is_played:
            room.time_bar.cine.play(True)
        self.note()

    def _lay_over(self, viewer: Any, first: Any, over: Any) -> None:
        self._looks[over] = {name: getattr(over, name) for name in _OVER}
        if viewer.layers.index(over) < viewer.layers.index(first):
            viewer.layers.move(viewer.layers.index(over), viewer.layers.index(first) + 1)
        for name, value in _OVER.items():
            setattr(over, name, value)
        over.visible = True

    def _take_back_colors(self) -> None:
        for layer, look in list(self._looks.items()):
            for name, value in look.items():
                setattr(layer, name, value)
        self._looks.clear()

    @staticmethod
    def _choose_window(scan: Any, name: str) -> None:
        if scan.rgb or not name:
            return
        found = next((preset for preset in windowing.look_for(scan).presets if preset.name == name), None)
        if found is not None:
            windowing.choose(scan, found)

    # -- the button ------------------------------------------------------------------------------------------------

    def _show_offers(self) -> None:
        offers = self.offers()
        self.button.setEnabled(bool(offers))
        self.button.setChecked(bool(offers) and self._used != self._kind)
        first = f"{offers[0][0].name}: {words_of(offers[0][0])}" if offers else "no protocol suits the open scans"
        self.button.setToolTip(f"Lay the scans out: {first} ({KEY}). The arrow lists all that suit")

    def _fill(self) -> None:
        self.menu.clear()
        offers = self.offers()
        for protocol, _ in offers:
            action = self.menu.addAction(f"{protocol.name} ({words_of(protocol)})")
            action.triggered.connect(partial(self._on_entry, protocol.name))  # no scan: the menu stays
        if offers and offers[0][0].name == LAST:
            self.menu.addSeparator()
            self.menu.addAction("Forget the last time").triggered.connect(self._on_forget)

    def _on_entry(self, name: str, _checked: bool = False) -> None:
        self.hang(name)

    def _on_forget(self, _checked: bool = False) -> None:
        self._timer.stop()
        memory.forget(self._kind)
        self._show_offers()


def series_of(scans: Sequence[Any]) -> list[Series]:
    """Return what protocols look at of the layers of scans."""
    volumes = [volume_of(scan) for scan in scans]
    known = [volume.metadata for volume in volumes if volume is not None]
    newest = sorted({(each.study_date, each.study_uid) for each in known}, reverse=True)
    found = []
    for scan, about in zip(scans, known, strict=True):
        kind = about.modality or ("" if scan.rgb else windowing.look_for(scan).kind)
        study = newest.index((about.study_date, about.study_uid))
        view = about.acquisition.get("view", "")
        found.append(Series(kind, view, points_of(scan) is not None, study, space_of(scan)))
    return found


def words_of(protocol: Protocol) -> str:
    """Return in words how a protocol lays scans out."""
    names = {"one": "one view", "three": "three planes", "four": "three planes and 3-D", "two": "side by side"}
    names |= {"grid": "side by side, two planes", "row": "three side by side"}
    parts = [names[protocol.layout], protocol.plane.lower() if protocol.layout != "four" else "", protocol.window]
    return ", ".join(part for part in parts if part)
