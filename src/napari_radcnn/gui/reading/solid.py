"""The scan in 3-D beside its planes: of a size that any machine can turn, made once the planes are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QTimer

from napari_radcnn.gui.layers.layers import points_of, snapshot
from napari_radcnn.gui.layers.look import Look
from napari_radcnn.gui.layers.time_axis import point_of
from napari_radcnn.gui.layers.view import keep_upright
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.bar import Entry
from napari_radcnn.gui.reading.corners import Corners, CornersOverlay
from napari_radcnn.gui.reading.cuts.keys import CLIP_KEYS, NEXT_PRESET, OTHER_SIDES, SURFACES
from napari_radcnn.gui.reading.cuts.solids import (
    CLIPS,
    MOST_OF_SURFACES,
    SolidLook,
    SolidPreset,
    clipping_planes,
    presets_for,
    smoothed,
    surfaces,
)
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
        self.look = SolidLook()
        self._center, self._normals = np.zeros(3), dict[str, npt.NDArray[np.float64]]()
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
        """Show the time point that is seen; where it is clipped is another matter: see `clip`."""
        if self._times != self._points(self._sources):
            self._later()

    def choose(self, look: SolidLook) -> None:
        """Show the scan and its segments another way."""
        before, self.look = self.look, look
        if (look.preset, look.are_surfaces) != (before.preset, before.are_surfaces) and self._sources:
            self._unfollow()  # so that all are made anew
            self._later()
        self.clip(self._center, self._normals)

    def clip(self, center: npt.NDArray[np.float64], normals: dict[str, npt.NDArray[np.float64]]) -> None:
        """Clip by those planes through the point of all views, LPS mm, that are chosen for it."""
        self._center, self._normals = center, normals
        clips = self.look.clips if normals else frozenset[str]()
        found = clipping_planes(clips, center, normals, is_other_side=self.look.is_other_side)
        for layer in self.model.layers:
            if found or len(layer.experimental_clipping_planes):
                layer.experimental_clipping_planes = found

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
                self.model.layers.append(self._made(layer))
                self._follow_layer(layer)
            self.clip(self._center, self._normals)
            self.model.layers.selection.clear()
            if not self._is_upright:  # not before there are three axes
                self._is_upright = True
                keep_upright(self.model)
            self.model.reset_view()
            return
        before, self._times = self._times, self._points(wanted)
        for layer, shown, then, now in zip(self._sources, self.model.layers, before, self._times, strict=True):
            if then != now:
                data = _thinned(snapshot(layer))
                shown.data = smoothed(data) if self._preset(layer).rendering == "iso" else data
            for name in self._followed(layer):
                if hasattr(layer, name) and not _is_same(getattr(shown, name), getattr(layer, name)):
                    setattr(shown, name, getattr(layer, name))

    def _show_labels(self) -> None:
        from napari.layers import Labels

        for layer, shown in zip(self._sources, self.model.layers, strict=True):
            if isinstance(layer, Labels):
                if self.look.are_surfaces:
                    _fill_surface(shown, layer)
                else:
                    shown.data = _thinned(layer)

    def _follow_layer(self, layer: Any) -> None:
        from napari.layers import Labels

        for name in self._followed(layer):
            emitter = getattr(layer.events, name, None)
            if emitter is not None:
                emitter.connect(self._later)
        if isinstance(layer, Labels):
            for name in ("paint", "data", "set_data", "colormap"):
                getattr(layer.events, name).connect(self._labels_later)

    def _made(self, layer: Any) -> Any:
        """Return what shows a layer."""
        from napari.layers import Labels

        if isinstance(layer, Labels) and self.look.are_surfaces:
            return _as_surface(layer)
        return _reduced(layer, self._preset(layer))

    def _preset(self, layer: Any) -> SolidPreset:
        presets = presets_for(look_for(layer)) if _is_gray(layer) else presets_for(Look())
        return next((each for each in presets if each.name == self.look.preset), presets[0])

    def _followed(self, layer: Any) -> tuple[str, ...]:
        """Return what is taken over as it changes; not the window and colors of what has its own in 3-D."""
        if _is_gray(layer):
            preset = self._preset(layer)
            names = ("visible", "opacity") if preset.colors is not None else ("colormap", "visible", "opacity")
            is_fixed = _solid_limits(layer) is not None or preset.limits is not None or preset.rendering != "mip"
            return names if is_fixed else ("contrast_limits", *names)
        return ("visible",) if self.look.are_surfaces else ("colormap", "visible", "opacity")

    def _unfollow(self) -> None:
        for layer in self._sources:
            for emitter in layer.events.emitters.values():
                emitter.disconnect(self._later)
                emitter.disconnect(self._labels_later)
        self._sources, self._times = [], []


def solid_entries(scan: Any, look: SolidLook, choose: Callable[[SolidLook], None]) -> list[Entry]:
    """Return the entries of a menu: how a scan is shown in 3-D, what clips it, and how its segments are.

    Parameters
    ----------
    scan : napari layer
        What is seen.
    look : SolidLook
        What is chosen now.
    choose : callable
        Called with what is chosen next.
    """
    presets = presets_for(look_for(scan)) if _is_gray(scan) else presets_for(Look())
    present = next((each.name for each in presets if each.name == look.preset), presets[0].name)
    names = [each.name for each in presets]
    following = names[(names.index(present) + 1) % len(names)]
    return [
        *(
            (
                each.name,
                NEXT_PRESET if each.name == following else "",
                each.name == present,
                partial(choose, replace(look, preset=each.name)),
            )
            for each in presets
        ),
        *(
            (
                f"Clip {where}",
                CLIP_KEYS[name],
                name in look.clips,
                partial(choose, replace(look, clips=look.clips ^ {name})),
            )
            for name, (where, _) in CLIPS.items()
        ),
        (
            "Clip the other sides",
            OTHER_SIDES,
            look.is_other_side,
            partial(choose, replace(look, is_other_side=not look.is_other_side)),
        ),
        (
            "Segments as surfaces",
            SURFACES,
            look.are_surfaces,
            partial(choose, replace(look, are_surfaces=not look.are_surfaces)),
        ),
    ]


def _is_gray(layer: Any) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image) and not layer.rgb


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


def _as_surface(layer: Any) -> Any:
    """Return the surfaces of the segments of a layer, in their place."""
    from napari.layers import Surface

    shown = Surface((np.zeros((3, 3)), np.array([[0, 1, 2]])), name=layer.name, shading="none", units=layer.units)
    _fill_surface(shown, layer)
    return shown


def _fill_surface(shown: Any, layer: Any) -> None:
    """Show the present segments of a layer; nothing where there are none."""
    data = np.asarray(layer.data)
    step = tuple(-(-n // MOST_OF_SURFACES) for n in data.shape[:3])
    scale = np.array(layer.scale) * step
    found = surfaces(data[tuple(slice(None, None, one) for one in step)], scale.tolist(), layer.colormap.map)
    shown.scale, shown.translate = scale, np.array(layer.translate)
    if found is not None:
        vertices, faces, colors = found
        shown.vertex_colors = None  # of the mesh before
        shown.data = vertices, faces, np.ones(len(vertices))
        shown.vertex_colors = colors
    shown.visible = layer.visible and found is not None


def _reduced(layer: Any, preset: SolidPreset) -> Any:
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
        limits = _solid_limits(layer) or tuple(layer.contrast_limits)
        state |= {"multiscale": False, **preset.settings(data, (float(limits[0]), float(limits[1])))}
        if preset.rendering == "iso":
            data = smoothed(data)
    return Layer.create(data, state, kind)


def _is_same(one: Any, other: Any) -> bool:
    try:
        same = one == other
    except ValueError:  # napari cannot compare colormaps with unlike numbers of colors
        return False
    return bool(np.all(same))
