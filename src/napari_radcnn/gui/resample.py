"""An oblique or sheared scan on an upright grid, for display, and labels back again."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import CancelledError
from napari_radcnn.geometry import Geometry

#: ``progress(done, total, message)``
Progress = Callable[[int, int, str], None]
#: Voxels made between two looks at `cancel`.
_SLAB_VOXELS = 2_000_000


def resample(
    array: npt.NDArray[Any],
    source: Geometry,
    target: Geometry,
    *,
    nearest: bool,
    fill: float = 0.0,
    progress: Progress | None = None,
    cancel: Event | None = None,
) -> npt.NDArray[Any]:
    """Return the values of `array`, which lies on `source`, at the voxel centers of `target`.

    Parameters
    ----------
    array : (k, j, i) or (k, j, i, 3) array
        On the grid `source`.
    source, target : Geometry
        The two grids, in the same patient.
    nearest : bool
        Take the nearest voxel (labels) instead of interpolating between neighbors (images).
    fill : float
        The value outside the field of view.
    progress, cancel : optional
        Told, and looked at, after every slab of slices.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    from scipy.ndimage import affine_transform

    if array.dtype == bool:
        array = array.astype(np.uint8)
    target_to_source = np.linalg.solve(source.affine, target.affine)
    matrix, offset = target_to_source[:3, :3], target_to_source[:3, 3]
    result = np.empty(target.shape + array.shape[3:], array.dtype)
    depth = max(1, _SLAB_VOXELS // (target.shape[1] * target.shape[2]))
    channels = [...] if array.ndim == 3 else [(..., channel) for channel in range(array.shape[3])]
    for start in range(0, target.shape[0], depth):
        if cancel is not None and cancel.is_set():
            raise CancelledError("Preparing the display")
        stop = min(start + depth, target.shape[0])
        for channel in channels:
            # "grid-constant" keeps the outer half of the border voxels: "constant" would drop a whole border
            # slice for a rounding error of 1e-15.
            affine_transform(
                array[channel],
                matrix,
                offset + matrix[:, 0] * start,
                output_shape=(stop - start, *target.shape[1:]),
                output=result[start:stop][channel],
                order=0 if nearest else 1,
                mode="grid-constant",
                cval=fill,
            )
        if progress is not None:
            progress(stop, target.shape[0], "Preparing the display")
    return result
