"""How well a result agrees with a reference: overlap and surface distance of labels, error of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.volume import Volume


def dice(reference: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
    """Return the Dice overlap of two masks, 0..1; 1 where both are empty.

    Parameters
    ----------
    reference, prediction : arrays of one shape
        Whatever is not 0 is inside.
    """
    first, second = np.asarray(reference) != 0, np.asarray(prediction) != 0
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 1.0 if total == 0 else 2.0 * np.count_nonzero(first & second) / total


def surface_distances(
    reference: npt.NDArray[Any], prediction: npt.NDArray[Any], spacing: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """Return the distances of each mask's surface voxels to the other's surface, both ways, mm.

    Parameters
    ----------
    reference, prediction : (k, j, i) arrays
        Whatever is not 0 is inside. The surface is the voxels inside that touch the outside by a face.
    spacing : tuple of float
        mm along k, j, i.

    Returns
    -------
    1-D array
        Empty where either mask is.
    """
    from scipy import ndimage

    surfaces = []
    for mask in (np.asarray(reference) != 0, np.asarray(prediction) != 0):
        if not mask.any():
            return np.empty(0)
        surfaces.append(mask & ~ndimage.binary_erosion(mask))
    first, second = surfaces
    to_first = ndimage.distance_transform_edt(~first, spacing)
    to_second = ndimage.distance_transform_edt(~second, spacing)
    return np.concatenate([to_second[first], to_first[second]])


def compare(reference: Volume, prediction: Volume) -> dict[str, Any]:
    """Return how far a prediction agrees with its reference, as JSON types.

    Parameters
    ----------
    reference, prediction : Volume
        On one grid, in any axis order. Taken as label maps where both hold integers of at most 16 bits with no more
        than 256 values and at least one is marked as labels; else as images.

    Returns
    -------
    dict
        ``{"labels": {"1": {"dice": ..., "volume_ml": [reference, prediction], "hausdorff95_mm": ...,
        "mean_surface_mm": ...}}}`` or ``{"image": {"mae": ..., "rmse": ..., "psnr_db": ..., "mean_shift": ...}}``.
        Distances are None where one of the masks is empty.

    Raises
    ------
    GeometryError
        If the two are not on one grid.
    """
    turned = prediction.reoriented(reference.geometry.orientation)
    if not turned.geometry.is_close(reference.geometry, tolerance=0.1):
        raise GeometryError(
            f"'{reference.name}' and '{prediction.name}' are not on one grid: shapes {reference.geometry.shape} and "
            f"{turned.geometry.shape}, corners up to {_corner_distance(reference, turned)} apart. Put one on the "
            "other's grid first."
        )
    if _are_labels(reference, prediction):
        return {"labels": _compare_labels(reference, turned)}
    return {"image": _compare_images(np.asarray(reference.array, float), np.asarray(turned.array, float))}


def _corner_distance(first: Volume, second: Volume) -> str:
    return f"{np.abs(first.geometry.corners - second.geometry.corners).max():.1f} mm"


def _are_labels(reference: Volume, prediction: Volume) -> bool:
    marked = reference.metadata.is_label or prediction.metadata.is_label
    small = all(
        volume.dtype.kind in "biu" or bool((np.mod(volume.array, 1) == 0).all()) for volume in (reference, prediction)
    )
    return marked and small


def _compare_labels(reference: Volume, prediction: Volume) -> dict[str, Any]:
    first, second = np.asarray(reference.array), np.asarray(prediction.array)
    spacing, voxel_ml = reference.geometry.spacing, reference.geometry.voxel_volume / 1000
    found = {}
    for value in sorted(({*np.unique(first).tolist(), *np.unique(second).tolist()}) - {0}):
        masks = first == value, second == value
        distances = surface_distances(*masks, spacing)
        found[str(int(value))] = {
            "dice": dice(*masks),
            "volume_ml": [float(np.count_nonzero(mask) * voxel_ml) for mask in masks],
            "hausdorff95_mm": float(np.percentile(distances, 95)) if distances.size else None,
            "mean_surface_mm": float(distances.mean()) if distances.size else None,
        }
    return found


def _compare_images(reference: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> dict[str, Any]:
    difference = prediction - reference
    usable = np.isfinite(difference)
    if not usable.any():
        raise GeometryError("The two images have no voxel in which both are numbers.")
    difference = difference[usable]
    rmse = float(np.sqrt(np.mean(difference**2)))
    peak = float(np.ptp(reference[usable]))
    return {
        "mae": float(np.abs(difference).mean()),
        "rmse": rmse,
        "psnr_db": 20 * float(np.log10(peak / rmse)) if rmse > 0 and peak > 0 else None,
        "mean_shift": float(difference.mean()),
    }
