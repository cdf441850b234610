"""Where the brain is in an MR: whether the scan shows the brain alone, and its outline if it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.volume import Volume

Mask = npt.NDArray[np.bool_]

#: A scan of the brain alone has at least this share of voxels of one background value; a box close around a brain
#: leaves about half.
_LEAST_BACKGROUND = 0.15
#: Liters that a brain with the fluid around it takes at most; a head takes three to five.
_MOST_BRAIN = 2.3
#: What counts as the border of the brain, and as its depth.
_BORDER_VOXELS, _DEEP_VOXELS = 4, 10
#: Background reaches up to this share of the values farthest from it: interpolation leaves a faint rim.
_RIM = 0.01
#: Voxels that are looked at for the commonest value, about.
_LOOKED_AT = 200_000


def shown_mask(volume: Volume, values: npt.NDArray[np.float32]) -> tuple[Mask, float]:
    """Return what a scan shows on a background of one value, its holes filled, and the share of that value.

    Parameters
    ----------
    volume : Volume
        The scan.
    values : (k, j, i) array of float32
        Its voxels, all finite.

    Returns
    -------
    mask : (k, j, i) array of bool
        The largest part of what differs from the background; all of the scan where it has none.
    share : float
        Of the voxels that have the background's value, 0..1.
    """
    from scipy import ndimage

    background = _commonest(values)
    padding = volume.metadata.padding_value
    is_background = values == background
    if padding is not None:
        is_background |= values == padding
    share = float(is_background.mean())
    if share < _LEAST_BACKGROUND:
        return np.ones(values.shape, bool), share
    shown = ~is_background
    if shown.any():
        low, high = np.quantile(values[shown][::7], (0.01, 0.99))
        # From the background to what is farthest from it: gray values may lie on both sides of it.
        reach = max(abs(float(high) - background), abs(float(low) - background))
        shown &= np.abs(values - background) > _RIM * reach
    parts, count = ndimage.label(shown, np.ones((3, 3, 3)))
    if count > 1:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        shown = parts == sizes.argmax()
    # Fluid may have the background's own value, in FLAIR above all.
    steps = max(1, round(3 / max(volume.geometry.spacing)))
    closed = ndimage.binary_closing(np.pad(shown, steps), iterations=steps)[(slice(steps, -steps),) * 3]
    return np.asarray(ndimage.binary_fill_holes(closed | shown)), share


def without_holes(values: npt.NDArray[np.float32], mask: Mask) -> npt.NDArray[np.float32]:
    """Return gray values in which voxels of the brain that have the background's value are as dark as its darkest.

    Stripping leaves such holes, in fluid above all; a background far from the brain's values would outweigh them.

    Parameters
    ----------
    values : (k, j, i) array of float32
        The scan.
    mask : (k, j, i) array of bool
        The brain.
    """
    background = _commonest(values)
    is_background = values == background
    holes = mask & is_background
    rest = mask & ~is_background
    if is_background.mean() < _LEAST_BACKGROUND or not holes.any() or not rest.any():
        return values
    return np.where(holes, values[rest].min(), values)


def _commonest(values: npt.NDArray[np.float32]) -> float:
    """Return the value that most voxels of a scan have: the lowest of a count, zero or another after standardizing."""
    sample = values.ravel()[:: max(1, values.size // _LOOKED_AT)]
    found, counts = np.unique(sample, return_counts=True)
    return float(found[counts.argmax()])


def is_stripped(volume: Volume, mask: Mask, share: float) -> bool:
    """Return whether a scan shows the brain alone, by what `shown_mask` said of it.

    The background of a whole head may be of one value, too; then a head is told from a brain by its size.
    """
    liters = np.count_nonzero(mask) * volume.geometry.voxel_volume / 1e6
    return bool(share >= _LEAST_BACKGROUND and liters <= _MOST_BRAIN)


def scaled_inside(values: npt.NDArray[Any], mask: Mask, outside: float) -> npt.NDArray[np.float32]:
    """Return gray values with the 0.5th percentile of the mask at 0 and the 99.5th at 1; `outside` around the mask.

    Parameters
    ----------
    values : (k, j, i) array
        The scan.
    mask : (k, j, i) array of bool
        The brain; not empty.
    outside : float
        What surrounds it in the result.
    """
    inside = values[mask]
    low, high = (float(q) for q in np.quantile(inside, (0.005, 0.995)))
    scaled = np.full(values.shape, outside, np.float32)
    if high > low:
        scaled[mask] = np.clip((inside - low) / (high - low), -0.2, 1.5)
    return scaled


def has_bright_fluid(values: npt.NDArray[Any], mask: Mask) -> bool:
    """Return whether fluid is the brightest in a scan of the brain, as in T2, rather than the darkest.

    Then the border of the brain, where fluid lies, is brighter than its depth, and gray values have their long tail
    above.

    Parameters
    ----------
    values : (k, j, i) array
        The scan, in voxels of about 1 mm.
    mask : (k, j, i) array of bool
        The brain; not empty.
    """
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(mask)
    rim, core = mask & (depth <= _BORDER_VOXELS), depth > _DEEP_VOXELS
    if not core.any():
        return False
    low, middle, high = np.quantile(values[mask], (0.02, 0.5, 0.98))
    return bool(high - middle > middle - low and np.median(values[rim]) > np.median(values[core]))
