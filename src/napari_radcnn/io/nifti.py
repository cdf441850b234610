"""NIfTI-1, NIfTI-2 and Analyze pairs, read and written with nibabel.

NIfTI's world is RAS, ours is LPS, and its arrays run ``(i, j, k)``: `flipped_world` is the one place where that
changes. Everything a header says is checked against the file before memory is taken, since
several readers fill a truncated file up with zeros without a word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import atomic_path, binary_size
from napari_radcnn.interop import to_nibabel
from napari_radcnn.io.guard import verify_written
from napari_radcnn.io.gzipped import GZIP_ERROR, GzipStream, gzip_writer
from napari_radcnn.io.nifti_forms import geometry_of
from napari_radcnn.io.problems import NO_ORIENTATION, stem_of
from napari_radcnn.progress import CancelEvent, Progress, checked_cancel, report
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

#: The first bytes of a header: its own size, 348 (NIfTI-1, Analyze) or 540 (NIfTI-2), in either byte order.
HEADER_STARTS = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c", b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
#: How the two files of a pair are called, header first.
_PAIRS = ((".hdr", ".img"), (".hdr.gz", ".img.gz"), (".HDR", ".IMG"))
_MAGIC = (b"n+1\x00", b"ni1\x00", b"n+2\x00", b"ni2\x00")
_RGB = {128: 3, 2304: 4}
_COMPLEX = {32, 1792, 2048}
#: What we read after the voxels before we stop: a gzip stream may go on for gigabytes.
_SLACK_BYTES = 1 << 20


def read_nifti(path: Path, progress: Progress | None = None, cancel: CancelEvent | None = None) -> list[Volume]:
    """Read a NIfTI file; a 4-D file gives one volume for every 3-D image in it.

    Raises
    ------
    ReadError
        If the header is no NIfTI header or impossible, or the file is shorter than it says, or damaged.
    """
    header_path, data_path = _pair(path)
    report(progress, 0, 2, f"Reading {path.name}")
    header, warnings = _header(header_path, path)
    shape, n_volumes = _shape(header, path)
    geometry, geometry_warnings = geometry_of(header, shape, path)
    warnings += geometry_warnings
    checked_cancel(cancel)
    dtype = header.get_data_dtype()
    n_bytes = math.prod(shape) * n_volumes * dtype.itemsize
    raw, data_warnings = _data(data_path, _offset(header, data_path == header_path, path), n_bytes)
    warnings += data_warnings
    report(progress, 1, 2, f"Reading {path.name}")
    stored = np.frombuffer(raw, dtype=dtype).reshape(n_volumes, *shape[::-1])
    array, value_warnings = _values(stored, header)
    warnings += value_warnings
    report(progress, 2, 2, f"Read {path.name}")
    name = stem_of(path)
    return [
        Volume(
            array[n],
            geometry,
            VolumeMetadata(
                name=name if n_volumes == 1 else f"{name} · {n + 1}",
                is_label=int(header["intent_code"]) == 1002,
                source=path,
                source_format="NIfTI",
                is_placed=not any(line.startswith(NO_ORIENTATION) for line in warnings),
            ),
            tuple(warnings),
        )
        for n in range(n_volumes)
    ]


def write_nifti(obj: Volume | LabelMap, path: Path, overwrite: bool = False) -> None:
    """Write a NIfTI-1 file (NIfTI-2 where an axis is longer than 32767) with both forms set to scanner space.

    Raises
    ------
    WriteError
        If the file cannot be written, or the type of the values has no place in NIfTI.
    """
    is_label = isinstance(obj, LabelMap) or obj.metadata.is_label
    try:
        image = to_nibabel(np.asarray(obj.array), obj.geometry, is_label=is_label)
    except WriteError as error:
        raise WriteError(f"{path}: {error}") from error
    with atomic_path(path, overwrite) as temporary:
        # `to_filename` of nibabel 5.4 leaves the file open where the disk is full.
        with gzip_writer(temporary) if path.name.lower().endswith(".gz") else temporary.open("wb") as file:
            image.to_stream(file)
        verify_written(obj, temporary, path, lambda written: read_nifti(written, None, None))


def is_voxel_half(path: Path) -> bool:
    """Whether a file holds the voxels of a pair whose header lies beside it, and by whose name the pair is opened."""
    name = path.name
    return any(
        name.endswith(data_suffix) and path.with_name(name.removesuffix(data_suffix) + header_suffix).is_file()
        for header_suffix, data_suffix in _PAIRS
    )


def halves(path: Path) -> list[Path]:
    """Return the other file of a pair of header and voxels; empty for a file that is whole, or stands alone."""
    name, found = path.name, []
    for suffixes in _PAIRS:
        for own, other in (suffixes, suffixes[::-1]):
            if name.endswith(own):
                found.append(path.with_name(name[: -len(own)] + other))
    return [other for other in found if other.is_file()]


def _pair(path: Path) -> tuple[Path, Path]:
    """Return the files of the header and of the voxels."""
    name = path.name
    for header_suffix, data_suffix in _PAIRS:
        if name.endswith(header_suffix) or name.endswith(data_suffix):
            suffix = header_suffix if name.endswith(header_suffix) else data_suffix
            header = path.with_name(name[: -len(suffix)] + header_suffix)
            data = path.with_name(name[: -len(suffix)] + data_suffix)
            for part in (header, data):
                if not part.is_file():
                    raise ReadError(f"{path.name}: its other half {part.name} is missing; put it into the same folder.")
            return header, data
    return path, path


@contextmanager
def _opened(path: Path) -> Iterator[GzipStream | BinaryIO]:
    """Open the file, uncompressed if it starts like gzip, whatever it is called."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield GzipStream(file) if is_gzip else file


