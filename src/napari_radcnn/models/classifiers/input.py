"""What the networks that classify are shown: pictures of one size, made alike for training and for use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError

#: Sides of the radiograph in pixels and of the cube around a gland in voxels of 1 mm, as MedMNIST v2 made them.
RADIOGRAPH, CUBE = 28, 64
#: Voxels of the cube in a cell the network sees; distance to the surface in mm that counts as one.
CELL, DEEP = 4, 8.0


def standardized(picture: npt.NDArray) -> npt.NDArray[np.float32]:
    """Return pictures `(..., 28, 28)` with mean 0 and standard deviation 1 each, whatever their window was.

    Raises
    ------
    ModelError
        If a picture is constant or holds numbers that are not finite.
    """
    values = np.asarray(picture, np.float32)
    mean, spread = values.mean((-2, -1), keepdims=True), values.std((-2, -1), keepdims=True)
    if not np.isfinite(values).all() or (spread <= 1e-6 * np.abs(mean)).any():
        raise ModelError("The image is constant or contains non-finite values: there is nothing to classify.")
    return (values - mean) / spread


def gland_channels(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return what the network sees of a mask `(64, 64, 64)` of 1 mm voxels: channels `(2, 16, 16, 16)`.

    The first says how full a cell of 4 mm is, the second how deep its deepest voxel lies under the surface: a mass
    shows as a place that is thick.
    """
    from scipy.ndimage import distance_transform_edt

    depth = np.zeros(mask.shape, np.float32)
    where = np.nonzero(mask)
    if where[0].size:
        box = tuple(slice(max(0, axis.min() - 1), axis.max() + 2) for axis in where)
        # Padded, so that what the cube cuts off does not look thick.
        depth[box] = distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    cells = tuple(n for side in mask.shape for n in (side // CELL, CELL))
    full = mask.reshape(cells).mean((1, 3, 5))
    deep = depth.reshape(cells).max((1, 3, 5)) / DEEP
    return np.stack([full, deep]).astype(np.float32)
