"""The values of labels as layers and label maps hold them, and their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import RadcnnError
from napari_radcnn.volume import Label


def unsigned(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return `array` as the smallest fitting unsigned integers; without a copy where it has such a type already."""
    if array.dtype in (np.uint8, np.uint16, np.uint32):
        return array
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise RadcnnError(f"'{name}' contains values from {low:g} to {high:g}; labels must be 0 to 4294967295.")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise RadcnnError(f"'{name}' contains fractions; labels must be whole numbers.")
    return array.astype(np.min_scalar_type(int(high)))


def names_of(array: npt.NDArray[Any], known: Mapping[int, Label]) -> dict[int, Label]:
    """Return `known` and a label for each further value in `array`."""
    is_small = array.dtype.itemsize <= 2
    present = np.flatnonzero(np.bincount(array.ravel())) if is_small else np.unique(array)
    found = {int(value): Label(f"label {value}") for value in present if value != 0}
    return dict(sorted({**found, **known}.items()))


def feature_names(layer: Any) -> dict[int, Label]:
    """Return the names that a Labels layer's feature table gives, if it has columns ``index`` and ``name``."""
    table = layer.features
    if "index" not in table or "name" not in table:
        return {}
    pairs = zip(table["index"], table["name"], strict=True)
    return {int(value): Label(str(name)) for value, name in pairs if int(value) > 0}
