"""Colors of label maps and of warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_radcnn.interactive.colors import object_color
from napari_radcnn.results import Label
from napari_radcnn.voi import VoiWindow

#: Of text that warns; readable on napari's dark and light themes.
WARNING_COLOR = "#d08a20"
#: How the names of colormaps begin that follow a window's function.
CURVE_NAME = "window"
_CURVE_STEPS = 1024
#: Values of labels that have colors before there is such a label.
_MOST_VALUES = 50


def label_colormap(labels: Mapping[int, Label]) -> Any | None:
    """Return napari's colormap for labels: their own colors, else those that color-blind people tell apart.

    Returns
    -------
    DirectLabelColormap or None
        None, for napari's own colors, where no label has a color and the values are large. It holds colors of values
        that are no labels yet, for what is painted later.
    """
    from napari.utils.colormaps import DirectLabelColormap, label_colormap

    most = max(labels, default=0)
    if most > _MOST_VALUES and not any(label.color for label in labels.values()):
        return None
    colors: dict[int | None, Any] = {None: (1.0, 0.0, 1.0, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
    colors |= {value: (*object_color(value), 1.0) for value in range(1, _MOST_VALUES + 1)}
    default = label_colormap()
    for value, label in labels.items():
        if label.color:
            colors[value] = (*label.color, 1.0)
        elif value > _MOST_VALUES:
            colors[value] = default.map(value)
    return DirectLabelColormap(color_dict=colors)


def colormap_of(window: VoiWindow, *, is_inverted: bool) -> Any:
    """Return napari's colormap for a window's shape between its limits: the name of a plain gray one, or a curve.

    The voxels stay as they are, and so does what reads them from the layer.
    """
    if window.is_straight:
        return "gray_r" if is_inverted else "gray"
    from napari.utils.colormaps import Colormap

    gray = window.curve(_CURVE_STEPS)
    gray = 1 - gray if is_inverted else gray
    name = f"{CURVE_NAME} {window.function.lower()}{' reversed' if is_inverted else ''}"
    return Colormap(np.stack([gray, gray, gray, np.ones_like(gray)], axis=1), name=name, display_name=name)


def is_gray(colormap: Any) -> bool:
    """Whether a layer's colormap is one that windows set, and not one that the user chose."""
    return colormap.name in ("gray", "gray_r") or colormap.name.startswith(CURVE_NAME)
