"""The highest mean within a sphere of 1 ml: SUVpeak."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Of a sphere of 1 ml, mm.
RADIUS_MM = float((3000 / (4 * np.pi)) ** (1 / 3))
#: Voxels that are worked on at once.
_VOXELS = 1_000_000


def peaks(
    image: npt.NDArray,
    mask: npt.NDArray[np.bool_],
    steps: npt.NDArray[np.float64],
    start: tuple[int, int, int],
    padding: float | None = None,
) -> tuple[float, float]:
    """Return the highest mean of a sphere of 1 ml around a voxel of a region, and that around its highest voxel.

    A voxel counts where its center lies in the sphere; voxels outside of the region count as well, those outside of the
    scan, its padding and those that are no finite number do not. The first is IBSI's global intensity peak (0F91),
    which EANM's guideline 2.0 for FDG PET and UPICT call SUVpeak; the second its local intensity peak (VJGA).

    Parameters
    ----------
    image : (k, j, i) array
        The scan.
    mask : (k, j, i) array of bool
        The region in its bounding box.
    steps : (3, 3) array
        Columns are the world steps along the axes, mm.
    start : tuple of int
        Where the box begins in the scan.
    padding : float, optional
        The value of voxels outside the scanned field.

    Returns
    -------
    global_peak, local_peak : float
        NaN where no voxel of the region has a value.
    """
    kernel = sphere(steps)
    reach = np.array(kernel.shape) // 2
    rows = max(1, _VOXELS // max(1, mask.shape[1] * mask.shape[2]))
    best, highest, local = -np.inf, -np.inf, -np.inf
    for first in range(0, mask.shape[0], rows):
        part = mask[first : first + rows]
        begin = np.array((start[0] + first, start[1], start[2]))
        values, means = _means(image, begin, np.array(part.shape), kernel, reach, padding)
        is_counted = part & np.isfinite(values)
        if not is_counted.any():
            continue
        inside, around = values[is_counted], means[is_counted]
        best = max(best, float(around.max()))
        top = float(inside.max())
        there = float(around[inside == top].max())
        if top > highest:
            highest, local = top, there
        elif top == highest:
            local = max(local, there)
    return (best, local) if np.isfinite(best) else (np.nan, np.nan)


def sphere(steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 1 for each voxel whose center lies in a sphere of 1 ml around the middle one."""
    # the sphere reaches as far along an index as the length of that row of the inverse
    reach = np.floor(RADIUS_MM * np.linalg.norm(np.linalg.inv(steps), axis=1) + 1e-9).astype(int)
    index = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(index @ steps.T, axis=-1) <= RADIUS_MM + 1e-9, float)


def _means(
    image: npt.NDArray,
    begin: npt.NDArray,
    shape: npt.NDArray,
    kernel: npt.NDArray,
    reach: npt.NDArray,
    padding: float | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the values of a box of the scan, and the mean of the sphere around each of its voxels."""
    from scipy.signal import oaconvolve

    low = np.maximum(begin - reach, 0)
    high = np.minimum(begin + shape + reach, image.shape)
    box = np.array(image[tuple(map(slice, low, high))], float)
    if padding is not None:
        box[box == padding] = np.nan
    is_known = np.isfinite(box)
    known = np.where(is_known, box, 0.0)
    sums = oaconvolve(known, kernel, mode="same") if kernel.size > 1 else known
    ones = is_known.astype(float)
    counts = np.rint(oaconvolve(ones, kernel, mode="same")) if kernel.size > 1 else ones
    inner = tuple(slice(int(a), int(a + n)) for a, n in zip(begin - low, shape, strict=True))
    return box[inner], sums[inner] / np.maximum(counts[inner], 1)
