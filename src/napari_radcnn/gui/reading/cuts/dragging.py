"""Drags over a turned plane, and the handles of its cross-hair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.reading.cuts.model import CutEvent
from napari_radcnn.gui.reading.cuts.view import CutView

_Floats = npt.NDArray[np.float64]
Arms = tuple[tuple[float, float], tuple[float, float]]
#: Of the handles: how far from the middle of the cross-hair, as a part of the shorter side of the view, and how near to
#: one, in pixels, the mouse takes it.
HANDLE_PART, _GRASP = 0.33, 10.0


def is_handle(cross: tuple[float, float], arms: Arms, size: tuple[int, int], place: Any) -> bool:
    """Return whether a place, in pixels from the upper left corner, is on a handle of a cross-hair.

    Parameters
    ----------
    cross, arms
        Of the cross-hair; see `CutLook`.
    size : (width, height)
        Of the view, pixels.
    place : (x, y)
        Of the mouse.
    """
    offset = np.asarray(place, float)[:2] - np.array(size) / 2
    return any(np.linalg.norm(offset - handle) <= _GRASP for handle in _handles(cross, arms, size))


def _handles(cross: tuple[float, float], arms: Arms, size: tuple[int, int]) -> list[_Floats]:
    """Return where the handles of a cross-hair are, in pixels from the middle of a view of a size."""
    reach = HANDLE_PART * min(size)
    return [np.array(cross) + way * reach * np.array(arm) for arm in arms for way in (-1, 1)]


def drag_picture(view: CutView, event: CutEvent) -> Iterator[None]:
    """Move the picture along with the mouse. A generator, as napari wants it."""
    event.handled = True
    last = event.pos
    yield
    while event.type == "mouse_move":
        event.handled = True
        view.pan(float(event.pos[0] - last[0]), float(event.pos[1] - last[1]))
        last = event.pos
        yield


def angle_of(place: Any, middle: _Floats) -> float:
    """Return the direction of a place from the middle, degrees clockwise on the screen."""
    right, down = np.asarray(place, float)[:2] - middle
    return float(np.degrees(np.arctan2(down, right)))
