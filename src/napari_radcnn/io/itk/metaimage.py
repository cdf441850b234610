"""MetaImage (MHA, MHD), read by our own small parser: https://itk.org/Wiki/ITK/MetaIO/Documentation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.itk.grid import completed_steps, make_volumes
from napari_radcnn.io.itk.rawdata import inside_folder, integers, numbers, read_bytes, read_text_numbers, whole_number
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel, report
from napari_radcnn.volume import Volume

_TYPE = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # MetaIO fixes long at 4 bytes, whatever the compiler does
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_SPACING = ("elementspacing", "elementsize")
_MOST_HEADER = 1 << 20


def read_metaimage(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[Volume]:
    """Read an MHA or MHD file; a fourth axis gives one volume for every entry.

    Raises
    ------
    ReadError
        If the header is damaged or lies, or the data is truncated, missing, or outside the header's folder.
    """
    report(progress, 0, 1, f"Reading {path.name}")
    fields, start = _header(path)
    warnings: list[str] = []
    sizes = integers(_need(fields, "dimsize", path), "DimSize", path.name)
    n_axes = integers(fields.get("ndims", str(len(sizes))), "NDims", path.name)[0]
    if n_axes != len(sizes) or not 2 <= n_axes <= 4:
        raise ReadError(f"{path.name}: 'NDims' {n_axes} does not match 'DimSize' {sizes}, or is not 2, 3 or 4.")
    steps, origin = _geometry(fields, n_axes, path, warnings)
    checked_cancel(cancel)
    array = _data(fields, sizes, start, path)
    array = _scaled(array, fields, path, warnings)
    if n_axes == 2:
        array = array[None]
    images = list(array) if n_axes == 4 else [array]
    report(progress, 1, 1, f"Read {path.name}")
    calibrated = _first(fields, *_SPACING) is not None
    full_steps = completed_steps(steps, warnings)
    return make_volumes(images, full_steps, origin, path, "MetaImage", warnings, is_calibrated=calibrated)


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields, by their names in lower case, and where the data starts in this file."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "elementdatafile" not in fields:
            raw = file.readline(4096)
            if not raw or file.tell() > _MOST_HEADER:
                raise ReadError(f"{path.name}: not a MetaImage header: it has no 'ElementDataFile'.")
            name, equals, value = raw.decode("utf-8", errors="replace").partition("=")
            if not equals:
                if name.strip():
                    raise ReadError(f"{path.name}: not a MetaImage header: '{name.strip()[:40]}' is not a field.")
                continue
            fields[name.strip().lower()] = value.strip()
        return fields, file.tell()


def _need(fields: dict[str, str], name: str, path: Path) -> str:
    if name not in fields:
        raise ReadError(f"{path.name}: the MetaImage header lacks the field '{name}'.")
    return fields[name]


def _first(fields: dict[str, str], *names: str) -> str | None:
    return next((fields[name] for name in names if name in fields), None)


def _geometry(
    fields: dict[str, str], n_axes: int, path: Path, warnings: list[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the steps of the axes in space as columns, and the origin."""
    spatial = min(n_axes, 3)
    text = _first(fields, *_SPACING)
    if text is None:
        warnings.append("The spacing is unknown (no 'ElementSpacing'): 1 mm is assumed; do not measure.")
    spacing = numbers(text or "1 " * n_axes, "ElementSpacing", path.name)
    if len(spacing) != n_axes or not all(math.isfinite(s) and s > 0 for s in spacing[:spatial]):
        raise ReadError(f"{path.name}: the spacing (ElementSpacing) must be {n_axes} positive numbers, got '{text}'.")
    matrix = _first(fields, "transformmatrix", "rotation", "orientation")
    if matrix is None:
        warnings.append("The orientation is unknown (no 'TransformMatrix'): the identity is assumed.")
        direction = np.eye(n_axes)
    else:
        values = numbers(matrix, "TransformMatrix", path.name)
        if len(values) != n_axes * n_axes or not all(math.isfinite(v) for v in values):
            raise ReadError(f"{path.name}: 'TransformMatrix' must have {n_axes * n_axes} numbers, got '{matrix[:60]}'.")
        direction = np.array(values).reshape(n_axes, n_axes).T  # the file lists the direction of one axis after another
    if n_axes == 4 and (np.abs(direction[3, :3]).max() > 0 or np.abs(direction[:3, 3]).max() > 0):
        raise ReadError(f"{path.name}: 'TransformMatrix' mixes the fourth axis with space.")
    lengths = np.linalg.norm(direction[:spatial, :spatial], axis=0)
    if np.abs(lengths - 1).max() > 1e-3:
        raise ReadError(f"{path.name}: the directions in 'TransformMatrix' are not of length 1: {lengths.tolist()}.")
    offset = _first(fields, "offset", "position", "origin")
    if offset is None:
        warnings.append("The position in the patient is unknown (no 'Offset').")
    origin = numbers(offset or "0 " * n_axes, "Offset", path.name)
    if len(origin) != n_axes or not all(math.isfinite(v) for v in origin):
        raise ReadError(f"{path.name}: 'Offset' must have {n_axes} numbers, but is '{offset}'.")
    steps = np.zeros((3, spatial))
    steps[:spatial] = direction[:spatial, :spatial] * np.array(spacing[:spatial])
    return steps, np.array([*origin, 0.0, 0.0][:3] if spatial == 3 else [*origin[:2], 0.0])


