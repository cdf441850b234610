"""What is under the cursor, in words: values with their units, the name of a label, and the place in the patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.hanging import seen_hanging
from napari_radcnn.gui.layers.layers import METADATA_KEY, is_ours, is_volume, to_patient
from napari_radcnn.gui.layers.look import Look
from napari_radcnn.gui.reading import planes, words
from napari_radcnn.gui.reading.windowing import look_for

_SEPARATOR = " · "


def under_cursor(viewer: Any, place: tuple[float, float] = (0.0, 0.0)) -> str:
    """Return what is under the cursor of a viewer's canvas: ``"62 HU · liver · L 166.2 P 5.6 S 146.0"``.

    Parameters
    ----------
    viewer : napari viewer
        Or the model of a further view.
    place : (right, down)
        Of the cursor, in pixels from the middle of the canvas.

    Returns
    -------
    str
        Empty in 3-D, and where no scan of ours is visible: napari's own line stays then.
    """
    layers = [layer for layer in viewer.layers if layer.visible]
    if viewer.dims.ndisplay != 2 or not any(is_ours(layer) and is_volume(layer) for layer in layers):
        return ""
    if viewer.canvas.grid.enabled:  # of several pictures; napari says which one
        return ""
    point = planes.point_at(viewer, *place)
    values = [found for layer in layers if (found := value_words(layer, point))]
    return _SEPARATOR.join([*dict.fromkeys(values), _place(viewer, point)])


def _place(viewer: Any, point: npt.NDArray[np.float64]) -> str:
    if seen_hanging(viewer).is_placed:
        return words.position(to_patient(point).tolist())
    x, y, _ = to_patient(point).tolist()
    return f"x {x:.1f} y {y:.1f}"


def value_words(layer: Any, point: npt.NDArray[np.float64]) -> str:
    """Return a layer's value at napari's world point `point` in words; empty outside of it."""
    from napari.layers import Image, Labels

    if not isinstance(layer, Image | Labels) or layer.ndim > len(point):
        return ""
    value = layer.get_value(tuple(point[-layer.ndim :]), world=True)
    if layer.multiscale and isinstance(value, tuple):
        value = value[1]
    if value is None:
        return ""
    if isinstance(layer, Labels):
        return _label_name(layer, int(value)) if value else ""
    if layer.rgb:
        return words.value_with_unit(value, Look())
    look = look_for(layer) if is_ours(layer) and METADATA_KEY in layer.metadata else Look()
    return words.value_with_unit(value, look)


def _label_name(layer: Any, value: int) -> str:
    table = layer.features
    if "index" in table and "name" in table:
        for index, name in zip(table["index"], table["name"], strict=True):
            if int(index) == value:
                return str(name)
    return f"label {value}"
