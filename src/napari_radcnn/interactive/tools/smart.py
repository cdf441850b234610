"""The range of values that a smart brush keeps to: those of what is under the click, up to its edge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import OptionError
from napari_radcnn.interactive.prompts import Position
from napari_radcnn.interactive.tools.base import as_number
from napari_radcnn.interactive.tools.paint import Paint, stroke
from napari_radcnn.interactive.tools.ranges import index_at, refuse_color
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Of the values in a brush, how much of their variance a split in two must explain to count as an edge: a split of one
#: Gaussian in its middle explains 2 / pi of it, one of a flat ramp three quarters.
_LEAST_EXPLAINED = 0.8
#: Where there is no edge in the brush: standard deviations, of what is around the click, on either side.
_WIDTH = 3.0


def similar_range(
    volume: Volume,
    position: Position,
    radius: float,
    *,
    tolerance: float | None = None,
    is_flat: bool = True,
    normal: Position | None = None,
) -> tuple[float, float]:
    """Return the range of values of what lies at a position: what a smart brush paints.

    Parameters
    ----------
    volume : Volume
        The scan.
    position : (x, y, z)
        LPS mm: where the stroke begins.
    radius : float
        Of the brush, mm.
    tolerance : float, optional
        In the scan's unit: how far values may lie from that at the position, which is the median of the voxels around
        it. By default the range ends halfway between what is there and what else the brush covers, where these are two
        kinds of voxels; else three standard deviations of what it covers away.
    is_flat, normal : optional
        As of `Paint`.

    Returns
    -------
    tuple of float
        Lowest and highest value, in the scan's unit.

    Raises
    ------
    OptionError
        If the position lies outside the scan, has no finite value, the scan is a color image, or a number is none.
    """
    refuse_color(volume)
    at = index_at(volume.geometry, position)
    k, j, i = (
        slice(max(0, n - step), n + step + 1) for n, step in zip(at, _one_voxel(volume, is_flat=is_flat), strict=True)
    )
    around: npt.NDArray[np.float64] = np.asarray(volume.read_block((k, j, i)), np.float64)
    finite = around[np.isfinite(around)]
    middle = float(np.median(finite)) if finite.size else float("nan")
    if not np.isfinite(middle):
        raise OptionError("The scan has no finite value there: begin the stroke on another voxel.")
    if tolerance is not None:
        width = as_number("The tolerance of a smart brush", tolerance)
        if width < 0:
            raise OptionError(f"The tolerance of a smart brush must not be negative, got {width:g}.")
        return middle - width, middle + width
    disk = Paint((position,), max(radius, *volume.geometry.spacing), is_flat=is_flat, normal=normal)
    covered = stroke(disk, volume.geometry, Monitor(1))
    if covered is None:
        return middle, middle
    values: npt.NDArray[np.float64] = np.asarray(volume.read_block(covered[0]), np.float64)[covered[1]]
    return _own_kind(values[np.isfinite(values)], middle)


def _one_voxel(volume: Volume, *, is_flat: bool) -> tuple[int, int, int]:
    """Return how far the neighborhood of a voxel reaches: one voxel, along axes about as fine as the finest."""
    finest = min(volume.geometry.spacing)
    k, j, i = (1 if step <= 1.5 * finest else 0 for step in volume.geometry.spacing)
    return (0 if is_flat and volume.geometry.spacing[0] > finest else k), j, i


def _own_kind(values: npt.NDArray[np.float64], middle: float) -> tuple[float, float]:
    """Return the range of values of the same kind as the one in the middle.

    The values are split in two where most of their variance is explained (Otsu 1979, IEEE Trans. SMC 9(1)), and the
    part without the middle goes; what is left is split again, since there may be something brighter and something
    darker around.
    """
    low, high = -np.inf, np.inf
    for _ in range(2):
        kept = values[(values >= low) & (values <= high)]
        cut = _edge(kept)
        if cut is None:
            break
        if middle >= cut:
            low = max(low, cut)
        else:
            high = min(high, cut)
    kept = values[(values >= low) & (values <= high)]
    spread = _WIDTH * float(np.median(np.abs(kept - middle))) * 1.4826 if kept.size else 0.0
    first = low if np.isfinite(low) else min(middle - spread, middle)
    last = high if np.isfinite(high) else max(middle + spread, middle)
    return float(first), float(last)


def _edge(values: npt.NDArray[np.float64]) -> float | None:
    """Return the value halfway between two kinds of values; None where there is only one kind."""
    total = float(values.var()) * values.size if values.size else 0.0
    if total <= 0:
        return None
    ordered = np.sort(values)
    n = np.arange(1, ordered.size)
    sums = ordered.cumsum()
    left, right = sums[:-1] / n, (sums[-1] - sums[:-1]) / (ordered.size - n)
    between = n * (ordered.size - n) / ordered.size * (right - left) ** 2
    best = int(between.argmax())
    if between[best] < _LEAST_EXPLAINED * total:
        return None
    return float(left[best] + right[best]) / 2