def _data(fields: dict[str, str], sizes: list[int], start: int, path: Path) -> npt.NDArray:
    """Return the values with the slowest axis first, and channels, if any, last."""
    element = _need(fields, "elementtype", path).upper().removesuffix("_ARRAY")
    if element not in _TYPE:
        raise ReadError(f"{path.name}: the element type '{element[:40]}' cannot be read.")
    dtype = np.dtype(_TYPE[element])
    channels = integers(fields.get("elementnumberofchannels", "1"), "ElementNumberOfChannels", path.name)[0]
    if channels not in (1, 3, 4) or (channels > 1 and dtype != np.uint8):
        raise ReadError(f"{path.name}: {channels} channels of {element} are vectors, not an image of voxels.")
    name = fields["elementdatafile"]
    source = path
    if name.upper() != "LOCAL":
        if name.upper().startswith("LIST") or "%" in name:
            raise ReadError(f"{path.name}: voxels spread over several files cannot be read; write one .mha file.")
        source = inside_folder(path, name)
        start = whole_number(fields.get("headersize", "0"), "HeaderSize", path.name)
    shape = [*sizes[::-1], channels] if channels > 1 else sizes[::-1]
    if _is_true(fields.get("binarydata", "True")):
        order = _first(fields, "binarydatabyteordermsb", "elementbyteordermsb")
        if order is None and dtype.itemsize > 1:
            raise ReadError(f"{path.name}: the byte order is unknown (no 'BinaryDataByteOrderMSB').")
        dtype = dtype.newbyteorder(">" if _is_true(order or "False") else "<")
        encoding = "gzip" if _is_true(fields.get("compresseddata", "False")) else "raw"
        array = np.frombuffer(read_bytes(source, start, math.prod(shape) * dtype.itemsize, encoding, path.name), dtype)
        array = array.astype(dtype.newbyteorder("="), copy=False)
    else:
        array = read_text_numbers(source, start, dtype, math.prod(shape), path.name)
    return array.reshape(shape)[..., :3] if channels > 1 else array.reshape(shape)


def _scaled(array: npt.NDArray, fields: dict[str, str], path: Path, warnings: list[str]) -> npt.NDArray:
    slope = numbers(fields.get("elementtointensityfunctionslope") or "1", "slope", path.name)[0]
    offset = numbers(fields.get("elementtointensityfunctionoffset") or "0", "offset", path.name)[0]
    if (slope, offset) == (1.0, 0.0) or slope == 0 or not math.isfinite(slope + offset):
        return array
    warnings.append(f"The header's intensity function was applied: value = {slope:g} * stored + {offset:g}.")
    return array.astype(np.float32) * np.float32(slope) + np.float32(offset)


def _is_true(text: str) -> bool:
    return text.strip().lower() in ("true", "t", "1")
