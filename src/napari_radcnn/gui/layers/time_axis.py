"""The axis of time of a viewer: which layers lie on it, and which time point each of them shows."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from napari_radcnn.gui.layers.layers import is_ours, points_of, show_point
from napari_radcnn.gui.layers.time_points import TimePoints


def follow_time(viewer: Any) -> None:
    """Let every layer with time points stand for the one that is shown, now and whenever that changes.

    The first such layer is shown from its first time point on: napari would begin in the middle.
    """
    reference = weakref.ref(viewer)

    def on_point(_event: Any = None) -> None:
        viewer_now = reference()
        if viewer_now is not None:
            for layer in viewer_now.layers:
                number = point_of(viewer_now, layer)
                if number is not None:
                    show_point(layer, number)

    def on_inserted(_event: Any = None) -> None:
        viewer_now = reference()
        if viewer_now is None:
            return
        along_time = [layer for layer in viewer_now.layers if points_of(layer) is not None]
        if len(along_time) == 1:
            go_to(viewer_now, along_time[0], 0)
        on_point()

    viewer.dims.events.point.connect(on_point)
    viewer.layers.events.inserted.connect(on_inserted, position="last")
    on_inserted()


def axis_of_time(viewer: Any, layer: Any) -> int | None:
    """Return the axis of `viewer.dims` that the time points of a layer follow each other along; None without any."""
    axis = int(viewer.dims.ndim) - int(layer.ndim)
    return axis if points_of(layer) is not None and axis >= 0 else None


def point_of(viewer: Any, layer: Any) -> int | None:
    """Return the number of the time point, from 0, that a viewer shows of a layer; beyond its ends the last one."""
    axis, points = axis_of_time(viewer, layer), points_of(layer)
    if axis is None or points is None:
        return None
    at = (float(viewer.dims.point[axis]) - float(layer.translate[0])) / float(layer.scale[0])
    return int(np.clip(round(at), 0, len(points) - 1))


def go_to(viewer: Any, layer: Any, number: int) -> None:
    """Show a time point of a layer, from 0; and, of others, the one of the same number."""
    axis = axis_of_time(viewer, layer)
    if axis is not None:
        viewer.dims.set_point(axis, float(layer.translate[0]) + float(layer.scale[0]) * number)


def seen_in_time(viewer: Any) -> tuple[Any, TimePoints] | None:
    """Return the layer whose time points are stepped through, and these: the active one, else the uppermost visible."""
    active = viewer.layers.selection.active
    layers = [layer for layer in (active, *reversed(viewer.layers)) if layer is not None and layer.visible]
    for layer in layers:
        points = points_of(layer) if is_ours(layer) else None
        if points is not None:
            return layer, points
    return None
