"""Findings as a layer: a ring for each, in its place in the patient, as large in every slice as the finding is there.

napari's points know spheres: with ``projection_mode="rescale_spherical"`` a slice shows the circle in which it cuts a
point's sphere, but it leaves out points farther from the slice than half a unit of the layer's data. The layer's scale
is therefore one unit for the largest sphere. Nor may it be finer than the scan's slices, since the finest layer gives
napari's sliders their steps.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from napari_radcnn.errors import RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.findings.review import Review
from napari_radcnn.gui.layers.layers import AXIS_LABELS, METADATA_KEY, LayerData, Place, to_display
from napari_radcnn.results import Detections, FindingState

#: Of rings and of the list. Three colors that color-blind people tell apart (Okabe and Ito, 2008).
STATE_COLORS: dict[FindingState, str] = {"candidate": "#e69f00", "accepted": "#56b4e9", "rejected": "#cc79a7"}
#: How strongly the ring of a finding is drawn.
_OPACITY: dict[FindingState, float] = {"candidate": 1.0, "accepted": 1.0, "rejected": 0.35}
#: How strongly the finding that is looked at is filled, and how much wider its ring is.
_FILLED, _WIDER = 0.2, 2.0
#: Width of a ring, mm, and its least and largest size on the screen, pixels; a least one would also show what napari
#: draws at the first voxel of slices without any point.
_LINE_MM, _ON_SCREEN = 0.8, (0, 10_000)
#: How far apart slices are taken to be where the scan is not known, mm.
_USUAL_SPACING = 5.0
#: By how much a ring is larger than the gap between two slices, so that one of them always meets it.
_OVERLAP = 1.05
_LEAST_UNIT_MM = 10.0
_REVIEW = "review"


def detections_layer(detections: Detections, scan: Geometry | None = None) -> LayerData:
    """Return napari's points for findings, each a ring with its number, label, score, diameter and state as features.

    Parameters
    ----------
    detections : Detections
        In the patient; the ring of each is as large as its longest side, or as the gap between two slices.
    scan : Geometry, optional
        Of the scan that they were found in.
    """
    review = Review(detections)
    spacing = _USUAL_SPACING if scan is None else max(Place.of(scan).shown.spacing)
    least = spacing * _OVERLAP
    unit = max([_LEAST_UNIT_MM, least, *(box.diameter for box in detections.boxes)]) * _OVERLAP
    drawn = _drawn(review, unit, least)
    return (
        drawn.pop("data"),
        drawn
        | {
            "name": detections.name,
            "scale": (unit,) * 3,
            "projection_mode": "rescale_spherical",
            "symbol": "disc",
            "border_width_is_relative": False,
            "blending": "translucent_no_depth",  # in 3-D the scan would hide those inside
            "canvas_size_limits": _ON_SCREEN,
            "text": {"string": "{number}", "color": STATE_COLORS["candidate"], "anchor": "upper_left", "size": 9},
            "ndim": 3,
            "units": "mm",
            "axis_labels": AXIS_LABELS,
            "metadata": {
                METADATA_KEY: {
                    _REVIEW: review,
                    "least_diameter": least,
                    "warnings": detections.warnings,
                    "provenance": dict(detections.provenance),
                }
            },
        },
        "points",
    )


def review_of(layer: Any) -> Review | None:
    """Return the findings of a layer that `detections_layer` describes; None for any other."""
    kept = None if layer is None else layer.metadata.get(METADATA_KEY)
    review = kept.get(_REVIEW) if isinstance(kept, dict) else None
    return review if isinstance(review, Review) else None


def show_review(layer: Any) -> None:
    """Let a layer show what its review says now."""
    review = review_of(layer)
    if review is None:
        return
    drawn = _drawn(review, float(layer.scale[-1]), layer.metadata[METADATA_KEY]["least_diameter"])
    layer.selected_data = set()
    layer.data = drawn["data"]
    layer.features = drawn["features"]
    if len(layer.data):
        layer.size = drawn["size"]
        layer.border_color = drawn["border_color"]
        layer.border_width = drawn["border_width"]
        layer.face_color = drawn["face_color"]
    layer.editable = False  # findings are decided on, not moved; setting the data makes it editable again


def mark(layer: Any, number: int | None) -> None:
    """Mark one finding, where it is shown, by a wider ring that is filled a little, and no other."""
    review = review_of(layer)
    if review is None or not len(layer.data) or len(layer.data) != len(review.shown):
        return
    is_marked = np.array([other == number for other in review.shown])
    layer.border_width = np.where(is_marked, _WIDER, 1.0) * _LINE_MM / float(layer.scale[-1])
    inside = np.array(layer.border_color)
    inside[:, 3] = np.where(is_marked, _FILLED, 0.0)
    layer.face_color = inside


def findings_from_layer(layer: Any) -> Detections:
    """Return the findings of a layer that are to be written: those that are shown and not rejected.

    Rings that were deleted with napari's own tools, while no list kept them from it, count as rejected.

    Raises
    ------
    RadcnnError
        If the layer holds none of ours.
    """
    review = review_of(layer)
    if review is None:
        raise RadcnnError(f"Layer '{layer.name}' contains points, but no findings of a model or a report.")
    review = deepcopy(review)
    present = {int(number) for number in layer.features["number"].dropna()}
    for number in review.shown:
        if number + 1 not in present:
            review.decide(number, "rejected")
    return replace(review.kept(), name=layer.name)


def frozen_findings(layer: Any) -> Any:
    """Return a layer of the same findings that further decisions do not change."""
    from napari.layers import Layer

    data, arguments, kind = layer.as_layer_data_tuple()
    return Layer.create(np.array(data), arguments | {"metadata": deepcopy(arguments["metadata"])}, kind)


def _drawn(review: Review, unit: float, least: float) -> dict[str, Any]:
    """Return what a layer draws of the findings that are shown; lengths in units of the layer's data."""
    shown = review.shown
    boxes = [review.boxes[n] for n in shown]
    return {
        "data": (to_display([box.center for box in boxes]) / unit if boxes else np.empty((0, 3))),
        "size": np.array([max(box.diameter, least) for box in boxes]) / unit if boxes else 1.0,
        "border_color": _rings([box.state for box in boxes]) if boxes else STATE_COLORS["candidate"],
        "border_width": _LINE_MM / unit,
        "face_color": "transparent",
        "features": {
            "number": [n + 1 for n in shown],
            "label": [box.label for box in boxes],
            "score": [box.score for box in boxes],
            "diameter_mm": [round(box.diameter, 2) for box in boxes],
            "state": [str(box.state) for box in boxes],
            **{f"{axis}_mm": [round(box.center[n], 2) for box in boxes] for n, axis in enumerate("xyz")},
        },
    }


def _rings(states: list[FindingState]) -> Any:
    from napari.utils.colormaps.standardize_color import transform_color

    colors = transform_color([STATE_COLORS[state] for state in states])
    colors[:, 3] = [_OPACITY[state] for state in states]
    return colors
