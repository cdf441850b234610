"""A label map or an image held against its reference on the same grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_radcnn.errors import GeometryError
from napari_radcnn.metrics.images import compare_images
from napari_radcnn.metrics.overlap import dice, jaccard, surface_dice, surface_distances, volume_error
from napari_radcnn.volume import Volume


def compare(reference: Volume, prediction: Volume, *, tolerance_mm: float = 2.0) -> dict[str, Any]:
    """Return how far a prediction agrees with its reference, as JSON types.

    Parameters
    ----------
    reference, prediction : Volume
        On one grid, in any axis order. Taken as label maps where both hold integers of at most 16 bits with no more
        than 256 values and at least one is marked as labels; else as images.
    tolerance_mm : float
        How far surfaces may lie apart for the surface Dice.

    Returns
    -------
    dict
        ``{"labels": {"1": {"dice": ..., "jaccard": ..., "volume_ml": [reference, prediction],
        "volume_error_percent": ..., "hausdorff95_mm": ..., "mean_surface_mm": ..., "surface_dice": ...,
        "surface_tolerance_mm": ...}}}`` or ``{"image": {...}}`` as in `compare_images`. Distances are None where one of
        the masks is empty.

    Raises
    ------
    GeometryError
        If the two are not on one grid.
    """
    turned = prediction.reoriented(reference.geometry.orientation)
    if not turned.geometry.is_close(reference.geometry, tolerance=0.1):
        raise GeometryError(
            f"'{reference.name}' and '{prediction.name}' are on different grids: shapes {reference.geometry.shape} "
            f"and {turned.geometry.shape}, corners up to {_corner_distance(reference, turned)} apart. Resample one "
            "to the grid of the other first."
        )
    if _are_labels(reference, prediction):
        return {"labels": _compare_labels(reference, turned, tolerance_mm)}
    return {"image": compare_images(np.asarray(reference.array, float), np.asarray(turned.array, float))}


def _corner_distance(first: Volume, second: Volume) -> str:
    return f"{np.abs(first.geometry.corners - second.geometry.corners).max():.1f} mm"


def _are_labels(reference: Volume, prediction: Volume) -> bool:
    marked = reference.metadata.is_label or prediction.metadata.is_label
    small = all(
        volume.dtype.kind in "biu" or bool((np.mod(volume.array, 1) == 0).all()) for volume in (reference, prediction)
    )
    return marked and small


def _compare_labels(reference: Volume, prediction: Volume, tolerance_mm: float) -> dict[str, Any]:
    first, second = np.asarray(reference.array), np.asarray(prediction.array)
    spacing, voxel_ml = reference.geometry.spacing, reference.geometry.voxel_volume / 1000
    found = {}
    for value in sorted(({*np.unique(first).tolist(), *np.unique(second).tolist()}) - {0}):
        masks = first == value, second == value
        distances = surface_distances(*masks, spacing)
        found[str(int(value))] = {
            "dice": dice(*masks),
            "jaccard": jaccard(*masks),
            "volume_ml": [float(np.count_nonzero(mask) * voxel_ml) for mask in masks],
            "volume_error_percent": volume_error(*masks),
            "hausdorff95_mm": float(np.percentile(distances, 95)) if distances.size else None,
            "mean_surface_mm": float(distances.mean()) if distances.size else None,
            "surface_dice": surface_dice(distances, tolerance_mm),
            "surface_tolerance_mm": tolerance_mm,
        }
    return found
