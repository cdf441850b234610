"""The view of another scan beside the one that the viewer's own canvas shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.hanging import seen_hanging
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.beside.pairs import extent_of, owner_of
from napari_radcnn.gui.reading.corners import Corners
from napari_radcnn.gui.reading.pane import Pane, take_theme
from napari_radcnn.gui.reading.twins import Twin, Twins


class SideTwin(Twin):
    """A layer in the view of its scan, where it is seen or not whether the viewer's own canvas shows it or not."""

    def _on_look(self, event: Any) -> None:
        if event.type != "visible":
            super()._on_look(event)


class SideTwins(Twins):
    """The layers of one scan of a viewer in a view of their own.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers are followed.
    model : ViewerModel
        What shows them.
    scan : napari layer
        Of the scan.
    is_seen : callable
        Whether one of its layers is shown.
    """

    def __init__(self, viewer: Any, model: Any, scan: Any, is_seen: Callable[[Any], bool]) -> None:
        self._scan, self._is_seen = scan, is_seen
        super().__init__(viewer, model)

    def look_again(self) -> None:
        """Show those layers that are to be seen now, and no others."""
        self.follow()
        for twin in self._twins:
            twin.clone.visible = self._is_seen(twin.layer)

    def _wanted(self) -> list[Any]:
        layers = list(self._viewer.layers)
        return [layer for layer in layers if owner_of(layer, layers) is self._scan]

    def _twin_of(self, layer: Any) -> Twin:
        twin = SideTwin(layer, self._viewer)
        twin.clone.visible = self._is_seen(layer)
        return twin


class SidePane(Pane):
    """A canvas with the layers of another scan, in the plane of the view beside it.

    Parameters
    ----------
    viewer, corners, wheel, on_mouse
        As of a `Pane`.
    moved : callable
        Called with this view when another slice was chosen here.
    drag : callable
        Returns what a button that goes down here does: called with this view, and the mouse event.
    may_hand_on : callable
        Whether the tools of the viewer work in this view, too, since both scans have one patient space.
    """

    def __init__(
        self,
        viewer: Any,
        corners: Callable[[Any], Corners],
        wheel: Callable[[Any, Any], None],
        on_mouse: Callable[[Any, Any], None],
        *,
        moved: Callable[[SidePane], None],
        drag: Callable[[SidePane, Any], Iterator[None]],
        may_hand_on: Callable[[SidePane], bool],
    ) -> None:
        super().__init__(viewer, corners, wheel, on_mouse)
        self._moved, self._drag, self._may_hand_on = moved, drag, may_hand_on
        #: The layer of the scan that is shown.
        self.scan: Any = None
        #: Where the cross-hair is, along S, P, L, mm.
        self.place: npt.NDArray[np.float64] = np.zeros(3)

    def begin(self, scan: Any, is_seen: Callable[[Any], bool], plane: str) -> None:
        """Show the layers of a scan in a plane."""
        if self._twins is not None:
            self._twins.part()
        take_theme(self.model, self._viewer)
        self.scan = scan
        self._twins = SideTwins(self._viewer, self.model, scan, is_seen)
        self.is_following = True
        self.show_plane(plane)

    def rest(self) -> None:
        """Have no layers, follow nothing, and be hidden."""
        super().rest()
        self.scan = None

    def show_plane(self, plane: str) -> None:
        """Show another plane, whole; of a picture without planes how it is hung."""
        self.plane = plane
        if seen_hanging(self.model).is_placed:
            planes.show_plane(self.model, plane or "Axial")
        self.follow()

    def follow(self) -> None:
        """Show the slice through the cross-hair, and of time what the viewer shows."""
        if not self.is_following:
            return
        self.is_following = False  # else it would be told back
        dims, own = self.model.dims, self._viewer.dims
        first = dims.ndim - 3
        for axis in dims.not_displayed:
            if axis >= first >= 0:
                dims.set_point(axis, float(self.place[axis - first]))
            elif dims.ndim == own.ndim:
                dims.set_point(axis, own.point[axis])
        self.is_following = True
        self.repaint()

    def look_again(self) -> None:
        """Show those layers that are to be seen now, and no others."""
        if isinstance(self._twins, SideTwins):
            self._twins.look_again()

    @property
    def point(self) -> npt.NDArray[np.float64]:
        """The world point of this view at the cross-hair."""
        point = np.array(self.model.dims.point, float)
        point[-3:] = self.place[-len(point) :]
        return point

    def stepped(self, right: int, down: int) -> npt.NDArray[np.float64]:
        """Return the place that lies steps of the voxels further, as seen on the screen; at the edges no further."""
        dims, place = self.model.dims, self.place.copy()
        low, high = extent_of(self.scan)
        for axis, side, n in zip(dims.displayed, self.model.scene.camera.orientation[1:], (down, right), strict=True):
            own, step = axis - (dims.ndim - 3), float(dims.range[axis].step)
            way = -n if str(side) in ("up", "left") else n
            if n:
                place[own] = np.clip(place[own] + way * step, low[own] + step / 2, high[own] - step / 2)
        return place

    def _on_slice(self, _event: Any = None) -> None:
        if self.is_following and self.model.dims.ndim >= 3:
            self._moved(self)

    def _on_drag(self, model: Any, event: Any) -> Iterator[None]:
        if self._may_hand_on(self):
            yield from super()._on_drag(model, event)
        else:
            yield from self._drag(self, event)

    def _on_double_click(self, model: Any, event: Any) -> None:
        if self._may_hand_on(self):
            super()._on_double_click(model, event)
