"""Mosaics of Siemens and grids of UIH: the slices of one volume as tiles of one picture, row by row.

The position in the header of a mosaic is wrong in a known way: it is that of a single slice as large as the mosaic,
around the same center (nibabel, "Siemens mosaic format"). Number and direction of the slices stand in private elements
alone. UIH has as many columns as the square root of the slices, rounded up, but no more rows than are needed, and says
of every tile where it lies (dcm2niix, UIH/README.md, from the vendor).
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
#: UIH's block, the number of tiles, and the sequence with the position of each.
_UIH, _UIH_COUNT, _UIH_TILES = (0x0065, "Image Private Header"), 0x50, 0x51
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
    return Mosaic(
        _tiles(count, per_side, rows, columns), first + np.arange(count)[:, None] * spacing * normal, tuple(notes)
    )


def find_grid(instance: Instance, size: tuple[int, int]) -> Mosaic | str:
    """Return where the tiles of a UIH grid lie, or what the file lacks for that.

    Parameters
    ----------
    instance : Instance
        A file whose ImageType says VFRAME.
    size : (int, int)
        Rows and columns of the whole picture.
    """
    try:
        block = instance.dataset.private_block(*_UIH)
        stated = block[_UIH_COUNT].value
        count = _whole(stated.decode("ascii").strip(" \0") if isinstance(stated, bytes) else stated)
        items = _items(block[_UIH_TILES].value)
        positions = [[float(v) for v in item.ImagePositionPatient] for item in items]
    except damage():
        return "the number and positions of its slices, (0065,xx50) and (0065,xx51), are missing or damaged"
    if count is None or len(positions) != count:
        return f"it states {count or 'no'} slices, but positions of {len(positions)}, (0065,xx51)"
    columns_of_tiles = math.ceil(math.sqrt(count))
    rows_of_tiles = math.ceil(count / columns_of_tiles)
    rows, columns = size[0] // rows_of_tiles, size[1] // columns_of_tiles
    if rows < 1 or columns < 1 or rows * rows_of_tiles != size[0] or columns * columns_of_tiles != size[1]:
        return f"{count} slices do not fill {size[0]} x {size[1]} pixels as {rows_of_tiles} rows of {columns_of_tiles}"
    placed = np.array(positions)
    if placed.shape != (count, 3) or not np.isfinite(placed).all():
        return "a position of its slices, (0065,xx51), is not three numbers"
    return Mosaic(_tiles(count, columns_of_tiles, rows, columns), placed, ())


def _tiles(count: int, per_row: int, rows: int, columns: int) -> tuple[tuple[slice, slice], ...]:
    """Return which rows and columns of the picture every tile is."""
    corners = [(n // per_row * rows, n % per_row * columns) for n in range(count)]
    return tuple((slice(row, row + rows), slice(column, column + columns)) for row, column in corners)


def _items(value: Any) -> Any:
    """Return the items of a private sequence, which comes as bytes where the file does not give its type."""
    from pydicom.values import convert_SQ

    return convert_SQ(value, True, True) if isinstance(value, bytes) else value


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
