"""A further view of a viewer's layers: one plane, linked to the others by the point that all of them show.

A canvas of napari leaves two megabytes behind when it is closed, so that those of further views are kept, empty and
hidden, until the viewer is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.layers.pointer import put_all_right
from napari_radcnn.gui.layers.view import keep_upright
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.corners import Corners, CornersOverlay
from napari_radcnn.gui.reading.cuts.handing import go_on, hand_on, ours_of
from napari_radcnn.gui.reading.twins import Twins


class Pane:
    """A canvas of its own with the layers of a viewer in one plane, between `wake` and `rest`; empty before and after.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers are shown; its mouse callbacks of ours serve this view, too.
    corners : callable
        Called with the model of a view; returns what is painted over it.
    wheel : callable
        What the wheel does.
    on_mouse : callable
        Called with the model and where the mouse is over its canvas; see `CornersOverlay`.
    """

    def __init__(
        self,
        viewer: Any,
        corners: Callable[[Any], Corners],
        wheel: Callable[[Any, Any], None],
        on_mouse: Callable[[Any, Any], None],
    ) -> None:
        self._viewer, self.plane = viewer, ""
        self.model, self.widget = new_canvas()
        self._twins: Twins | None = None
        keep_upright(self.model)
        self.model.mouse_drag_callbacks.append(self._on_drag)
        self.model.mouse_double_click_callbacks[:] = [self._on_double_click]
        self.model.mouse_wheel_callbacks[:] = [wheel]
        put_all_right(self.model)
        self.overlay = CornersOverlay(
            self.widget.canvas.native, lambda: corners(self.model), lambda where: on_mouse(self.model, where)
        )
        self.model.dims.events.point.connect(self._on_slice)
        self.model.scene.camera.events.connect(self.repaint)
        self.is_following = False

    @property
    def canvas(self) -> QWidget:
        """What the mouse is over."""
        return self.overlay.parentWidget()

    def wake(self, plane: str) -> None:
        """Have the layers of the viewer, and show a plane."""
        take_theme(self.model, self._viewer)
        self._twins = Twins(self._viewer, self.model)
        self.is_following = True
        self.show_plane(plane)

    def rest(self) -> None:
        """Have no layers, follow nothing, and be hidden."""
        self.is_following = False
        if self._twins is not None:
            self._twins.part()
            self._twins = None
        hide_empty(self.widget)

    def show_plane(self, plane: str) -> None:
        """Show another plane, whole."""
        self.plane = plane
        planes.show_plane(self.model, plane)
        self.follow()

    def follow(self) -> None:
        """Show the slice through the point of the viewer."""
        if not self.is_following or self.model.dims.ndim != self._viewer.dims.ndim:
            return
        self.is_following = False  # else it would be told back
        dims, point = self.model.dims, self._viewer.dims.point
        for axis in dims.not_displayed:  # only these: a change of the others would slice every layer again
            if dims.point[axis] != point[axis]:
                dims.set_point(axis, point[axis])
        self.is_following = True
        self.repaint()

    def repaint(self, _event: Any = None) -> None:
        """Paint text and cross-hair again."""
        self.overlay.update()

    def close(self) -> None:
        """Let go of everything; the layers first, while the canvas is there."""
        self.rest()
        self.model.dims.events.point.disconnect(self._on_slice)
        self.model.scene.camera.events.disconnect(self.repaint)
        self.overlay.part()
        self.widget.close()
        self.widget.setParent(None)
        self.widget.deleteLater()

    def _on_slice(self, _event: Any = None) -> None:
        """Take the other views along to a slice that was chosen here."""
        if not self.is_following or self.model.dims.ndim != self._viewer.dims.ndim:
            return
        dims = self.model.dims
        for axis in dims.not_displayed:
            if self._viewer.dims.point[axis] != dims.point[axis]:
                self._viewer.dims.set_point(axis, dims.point[axis])

    def _on_drag(self, model: Any, event: Any) -> Iterator[None]:
        """Hand a button on to what listens to the viewer: the tools of a session, the window, the cross-hair."""
        running = hand_on(self._viewer, model, event)
        while running:
            yield
            running = go_on(running)

    def _on_double_click(self, model: Any, event: Any) -> None:
        for callback in ours_of(self._viewer.mouse_double_click_callbacks):
            callback(model, event)


def new_canvas() -> tuple[Any, Any]:
    """Return a model of a viewer and the widget that shows it: without sliders, drops and keys of its own."""
    from napari.components import ViewerModel
    from napari.qt import QtViewer

    model = ViewerModel()
    widget = QtViewer(model)
    widget.setAcceptDrops(False)
    _take_sliders_away(model, widget.dims)
    # Keys stay with the viewer's own canvas: there they are bound, and one place is enough.
    widget.canvas.native.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return model, widget


def _take_sliders_away(model: Any, sliders: Any) -> None:
    """Hide a canvas's sliders, and have them hear of nothing.

    napari makes them anew each time that the number of axes changes, hidden ones too. Half a megabyte of the old ones
    stays (napari 0.9 and 0.10.0rc1), for each time that a view is shown and emptied.
    """
    sliders.hide()
    for emitter in model.dims.events.emitters.values():
        for callback in tuple(emitter.callbacks):
            if isinstance(callback, tuple) and callback[0]() is sliders:  # a method, and whose it is
                emitter.disconnect(callback)


def take_theme(model: Any, viewer: Any) -> None:
    """Have the colors of the viewer, which may have changed while nothing was shown here."""
    if model.theme != viewer.theme:
        model.theme = viewer.theme


def hide_empty(widget: Any) -> None:
    """Hide a canvas that has no layers any more, and have the memory of their pictures given back.

    vispy deletes textures when the canvas is drawn the next time, which a hidden one is not.
    """
    if widget.isVisible():
        widget.canvas.native.grabFramebuffer()
    widget.hide()
