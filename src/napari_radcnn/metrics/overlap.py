"""Overlap and surface distance of two masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


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


def jaccard(reference: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
    """Return the Jaccard overlap (intersection over union) of two masks, 0..1; 1 where both are empty.

    Parameters
    ----------
    reference, prediction : arrays of one shape
        Whatever is not 0 is inside.
    """
    first, second = np.asarray(reference) != 0, np.asarray(prediction) != 0
    union = np.count_nonzero(first | second)
    return 1.0 if union == 0 else np.count_nonzero(first & second) / union


def volume_error(reference: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float | None:
    """Return how much larger the prediction is than the reference, in percent of it; None for an empty reference.

    Parameters
    ----------
    reference, prediction : arrays of one shape
        Whatever is not 0 is inside.
    """
    first, second = np.count_nonzero(reference), np.count_nonzero(prediction)
    return None if first == 0 else 100.0 * (second - first) / first


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


def surface_dice(distances: npt.NDArray[np.float64], tolerance: float) -> float | None:
    """Return the share of both surfaces that lies within a tolerance of the other one, 0..1.

    The surface Dice of Nikolov et al. 2021 (J Med Internet Res 23, e26151), each surface voxel counted alike.

    Parameters
    ----------
    distances : 1-D array
        Of `surface_distances`.
    tolerance : float
        mm.

    Returns
    -------
    float or None
        None where a mask was empty.
    """
    return float(np.mean(distances <= tolerance)) if distances.size else None
