"""Rulers in a layer: read from a file and on their way to the page of measurements, or shown by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.layers.layers import AXIS_LABELS, LayerData, to_display
from napari_radcnn.gui.layers.unsaved import is_unsaved, mark_unsaved
from napari_radcnn.measure.ruler_table import value_text
from napari_radcnn.measure.rulers import Ruler

#: Where a layer keeps the rulers that it shows.
_RULERS = "radcnn_rulers"
COLOR = "#ffe05c"


def rulers_in(layer: Any) -> tuple[Ruler, ...]:
    """Return the rulers that a layer carries."""
    return tuple(layer.metadata.get(_RULERS, ()))


def carry(layer: Any, rulers: Sequence[Ruler], is_lost: bool) -> None:
    """Let a layer carry rulers, and say whether they would be lost with it."""
    if rulers_in(layer) != tuple(rulers):
        layer.metadata = {**layer.metadata, _RULERS: tuple(rulers)}
    if is_unsaved(layer) != is_lost:
        mark_unsaved(layer, is_lost)


def shape_arguments(scale: Sequence[float] = (1.0, 1.0, 1.0)) -> dict[str, Any]:
    """Return how a layer of rulers lies and looks; `scale` is that of the scan, so that slices stay those of it."""
    return {
        "ndim": 3,
        "scale": tuple(scale),
        "units": "mm",
        "axis_labels": AXIS_LABELS,
        "opacity": 1.0,
        "text": {"string": "{label}", "size": 10, "color": COLOR, "anchor": "upper_left"},
    }


def rulers_layer(rulers: Sequence[Ruler], path: Path) -> LayerData:
    """Return a layer of the rulers of a file, with their sizes beside them; the page Measure takes them over."""
    shapes: list[npt.NDArray[np.float64]] = []
    kinds, texts = [], []
    for ruler in rulers:
        for part, (kind, points) in enumerate(shapes_of(ruler.kind, ruler.positions, ruler.outline)):
            shapes.append(to_display(points))
            kinds.append(kind)
            texts.append("" if part else value_text(ruler.sizes, ""))
    arguments = shape_arguments() | {
        "name": path.name,
        "shape_type": kinds,
        "features": {"label": texts},
        "edge_color": COLOR,
        "face_color": "transparent",
        "metadata": {_RULERS: tuple(rulers)},
    }
    return shapes, arguments, "shapes"


def shapes_of(
    kind: str, points: npt.NDArray[np.float64], outline: npt.NDArray[np.float64]
) -> Sequence[tuple[str, npt.NDArray[np.float64]]]:
    """Return what is drawn of a ruler as napari's shapes, in the patient.

    Parameters
    ----------
    kind : str
        Of the ruler.
    points, outline : (n, 3) array
        Its points, and the outline of a region.
    """
    if kind in ("cobb", "bidirectional"):
        return [("path", points[n : n + 2]) for n in range(0, len(points) - 1, 2)]
    if kind == "sphere":
        radius = float(np.linalg.norm(points[1] - points[0]))
        turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)[:, None]
        planes = ((0, 1), (0, 2), (1, 2))
        return [
            ("polygon", points[0] + radius * (np.cos(turn) * np.eye(3)[a] + np.sin(turn) * np.eye(3)[b]))
            for a, b in planes
        ]
    if kind in ("ellipse", "rectangle", "freehand"):
        return [("polygon", outline)]
    return [("path", points)]