def _read_exactly(file: GzipStream | BinaryIO, n_bytes: int) -> npt.NDArray[np.uint8]:
    """Read `n_bytes`, or as many as there are; what a lying header asks for is reserved, but not filled."""
    data = np.empty(n_bytes, np.uint8)
    got = 0
    while got < n_bytes and (n := file.readinto(data[got:])):  # type: ignore[union-attr]
        got += n
    return data[:got]


def _header(header_path: Path, path: Path) -> tuple[Any, list[str]]:
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    try:
        with _opened(header_path) as file:
            start = _read_exactly(file, 544).tobytes()
    except (OSError, EOFError, GZIP_ERROR) as error:
        raise ReadError(f"{path.name}: the gzip data is damaged or cut off ({error}); copy the file again.") from error
    if len(start) < 348:
        raise ReadError(f"{path.name}: the file is truncated: a NIfTI header has 348 bytes, got {len(start)}.")
    warnings = []
    size = start[:4]
    if size not in HEADER_STARTS:
        raise ReadError(f"{path.name}: not a NIfTI header: it starts with {start[:4].hex(' ')}.")
    is_second = size in HEADER_STARTS[2:]
    magic = start[4:8] if is_second else start[344:348]
    is_analyze = False
    if magic not in _MAGIC:
        is_analyze = header_path.name.lower().endswith((".hdr", ".hdr.gz")) and not magic.strip(b"\0")
        if not is_analyze:
            raise ReadError(f"{path.name}: not a NIfTI header: the magic is {magic!r}, expected b'n+1' or b'ni1'.")
    kind = nibabel.Nifti2Header if is_second else nibabel.Nifti1Header
    try:
        header = kind(start[: 540 if is_second else 348], check=False)
    except (ValueError, HeaderDataError) as error:
        raise ReadError(f"{path.name}: the NIfTI header is damaged: {error}.") from error
    if is_analyze:
        header["qform_code"] = header["sform_code"] = 0  # Analyze 7.5 kept other things at these places
        warnings.append("Analyze 7.5 header: it has no orientation; left and right are unknown.")
    header.extensions.clear()
    return header, warnings


def _shape(header: Any, path: Path) -> tuple[tuple[int, int, int], int]:
    """Return the 3-D shape ``(i, j, k)`` and how many such images there are."""
    from nibabel.spatialimages import HeaderDataError

    dim = [int(n) for n in header["dim"]]
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]):
        raise ReadError(f"{path.name}: impossible dimensions (dim) in the header: {dim}; sizes must be positive.")
    sizes = dim[1 : dim[0] + 1] + [1] * (7 - dim[0])
    if math.prod(sizes[4:]) > 1:
        what = {1006: "displacement vectors", 1007: "vectors"}.get(int(header["intent_code"]), "vectors or tensors")
        raise ReadError(
            f"{path.name}: a {dim[0]}-D file (dimensions {sizes[: dim[0]]}, {what}) is not an image of voxels."
        )
    try:
        header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise ReadError(f"{path.name}: unknown data type code {int(header['datatype'])} in the header.") from error
    if header.get_data_dtype().itemsize == 0 or int(header["datatype"]) == 1:
        raise ReadError(f"{path.name}: data type code {int(header['datatype'])} in the header cannot be read.")
    return (sizes[0], sizes[1], sizes[2]), sizes[3]


