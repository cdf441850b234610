"""The windpipe and the bronchi as far as their walls hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.ct_tissues.body import GAS
from napari_radcnn.models.ct_tissues.grids import Mask, Small, in_slices, parts_at_edge

#: mm²: the cross section of a windpipe.
_AREA = (40.0, 800.0)
#: The fraction of the box around a cross section that it fills; a disk fills 0.79.
_FILLED = 0.5
#: HU around a cross section: lung lies below.
_WALL = -500.0
#: mm: how far from the middle of the body it may lie; how far up it must go.
_OFF_MIDDLE, _LENGTH = 45.0, 30.0
#: mm: how far to the sides, to front and back, and downwards its branches are followed.
_REACH = (140.0, 60.0, 90.0)
#: HU, one after the other: the branches are what is joined below it, until it leaks into the lung.
_STEPS = (-950.0, -925.0, -900.0, -875.0, -850.0, -825.0, -800.0, -775.0, -750.0)
#: ml that airways have at most, and by which one step may enlarge them before it counts as a leak.
_MOST_ML, _LEAK = 140.0, 1.35


def find_airway(small: Small, body: Mask) -> Mask:
    """Return the windpipe and large bronchi; empty where none is in the picture.

    Parameters
    ----------
    small : Small
        The scan at about 1.5 mm.
    body : (k, j, i) array of bool
        The body on that grid.
    """
    seed = _windpipe(small, body)
    return _branches(small, body, seed) if seed.any() else seed


def _windpipe(small: Small, body: Mask) -> Mask:
    """Return round cross sections of air with a wall, near the middle, one above the other over some length."""
    from scipy import ndimage

    gas = (small.hu < GAS) & body
    parts, count = in_slices(gas)
    if count == 0:
        return gas
    numbers = np.arange(count + 1)
    area = np.bincount(parts.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(parts)
    filled = np.zeros(count + 1)
    middle = np.zeros(count + 1)
    for number, box in enumerate(boxes, 1):
        filled[number] = area[number] / ((box[1].stop - box[1].start) * (box[2].stop - box[2].start))
        middle[number] = (box[2].start + box[2].stop - 1) / 2
    slice_of = np.array([0, *(box[0].start for box in boxes)])
    wide = ndimage.maximum_filter(parts, (1, 5, 5))
    ring = (wide > 0) & (parts == 0)
    wall = np.bincount(wide[ring], small.hu[ring], count + 1) / np.maximum(
        np.bincount(wide[ring], minlength=count + 1), 1
    )
    off = np.abs(middle - _middles(body)[slice_of]) * small.spacing[2]
    fits = (area * small.pixel_mm2 >= _AREA[0]) & (area * small.pixel_mm2 <= _AREA[1]) & (filled >= _FILLED)
    fits &= (wall > _WALL) & (off <= _OFF_MIDDLE) & ~parts_at_edge(parts, count) & (numbers > 0)
    chains, found = ndimage.label(fits[parts])
    if found == 0:
        return np.zeros_like(gas)
    lengths = [(box[0].stop - box[0].start) * small.spacing[0] for box in ndimage.find_objects(chains)]
    longest = int(np.argmax(lengths))
    # Gas in the bowel may be round as well: the windpipe lies above, and is straight.
    if lengths[longest] < _LENGTH:
        return np.zeros_like(gas)
    return np.asarray(chains == longest + 1)


def _middles(body: Mask) -> npt.NDArray[np.float64]:
    """Return the middle column of the body in each slice."""
    columns: Mask = np.any(body, axis=1)
    first, last = columns.argmax(1), columns.shape[1] - 1 - columns[:, ::-1].argmax(1)
    return np.asarray((first + last) / 2)


def _branches(small: Small, body: Mask, seed: Mask) -> Mask:
    """Return what hangs together with the windpipe below a value that rises until the growth leaks."""
    from scipy import ndimage

    where = np.nonzero(seed)
    down, across, aside = (round(reach / step) for reach, step in zip(_REACH, small.spacing, strict=True))
    low = [int(index.min()) - reach for index, reach in zip(where, (down, across, aside), strict=True)]
    high = [int(index.max()) + 1 + reach for index, reach in zip(where, (0, across, aside), strict=True)]
    box = tuple(slice(max(0, a), b) for a, b in zip(low, high, strict=True))
    hu, inside, start = small.hu[box], body[box], seed[box]
    kept, size = start, int(np.count_nonzero(start))
    for step, threshold in enumerate(_STEPS):
        parts, _ = ndimage.label(((hu < threshold) & inside) | start)
        numbers = np.unique(parts[start])
        grown = np.isin(parts, numbers)
        count = int(np.count_nonzero(grown))
        # The first step adds the bronchi to the windpipe; each later one only a rim.
        if count * small.voxel_ml > _MOST_ML or count > size * (4.0 if step == 0 else _LEAK):
            break
        kept, size = grown, count
    found = np.zeros_like(seed)
    found[box] = kept
    return found
