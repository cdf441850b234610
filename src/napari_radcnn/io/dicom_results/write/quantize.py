"""Values in 16 bits, and the slope and intercept that give them back (DICOM PS3.3, C.11.1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import WriteError


@dataclass(frozen=True, eq=False)
class Stored:
    """Values in 16 bits.

    Attributes
    ----------
    pixels : (k, j, i) array of int16 or uint16
        What the files hold.
    slope, intercept : str
        ``value = pixel * slope + intercept``, as DICOM's decimal strings.
    values : array
        What a reader gets.
    note : str
        What must be said of the difference.
    """

    pixels: npt.NDArray[Any]
    slope: str
    intercept: str
    values: npt.NDArray[Any]
    note: str


def quantized(array: npt.NDArray[Any], modality: str, target: Path) -> Stored:
    """Return the values in 16 bits, off by half a step at most.

    Raises
    ------
    WriteError
        If their range does not fit.
    """
    if array.dtype.kind in "biu":
        low, high = int(array.min()), int(array.max())
        for dtype in (np.int16, np.uint16):
            if low >= np.iinfo(dtype).min and high <= np.iinfo(dtype).max:
                pixels = array.astype(dtype)
                return Stored(pixels, "1", "0", pixels.astype(np.int32), "")
    counts, ranges = zip(*(_range(plane) for plane in array), strict=True)
    found = [limits for limits in ranges if limits is not None]
    least, most = (min(low for low, _ in found), max(high for _, high in found)) if found else (0.0, 0.0)
    note = f" {sum(counts)} voxels without a value were set to the lowest one." if any(counts) else ""
    if modality == "PT":  # the intercept of PET is 0 (DICOM PS3.3, C.8.9.4)
        slope, intercept = decimal(max(abs(least), abs(most)) / 32766 or 1.0), "0"
    else:
        slope, intercept = decimal((most - least) / 65000 or 1.0), decimal((least + most) / 2)
    step, offset = float(slope), float(intercept)
    stored, back = np.empty(array.shape, np.int16), np.empty(array.shape, np.float32)
    for k, plane in enumerate(array):  # slice by slice: float64 of a whole scan would take gigabytes
        values = np.where(np.isfinite(plane), plane, least).astype(np.float64)
        pixels = np.round((values - offset) / step)
        if np.abs(pixels).max() > 32767:  # rounding of the decimal strings cannot do that; absurd ranges can
            raise WriteError(
                f"{target}: the range of the values does not fit into the 16 bits of DICOM; write .nii.gz instead."
            )
        stored[k] = pixels
        back[k] = stored[k].astype(np.float64) * step + offset
    return Stored(stored, slope, intercept, back, f" Values are stored in steps of {step:.3g}." + note)


def _range(plane: npt.NDArray[Any]) -> tuple[int, tuple[float, float] | None]:
    """Return how many pixels have no value, and the lowest and highest value of the others."""
    values = plane[np.isfinite(plane)]
    limits = (float(values.min()), float(values.max())) if values.size else None
    return plane.size - values.size, limits


def decimal(value: float) -> str:
    """Return a DICOM decimal string: at most 16 characters (DICOM PS3.5, 6.2)."""
    for digits in range(14, 2, -1):
        words = f"{float(value):.{digits}g}"
        if len(words) <= 16:
            return words
    return f"{float(value):.3e}"
