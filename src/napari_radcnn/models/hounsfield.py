"""Whether the values of a scan can be Hounsfield units."""

from __future__ import annotations

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.volume import Volume

#: HU below which a CT of a body always has voxels: fat, if no air.
_LOWEST = -50.0
#: HU that most of a body has.
_FLESH = (-250.0, 250.0)
#: Fraction of all voxels.
_SOME_FLESH = 0.01


def check_hounsfield(volume: Volume) -> None:
    """Raise where the values cannot be Hounsfield units: neither air nor fat lies low enough, or nothing is flesh.

    Raises
    ------
    ModelError
        In plain words.
    """
    thin = volume.array[tuple(slice(None, None, max(1, n // 64)) for n in volume.array.shape)]
    values = thin[np.isfinite(thin)] if np.issubdtype(thin.dtype, np.floating) else thin.ravel()
    if values.size == 0 or values.min() == values.max():
        raise ModelError(
            f"'{volume.name}' has the same value everywhere, or no finite values: there is nothing to segment."
        )
    low, high = float(values.min()), float(values.max())
    if low > _LOWEST:
        raise ModelError(
            f"'{volume.name}' is not in Hounsfield units: its values run from {low:g} to {high:g}, but air and fat "
            f"lie below {_LOWEST:g}. If it is a CT, its rescale intercept (often -1024) was not applied: read the "
            "original DICOM, or add the intercept. This model is for CT only."
        )
    fleshy = np.mean((values > _FLESH[0]) & (values < _FLESH[1]))
    if fleshy < _SOME_FLESH:
        raise ModelError(
            f"'{volume.name}' is not in Hounsfield units, or shows no body: only {100 * fleshy:.1f} % of its values "
            f"lie between {_FLESH[0]:g} and {_FLESH[1]:g}."
        )
