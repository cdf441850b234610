"""Where the mouse is in the world."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


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
    if viewer.dims.ndisplay != 2 or not hasattr(viewer, "canvas_to_world"):
        return position
    camera, displayed = viewer.scene.camera, list(viewer.dims.displayed)
    corner, center = np.asarray(viewer.canvas_to_world((0, 0)))[displayed], np.array(camera.center)[-2:]
    runs_back = np.array([str(side) in ("up", "left") for side in camera.orientation[1:]])
    is_mirrored = (
        corner < center
    ) == runs_back  # the top left corner lies before the center, unless the axis runs back
    position[displayed] = np.where(is_mirrored, 2 * center - position[displayed], position[displayed])
    return position
