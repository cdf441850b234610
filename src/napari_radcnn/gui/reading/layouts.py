"""One picture, three linked planes, these and the scan in 3-D, or scans side by side."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtWidgets import QGridLayout

from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.corners import Corners
from napari_radcnn.gui.reading.pane import Pane
from napari_radcnn.gui.reading.solid import SolidPane
from napari_radcnn.gui.reading.words import PLANES

ONE, THREE, FOUR = "one", "three", "four"
#: Of several scans: two side by side, two with two planes each, three side by side.
TWO, GRID, ROW = "two", "grid", "row"
BESIDE = (TWO, GRID, ROW)
#: Where each view lies: row, column, and how many of them it takes; the viewer's own is the first.
_PLACES = {
    THREE: ((0, 0, 2, 1), (0, 1, 1, 1), (1, 1, 1, 1)),
    FOUR: ((0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1)),
    TWO: ((0, 0, 2, 1), (0, 1, 2, 1)),
    GRID: ((0, 0, 1, 1), (1, 0, 1, 1), (0, 1, 1, 1), (1, 1, 1, 1)),
    ROW: ((0, 0, 2, 1), (0, 1, 2, 1), (0, 2, 2, 1)),
}
#: How wide the columns are, relative to each other.
_COLUMNS = {ONE: (3, 0, 0), THREE: (3, 2, 0), ROW: (1, 1, 1)}


class Layouts:
    """The further views beside a viewer's own canvas.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers are shown.
    widget : napari.qt.QtViewer
        Its own canvas.
    grid : QGridLayout
        Where that is, alone at first.
    corners, wheel, on_mouse : callable
        As of a `Pane`.
    """

    def __init__(
        self,
        viewer: Any,
        widget: Any,
        grid: QGridLayout,
        corners: Callable[[Any], Corners],
        wheel: Callable[[Any, Any], None],
        on_mouse: Callable[[Any, Any], None],
    ) -> None:
        # Weakly: what belongs to the viewer's widget must not keep it alive.
        self._viewer_now, self._widget_now, self._grid = weakref.ref(viewer), weakref.ref(widget), grid
        self._corners, self._wheel, self._on_mouse = corners, wheel, on_mouse
        self.name = ONE
        self.panes: list[Pane | SolidPane] = []
        #: Made when they are first shown, and kept: empty and hidden while they are not.
        self._planes: list[Pane] = []
        self._solid: SolidPane | None = None

    @property
    def models(self) -> list[Any]:
        """The models of all views, the viewer's own first."""
        viewer = self._viewer_now()
        return [] if viewer is None else [viewer, *(pane.model for pane in self.panes)]

    def choose(self, name: str, sides: Sequence[Pane] = ()) -> None:
        """Show a layout; nothing is done where no patient is seen that has planes.

        Parameters
        ----------
        name : str
            Of the layout.
        sides : sequence of Pane
            The views of other scans, in the order of their places; whoever gives them fills them.
        """
        viewer, widget = self._viewer_now(), self._widget_now()
        if viewer is None or widget is None:
            return
        if name != ONE and not planes.plane_of(viewer):
            planes.show_plane(viewer, "Axial")
            if name in BESIDE:
                viewer.dims.ndisplay = 2
            elif not planes.plane_of(viewer):
                return
        if name == ONE or name in BESIDE or self.name in BESIDE:
            self._rest()
        if name in BESIDE:
            self._fill_beside(name, viewer, sides)
        elif name != ONE:
            self._fill(name, viewer)
        self.name = name
        self._arrange(widget)
        for model in self.models:
            model.reset_view()
        self.follow()

    def follow(self) -> None:
        """Have every view at the point of the viewer, and each plane in one view."""
        viewer = self._viewer_now()
        if viewer is None or not self.panes:
            return
        taken = planes.plane_of(viewer)
        free = [plane for plane in PLANES if plane != taken]
        views = [pane for pane in self._planes if pane in self.panes]
        if taken and taken in (pane.plane for pane in views):
            left = next(plane for plane in free if plane not in (pane.plane for pane in views))
            next(pane for pane in views if pane.plane == taken).show_plane(left)
        for pane in self.panes:
            pane.follow()
            pane.repaint()

    @property
    def solid(self) -> SolidPane | None:
        """The view in 3-D, once it was shown."""
        return self._solid

    def repaint(self) -> None:
        """Paint text and cross-hairs again."""
        for pane in self.panes:
            pane.repaint()

    def close(self) -> None:
        """Take the further views away for good, before their window goes."""
        self._rest()
        for pane in self._planes:
            pane.close()
        if self._solid is not None:
            self._solid.close()
        self._planes, self._solid = [], None

    def _rest(self, n_left: int = 0) -> None:
        """Hide the further views but the first ones."""
        self.name = ONE
        while len(self.panes) > n_left:
            pane = self.panes.pop()
            self._grid.removeWidget(pane.widget)
            pane.rest()

    def _make(self, viewer: Any) -> None:
        """Have the views of further planes."""
        if not self._planes:
            self._planes = [Pane(viewer, self._corners, self._wheel, self._on_mouse) for _ in range(len(PLANES) - 1)]

    def _fill_beside(self, name: str, viewer: Any, sides: Sequence[Pane]) -> None:
        """Have the views of other scans, and of a second plane of the first."""
        if name == GRID:
            self._make(viewer)
            self._planes[0].wake(next(plane for plane in PLANES if plane != planes.plane_of(viewer)))
            self.panes.append(self._planes[0])
        self.panes.extend(sides)

    def _fill(self, name: str, viewer: Any) -> None:
        """Have the views of a layout; those that are there stay."""
        self._make(viewer)
        if not self.panes:
            taken = planes.plane_of(viewer)
            for pane, plane in zip(self._planes, [each for each in PLANES if each != taken], strict=True):
                pane.wake(plane)
                self.panes.append(pane)
        if name == THREE:
            self._rest(len(self._planes))
        elif len(self.panes) == len(self._planes):
            if self._solid is None:
                self._solid = SolidPane(viewer, self._corners, self._on_mouse)
            self._solid.wake()
            self.panes.append(self._solid)

    def _arrange(self, own: Any) -> None:
        grid, widgets = self._grid, [own, *(pane.widget for pane in self.panes)]
        for widget in widgets:
            grid.removeWidget(widget)
        for widget, place in zip(widgets, _PLACES.get(self.name, ((0, 0, 2, 1),)), strict=False):
            grid.addWidget(widget, *place)
            widget.show()
        for column, stretch in enumerate(_COLUMNS.get(self.name, (1, 1, 0))):
            grid.setColumnStretch(column, stretch)
        grid.setRowStretch(0, 1)
        grid.setRowStretch(1, 1 if self.name in (THREE, FOUR, GRID) else 0)
        grid.activate()
