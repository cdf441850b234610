"""The scan in 3-D beside its planes: of a size that any machine can turn, made once the planes are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_radcnn.gui.layers.layers import points_of, snapshot
from napari_radcnn.gui.layers.time_axis import point_of
from napari_radcnn.gui.layers.view import keep_upright
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.corners import Corners, CornersOverlay
from napari_radcnn.gui.reading.pane import hide_empty, new_canvas, take_theme
from napari_radcnn.gui.reading.windowing import look_for

#: Voxels along an axis, at most.
_MOST = 256
#: After the last change of window or labels until they are shown here, ms: a turn of the mouse is not to wait for it.
_DELAY_MS, _LABELS_DELAY_MS = 300, 1200


class SolidPane:
    """A canvas in 3-D with the scan that is seen, and labels on it, between `wake` and `rest`; empty before and after.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers are shown.
    corners : callable
        Called with the model of a view; returns what is painted over it.
    on_mouse : callable
        As of a `Pane`.
    """

    plane = ""

    def __init__(self, viewer: Any, corners: Callable[[Any], Corners], on_mouse: Callable[[Any, Any], None]) -> None:
        self._viewer = viewer
        self.model, self.widget = new_canvas()
        self.model.dims.ndisplay = 3
        self.overlay = CornersOverlay(
            self.widget.canvas.native, lambda: corners(self.model), lambda where: on_mouse(self.model, where)
        )
        self.model.scene.camera.events.connect(self.repaint)  # the letters
        self._is_upright = False
        self._sources: list[Any] = []
        self._times: list[int | None] = []
        self._timer, self._labels_timer = QTimer(self.widget), QTimer(self.widget)
        for timer, delay, slot in (
            (self._timer, _DELAY_MS, self._show),
            (self._labels_timer, _LABELS_DELAY_MS, self._show_labels),
        ):
            timer.setSingleShot(True)
            timer.setInterval(delay)
            timer.timeout.connect(slot)

    def wake(self) -> None:
        """Show, a moment later, the scan that is seen then, from the front."""
        take_theme(self.model, self._viewer)
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed):
            emitter.connect(self._later, position="last")
        self.model.scene.camera.angles = (0.0, 0.0, 0.0)  # however it was turned before
        self._later()

    def rest(self) -> None:
        """Have no layers, follow nothing, and be hidden."""
        self._timer.stop()
        self._labels_timer.stop()
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed):
            emitter.disconnect(self._later)
        self._unfollow()
        self.model.layers.clear()
        hide_empty(self.widget)

    @property
    def is_ready(self) -> bool:
        """Whether it shows the present layers."""
        return not self._timer.isActive() and not self._labels_timer.isActive()

    def follow(self) -> None:
        """Show the time point that is seen; nothing here depends on the slice."""
        if self._times != self._points(self._sources):
            self._later()

    def repaint(self, _event: Any = None) -> None:
        """Paint the text again."""
        self.overlay.update()

    def close(self) -> None:
        """Let go of everything; the layers first, while the canvas is there."""
        self.rest()
        self.model.scene.camera.events.disconnect(self.repaint)
        self.overlay.part()
        self.widget.close()
        self.widget.setParent(None)
        self.widget.deleteLater()

    def _later(self, _event: Any = None) -> None:
        self._timer.start()

    def _labels_later(self, _event: Any = None) -> None:
        self._labels_timer.start()

    def _wanted(self) -> list[Any]:
        """Return the scan and the visible labels on top of it."""
        from napari.layers import Labels

        scan = planes.reference(self._viewer)
        labels = [each for each in self._viewer.layers if isinstance(each, Labels) and each.visible and each.ndim == 3]
        return ([] if scan is None or getattr(scan, "rgb", False) else [scan]) + [
            each for each in labels if each is not scan and not each.multiscale
        ]

    def _points(self, layers: Sequence[Any]) -> list[int | None]:
        """Return which time point each layer shows; None of one without."""
        return [point_of(self._viewer, layer) for layer in layers]

    def _show(self) -> None:
        wanted = self._wanted()
        if wanted != self._sources:
            self._unfollow()
            self.model.layers.clear()
            self._sources, self._times = wanted, self._points(wanted)
            # napari tells what is under the mouse as a layer comes, and fails in 3-D before the mouse has moved.
            self.model.mouse_over_canvas = False
            for layer in wanted:
                self.model.layers.append(_reduced(layer))
                self._follow_layer(layer)
            self.model.layers.selection.clear()
            if not self._is_upright:  # not before there are three axes
                self._is_upright = True
                keep_upright(self.model)
            self.model.reset_view()
            return
        before, self._times = self._times, self._points(wanted)
        for layer, shown, then, now in zip(self._sources, self.model.layers, before, self._times, strict=True):
            if then != now:
                shown.data = _thinned(snapshot(layer))
            for name in _followed(layer):
                if hasattr(layer, name) and not _is_same(getattr(shown, name), getattr(layer, name)):
                    setattr(shown, name, getattr(layer, name))

    def _show_labels(self) -> None:
        from napari.layers import Labels

        for layer, shown in zip(self._sources, self.model.layers, strict=True):
            if isinstance(layer, Labels):
                shown.data = _thinned(layer)

    def _follow_layer(self, layer: Any) -> None:
        from napari.layers import Labels

        for name in _followed(layer):
            emitter = getattr(layer.events, name, None)
            if emitter is not None:
                emitter.connect(self._later)
        if isinstance(layer, Labels):
            for name in ("paint", "data", "set_data"):
                getattr(layer.events, name).connect(self._labels_later)

    def _unfollow(self) -> None:
        for layer in self._sources:
            for emitter in layer.events.emitters.values():
                emitter.disconnect(self._later)
                emitter.disconnect(self._labels_later)
        self._sources, self._times = [], []


def _followed(layer: Any) -> tuple[str, ...]:
    """Return what is taken over as it changes; not the window of what has one of its own in 3-D."""
    look = ("colormap", "visible", "opacity")
    return look if _solid_limits(layer) is not None else ("contrast_limits", *look)


def _solid_limits(layer: Any) -> tuple[float, float] | None:
    """Return the range in which the brightest voxel along each ray is shown; None for that of the window.

    The brightest voxel is nearly everywhere brighter than a window for soft tissue: bone, vessels, the skull.
    """
    from napari.layers import Image

    if not isinstance(layer, Image):
        return None
    look = look_for(layer)
    if look.kind == "CT":
        bone = next(preset.window for preset in look.presets if preset.name == "Bone")
        return bone.center - 300, bone.center + 700
    return None if look.kind in ("PT", "NM") else look.reach


def _step(layer: Any) -> tuple[int, ...]:
    return tuple(-(-n // _MOST) for n in _finest(layer).shape[:3])


def _finest(layer: Any) -> Any:
    """Return the array of a layer, or that resolution of it that is small enough."""
    if not layer.multiscale:
        return layer.data
    return next((level for level in layer.data if max(level.shape[:3]) <= _MOST), layer.data[-1])


def _thinned(layer: Any) -> Any:
    every = tuple(slice(None, None, step) for step in _step(layer))
    return np.ascontiguousarray(np.asarray(_finest(layer)[every]))  # voxels that are made when asked for: these alone


def _reduced(layer: Any) -> Any:
    """Return a layer with every n-th voxel of another, in its place."""
    from napari.layers import Image, Layer

    layer = layer if points_of(layer) is None else snapshot(layer)
    _, state, kind = layer.as_layer_data_tuple()
    data = _thinned(layer)
    full, shape = np.array(layer.data[0].shape if layer.multiscale else layer.data.shape)[:3], _finest(layer).shape[:3]
    coarse = full / np.array(shape)
    scale = np.array(layer.scale)
    state |= {
        "scale": scale * coarse * _step(layer),
        "translate": np.array(layer.translate) + scale * (coarse - 1) / 2,
    }
    state.pop("multiscale", None)
    if isinstance(layer, Image):
        state |= {"rendering": "mip", "multiscale": False}
        limits = _solid_limits(layer)
        if limits is not None:
            state["contrast_limits"] = limits
    return Layer.create(data, state, kind)


def _is_same(one: Any, other: Any) -> bool:
    try:
        same = one == other
    except ValueError:  # napari cannot compare colormaps with unlike numbers of colors
        return False
    return bool(np.all(same))
