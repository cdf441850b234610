"""The plane and the slice that a viewer shows, by the patient's axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.hanging import seen_hanging
from napari_radcnn.gui.layers.layers import is_ours, is_volume, volume_shape
from napari_radcnn.gui.layers.view import world_axes
from napari_radcnn.gui.reading import words

#: Which of x, y, z each of napari's world axes S, P, L is.
PATIENT_AXIS = (2, 1, 0)


def plane_of(viewer: Any) -> str:
    """Return the name of the plane that is shown: ``"Axial"``; empty in 3-D, and where no patient is seen."""
    if viewer.dims.ndisplay != 2 or viewer.dims.ndim < 3 or not seen_hanging(viewer).is_placed:
        return ""
    return words.plane(world_axes(viewer, 3))


def show_plane(viewer: Any, plane: str) -> None:
    """Show a plane, upright and whole, through the point that is shown.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        With at least three axes; else nothing is done.
    plane : str
        One of `words.PLANES`.
    """
    extra = viewer.dims.ndim - 3
    if extra < 0 or not seen_hanging(viewer).is_placed:
        return
    order = (*range(extra), *(extra + axis for axis in words.PLANES[plane]))
    if viewer.dims.ndisplay != 2:
        viewer.dims.ndisplay = 2
    if tuple(viewer.dims.order) != order:
        viewer.dims.order = order
    viewer.reset_view()


def deep_axis(viewer: Any) -> int | None:
    """Return the axis of `viewer.dims` that slices follow each other along; None in 3-D and without three axes."""
    if viewer.dims.ndisplay != 2 or viewer.dims.ndim < 3:
        return None
    return int(viewer.dims.order[-3])


def step_slice(viewer: Any, n: int) -> None:
    """Go `n` slices on, towards S, P or L; at the ends no further."""
    axis = deep_axis(viewer)
    if axis is not None:
        last = viewer.dims.nsteps[axis] - 1
        viewer.dims.set_current_step(axis, int(np.clip(viewer.dims.current_step[axis] + n, 0, last)))


def zoom_about(viewer: Any, point: Any, factor: float) -> None:
    """Enlarge the picture in a 2-D view about a point of napari's world, which stays where it is on the canvas."""
    camera = viewer.scene.camera
    here = np.asarray(point, float)[list(viewer.dims.displayed)]
    center = here + (np.array(camera.center, float)[-2:] - here) / factor
    camera.zoom *= factor
    camera.center = (*camera.center[:-2], *center.tolist())


def offset_of(viewer: Any, point: Any) -> tuple[float, float]:
    """Return where a point of napari's world is drawn in a 2-D view: right of and below the middle, in pixels."""
    camera, displayed = viewer.scene.camera, list(viewer.dims.displayed)
    along = np.asarray(point, float)[displayed] - np.array(camera.center, float)[-2:]
    back = np.array([-1.0 if str(side) in ("up", "left") else 1.0 for side in camera.orientation[1:]])
    down, right = (along * back * camera.zoom).tolist()
    return right, down


def point_at(viewer: Any, right: float, down: float) -> npt.NDArray[np.float64]:
    """Return the point of napari's world that is drawn at a place of a 2-D view; see `offset_of`."""
    camera, point = viewer.scene.camera, np.array(viewer.dims.point, float)
    back = np.array([-1.0 if str(side) in ("up", "left") else 1.0 for side in camera.orientation[1:]])
    along = np.array([down, right]) * back / camera.zoom
    point[list(viewer.dims.displayed)] = np.array(camera.center, float)[-2:] + along
    return point


def pan(viewer: Any, right: float, down: float) -> None:
    """Move the picture in a 2-D view by pixels of the canvas."""
    camera = viewer.scene.camera
    back = np.array([-1.0 if str(side) in ("up", "left") else 1.0 for side in camera.orientation[1:]])
    center = np.array(camera.center, float)[-2:] - np.array([down, right]) * back / camera.zoom
    camera.center = (*camera.center[:-2], *center.tolist())


def drag_picture(viewer: Any, event: Any) -> Iterator[None]:
    """Move the picture in a 2-D view with the mouse. A generator, as napari wants it."""
    event.handled = True
    last = event.pos
    yield
    while event.type == "mouse_move":
        event.handled = True
        pan(viewer, float(event.pos[0] - last[0]), float(event.pos[1] - last[1]))
        last = event.pos
        yield


def towards_feet(viewer: Any) -> int:
    """Return the sign of a step that the wheel makes when it is turned down: to the feet, to the back, to the left."""
    return -1 if world_axes(viewer, 3)[0] == 0 else 1


def reference(viewer: Any) -> Any | None:
    """Return the scan that slices are counted on: the uppermost visible one of ours; None where there is none."""
    from napari.layers import Image

    ours = [layer for layer in reversed(viewer.layers) if is_ours(layer) and is_volume(layer)]
    images = [layer for layer in ours if isinstance(layer, Image)]
    return next((layer for layer in [*images, *ours] if layer.visible), None)


def slice_words(viewer: Any) -> str:
    """Return plane, number and place of the slice that is shown: ``"Axial · 45 of 120 · S 146.0 mm"``."""
    layer, axis = reference(viewer), deep_axis(viewer)
    if layer is None:
        return ""
    if axis is None:
        return "3-D" if viewer.dims.ndisplay == 3 else ""
    deep = axis - (viewer.dims.ndim - 3)
    at = float(viewer.dims.point[axis])
    point = np.array(layer.translate, float)[-3:]
    n_slices = volume_shape(layer)[deep]
    index = int(np.clip(round((at - point[deep]) / float(layer.scale[-3:][deep])), 0, n_slices - 1))
    plane = plane_of(viewer)
    place = f"{words.along(PATIENT_AXIS[deep], at)} mm" if plane else ""
    return " · ".join(part for part in (plane, f"{index + 1} of {n_slices}", place) if part)


def zoom_words(viewer: Any) -> str:
    """Return how many pixels of the screen a pixel of the scan takes: ``"Zoom 2.4"``."""
    layer = reference(viewer)
    if layer is None or viewer.dims.ndisplay != 2:
        return ""
    extra = viewer.dims.ndim - 3
    spacing = [float(layer.scale[-3:][axis - extra]) for axis in viewer.dims.displayed if axis >= extra]
    return f"Zoom {words.number(round(viewer.scene.camera.zoom * min(spacing), 2))}" if spacing else ""
