"""Colors of label maps and of warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_radcnn.results import Label
from napari_radcnn.voi import VoiWindow

#: Of text that warns; readable on napari's dark and light themes.
WARNING_COLOR = "#d08a20"
#: How the names of colormaps begin that follow a window's function.
CURVE_NAME = "window"
_CURVE_STEPS = 1024


def label_colormap(labels: Mapping[int, Label]) -> Any | None:
    """Return napari's colormap for labels of which some have a color of their own; None where none has."""
    from napari.utils.colormaps import DirectLabelColormap, label_colormap

    if not any(label.color for label in labels.values()):
        return None
    default = label_colormap()
    colors: dict[int | None, Any] = {None: (1.0, 0.0, 1.0, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
    for value, label in labels.items():
        colors[value] = (*label.color, 1.0) if label.color else default.map(value)
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
