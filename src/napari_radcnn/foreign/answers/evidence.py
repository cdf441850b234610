"""What of a scan an answer hangs on: its change where a part of the scan is covered, for a network of any format."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform

from napari_radcnn.foreign.processing.input import RecipeInput
from napari_radcnn.geometry import Shape

_Floats = npt.NDArray[np.float32]
#: Covered parts along an axis, by the number of dimensions: each is twice as wide as the step to the next.
_STEPS = {2: 14, 3: 6}
#: What the map is called.
KIND = "occlusion"


def covers(shape: Shape, dims: int) -> list[tuple[slice, slice, slice]]:
    """Return the parts that are covered one after the other, along the axes of the network.

    Parameters
    ----------
    shape : tuple of int
        Of what it sees; with a leading 1 in two dimensions.
    dims : int
        2 or 3.

    Examples
    --------
    >>> covers((1, 28, 14), 2)[1]
    (slice(0, 1, None), slice(0, 4, None), slice(1, 3, None))
    """
    each = []
    for axis, size in enumerate(shape):
        if axis < 3 - dims:
            each.append([slice(0, size)])
            continue
        step = max(1, round(size / _STEPS[dims]))
        starts = sorted({*range(0, max(1, size - 2 * step), step), max(0, size - 2 * step)})
        each.append([slice(start, min(size, start + 2 * step)) for start in starts])
    return [(k, j, i) for k, j, i in product(*each)]


def occlusion(answer: Callable[[_Floats], float], given: _Floats, dims: int) -> _Floats:
    """Return by how much an answer falls where a part is covered with the mean of its channel (Zeiler and Fergus 2014).

    Parameters
    ----------
    answer : callable
        The network's answer to ``(channels, k, j, i)``, as one number.
    given : (channels, k, j, i) array
        What it was shown.
    dims : int
        2 or 3.

    Returns
    -------
    (k, j, i) array of float32
        The fall, averaged over all covered parts that hold a voxel; negative where the answer rose.
    """
    shape = (given.shape[1], given.shape[2], given.shape[3])
    filling = given.mean((1, 2, 3), keepdims=True)
    before = answer(given)
    total, count = np.zeros(shape), np.zeros(shape)
    for place in covers(shape, dims):
        changed = given.copy()
        changed[(slice(None), *place)] = filling
        total[place] += before - answer(changed)
        count[place] += 1
    return np.asarray(total / count, np.float32)


def on_scan(found: _Floats, seen: RecipeInput) -> _Floats:
    """Return a map of what the network saw on the grid of the scan, linearly; 0 where it saw nothing."""
    points = seen.indices_of(np.concatenate([np.zeros((1, 3)), np.eye(3)]))
    forward = (points[1:] - points[0]).T  # from the network's voxels to the scan's indices
    back = np.linalg.inv(forward)
    padded = np.pad(found, 1, mode="edge")  # the outer half of the outermost voxels is seen as well
    offset = 1 - back @ points[0]
    shape = seen.scans.volumes[0].shape
    return np.asarray(affine_transform(padded, back, offset, shape, order=1, mode="constant"), np.float32)
