"""Colors of label maps and of warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_radcnn.results import Label

#: Of text that warns; readable on napari's dark and light themes.
WARNING_COLOR = "#d08a20"


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
