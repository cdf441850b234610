"""Layers into a viewer, and the viewer made ready for reading them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from napari_radcnn.gui.layers import view
from napari_radcnn.gui.layers.belonging import hide_beside_another
from napari_radcnn.gui.layers.layers import LayerData, is_ours
from napari_radcnn.gui.layers.show import tell
from napari_radcnn.gui.reading.stage import viewer_widget_of


def watch(viewer: Any) -> None:
    """Make `viewer` ready for reading as soon as it holds the first layer of ours; at once if it does already."""
    from napari_radcnn.gui.reading.room import open_room

    view.watch(viewer)
    if any(is_ours(layer) for layer in viewer.layers):
        open_room(viewer)
        return

    def on_inserted(event: Any) -> None:
        viewer_now = reference()
        if is_ours(event.value) and viewer_now is not None:
            viewer_now.layers.events.inserted.disconnect(on_inserted)
            open_room(viewer_now)

    # Plugins get the viewer in a wrapper, which nothing else keeps alive.
    reference = weakref.ref(getattr(viewer, "__wrapped__", viewer))
    viewer.layers.events.inserted.connect(on_inserted, position="last")


def first_steps(viewer: Any) -> list[Callable[[], object]]:
    """Return what makes a viewer ready for its first layer of ours, in steps between which events may be processed.

    Done at once, as `add_to_viewer` does it where they were left out, they let the window stand for a moment.
    """
    from napari_radcnn.gui.reading.room import open_room

    if any(is_ours(layer) for layer in viewer.layers):
        return []

    def add_sliders() -> None:
        if viewer.layers:  # the first one brings them, and the canvas is laid out in the midst of it
            return
        widget = viewer_widget_of(viewer)
        sliders = [] if widget is None else [widget.dims]
        for each in sliders:
            each.hide()  # napari shows a slider for each axis first: the canvas would be laid out twice
        viewer.dims.ndim = 3
        for each in sliders:
            each.show()

    return [
        *view.overlay_steps(viewer),
        lambda: view.apply_radiological_view(viewer),
        lambda: open_room(viewer),
        add_sliders,
    ]


def take_axes(viewer: Any, layer: Any) -> None:
    """Give an empty viewer the axes, and the point, that it will have with its first layer, which comes next."""
    if viewer.layers or viewer.dims.ndim != layer.ndim:
        return
    extent, dims = layer.extent, viewer.dims
    dims.range = tuple(zip(*extent.world, extent.step, strict=True))
    dims.axis_labels = layer.axis_labels
    dims.current_step = tuple((n - 1) // 2 for n in dims.nsteps)


def first_margins(viewer: Any) -> tuple[int, int]:
    """Return how many pixels `first_steps` will take from the canvas of an empty viewer, above and below."""
    from napari_radcnn.gui.reading.bar import height_in
    from napari_radcnn.gui.reading.room import room_of

    widget = viewer_widget_of(viewer)
    if widget is None or viewer.layers:
        return 0, 0
    above = 0 if room_of(viewer) is not None else height_in(widget)
    return above, 0 if viewer.dims.ndim > 2 else widget.dims.SLIDERHEIGHT


def add_to_viewer(viewer: Any, data: LayerData | Any, *, is_told: bool = False) -> Any:
    """Add a layer, made already or not, with what reading it needs if it is the first of ours, and return it.

    Parameters
    ----------
    viewer : napari.Viewer
        Where.
    data : LayerData or napari layer
        What is added.
    is_told : bool
        Whether what must be known of it stands on a page that is seen, and needs no notification.
    """
    from napari.layers import Layer

    watch(viewer)
    layer = viewer.add_layer(data if isinstance(data, Layer) else Layer.create(*data))
    tell(layer, viewer.layers, is_shown=is_told)
    return layer


def add_result(viewer: Any, data: LayerData, *, is_told: bool = False) -> Any:
    """Add a layer that was made of a scan, hidden and not active where another scan is seen by now, and return it.

    Parameters
    ----------
    viewer : napari.Viewer
        Where.
    data : LayerData
        What is added; it says of which scan it was made.
    is_told : bool
        As of `add_to_viewer`.
    """
    active = viewer.layers.selection.active
    layer = add_to_viewer(viewer, data, is_told=is_told)
    if hide_beside_another(layer, viewer.layers):
        viewer.layers.selection.active = active
    return layer


def words_of(layer: Any) -> str:
    """Return what a page calls a layer that `add_result` has added."""
    return f"layer '{layer.name}'" + ("" if layer.visible else ", hidden: another scan is shown")
