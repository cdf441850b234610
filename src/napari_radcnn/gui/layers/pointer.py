"""Where the mouse is in the world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import to_patient

#: Whether the position of an event was put right.
_MARK = "radcnn_is_upright"


def world_position(viewer: Any, event: Any) -> npt.NDArray[np.float64]:
    """Return the position of a mouse event in napari's world, whichever way the camera shows the axes.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas the mouse is over.
    event : mouse event of napari, or its cursor
        With its `position`.

    Returns
    -------
    (n_dims,) array of float
        In the world's units.

    Notes
    -----
    In 2-D, ``canvas_to_world`` of napari 0.10.0rc1, which events get their positions from, takes the axes for running
    down and right, and mirrors positions where S runs up the screen (https://github.com/napari/napari/pull/9517). Where
    its answer for a corner of the canvas shows that, the position is mirrored back. Remove with that version.
    """
    position = np.array(event.position, float)
    if viewer.dims.ndisplay != 2 or not hasattr(viewer, "canvas_to_world") or getattr(event, _MARK, False):
        return position
    camera, displayed = viewer.scene.camera, list(viewer.dims.displayed)
    corner, center = np.asarray(viewer.canvas_to_world((0, 0)))[displayed], np.array(camera.center)[-2:]
    runs_back = np.array([str(side) in ("up", "left") for side in camera.orientation[1:]])
    is_mirrored = (
        corner < center
    ) == runs_back  # the top left corner lies before the center, unless the axis runs back
    position[displayed] = np.where(is_mirrored, 2 * center - position[displayed], position[displayed])
    return position


def is_cut(view: Any) -> bool:
    """Whether a view shows a plane in any direction, or a slab, which what works on slices cannot be done in."""
    return bool(getattr(view, "is_cut", False))


def frame_of(view: Any) -> npt.NDArray[np.float64]:
    """Return the directions down and to the right in a 2-D view, (2, 3), LPS; as napari counts along its axes."""
    if is_cut(view):
        return np.asarray(view.frame, float)
    axes = [axis - view.dims.ndim + 3 for axis in view.dims.displayed]
    return to_patient(np.eye(3)[axes])


def put_right(viewer: Any, event: Any) -> None:
    """Have a mouse event say where it is, so that napari's own tools, which are told of it later, work there.

    See `world_position`; with a napari that has no such error nothing changes.
    """
    if viewer.dims.ndisplay != 2 or not hasattr(viewer, "canvas_to_world") or getattr(event, _MARK, False):
        return
    position = world_position(viewer, event)
    inner = event
    while hasattr(inner, "__wrapped__"):  # of those that only read it
        inner = inner.__wrapped__
    inner.position = position
    setattr(inner, _MARK, True)


def put_all_right(viewer: Any) -> None:
    """Have `put_right` done to whatever the mouse does over a viewer's canvas, before anything else hears of it."""
    viewer.mouse_drag_callbacks.insert(0, _put_drag_right)
    for callbacks in (viewer.mouse_move_callbacks, viewer.mouse_double_click_callbacks):
        callbacks.insert(0, put_right)


def _put_drag_right(viewer: Any, event: Any) -> Iterator[None]:
    put_right(viewer, event)
    yield
    while event.type == "mouse_move":
        put_right(viewer, event)
        yield
    put_right(viewer, event)
