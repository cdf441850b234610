"""Noise of CT taken off slice by slice, each with its two neighbors on either side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry, Shape
from napari_radcnn.inference.backends.base import Predictor
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models.ct_denoise.network import CENTER, CHANNELS, MULTIPLE, REACH, SLICES, UNIT, build_network
from napari_radcnn.models.ct_denoise.noise import noise_level
from napari_radcnn.progress import Monitor

Floats = npt.NDArray[np.float32]

#: Of a voxel of the scan on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 8.3e-7
#: Largest slice that is computed in one piece; of larger ones pieces of `_CORE` are kept.
_CORE, _WHOLE = 512, 704
#: HU that the network is shown; what lies beyond is shown as the nearest and keeps its difference.
_LOWEST, _HIGHEST = -1024.0, 3071.0
#: Standard deviation of the Gaussian over which the noise that is taken off must be zero on average, pixels. Narrower
#: ones keep more of faint disks and leave more noise; at this one the error in soft tissue is as without it.
_EVEN = 3.0
#: Side of the square in which the spread of what is taken off is told, in steps of two pixels.
_NEAR = 21
#: Bytes of a pixel of a piece (features and their copies), and of a voxel of the scan.
_PIECE_BYTES, _SCAN_BYTES = 900, 12


def plan(request: Request) -> Plan:
    """Return the cost: pieces of slices."""
    shape, _ = _upright(request.volume.geometry)
    patch = (1, *(_side(n) for n in shape[1:]))
    pieces = shape[0] * len(list(_pieces(shape[1]))) * len(list(_pieces(shape[2])))
    memory = _SCAN_BYTES * request.volume.size + _PIECE_BYTES * patch[1] * patch[2] + (150 << 20)
    return Plan(request.spec.name, pieces, (1, patch[1], patch[2]), memory)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Denoise; the result is float32 in HU."""
    shape, order = _upright(request.volume.geometry)
    scan = np.transpose(request.volume.array, order)
    if scan.size == 0 or not _varies(scan):
        raise ModelError(f"'{request.volume.name}' has the same value everywhere: there is nothing to denoise.")
    monitor.say("estimating the noise")
    levels, noise = _levels(request, scan, monitor)
    given = request.options.noise_level
    facts: dict[str, Any] = {"noise_level_source": "given" if given else "estimated"}
    if not any(levels) or request.options.strength == 0:
        told = () if any(levels) else ("No noise was detected in soft tissue: the image is returned unchanged.",)
        for _ in range(monitor.total):
            monitor.step("nothing to remove")
        result = np.array(request.volume.array, np.float32)
        return Outcome("cpu", "float32", array=result, facts=facts | _before_after(noise, noise), warnings=told)
    monitor.say("loading the network")
    sides = (_side(shape[1]), _side(shape[2]))
    middle = int(np.argmax(levels))
    row, column = list(_pieces(shape[1])), list(_pieces(shape[2]))
    first = (row[len(row) // 2][0], column[len(column) // 2][0])
    sample = _channels(_window(scan, middle), levels[middle], first, sides)
    predictor, warnings = open_shipped(
        request,
        build_network,
        (1, *sides),
        monitor,
        channels=CHANNELS,
        spatial_dims=2,
        sample=sample,
        outputs="values",
    )
    result = np.empty(request.volume.geometry.shape, np.float32)
    turned = np.transpose(result, order)
    after = []
    try:
        for k, level in enumerate(levels):
            found = _slice_noise(predictor, _window(scan, k), level, sides, monitor)
            found[scan[k] < _LOWEST] = 0  # outside of what the scanner saw
            if request.options.limit:
                found = limited(found, request.options.limit)
            turned[k] = scan[k] - np.float32(request.options.strength) * found
            after.append(noise_level(_shown(turned[k])))
        device, precision = predictor.device, predictor.precision
    finally:
        predictor.close()
    return Outcome(device, precision, array=result, facts=facts | _before_after(noise, after), warnings=warnings)


def _before_after(before: list[float], after: list[float]) -> dict[str, float]:
    """Return the median noise of the slices that have soft tissue, for the manifest, HU."""
    pairs = [(one, two) for one, two in zip(before, after, strict=True) if one > 0] or [(0.0, 0.0)]
    first, second = np.median(pairs, axis=0)
    return {"noise_before_hu": round(float(first), 2), "noise_after_hu": round(float(second), 2)}


def _levels(request: Request, scan: npt.NDArray[Any], monitor: Monitor) -> tuple[list[float], list[float]]:
    """Return the noise level that the network is told of each slice, and what was measured; 0 without soft tissue."""
    found = []
    for image in scan:
        monitor.check()
        found.append(noise_level(_shown(image)))
    if request.options.noise_level:
        return [float(request.options.noise_level)] * len(found), found
    known = np.array(found)
    if not known.any():
        return found, found
    known[known == 0] = np.median(known[known > 0])
    # a slice's neighbors were made with about the same current
    near = [known[max(0, k - 2) : k + 3] for k in range(len(known))]
    return [float(np.median(levels)) for levels in near], found


# -- one slice ----------------------------------------------------------------------------------------------------


def _slice_noise(
    predictor: Predictor, window: Floats, level: float, sides: tuple[int, int], monitor: Monitor
) -> Floats:
    """Return the noise of the middle slice of a window, HU; zero on average around every pixel."""
    middle = window[SLICES // 2]
    found = np.empty_like(middle)
    for row, row_end in _pieces(middle.shape[0]):
        for column, column_end in _pieces(middle.shape[1]):
            start = (_start(row), _start(column))
            answer = predictor(_channels(window, level, start, sides))[0, 0]
            inside = answer[row - start[0] : row_end - start[0], column - start[1] : column_end - start[1]]
            found[row:row_end, column:column_end] = inside
            monitor.step("removing noise")
    found *= UNIT
    if not np.isfinite(found).all():
        raise ModelError("The output of the network is not finite; run it with precision float32.")
    return found - _local_mean(found)


def _local_mean(image: Floats) -> Floats:
    """Return the mean around each pixel: real noise has next to none, since reconstruction filters take it away."""
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(image, _EVEN, mode="reflect"))


def limited(found: Floats, limit: float) -> Floats:
    """Return what is taken off an image, nowhere more than so many of its standard deviations around a pixel.

    Parameters
    ----------
    found : (j, i) array of float32
        What would be taken off, HU.
    limit : float
        In standard deviations: 1.4826 times the local median of the absolute values.
    """
    from scipy import ndimage

    # Every other pixel says as much of the spread, in a quarter of the time.
    median = ndimage.median_filter(np.abs(found[::2, ::2]), _NEAR, mode="reflect")
    spread = np.repeat(np.repeat(median, 2, 0), 2, 1)[: found.shape[0], : found.shape[1]] * np.float32(1.4826 * limit)
    return np.clip(found, -spread, spread)


def _window(scan: npt.NDArray[Any], k: int) -> Floats:
    """Return a slice with its neighbors as the network is shown them; the nearest stands for those that are missing."""
    at = np.clip(k + np.arange(SLICES) - SLICES // 2, 0, len(scan) - 1)
    return np.stack([_shown(scan[n]) for n in at])


def _shown(image: npt.NDArray[Any]) -> Floats:
    return np.clip(np.asarray(image, np.float32), _LOWEST, _HIGHEST)


def _channels(window: Floats, level: float, start: tuple[int, int], sides: tuple[int, int]) -> Floats:
    """Return what the network takes of a piece: it begins at `start` and goes on mirrored where the slice ends."""
    piece = window[:, start[0] : start[0] + sides[0], start[1] : start[1] + sides[1]]
    more = [(0, 0), *((0, side - n) for side, n in zip(sides, piece.shape[1:], strict=True))]
    channels = np.empty((CHANNELS, 1, *sides), np.float32)
    channels[:SLICES, 0] = (np.pad(piece, more, mode="symmetric") - CENTER) / UNIT
    channels[SLICES] = level / UNIT
    return channels


# -- pieces of a slice --------------------------------------------------------------------------------------------


def _side(size: int) -> int:
    """Return the side of a piece."""
    return -(-size // MULTIPLE) * MULTIPLE if size <= _WHOLE else _CORE + 2 * REACH


def _pieces(size: int) -> Iterator[tuple[int, int]]:
    """Yield from where to where pieces are kept; a whole slice where it is not too large."""
    step = size if size <= _WHOLE else _CORE
    for first in range(0, size, step):
        yield first, min(size, first + step)


def _start(first: int) -> int:
    """Return where the piece begins of which `first` is the first pixel that is kept; a multiple of `MULTIPLE`."""
    return max(0, first - REACH)


# -- the scan -----------------------------------------------------------------------------------------------------


def _upright(geometry: Geometry) -> tuple[Shape, tuple[int, int, int]]:
    """Return the shape and the order of axes with the slices first that the scanner reconstructed.

    They are axial, and a scan stored in another order can be told by its spacing: equal within axial slices, another
    across. Where it is the same everywhere, or the scan is one slice, the scan's own order stays.
    """
    spacing, orders = geometry.spacing, ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    axial = next((order for order in orders if geometry.orientation[order[0]] in "SI"), orders[0])
    same = abs(spacing[axial[1]] - spacing[axial[2]]) < 0.01 * spacing[axial[1]]
    own = abs(spacing[1] - spacing[2]) < 0.01 * spacing[1]
    order = axial if same and not own and min(geometry.shape) > 1 else orders[0]
    return (geometry.shape[order[0]], geometry.shape[order[1]], geometry.shape[order[2]]), order


def _varies(scan: npt.NDArray[Any]) -> bool:
    """Return whether a scan holds two different numbers."""
    low, high = np.inf, -np.inf
    for image in scan:
        finite = image[np.isfinite(image)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        if high > low:
            return True
    return False
