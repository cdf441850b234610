"""Where findings are on the screen: going to one, and telling which one lies under the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_radcnn.gui.findings.layer import review_of
from napari_radcnn.gui.layers.layers import METADATA_KEY, to_display
from napari_radcnn.gui.layers.pointer import world_position

#: What share of the canvas counts as in sight, and how near a click must be to a small ring, pixels.
_IN_SIGHT, _NEAR = 0.8, 8.0


def go_to(viewer: Any, center: Sequence[float]) -> None:
    """Show the slices through a position, whichever axes are displayed, and move the camera where it is out of sight.

    Parameters
    ----------
    viewer : napari.Viewer
        Of which the last three axes are the patient's.
    center : (x, y, z)
        LPS mm.
    """
    extra = viewer.dims.ndim - 3
    if extra < 0:  # every layer is gone
        return
    world = to_display(center)
    viewer.dims.set_point(range(extra, extra + 3), world)
    displayed = [axis - extra for axis in viewer.dims.displayed]
    if min(displayed) < 0:  # the screen shows no plane of the patient
        return
    camera = viewer.scene.camera
    if viewer.dims.ndisplay == 3:
        camera.center = tuple(world[displayed])
        return
    away = np.abs(world[displayed] - np.array(camera.center)[-2:]) * camera.zoom
    if (away > np.array(viewer.canvas.size) / 2 * _IN_SIGHT).any():
        camera.center = tuple(world[displayed])


def finding_at(viewer: Any, layer: Any, event: Any) -> int | None:
    """Return the finding whose ring the mouse is in, the nearest where there are several; None where there is none.

    A ring that is small on the screen is met by a click near it.
    """
    review, extra = review_of(layer), viewer.dims.ndim - 3
    if review is None or not layer.visible or extra < 0 or not review.shown:
        return None
    boxes = [review.boxes[n] for n in review.shown]
    least = layer.metadata[METADATA_KEY]["least_diameter"]
    radius = np.array([max(box.diameter, least) for box in boxes]) / 2
    offset = to_display([box.center for box in boxes]) - world_position(viewer, event)[extra:]
    if viewer.dims.ndisplay == 3:
        eye = np.asarray(event.view_direction, float)[extra:]
        across = offset - np.outer(offset @ eye, eye)
        depth = np.zeros(len(boxes))
    else:
        is_displayed = np.isin(np.arange(3) + extra, viewer.dims.displayed)
        across = offset * is_displayed
        depth = np.linalg.norm(offset * ~is_displayed, axis=1)
    distance = np.linalg.norm(across, axis=1)
    ring = np.sqrt(np.clip(radius**2 - depth**2, 0.0, None))
    is_met = (depth < radius) & (distance <= np.maximum(ring, _NEAR / viewer.scene.camera.zoom))
    if not is_met.any():
        return None
    return review.shown[int(np.argmin(np.where(is_met, distance, np.inf)))]
