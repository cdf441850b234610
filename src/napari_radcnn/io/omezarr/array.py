"""What the metadata of a Zarr array says, checked before zarr sees it.

Zarr lets an array name the code that decodes it (hdmf-zarr #385: a pickle behind a harmless filter), so codecs and
types must be on a list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_radcnn.errors import ReadError
from napari_radcnn.io.omezarr.store import read_json, short

#: Codecs that only compute on bytes and numbers. Not here, on purpose: pickle, vlen-*, json, categorize, msgpack.
_CODECS = frozenset(
    {"blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "fixedscaleoffset", "bitround"}
    | {"quantize", "packbits", "crc32", "crc32c", "adler32", "fletcher32"}
)
_V3_CODECS = frozenset({"bytes", "transpose", "blosc", "zstd", "gzip", "crc32c"}) | {
    f"numcodecs.{n}" for n in _CODECS - {"blosc"}
}
#: Settings of codecs that name a type; a type outside numbers could make them build objects.
_TYPE_SETTINGS = ("dtype", "astype", "encode_dtype", "decode_dtype", "data_type")
_MOST_AXES = 32


@dataclass(frozen=True)
class StoredArray:
    """One array of a store, checked; nothing of its data has been read.

    Attributes
    ----------
    name : str
        As errors call it: store and path in it.
    folder : Path
        Where it lies, links resolved.
    zarr_format : int
        2 or 3.
    shape, chunks : tuple of int
        Of the array, and of what one file holds.
    decoded : tuple of int
        Of what is decoded at once: the inner chunk where chunks are gathered in shards.
    dtype : dtype
        In native byte order.
    fill_value : scalar
        What stands for chunks that are missing.
    prefix, separator : str
        How the files are called: ``"c"`` and ``"/"`` make ``c/0/1/2``.
    blosc_trailer : int or None
        How many bytes follow the Blosc frame in a chunk's file; None for other compression.
    """

    name: str
    folder: Path
    zarr_format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    decoded: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: Any
    prefix: str
    separator: str
    blosc_trailer: int | None

    @property
    def n_bytes(self) -> int:
        """Size of the whole array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along every axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True))


def open_array(folder: Path, shown: str, root: Path) -> StoredArray:
    """Read and check the metadata of an array; none of its chunks is touched.

    Raises
    ------
    ReadError
        If the metadata is missing or damaged, or asks for a type or codec that is not on our list.
    """
    if (folder / "zarr.json").exists():
        return _array_v3(read_json(folder / "zarr.json", shown, root), folder, shown)
    return _array_v2(read_json(folder / ".zarray", shown, root), folder, shown)


def _array_v2(meta: Mapping[str, Any], folder: Path, shown: str) -> StoredArray:
    if meta.get("zarr_format") != 2:
        raise ReadError(f"{shown}: the metadata (.zarray) is of Zarr format {short(meta.get('zarr_format'))}, not 2.")
    dtype = _dtype(meta.get("dtype"), shown)
    compressor = meta.get("compressor")
    filters = meta.get("filters") or []
    if not isinstance(filters, list):
        raise ReadError(f"{shown}: the metadata (.zarray) is damaged: 'filters' is not a list.")
    for codec in (*filters, *([] if compressor is None else [compressor])):
        _check_codec(codec, "id", _CODECS, shown)
    if meta.get("order", "C") not in ("C", "F"):
        raise ReadError(f"{shown}: the metadata (.zarray) is damaged: 'order' is {short(meta.get('order'))}.")
    shape, chunks = _sizes(meta.get("shape"), "shape", shown), _sizes(meta.get("chunks"), "chunks", shown)
    separator = meta.get("dimension_separator", ".")
    made = _checked_array(folder, shown, 2, (shape, chunks, chunks), dtype, meta.get("fill_value"), ("", separator))
    names = [codec["id"] for codec in (*filters, *([] if compressor is None else [compressor]))]
    return replace(made, blosc_trailer=_blosc_trailer(names, shown))


def _array_v3(meta: Mapping[str, Any], folder: Path, shown: str) -> StoredArray:
    if meta.get("zarr_format") != 3 or meta.get("node_type") != "array":
        raise ReadError(f"{shown}: the metadata (zarr.json) does not describe a Zarr format 3 array.")
    name = meta.get("data_type")
    if not isinstance(name, str) or name.startswith(("r", "<", ">", "|", "=")):
        raise ReadError(f"{shown}: the data type {short(name)} is refused; voxels must be numbers.")
    dtype = _dtype(name, shown)
    grid, keys = _named(meta.get("chunk_grid"), shown), _named(meta.get("chunk_key_encoding"), shown)
    if grid[0] != "regular" or keys[0] not in ("default", "v2"):
        raise ReadError(f"{shown}: chunks as '{grid[0][:40]}' and '{keys[0][:40]}' are not supported.")
    if meta.get("storage_transformers"):
        raise ReadError(f"{shown}: storage transformers are not supported.")
    shape = _sizes(meta.get("shape"), "shape", shown)
    chunks = _sizes(grid[1].get("chunk_shape"), "chunk_shape", shown)
    inner = _check_v3_codecs(meta.get("codecs"), shown)
    separator = keys[1].get("separator", "/" if keys[0] == "default" else ".")
    prefix = "c" if keys[0] == "default" else ""
    sizes = shape, chunks, inner or chunks
    made = _checked_array(folder, shown, 3, sizes, dtype, meta.get("fill_value"), (prefix, separator))
    return replace(made, blosc_trailer=_blosc_trailer([_named(codec, shown)[0] for codec in meta["codecs"]], shown))