def _offset(header: Any, is_single_file: bool, path: Path) -> int:
    """Return where the voxels start; a single file that says 0 means right behind its header (nifti1.h)."""
    offset = float(header["vox_offset"])
    least = int(header["sizeof_hdr"]) + 4 if is_single_file else 0
    if offset == 0:
        return least
    if not math.isfinite(offset) or offset < least:
        raise ReadError(
            f"{path.name}: according to the header, the voxels start at byte {offset:g}; the header is damaged."
        )
    return int(offset)


def _data(path: Path, offset: int, n_bytes: int) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Return exactly the bytes of the voxels, and what must be said about the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    # deflate cannot do better than 1032:1, so a header that asks for more than that of a file lies
    most = size * 1032 + _SLACK_BYTES if is_gzip else size
    if offset + n_bytes > most:
        raise _too_short(path, offset + n_bytes, size, "compressed " if is_gzip else "")
    warnings: list[str] = []
    if path.name.lower().endswith(".gz") and not is_gzip:
        warnings.append("The file has the suffix .gz but is not compressed; it was read uncompressed.")
    with _opened(path) as file:
        try:
            skipped = _read_exactly(file, offset)
            data = _read_exactly(file, n_bytes)
            warnings += _check_end(file) if is_gzip else []
        except (EOFError, GZIP_ERROR) as error:
            what = "truncated" if isinstance(error, EOFError) else "damaged or its checksum wrong"
            raise ReadError(
                f"{path.name}: the gzip data is {what} ({error}), expected {n_bytes} bytes of voxels; copy it again."
            ) from error
        if len(data) < n_bytes:
            raise _too_short(path, offset + n_bytes, len(skipped) + len(data), "")
    return data, warnings


def _check_end(file: GzipStream | BinaryIO) -> list[str]:
    """Read on to the checksum at the end of a gzip stream, but not for ever."""
    tail = len(_read_exactly(file, _SLACK_BYTES))
    if tail >= _SLACK_BYTES:
        return [
            "The file has more than 1 MiB of data after the voxels; the rest was not read and its checksum not "
            "verified."
        ]
    return []


def _too_short(path: Path, expected: int, got: int, kind: str) -> ReadError:
    return ReadError(
        f"{path.name}: the file is truncated or its header is wrong: expected {expected} bytes "
        f"({binary_size(expected)}), got {got} {kind}bytes; copy the file again."
    )


def _values(stored: npt.NDArray, header: Any) -> tuple[npt.NDArray, list[str]]:
    """Turn stored values into the values meant: color, magnitude, native byte order, scaling."""
    code = int(header["datatype"])
    warnings: list[str] = []
    if code in _RGB:
        channels = stored.view(np.uint8).reshape(*stored.shape, _RGB[code])
        return np.ascontiguousarray(channels[..., :3]), warnings
    if code in _COMPLEX:
        warnings.append("Complex values: the magnitude is shown, the phase is dropped.")
        stored = np.abs(stored)
        stored = stored.astype(np.float32 if stored.dtype.itemsize <= 8 and code == 32 else np.float64)
    if not stored.dtype.isnative:
        stored = stored.astype(stored.dtype.newbyteorder("="))
    if stored.dtype.kind == "f" and stored.dtype.itemsize > 8:
        stored = stored.astype(np.float64)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not math.isfinite(slope) or not math.isfinite(intercept):
        if not (math.isnan(slope)):  # nibabel and others write nan for "no scaling"; that is no mistake
            warnings.append(f"The scaling in the header (scl_slope {slope}, scl_inter {intercept}) was ignored.")
        return stored, warnings
    if slope == 0 or (slope == 1 and intercept == 0):  # 0 says "no scaling", the intercept included (nifti1.h)
        return stored, warnings
    wide = stored.dtype.itemsize >= 4 and stored.dtype != np.float32
    scaled: npt.NDArray[Any] = stored.astype(np.float64 if wide else np.float32)
    with np.errstate(over="ignore"):  # a slope from a damaged header; infinities can be seen
        scaled *= slope
        scaled += intercept
    return scaled, warnings
