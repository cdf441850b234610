"""Siemens mosaics: the slices of one volume as tiles of one picture, row by row.

The position in the header is wrong in a known way: it is that of a single slice as large as the mosaic, around the
same center (nibabel, "Siemens mosaic format"). Number and direction of the slices stand in private elements alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.headers import Instance, damage, number

#: Private block and element of the number of tiles.
_HEADER, _COUNT = (0x0019, "SIEMENS MR HEADER"), 0x0A
#: The normal in Siemens' own header must be along that of the slices.
_LEAST_COSINE = 0.999
_DIRECTION_ASSUMED = (
    "Siemens mosaic without its CSA header: the slices are assumed to follow each other along the normal of "
    "ImageOrientationPatient; their order may be reversed. Check which end is the head."
)
_SPACING_ASSUMED = "Siemens mosaic without SpacingBetweenSlices: SliceThickness was used as their spacing."


@dataclass(frozen=True)
class Mosaic:
    """The tiles of a mosaic, in the order of the picture.

    Attributes
    ----------
    tiles : tuple of (slice, slice)
        Rows and columns of each.
    positions : (n, 3) array
        Center of the first pixel of each, LPS mm.
    notes : tuple of str
        What was assumed.
    """

    tiles: tuple[tuple[slice, slice], ...]
    positions: npt.NDArray[np.float64]
    notes: tuple[str, ...]


def find_mosaic(
    instance: Instance,
    size: tuple[int, int],
    position: npt.NDArray[np.float64],
    cosines: npt.NDArray[np.float64],
    pixel_spacing: tuple[float, float],
) -> Mosaic | None:
    """Return where the tiles lie, or None where the file does not say enough.

    Parameters
    ----------
    instance : Instance
        A file whose ImageType says MOSAIC.
    size : (int, int)
        Rows and columns of the whole picture.
    position : (3,) array
        ImagePositionPatient, LPS mm.
    cosines : (2, 3) array
        World directions along a row and along a column.
    pixel_spacing : (float, float)
        mm between rows, between columns.
    """
    csa = _csa_tags(instance)
    count = _tile_count(instance) or _whole(_first(csa, "NumberOfImagesInMosaic"))
    notes = []
    spacing = _positive(instance, "SpacingBetweenSlices")
    if spacing is None:
        spacing = _positive(instance, "SliceThickness")
        notes.append(_SPACING_ASSUMED)
    if not count or spacing is None:
        return None
    per_side = math.ceil(math.sqrt(count))
    rows, columns = size[0] // per_side, size[1] // per_side
    if rows < 1 or columns < 1 or rows * per_side != size[0] or columns * per_side != size[1]:
        return None
    normal = np.cross(cosines[0], cosines[1])
    stated = _slice_normal(csa)
    if stated is None:
        notes.append(_DIRECTION_ASSUMED)
    elif abs(float(stated @ normal)) < _LEAST_COSINE:
        return None
    else:
        normal = normal * math.copysign(1.0, float(stated @ normal))
    first = (
        position
        + cosines[0] * pixel_spacing[1] * (size[1] - columns) / 2
        + cosines[1] * pixel_spacing[0] * (size[0] - rows) / 2
    )
    tiles = []
    for n in range(count):
        row, column = n // per_side * rows, n % per_side * columns
        tiles.append((slice(row, row + rows), slice(column, column + columns)))
    return Mosaic(tuple(tiles), first + np.arange(count)[:, None] * spacing * normal, tuple(notes))


def _tile_count(instance: Instance) -> int | None:
    group, creator = _HEADER
    try:
        return _whole(instance.dataset.private_block(group, creator)[_COUNT].value)
    except damage():
        return None


def _csa_tags(instance: Instance) -> dict[str, Any]:
    """Return Siemens' own header of the image (0029,xx10), empty where there is none that can be read."""
    from nibabel.nicom.csareader import CSAError, get_csa_header

    try:
        header = get_csa_header(instance.dataset, "image")
    except (*damage(), CSAError, AssertionError):
        return {}
    return header["tags"] if header else {}


def _first(csa: dict[str, Any], name: str) -> Any:
    items = csa.get(name, {}).get("items")
    return items[0] if items else None


def _slice_normal(csa: dict[str, Any]) -> npt.NDArray[np.float64] | None:
    items = csa.get("SliceNormalVector", {}).get("items") or []
    try:
        vector = np.array([float(item) for item in items])
    except (TypeError, ValueError):
        return None
    length = float(np.linalg.norm(vector))
    return vector / length if vector.shape == (3,) and 0 < length < math.inf else None


def _whole(value: Any) -> int | None:
    """Return a number of tiles; private elements come as numbers, text, or bytes of an unknown kind."""
    if isinstance(value, bytes) and len(value) == 2:
        value = int.from_bytes(value, "little")
    try:
        found = int(value)
    except (TypeError, ValueError):
        return None
    return found if 1 <= found <= 10_000 else None


def _positive(instance: Instance, keyword: str) -> float | None:
    try:
        value = number(instance.tags, keyword, instance.path)
    except ReadError:
        return None
    return value if value is not None and 0 < value < math.inf else None