def _blosc_trailer(names: list[str], shown: str) -> int | None:
    """Return how many bytes of checksum follow the Blosc frame in a file, None where there is no Blosc.

    The frame has to be checked by us: c-blosc believes the lengths in it, and reads on behind what a truncated chunk
    holds (numcodecs 0.16). So it must be the outermost thing in the file but for a checksum.
    """
    if "blosc" not in names:
        return None
    behind = names[names.index("blosc") + 1 :]
    if any(name != "crc32c" for name in behind):
        raise ReadError(f"{shown}: Blosc followed by {short(behind)} is refused: its frames cannot be verified.")
    return 4 * len(behind)


def _checked_array(
    folder: Path,
    shown: str,
    zarr_format: int,
    sizes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    dtype: np.dtype[Any],
    fill: object,
    keys: tuple[str, object],
) -> StoredArray:
    shape, chunks, decoded = sizes
    if not len(shape) == len(chunks) == len(decoded):
        raise ReadError(f"{shown}: the shape {list(shape)} and the chunk shape {list(chunks)} differ in length.")
    prefix, separator = keys
    if separator not in (".", "/"):
        raise ReadError(f"{shown}: the separator of chunk names is {short(separator)}; it must be '.' or '/'.")
    value = _fill_value(fill, dtype, shown)
    return StoredArray(shown, folder, zarr_format, shape, chunks, decoded, dtype, value, prefix, str(separator), None)


def _dtype(text: object, shown: str) -> np.dtype[Any]:
    """Return a type of plain numbers."""
    try:
        dtype = np.dtype(text) if isinstance(text, str) else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ReadError(
            f"{shown}: the data type (dtype) {short(text)} is refused: voxels must be real numbers; reading objects, "
            "text or records can run code."
        )
    return dtype.newbyteorder("=")


def _sizes(value: object, what: str, shown: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_AXES:
        raise ReadError(f"{shown}: the metadata is damaged: '{what}' must be a list of sizes, got {short(value)}.")
    if not all(type(n) is int and 1 <= n < 2**62 for n in value):
        raise ReadError(f"{shown}: impossible size: '{what}' must be positive whole numbers, got {short(value)}.")
    return tuple(value)


def _named(value: object, shown: str) -> tuple[str, Mapping[str, Any]]:
    """Return name and configuration of what Zarr 3 calls an extension point."""
    if isinstance(value, str):
        return value, {}
    name = value.get("name") if isinstance(value, dict) else None
    configuration = (value.get("configuration") or {}) if isinstance(value, dict) else {}
    if not isinstance(name, str) or not isinstance(configuration, dict):
        raise ReadError(f"{shown}: the metadata (zarr.json) is damaged: {short(value)} has no name.")
    return name, configuration


def _check_v3_codecs(codecs: object, shown: str, depth: int = 0) -> tuple[int, ...] | None:
    """Refuse codecs that are not on the list; return the shape of the inner chunks where there are shards."""
    if not isinstance(codecs, list) or not codecs or depth > 2:
        raise ReadError(f"{shown}: the metadata (zarr.json) is damaged: 'codecs' is {short(codecs)}.")
    inner = None
    for codec in codecs:
        name, configuration = _named(codec, shown)
        if name == "sharding_indexed":
            inner = _sizes(configuration.get("chunk_shape"), "chunk_shape", shown)
            inner = _check_v3_codecs(configuration.get("codecs"), shown, depth + 1) or inner
            _check_v3_codecs(configuration.get("index_codecs", ["bytes"]), shown, depth + 1)
        elif name == "blosc" and depth:
            raise ReadError(f"{shown}: Blosc in shards is refused: its frames cannot be verified; store it as zstd.")
        else:
            _check_codec({**configuration, "name": name}, "name", _V3_CODECS, shown)
    return inner


def _check_codec(codec: object, key: str, allowed: frozenset[str], shown: str) -> None:
    name = codec.get(key) if isinstance(codec, dict) else codec
    if not isinstance(codec, dict) or not isinstance(name, str) or name not in allowed:
        raise ReadError(
            f"{shown}: the codec or filter {short(name)} is refused; it is not on the list of codecs known to be safe."
        )
    for setting in _TYPE_SETTINGS:
        if codec.get(setting) is not None:
            _dtype(codec[setting], f"{shown}: the codec '{name}'")


def _fill_value(fill: object, dtype: np.dtype[Any], shown: str) -> Any:
    """Return the fill value as Zarr 2 and 3 write it: a number, a name of one that JSON lacks, or its bits."""
    if fill is None:
        return dtype.type(0)
    try:
        if isinstance(fill, str) and dtype.kind == "f":
            if fill.startswith("0x"):
                return np.array(int(fill, 16), f"u{dtype.itemsize}").view(dtype)[()]
            return dtype.type({"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[fill])
        if isinstance(fill, bool | int | float) and dtype.kind in "fb":
            return dtype.type(fill)
        if isinstance(fill, bool | int | float) and fill == int(fill):
            return dtype.type(int(fill))
    except (ValueError, OverflowError, KeyError):
        pass
    raise ReadError(f"{shown}: the fill value {short(fill)} in the metadata does not match the data type {dtype}.")
