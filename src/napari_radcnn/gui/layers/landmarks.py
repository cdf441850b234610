"""Landmarks as a layer: a named cross for each, in its place in the patient."""

from __future__ import annotations

import numpy as np

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import AXIS_LABELS, METADATA_KEY, LayerData, Place, to_display
from napari_radcnn.results import Landmarks

#: Stands out from gray values and from the rings of findings (Okabe and Ito, 2008).
_COLOR = "#009e73"
#: Size of a cross, mm; at least the gap between two slices, so that one of them always meets it.
_SIZE_MM, _OVERLAP = 4.0, 1.05
#: Least and largest on the screen, pixels: a least one would also show what napari draws in slices without any point.
_ON_SCREEN = (0, 10_000)


def landmarks_layer(landmarks: Landmarks, scan: Geometry) -> LayerData:
    """Return napari's points for landmarks, each with its name, score and place as features.

    Parameters
    ----------
    landmarks : Landmarks
        In the patient.
    scan : Geometry
        Of the scan that they were found in.
    """
    points = landmarks.points
    # One unit of the data is the size of a cross: a slice leaves out points farther away than half a unit.
    unit = max(_SIZE_MM, max(Place.of(scan).shown.spacing) * _OVERLAP)
    data = to_display([point.position for point in points]) / unit if points else np.empty((0, 3))
    features = {
        "name": [point.name for point in points],
        "score": [point.score for point in points],
        **{f"{axis}_mm": [round(point.position[n], 2) for point in points] for n, axis in enumerate("xyz")},
    }
    return (
        data,
        {
            "name": landmarks.name,
            "scale": (unit,) * 3,
            "size": _SIZE_MM / unit,
            "canvas_size_limits": _ON_SCREEN,
            "projection_mode": "rescale_spherical",
            "symbol": "cross",
            "face_color": _COLOR,
            "border_width": 0.0,
            "blending": "translucent_no_depth",  # in 3-D the scan would hide those inside
            "features": features,
            "text": {"string": "{name}", "color": _COLOR, "anchor": "upper_left", "size": 9},
            "ndim": 3,
            "units": "mm",
            "axis_labels": AXIS_LABELS,
            "metadata": {
                METADATA_KEY: {"warnings": landmarks.warnings, "provenance": dict(landmarks.provenance)},
            },
        },
        "points",
    )
