"""What fills a box drawn around it: a connected piece of what is brighter, or darker, than some value.

An object touches all sides of its box. Of all the pieces that thresholds cut out of the scan, the one counts whose own
box is most like the one that was drawn, at the middle of the thresholds at which it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.region.grid import Floats, Indices, Window, bounds, smoothed, voxels_of
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.interactive.update import Mask, MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Margin around the box as a part of its longest side, blocks along the window's side, thresholds in each direction.
_MARGIN, _BLOCKS, _THRESHOLDS = 0.2, 56, 22
#: How much the boxes have in common at least, as a part of what they cover together; what still counts as the same
#: piece at another threshold: its box, as a part of the best, and its size. (Chosen on scans of the training.)
_LEAST, _SAME, _SIZES = 0.6, 0.85, (0.6, 1.7)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A connected piece at one threshold: what its box has in common with the drawn one, where it lies, its blocks."""

    common: float
    threshold: float
    where: tuple[slice, slice, slice]
    mask: Mask

    @property
    def size(self) -> int:
        return int(np.count_nonzero(self.mask))


def boxed_object(request: EngineRequest, monitor: Monitor) -> MaskUpdate | None:
    """Return what fills a box, if the box is all that was said and something fills it; None for all other requests.

    Parameters
    ----------
    request : EngineRequest
        What the engine was asked.
    monitor : Monitor
        Asked whether to stop.

    Raises
    ------
    CancelledError
        If the user asked to stop.
    """
    prompts = request.prompts
    if len(prompts) != 1 or not prompts[0].positive or prompts[0].kind != "box":
        return None
    if request.forbidden is not None or request.current.any():
        return None
    drawn = rasterize(prompts[0], request.volume.geometry)
    if drawn is None:
        return None
    low, high = bounds(voxels_of(drawn.mask, [extent.start for extent in drawn.box]))
    if (high - low < 2).any():  # drawn on a slice, it says nothing of the others
        return None
    return filling_piece(request.volume, low, high, monitor)


def filling_piece(volume: Volume, low: Indices, high: Indices, monitor: Monitor) -> MaskUpdate | None:
    """Return the piece that fills a box of voxels best, or None if none fills it well.

    Parameters
    ----------
    volume : Volume
        The scan.
    low, high : (3,) array of int
        First voxel of the box, and the one after the last.
    monitor : Monitor
        Asked whether to stop.
    """
    longest = float(((high - low) * np.array(volume.geometry.spacing)).max())
    window = Window.around(volume, low, high, _MARGIN * longest, _BLOCKS)
    image = smoothed(window.image, window.spacing)
    drawn = np.stack([low - window.low, high - window.low]) / window.factors
    best: list[_Piece] = []
    for sign in (1, -1):
        pieces = list(_pieces(np.where(window.is_valid, sign * image, -np.inf), drawn, monitor))
        best = max(best, pieces, key=lambda some: max((piece.common for piece in some), default=0.0))
    if not best:
        return None
    top = max(best, key=lambda piece: piece.common)
    if top.common < _LEAST:
        return None
    alike = [p for p in best if p.common > _SAME * top.common and _SIZES[0] < p.size / top.size < _SIZES[1]]
    middle = (min(p.threshold for p in alike) + max(p.threshold for p in alike)) / 2
    chosen = min(alike, key=lambda piece: abs(piece.threshold - middle))
    blocks = np.zeros(window.shape, bool)
    blocks[chosen.where] = chosen.mask
    mask = window.drawn(blocks, 0.5)
    within = tuple(slice(int(a), int(b)) for a, b in zip(low - window.low, high - window.low, strict=True))
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return MaskUpdate((k, j, i), mask[within]) if mask[within].any() else None


def _pieces(image: Floats, drawn: npt.NDArray[np.float64], monitor: Monitor) -> Iterator[_Piece]:
    """Yield, for every threshold, the piece of what is brighter whose box is most like the drawn one."""
    from scipy.ndimage import find_objects, label

    least, most = np.percentile(image[np.isfinite(image)], (1, 99)) if np.isfinite(image).any() else (0.0, 0.0)
    for threshold in np.linspace(least, most, _THRESHOLDS + 2)[1:-1] if most > least else ():
        monitor.check()
        labels, _ = label(image >= threshold)
        places = find_objects(labels)
        if not places:
            continue
        corners = np.array([[(extent.start, extent.stop) for extent in place] for place in places], float)
        common = in_common(corners[..., 0], corners[..., 1], *drawn)
        n = int(np.argmax(common))
        k, j, i = places[n]
        yield _Piece(float(common[n]), float(threshold), (k, j, i), labels[places[n]] == n + 1)


def in_common(
    start: npt.NDArray[np.float64], stop: npt.NDArray[np.float64], low: npt.NDArray, high: npt.NDArray
) -> npt.NDArray[np.float64]:
    """Return what boxes (..., 3) share with another one, as a part of the box around both."""
    shared = np.clip(np.minimum(stop, high) - np.maximum(start, low), 0, None).prod(-1)
    return np.asarray(shared / (np.maximum(stop, high) - np.minimum(start, low)).prod(-1))
