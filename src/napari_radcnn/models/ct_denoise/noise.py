"""How noisy a CT slice is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: HU of soft tissue, where noise is measured after a little smoothing.
TISSUE = (-150.0, 250.0)
#: Fewer pixels of it say nothing.
_FEWEST = 200


def fine_detail(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the second differences along both axes of images, two pixels apart, the spread of white noise kept.

    Neighboring pixels would say too little: reconstruction kernels leave next to nothing of the finest detail.

    Parameters
    ----------
    images : (..., j, i) array
        At least 5 x 5 pixels.

    Returns
    -------
    (..., j - 4, i - 4) array of float32
    """
    rows = images[..., :-4, :].astype(np.float32)
    rows -= 2 * images[..., 2:-2, :].astype(np.float32)
    rows += images[..., 4:, :]
    both: npt.NDArray[np.float32] = rows[..., :-4] - 2 * rows[..., 2:-2] + rows[..., 4:]
    return both / np.float32(6)


def spread(values: npt.NDArray[np.float32]) -> float:
    """Return the standard deviation of noise around 0 among which there are a few edges; 0 for too few values."""
    # 0.6745: the third quartile of the standard normal distribution
    return float(np.median(np.abs(values)) / 0.6745) if values.size >= _FEWEST else 0.0


def noise_level(image: npt.NDArray[Any]) -> float:
    """Return the standard deviation of the noise of a slice in soft tissue, as far as its fine detail shows it.

    Parameters
    ----------
    image : (j, i) array
        HU.

    Returns
    -------
    float
        HU; 0 where there is too little soft tissue to tell.
    """
    if min(image.shape) < 9:
        return 0.0
    values = np.asarray(image, np.float32)
    means = _means(values)[2:-2, 2:-2]
    inside = (means > TISSUE[0]) & (means < TISSUE[1])
    return spread(fine_detail(values)[inside])


def _means(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    from scipy import ndimage

    return np.asarray(ndimage.uniform_filter(image, 5, mode="nearest"))
