"""Uncompressed 16-bit slices, which most scans are: from the files straight into the one array they make.

Decoding slice by slice takes twice the time and, for multi-frame files, twice the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.frames import Frame, image_size
from napari_radcnn.io.dicom.headers import number, text
from napari_radcnn.io.dicom.pixels import stored_bits

#: Implicit and explicit little endian.
_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_THREADS = 2
#: Volumes below this are read in this thread: starting others takes longer, and time series have hundreds of volumes.
_SMALL_BYTES = 1 << 20
#: Slices between two looks at whether the user wants to stop.
_BLOCK = 32


@dataclass(frozen=True)
class _Bits:
    """Where the value stands in 16 bits (DICOM PS3.5, 8.1.1)."""

    stored: int
    shift: int
    is_signed: bool


def plain_values(
    frames: Sequence[Frame], rescales: Sequence[tuple[float, float]], done: Callable[[Frame], None]
) -> npt.NDArray[Any] | None:
    """Return the rescaled values of the frames, or None where they are not all plain 16-bit gray values.

    Parameters
    ----------
    frames : sequence of Frame
        Slices of one size, whose files were measured by `check_size`.
    rescales : sequence of (float, float)
        Slope and intercept of every frame; plain are slope 1 and whole intercepts.
    done : callable
        Called with every frame that was read; may raise to stop.

    Returns
    -------
    (k, j, i) array of int16, uint16, int32 or int64, or None
        The smallest of them that holds all values.

    Raises
    ------
    ReadError
        If a file ends before its pixels do, or says impossible things about its bits.
    """
    if any(slope != 1 or intercept != int(intercept) for slope, intercept in rescales):
        return None
    if not all(_is_plain(frame) for frame in frames):
        return None
    bits = [_bits(frame) for frame in frames]
    out = np.empty((len(frames), *frames[0].shape), np.uint16)
    low = high = 0
    with ThreadPoolExecutor(_THREADS) as pool:  # whose threads start with the first work
        spread = map if out.nbytes < _SMALL_BYTES else pool.map
        for start in range(0, len(frames), _BLOCK):
            ks = range(start, min(start + _BLOCK, len(frames)))
            for k, (least, most) in zip(ks, spread(lambda k: _read(frames[k], out[k], bits[k]), ks), strict=True):
                low, high = min(low, least + int(rescales[k][1])), max(high, most + int(rescales[k][1]))
            for k in ks:
                done(frames[k])
    return _rescaled(out, [b.is_signed for b in bits], [int(intercept) for _, intercept in rescales], low, high)


def smallest_type(low: int, high: int) -> type[np.signedinteger | np.unsignedinteger]:
    """Return the first of int16, uint16, int32 and int64 that holds both values."""
    for dtype in (np.int16, np.uint16, np.int32):
        if low >= np.iinfo(dtype).min and high <= np.iinfo(dtype).max:
            return dtype
    return np.int64


def _is_plain(frame: Frame) -> bool:
    instance = frame.instance
    return (
        frame.tile is None
        and instance.transfer_syntax in _SYNTAXES
        and instance.keyword == "PixelData"
        and number(instance.tags, "BitsAllocated", instance.path) == 16
        and image_size(instance)[2] == 1
        and text(instance.tags, "PhotometricInterpretation").startswith("MONOCHROME")
        and not instance.tags.get("ModalityLUTSequence")
    )


def _bits(frame: Frame) -> _Bits:
    return _Bits(*stored_bits(frame.instance, 16))


def _read(frame: Frame, out: npt.NDArray[np.uint16], bits: _Bits) -> tuple[int, int]:
    """Fill one slice, with the bits of a signed value where it is signed; return its lowest and highest value."""
    with frame.path.open("rb", buffering=0) as file:
        file.seek(frame.instance.offset + frame.index * out.nbytes)
        view = out.reshape(-1).view(np.uint8).data
        got = 0
        while got < out.nbytes and (n := file.readinto(view[got:])):
            got += n
    if got < out.nbytes:
        raise ReadError(
            f"{frame.label}: the pixel data is truncated: expected {out.nbytes} bytes, got {got}; copy the file again."
        )
    if not np.little_endian:
        out.byteswap(inplace=True)
    values = out.view(np.int16) if bits.is_signed else out
    if bits.stored < 16:
        np.left_shift(out, 16 - bits.stored - bits.shift, out=out)  # what lies above is an overlay, not the value
        np.right_shift(values, 16 - bits.stored, out=values)
    return int(values.min()), int(values.max())


def _rescaled(
    out: npt.NDArray[np.uint16], are_signed: list[bool], intercepts: list[int], low: int, high: int
) -> npt.NDArray[Any]:
    """Add the intercepts: in place where the results fit 16 bits, since sums modulo 65536 are then the true ones."""
    dtype = smallest_type(low, high)
    if dtype in (np.int16, np.uint16):
        for k, intercept in enumerate(intercepts):
            if intercept:
                out[k] += np.uint16(intercept % 65536)
        return out.view(dtype)
    wide = np.empty(out.shape, dtype)
    for k, intercept in enumerate(intercepts):
        np.add(out[k].view(np.int16) if are_signed[k] else out[k], intercept, out=wide[k], dtype=dtype)
    return wide
