"""A label map or an image held against its reference on the same grid."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from napari_radcnn.errors import GeometryError, OptionError
from napari_radcnn.metrics.images import compare_images
from napari_radcnn.metrics.overlap import dice, jaccard, surface_dice, surface_distances, volume_error
from napari_radcnn.volume import Volume

#: What two volumes are compared as.
TakenAs = Literal["auto", "labels", "images"]
#: Whole numbers of no more values than this may be labels; of fewer than the second they are.
_MOST_LABELS, _SURELY_LABELS = 256, 20
#: Of neighbors that are not both background, this share is alike in label maps; in pictures, hardly any.
_ALIKE = 0.5


def compare(
    reference: Volume, prediction: Volume, *, tolerance_mm: float = 2.0, taken_as: TakenAs = "auto"
) -> dict[str, Any]:
    """Return how far a prediction agrees with its reference, as JSON types.

    Parameters
    ----------
    reference, prediction : Volume
        On one grid, in any axis order.
    tolerance_mm : float
        How far surfaces may lie apart for the surface Dice.
    taken_as : str
        ``"labels"``, ``"images"``, or ``"auto"``: label maps where both hold whole numbers and one is marked as
        labels, or both look like labels: at most 20 values from 0 on, or at most 256 in patches of one value each. Many
        programs write label maps to NIfTI without the code that marks them.

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
    OptionError
        If they are to be taken as labels, but hold other values than whole numbers.
    """
    turned = prediction.reoriented(reference.geometry.orientation)
    if not turned.geometry.is_close(reference.geometry, tolerance=0.1):
        raise GeometryError(
            f"'{reference.name}' and '{prediction.name}' are on different grids: shapes {reference.geometry.shape} "
            f"and {turned.geometry.shape}, corners up to {_corner_distance(reference, turned)} apart. Resample one "
            "to the grid of the other first."
        )
    if taken_as == "labels" and not (_is_whole(reference) and _is_whole(prediction)):
        raise OptionError("These are no label maps: their values are not all whole numbers. Compare them as images.")
    if taken_as == "labels" or (taken_as == "auto" and _are_labels(reference, prediction)):
        return {"labels": _compare_labels(reference, turned, tolerance_mm)}
    return {"image": compare_images(np.asarray(reference.array, float), np.asarray(turned.array, float))}


def _corner_distance(first: Volume, second: Volume) -> str:
    return f"{np.abs(first.geometry.corners - second.geometry.corners).max():.1f} mm"


def _are_labels(reference: Volume, prediction: Volume) -> bool:
    if not (_is_whole(reference) and _is_whole(prediction)):
        return False
    is_marked = reference.metadata.is_label or prediction.metadata.is_label
    return is_marked or (_looks_like_labels(reference) and _looks_like_labels(prediction))


def _is_whole(volume: Volume) -> bool:
    return volume.dtype.kind in "biu" or bool((np.mod(volume.array, 1) == 0).all())


def _looks_like_labels(volume: Volume) -> bool:
    """Whether whole numbers are few, not negative, and equal in neighboring voxels."""
    array = np.asarray(volume.array)
    if array.ndim != 3 or array.min() < 0:
        return False
    values = np.unique(array)
    if len(values) <= _SURELY_LABELS:
        return True
    if len(values) > _MOST_LABELS:
        return False
    alike = counted = 0
    for axis in range(3):
        one, other = np.moveaxis(array, axis, 0)[:-1], np.moveaxis(array, axis, 0)[1:]
        is_foreground = (one != 0) | (other != 0)
        counted += int(is_foreground.sum())
        alike += int(((one == other) & is_foreground).sum())
    return alike >= _ALIKE * counted


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
