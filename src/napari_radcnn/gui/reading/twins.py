"""Layers shown once more in another view: the same voxels, the same look, and whatever changes in one is seen in both.

napari's layers know one slice each, so that a second view needs layers of its own. They share the arrays.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer

from napari_radcnn.gui.reading.drawings import bring_up_to_date, copy_of
from napari_radcnn.gui.reading.strokes import Tool

#: While a stroke is drawn in one view, ms until the others show it: a mouse moves more often than they can be drawn.
_DELAY_MS = 25
#: What is taken over as it changes, by the names of napari's events, which are those of the attributes.
_LOOK = (
    "contrast_limits",
    "colormap",
    "gamma",
    "opacity",
    "visible",
    "blending",
    "interpolation2d",
    "contour",
    "selected_label",
    "brush_size",
    "name",
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
    "units",
    "projection_mode",
    "show_selected_label",
)
_VOXELS = ("data", "set_data", "paint")
#: What points, shapes, vectors, tracks and surfaces have besides; all of it is taken over when any of it changes.
_DRAWN = (
    "data",
    "set_data",
    "features",
    "properties",
    "size",
    "symbol",
    "face_color",
    "border_color",
    "border_width",
    "border_width_is_relative",
    "edge_color",
    "edge_color_mode",
    "edge_width",
    "shading",
    "antialiasing",
    "canvas_size_limits",
    "length",
    "vector_style",
    "tail_width",
    "tail_length",
    "head_length",
    "display_id",
    "display_tail",
    "display_graph",
    "color_by",
    "rebuild_tracks",
    "rebuild_graph",
    "hide_completed_tracks",
    "wireframe",
    "normals",
    "texture",
    "texcoords",
)


class Twin:
    """One layer and what shows it in another view.

    Parameters
    ----------
    layer : napari layer
        Only looked at.
    viewer : napari viewer
        Whose layer it is.
    """

    def __init__(self, layer: Any, viewer: Any) -> None:
        from napari.layers import Image, Labels

        self.layer, self._viewer = layer, viewer
        self._shares_array = isinstance(layer, Image | Labels)
        self.clone = copy_of(layer)
        self.tool = Tool(layer, self.clone) if isinstance(layer, Labels) and not layer.multiscale else None
        self._place = self._shown_place()
        self._list: Any = None
        for name in _LOOK:
            emitter = getattr(layer.events, name, None)
            if emitter is not None:
                emitter.connect(self._on_look)
        self._behind: Any = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        follow, names = (self._on_voxels, _VOXELS) if self._shares_array else (self._on_drawing, _DRAWN)
        self._timer.timeout.connect(self._catch_up if self._shares_array else self._take_over)
        for name in names:
            emitter = getattr(layer.events, name, None)
            if emitter is not None:
                emitter.connect(follow)
        if hasattr(layer, "text"):
            layer.text.events.connect(self._on_drawing)
        if self.tool is not None:
            for each in (layer, self.clone):
                each.events.labels_update.connect(self._on_drawn)

    def part(self) -> None:
        """Stop following the layer."""
        self._timer.stop()
        if self.tool is not None:
            self.tool.part()
            self.clone.events.labels_update.disconnect(self._on_drawn)
        for emitter in self.layer.events.emitters.values():
            for callback in (self._on_look, self._on_voxels, self._on_drawing, self._on_drawn):
                emitter.disconnect(callback)
        if hasattr(self.layer, "text"):
            self.layer.text.events.disconnect(self._on_drawing)

    def _on_drawn(self, event: Any) -> None:
        """Show a stroke that goes on in the other of the two, which has not ended and is no step yet."""
        self._behind = self.layer if event.source is self.clone else self.clone
        self._timer.start()

    def _catch_up(self) -> None:
        """Show the stroke where it is not drawn; by way of the layer in all further views."""
        self._behind.refresh(extent=False, thumbnail=False, highlight=False)

    def _shown_place(self) -> tuple[Any, ...]:
        dims = self._viewer.dims
        return (*dims.point, *dims.order, dims.ndisplay)

    def _on_look(self, event: Any) -> None:
        name = event.type
        value = getattr(self.layer, name, None)
        if value is not None and hasattr(self.clone, name):
            setattr(self.clone, name, value)

    def _is_other_slice(self, event: Any) -> bool:
        """Whether the layer only shows another slice of what it has."""
        place, before = self._shown_place(), self._place
        self._place = place
        return event.type == "set_data" and place != before

    def _on_voxels(self, event: Any) -> None:
        """Show the voxels again where they changed."""
        if event.type == "paint":
            self._timer.stop()
        if self._is_other_slice(event):
            return
        if event.type == "data" and self.clone.data is not self.layer.data:
            self.clone.data = self.layer.data
        else:
            self.clone.refresh(extent=False, thumbnail=False, highlight=False)

    def _on_drawing(self, event: Any) -> None:
        """Take over points and shapes soon: one change of them is told in several events."""
        if not self._is_other_slice(event):
            self._timer.start()

    def _take_over(self) -> None:
        """Take over points and shapes with all that each of them has of its own."""
        if bring_up_to_date(self.clone, self.layer):
            return
        fresh = copy_of(self.layer)
        if self._list is not None:
            index = self._list.index(self.clone)
            self._list.remove(self.clone)  # napari's canvas does not follow an exchange in the list
            self._list.insert(index, fresh)
            self._list.selection.clear()
        self.clone = fresh

    def join(self, layers: Any, index: int) -> None:
        """Put the clone into the list of another view."""
        layers.insert(index, self.clone)
        layers.selection.clear()
        self._list = layers


class Twins:
    """The layers of a viewer in another view.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers are followed.
    model : ViewerModel
        What shows them.
    """

    def __init__(self, viewer: Any, model: Any) -> None:
        self._viewer, self._model = viewer, model
        self._twins: list[Twin] = []
        #: Whoever hears of a change first may end this, and napari still tells it here.
        self._has_parted = False
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.connect(self.follow, position="last")
        viewer.layers.selection.events.active.connect(self.follow_tool)
        self.follow()

    def follow_tool(self, _event: Any = None) -> None:
        """Have napari's tool of the active labels work here, too."""
        if self._has_parted:
            return
        active = self._viewer.layers.selection.active
        found = next((twin for twin in self._twins if twin.layer is active), None)
        is_working = found is not None and found.tool is not None and found.tool.is_working
        self._model.layers.selection.active = found.clone if found is not None and is_working else None

    def follow(self, _event: Any = None) -> None:
        """Have the same layers in the same order."""
        if self._has_parted:
            return
        wanted = self._wanted()
        if [twin.layer for twin in self._twins] == wanted and len(self._model.layers) == len(wanted):
            return
        kept = {id(twin.layer): twin for twin in self._twins}
        for twin in self._twins:
            if twin.layer not in wanted:
                twin.part()
                self._model.layers.remove(twin.clone)
                del kept[id(twin.layer)]
        self._twins = []
        for n, layer in enumerate(wanted):
            twin = kept.get(id(layer)) or self._twin_of(layer)
            if id(layer) not in kept and twin.tool is not None:
                twin.clone.events.mode.connect(self.follow_tool)
            if id(layer) not in kept:
                twin.join(self._model.layers, n)
            elif self._model.layers.index(twin.clone) != n:
                self._model.layers.move(self._model.layers.index(twin.clone), n)
            self._twins.append(twin)
        self.follow_tool()

    def _wanted(self) -> list[Any]:
        """Return the layers that are shown here."""
        return list(self._viewer.layers)

    def _twin_of(self, layer: Any) -> Twin:
        """Return what shows a layer here."""
        return Twin(layer, self._viewer)

    def part(self) -> None:
        """Follow no more, and have no layers."""
        self._has_parted = True
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.disconnect(self.follow)
        self._viewer.layers.selection.events.active.disconnect(self.follow_tool)
        for twin in self._twins:
            twin.part()
        self._twins = []
        self._model.layers.clear()
