"""NRRD and NHDR, read by our own small parser: http://teem.sourceforge.net/nrrd/format.html.

Other readers take missing or impossible directions for 1 mm and the identity without a word.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.itk.grid import completed_steps, make_volumes
from napari_radcnn.io.itk.rawdata import inside_folder, integers, numbers, read_bytes, read_text_numbers, whole_number
from napari_radcnn.io.itk.segments import is_segmentation, read_segments
from napari_radcnn.io.problems import NO_ORIENTATION
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel, report
from napari_radcnn.volume import Volume

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_TYPE = {name: code for code, names in _TYPES.items() for name in names}
_ENCODING = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
_TEXT = ("text", "txt", "ascii")
#: Signs that turn a space's x, y, z into L, P, S.
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_MM = {"mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "m": 1000.0, "cm": 10.0, "um": 0.001, "µm": 0.001}
_COLOR_KINDS = ("rgb-color", "3-color", "vector", "rgba-color", "4-color")
_LIST_KINDS = ("list", "time", "none", "???", "", "domain", "stub", "point", "vector")
_MOST_HEADER = 1 << 22
#: What stands behind a backslash in a value of a key, and what it means.
_ESCAPED = {"n": "\n", "\\": "\\"}


@dataclass(frozen=True)
class _Axes:
    """Which axes (fastest first) are space, and how space is reached."""

    space: list[int]
    steps: npt.NDArray[np.float64]
    origin: npt.NDArray[np.float64]


def read_nrrd(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[Volume]:
    """Read a NRRD file; a list or time axis gives one volume for every entry, and so do 3D Slicer's layers of segments.

    Raises
    ------
    ReadError
        If the header is damaged or lies, or the data is truncated, missing, or outside the header's folder.
    """
    report(progress, 0, 1, f"Reading {path.name}")
    fields, keys, start = _header(path)
    warnings: list[str] = []
    sizes = integers(_need(fields, "sizes", path), "sizes", path.name)
    dimension = integers(_need(fields, "dimension", path), "dimension", path.name)[0]
    if len(sizes) != dimension:
        raise ReadError(f"{path.name}: 'dimension' is {dimension}, but 'sizes' has {len(sizes)} numbers.")
    axes = _axes(fields, sizes, path, warnings)
    checked_cancel(cancel)
    array = _data(fields, sizes, start, path)
    kinds = [""] * dimension if is_segmentation(keys) else _kinds(fields, dimension)  # layers are no colors
    images = _images(array, axes.space, kinds, path, warnings)
    report(progress, 1, 1, f"Read {path.name}")
    segments = read_segments(keys, len(images), warnings)
    return make_volumes(
        images,
        axes.steps,
        axes.origin,
        path,
        "NRRD",
        warnings,
        is_label=segments is not None or path.name.lower().endswith(".seg.nrrd"),
        is_calibrated="space directions" in fields or "spacings" in fields,
        is_placed=not any(line.startswith(NO_ORIENTATION) for line in warnings),
        labels=segments or (),
    )


def _header(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """Return the fields, the key/value pairs, and where the data starts in this file."""
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    with path.open("rb") as file:
        magic = file.readline(64)
        if not magic.startswith(b"NRRD000"):
            raise ReadError(f"{path.name}: not a NRRD file: it starts with {magic[:8]!r}, expected NRRD000x.")
        while True:
            raw = file.readline(_MOST_HEADER)
            if not raw or raw.strip(b"\r\n") == b"":
                break
            if file.tell() > _MOST_HEADER:
                raise ReadError(f"{path.name}: the NRRD header has no end.")
            line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
            if line.startswith("#"):
                continue
            if match := re.match(r"([^:]+):=(.*)", line):
                keys[match[1]] = re.sub(r"\\([n\\])", lambda escaped: _ESCAPED[escaped[1]], match[2])
            elif match := re.match(r"([^:]+): ?(.*)", line):
                name, value = match[1].strip().lower(), match[2].strip()
                if fields.setdefault(name, value) != value:
                    raise ReadError(f"{path.name}: the NRRD header gives '{name[:40]}' two values.")
            else:
                raise ReadError(f"{path.name}: the NRRD header is damaged: '{line[:60]}' is not a field.")
        return fields, keys, file.tell()


def _need(fields: dict[str, str], name: str, path: Path) -> str:
    if name not in fields:
        raise ReadError(f"{path.name}: the NRRD header lacks the field '{name}'.")
    return fields[name]


def _kinds(fields: dict[str, str], dimension: int) -> list[str]:
    kinds = fields.get("kinds", "").lower().split()
    return kinds if len(kinds) == dimension else [""] * dimension


def _axes(fields: dict[str, str], sizes: list[int], path: Path, warnings: list[str]) -> _Axes:
    space = fields.get("space", "").lower()
    signs = _SPACES.get(space.removesuffix("-time").removesuffix("t") if space.endswith(("-time", "st")) else space)
    if "space directions" in fields:
        columns = _directions(fields["space directions"], len(sizes), path)
        if signs is None:
            said = f"the space is '{space[:40]}'" if space else "the field 'space' is missing"
            warnings.append(f"{NO_ORIENTATION} ({said}): left-posterior-superior is assumed.")
    else:
        columns = _from_spacings(fields, sizes, path, warnings)
        warnings.append(f"{NO_ORIENTATION}: the header has no 'space directions'.")
    spatial = [n for n, column in enumerate(columns) if column is not None]
    if not 1 <= len(spatial) <= 3:
        raise ReadError(f"{path.name}: {len(spatial)} axes in space ('space directions'); an image has up to three.")
    flip = np.array(signs or (1, 1, 1), float)
    steps = np.stack([column for column in columns if column is not None], axis=1) * flip[:, None]
    origin = _origin(fields, path, warnings) * flip
    scale = _unit(fields, warnings)
    return _Axes(spatial, completed_steps(steps * scale, warnings), origin * scale)


def _directions(text: str, dimension: int, path: Path) -> list[npt.NDArray[np.float64] | None]:
    words = re.findall(r"none|\([^)]*\)", text.lower())
    if len(words) != dimension:
        raise ReadError(f"{path.name}: 'space directions' has {len(words)} entries for {dimension} axes.")
    columns: list[npt.NDArray[np.float64] | None] = []
    for word in words:
        if word == "none":
            columns.append(None)
            continue
        vector = numbers(word.strip("()").replace(",", " "), "space directions", path.name)
        if all(math.isnan(v) for v in vector) and dimension > 3:
            columns.append(None)  # an old way to write "none"
            continue
        if not all(math.isfinite(v) for v in vector):
            raise ReadError(f"{path.name}: 'space directions' contains {word}: a direction must be numbers, not nan.")
        if len(vector) == 4 and not any(vector[:3]):
            columns.append(None)  # the time axis of a space with time
            continue
        if len(vector) == 2:
            vector = [*vector, 0.0]
        if len(vector) not in (3, 4) or any(vector[3:]):
            raise ReadError(f"{path.name}: 'space directions' contains {word}, which is not a direction in space.")
        if not any(vector):
            raise ReadError(f"{path.name}: 'space directions' contains {word}: its length, the spacing, is zero.")
        columns.append(np.array(vector[:3]))
    return columns


def _from_spacings(
    fields: dict[str, str], sizes: list[int], path: Path, warnings: list[str]
) -> list[npt.NDArray[np.float64] | None]:
    if "spacings" not in fields:
        warnings.append(
            "The spacing is unknown (neither 'space directions' nor 'spacings'): measurements in mm are not possible."
        )
        return [np.eye(3)[n] if n < 3 else None for n in range(len(sizes))]
    spacings = numbers(fields["spacings"], "spacings", path.name)
    if len(spacings) != len(sizes):
        raise ReadError(f"{path.name}: 'spacings' has {len(spacings)} numbers for {len(sizes)} axes.")
    spatial = [n for n, s in enumerate(spacings) if not math.isnan(s)][:3]
    columns: list[npt.NDArray[np.float64] | None] = [None] * len(sizes)
    for axis, n in enumerate(spatial):
        if not (math.isfinite(spacings[n]) and spacings[n] > 0):
            raise ReadError(f"{path.name}: 'spacings' contains {spacings[n]}: a spacing must be a positive number.")
        columns[n] = np.eye(3)[axis] * spacings[n]
    return columns


def _origin(fields: dict[str, str], path: Path, warnings: list[str]) -> npt.NDArray[np.float64]:
    if "space origin" not in fields:
        if "space directions" in fields:
            warnings.append("The position in the patient is unknown: the header has no 'space origin'.")
        return np.zeros(3)
    origin = numbers(fields["space origin"].strip("() ").replace(",", " "), "space origin", path.name)
    if not 2 <= len(origin) <= 4 or not all(math.isfinite(v) for v in origin[:3]):
        raise ReadError(f"{path.name}: 'space origin' must have three numbers, got '{fields['space origin'][:60]}'.")
    return np.array([*origin, 0.0][:3])


def _unit(fields: dict[str, str], warnings: list[str]) -> float:
    """Return mm per unit of space."""
    text = fields.get("space units", "").lower()
    units = set(re.findall(r'"([^"]*)"', text) or text.split())
    units -= {"", "s", "ms", "???"}
    if not units:
        return 1.0
    unit = units.pop()
    if units or unit not in _MM:
        warnings.append(f"Unknown unit of length ('space units' {text[:40]}): millimeters are assumed.")
        return 1.0
    return _MM[unit]


def _data(fields: dict[str, str], sizes: list[int], start: int, path: Path) -> npt.NDArray:
    """Return the values with the slowest axis first."""
    kind = _need(fields, "type", path).lower()
    if kind not in _TYPE:
        raise ReadError(f"{path.name}: the type '{kind[:40]}' cannot be read.")
    dtype = np.dtype(_TYPE[kind])
    encoding = _need(fields, "encoding", path).lower()
    name = fields.get("data file", fields.get("datafile"))
    source = path
    if name is not None:
        if name.upper().startswith("LIST") or "%" in name:
            raise ReadError(f"{path.name}: voxels spread over several files cannot be read; write one .nrrd file.")
        source, start = inside_folder(path, name), 0
    elif path.suffix.lower() == ".nhdr":
        raise ReadError(f"{path.name}: the header names no 'data file'.")
    start = _skipped(fields, source, start, path)
    if encoding in _TEXT:
        return read_text_numbers(source, start, dtype, math.prod(sizes), path.name).reshape(sizes[::-1])
    if encoding not in _ENCODING:
        raise ReadError(f"{path.name}: the encoding '{encoding[:40]}' cannot be read; use raw or gzip.")
    if dtype.itemsize > 1:
        endian = _need(fields, "endian", path).lower()
        if endian not in ("little", "big"):
            raise ReadError(f"{path.name}: 'endian' must be little or big, but is '{endian[:40]}'.")
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    n_bytes = math.prod(sizes) * dtype.itemsize
    array = np.frombuffer(read_bytes(source, start, n_bytes, _ENCODING[encoding], path.name), dtype)
    return array.reshape(sizes[::-1]).astype(dtype.newbyteorder("="), copy=False)


def _skipped(fields: dict[str, str], source: Path, start: int, path: Path) -> int:
    """Return where the data starts after 'line skip' and 'byte skip'."""
    lines = whole_number(fields.get("line skip", fields.get("lineskip", "0")), "line skip", path.name)
    skip = whole_number(fields.get("byte skip", fields.get("byteskip", "0")), "byte skip", path.name)
    if skip == -1:
        return -1
    if skip < 0 or lines < 0:
        raise ReadError(f"{path.name}: 'byte skip' or 'line skip' is negative.")
    if lines:
        with source.open("rb") as file:
            file.seek(start)
            for _ in range(min(lines, 1_000_000)):
                file.readline()
            start = file.tell()
    return start + skip


def _images(
    array: npt.NDArray, space: list[int], kinds: list[str], path: Path, warnings: list[str]
) -> list[npt.NDArray]:
    """Return the ``(k, j, i)`` images of an array whose axes run slowest first."""
    n_axes = array.ndim
    others = [n for n in range(n_axes) if n not in space]
    color = [n for n in others if kinds[n] in _COLOR_KINDS and array.shape[n_axes - 1 - n] in (3, 4)]
    if len(color) > 1:
        raise ReadError(f"{path.name}: more than one axis of colors or vectors.")
    for n in others:
        if n not in color and kinds[n] not in _LIST_KINDS:
            raise ReadError(f"{path.name}: an axis of kind '{kinds[n]}' (vectors, tensors) is not an image of voxels.")
    if color and array.dtype != np.uint8:
        raise ReadError(f"{path.name}: an axis of vectors of type {array.dtype} is not an image of voxels.")
    lists = [n for n in others if n not in color]
    order = [*lists[::-1], *space[::-1], *color]
    moved = array.transpose([n_axes - 1 - n for n in order])
    spatial = moved.shape[len(lists) : len(lists) + len(space)]
    shape = (*(1,) * (3 - len(spatial)), *spatial)
    images = moved.reshape(-1, *shape, *((moved.shape[-1],) if color else ()))
    if color and images.shape[-1] == 4:
        warnings.append("The fourth channel (transparency) was left out.")
        images = images[..., :3]
    return list(images)
