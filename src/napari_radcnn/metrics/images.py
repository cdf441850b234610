"""Error of an image, everywhere and inside the body."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError

Mask = npt.NDArray[np.bool_]
#: Side of the window of SSIM, pixels (Wang et al. 2004, IEEE TIP 13, 600; uniform window).
_SSIM_SIDE = 7


def compare_images(reference: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the errors of an image, everywhere and inside the body.

    Parameters
    ----------
    reference, prediction : (k, j, i) arrays
        In the same units. Voxels in which either is no number do not count.

    Returns
    -------
    dict
        As `image_errors`, and under ``body`` the same inside the body with the number of its ``voxels``; ``body`` is
        None where none stands out.

    Raises
    ------
    GeometryError
        If there is no voxel in which both are numbers.
    """
    body = body_mask(reference)
    inside = None if body is None else {"voxels": int(body.sum()), **image_errors(reference, prediction, body)}
    return {**image_errors(reference, prediction), "body": inside}


def image_errors(
    reference: npt.NDArray[Any], prediction: npt.NDArray[Any], mask: Mask | None = None
) -> dict[str, float | None]:
    """Return how far an image is from its reference, in its units.

    Parameters
    ----------
    reference, prediction : (k, j, i) arrays
        In the same units. Voxels in which either is no number do not count.
    mask : (k, j, i) array of bool, optional
        Which voxels count.

    Returns
    -------
    dict
        ``mae``, ``rmse``, ``mean_shift`` (prediction minus reference), ``psnr_db`` and ``ssim``. The last two take the
        range of the whole reference as the peak; ``psnr_db`` is None for equal images, both are for a constant
        reference. ``ssim`` is that of the slices, windows of 7 x 7 pixels, averaged over the voxels that count; None
        for slices smaller than a window.

    Raises
    ------
    GeometryError
        If there is no voxel that counts.
    """
    reference, prediction = np.asarray(reference, float), np.asarray(prediction, float)
    known = np.isfinite(reference) & np.isfinite(prediction)
    usable = known if mask is None else known & mask
    if not usable.any():
        raise GeometryError("The two images have no voxel in which both are finite.")
    difference = prediction[usable] - reference[usable]
    rmse = float(np.sqrt(np.mean(difference**2)))
    peak = float(np.ptp(reference[known]))
    return {
        "mae": float(np.abs(difference).mean()),
        "rmse": rmse,
        "psnr_db": 20 * float(np.log10(peak / rmse)) if rmse > 0 and peak > 0 else None,
        "mean_shift": float(difference.mean()),
        "ssim": _ssim(reference, prediction, usable, known, peak),
    }


def _ssim(
    reference: npt.NDArray[np.float64], prediction: npt.NDArray[np.float64], usable: Mask, known: Mask, peak: float
) -> float | None:
    from skimage.metrics import structural_similarity

    if peak <= 0 or min(reference.shape[1:]) < _SSIM_SIDE:
        return None
    total = 0.0
    for first, second, counts, numbers in zip(reference, prediction, usable, known, strict=True):
        if counts.any():
            pair = (np.where(numbers, image, 0.0) for image in (first, second))
            found = structural_similarity(*pair, win_size=_SSIM_SIDE, data_range=peak, full=True)[1]
            total += float(found[counts].sum())
    return total / int(usable.sum())


def body_mask(image: npt.NDArray[Any]) -> Mask | None:
    """Return the voxels of the body: the largest bright part, the air inside it included.

    Parameters
    ----------
    image : (k, j, i) array
        A scan in which the surroundings of the body are dark.

    Returns
    -------
    (k, j, i) array of bool, or None
        Above Otsu's threshold, opened by a voxel within the slices, the largest connected part, its holes filled slice
        by slice. None for a constant image, or one of which nothing is left.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    image = np.asarray(image)
    known = np.isfinite(image)
    if not known.any() or np.ptp(image[known]) == 0:
        return None
    bright = known & (np.where(known, image, 0) > threshold_otsu(image[known]))
    bright = ndimage.binary_opening(bright, ndimage.generate_binary_structure(2, 1)[None])
    parts, count = ndimage.label(bright)
    if count == 0:
        return None
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.stack([ndimage.binary_fill_holes(one) for one in largest])
