"""The stored values of one file: found, measured against the file's size, decoded, masked to the bits that count."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.files import binary_size, some_names
from napari_radcnn.io.dicom.colors import check_color, eight_bits, palette_colors
from napari_radcnn.io.dicom.frames import frame_count, image_size
from napari_radcnn.io.dicom.headers import DEFLATED, UNDEFINED_LENGTH, Instance, damage, deflated_start, number, text

_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED)
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
#: MPEG-2, MPEG-4 AVC/H.264 and HEVC/H.265 (DICOM PS3.5, A.4.5 to A.4.12).
_VIDEO = tuple(f"1.2.840.10008.1.2.4.{n}" for n in range(100, 109))
_RLE = "1.2.840.10008.1.2.5"
#: JPEG, JPEG-LS, JPEG 2000, HTJ2K: their code streams end with the marker FFD9.
_MARKED = "1.2.840.10008.1.2.4."
#: How a code stream of JPEG or JPEG-LS begins, and one of JPEG 2000.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
#: No frame of a real scan is larger than this when decoded (16 bits, 100 megapixels).
_MOST_FRAME_BYTES = 1 << 30


def check_size(instance: Instance) -> None:
    """Compare what the header announces with what the file holds, before any memory is taken.

    Raises
    ------
    ReadError
        If the transfer syntax cannot be read, the pixels are truncated, or the sizes in the header are wrong.
    """
    path, syntax = instance.path, instance.transfer_syntax
    rows, columns, samples = image_size(instance)
    frames = frame_count(instance)
    bits = _allocated(instance)
    if syntax in _VIDEO:
        name = syntax_name(syntax)
        raise ReadError(
            f"{path.name}: the transfer syntax is a video ({name}), which is not supported; open it in a video player."
        )
    if syntax not in _NATIVE:
        _check_decoder(instance)
    size = path.stat().st_size
    if syntax in _NATIVE:
        expected = _native_bytes(instance)
        got = size - instance.offset
        if syntax == DEFLATED:
            got = min(instance.length, size * 1032)  # deflate cannot do better than 1032:1
        elif instance.length == UNDEFINED_LENGTH:
            raise ReadError(f"{path.name}: pixel data of undefined length in an uncompressed file; it is damaged.")
        elif instance.length > got:
            raise ReadError(
                f"{path.name}: the file is truncated: its pixel data has a length of {instance.length} bytes, expected "
                f"{expected}, got {max(got, 0)}; copy the file again."
            )
        if min(got, instance.length) < expected:
            raise ReadError(
                f"{path.name}: the pixel data is truncated or the header wrong: {frames} frames of {rows} x {columns} "
                f"expected {expected} bytes ({binary_size(expected)}), got {min(got, instance.length)}."
            )
        # fewer bytes than a row or a column cannot come from a wrong size
        if _excess(instance) * 8 >= min(rows, columns) * samples * bits and not _is_padded(instance):
            raise ReadError(
                f"{path.name}: the pixel data is longer than the header states: {frames} frames of {rows} x "
                f"{columns} expected {expected} bytes, got {instance.length}: Rows, Columns, NumberOfFrames or the "
                "bits are wrong; export the images again."
            )
        return
    per_frame = rows * columns * samples * max(bits // 8, 1)
    # every encapsulated frame has an item of at least 8 bytes
    if frames > max(size // 8, 1) or per_frame > _MOST_FRAME_BYTES:
        raise ReadError(
            f"{path.name}: {frames} frames of {rows} x {columns} are expected, but the pixel data of "
            f"{binary_size(size)} cannot contain them; the header is wrong."
        )


def stored_values(instance: Instance, bits: tuple[int, int, bool] | None = None) -> npt.NDArray[Any]:
    """Return the decoded frames: ``(frames, rows, columns)``, or ``(..., 3)`` uint8 for color.

    Gray values are as stored (no rescale): masked to BitsStored and with their sign, in native byte order.

    Parameters
    ----------
    instance : Instance
        The file.
    bits : (int, int, bool), optional
        How many bits hold the value of gray pixels, how many lie below them, and whether it has a sign; by default what
        the file says.

    Raises
    ------
    ReadError
        If the file cannot be decoded completely; names the file and what is wrong.
    """
    check_size(instance)
    check_color(instance)
    rows, columns, samples = image_size(instance)
    frames = frame_count(instance)
    is_gray = samples == 1 and text(instance.tags, "PhotometricInterpretation").startswith("MONOCHROME")
    simple = is_gray or instance.keyword != "PixelData"
    is_native = instance.transfer_syntax in _NATIVE and simple
    values = _native(instance) if is_native else _decoded(instance)
    is_palette = text(instance.tags, "PhotometricInterpretation") == "PALETTE COLOR"
    channels = 3 if is_palette else samples
    expected = (frames, rows, columns) if channels == 1 else (frames, rows, columns, channels)
    if values.size != int(np.prod(expected)):
        raise ReadError(
            f"{instance.path.name}: the decoded pixel data has the shape {values.shape}, expected {expected}; the "
            "file is corrupt."
        )
    values = values.reshape(expected).astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f":
        return values
    if is_gray:
        return _masked(values, instance, bits)
    return eight_bits(values, instance)


def syntax_name(syntax: str) -> str:
    """Return the transfer syntax in words, with its UID."""
    from pydicom.uid import UID

    name = UID(syntax).name
    return syntax if name == syntax else f"{name}, {syntax}"


def _check_decoder(instance: Instance) -> None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    name = f"the transfer syntax {syntax_name(instance.transfer_syntax)}"
    try:
        decoder = get_decoder(UID(instance.transfer_syntax))
    except NotImplementedError as error:
        raise ReadError(f"{instance.path.name}: {name} cannot be read; export the images uncompressed.") from error
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise ReadError(f"{instance.path.name}: {name} needs a decoder that is not installed: {missing}.")


def _allocated(instance: Instance) -> int:
    if instance.keyword != "PixelData":
        return 32 if instance.keyword == "FloatPixelData" else 64
    bits = number(instance.tags, "BitsAllocated", instance.path)
    if bits is None or bits not in (1, 8, 16, 32):
        raise ReadError(f"{instance.path.name}: BitsAllocated is {bits}, expected 8, 16 or 32; the file is damaged.")
    return int(bits)


def _native_bytes(instance: Instance) -> int:
    rows, columns, samples = image_size(instance)
    pixels = rows * columns * samples * frame_count(instance)
    if text(instance.tags, "PhotometricInterpretation") == "YBR_FULL_422":
        pixels = pixels // 3 * 2  # two of three color samples are shared by neighbours (DICOM PS3.3, C.7.6.3.1.2)
    return (pixels * _allocated(instance) + 7) // 8


def _excess(instance: Instance) -> int:
    """Return how many bytes lie behind the pixels, without the one that makes the number even (DICOM PS3.5, 7.1.1)."""
    expected = _native_bytes(instance)
    return max(instance.length - expected - expected % 2, 0)


def _is_padded(instance: Instance) -> bool:
    """Whether what lies behind the pixels is zero, less than a frame, and no sign of rows that are longer than said.

    With too few columns each row begins within the one before, so that neighboring rows are less alike than with as
    many columns as the data are enough for.
    """
    rows, columns, samples = image_size(instance)
    bits, excess, expected = _allocated(instance), _excess(instance), _native_bytes(instance)
    lines = rows * frame_count(instance)
    if instance.transfer_syntax == DEFLATED or bits not in (8, 16) or excess * frame_count(instance) >= expected:
        return False
    data = _read(instance, expected + expected % 2 + excess)
    if any(data[expected:]):
        return False
    more = excess * 8 // (bits * samples * lines)
    if more == 0:
        return True
    order = ">" if instance.transfer_syntax == _BIG_ENDIAN else "<"
    pixels = np.frombuffer(data, f"{order}u{bits // 8}", lines * (columns + more) * samples)
    stated, wider = (
        float(np.abs(np.diff(pixels[: lines * width].reshape(lines, width).astype(float), axis=0)).mean())
        for width in (columns * samples, (columns + more) * samples)
    )
    return stated <= wider


def excess_note(instances: Iterable[Instance]) -> list[str]:
    """Say in which uncompressed files bytes behind the pixels are left out."""
    longer = [instance for instance in instances if instance.transfer_syntax in _NATIVE and _excess(instance)]
    if not longer:
        return []
    names = some_names([instance.path for instance in longer])
    return [
        f"{names}: {_excess(longer[0])} bytes after the pixel data, which the header does not account for, are ignored."
    ]


def _read(instance: Instance, n_bytes: int) -> bytes:
    """Return the first bytes of the pixel data."""
    with instance.path.open("rb") as file:
        if instance.transfer_syntax != DEFLATED:
            file.seek(instance.offset)
            data = file.read(n_bytes)
        else:
            file.seek(deflated_start(file))
            engine = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                data = engine.decompress(file.read(), instance.offset + n_bytes)[instance.offset :]
            except zlib.error as error:
                raise ReadError(f"{instance.path.name}: the deflated data is damaged ({error}).") from error
    if len(data) < n_bytes:
        raise ReadError(
            f"{instance.path.name}: the pixel data is truncated: expected {n_bytes} bytes, got {len(data)}."
        )
    return data


def _native(instance: Instance) -> npt.NDArray[Any]:
    """Return values that lie in the file as they are."""
    bits = _allocated(instance)
    if bits == 1:
        return _decoded(instance)
    kind = "f" if instance.keyword != "PixelData" else "u"
    order = ">" if instance.transfer_syntax == _BIG_ENDIAN else "<"
    return np.frombuffer(_in_order(instance), f"{order}{kind}{bits // 8}")


def _decoded(instance: Instance) -> npt.NDArray[Any]:
    """Return values that pydicom and its decoders make of the file; colors become RGB."""
    from pydicom import Dataset
    from pydicom.pixels import pixel_array

    path = instance.path
    dataset = Dataset(instance.dataset)
    dataset.file_meta = instance.dataset.file_meta
    dataset._read_implicit = instance.dataset.original_encoding[0]
    if instance.transfer_syntax in _NATIVE:
        data = _in_order(instance)
        dataset.add_new("PixelData", "OB" if _allocated(instance) <= 8 else "OW", data + b"\0" * (len(data) % 2))
    else:
        items = list(_items(instance))
        dataset.PixelData = b"".join(items)
        dataset["PixelData"].is_undefined_length = True
        _check_count(instance, items[1:])
        _check_ends(instance, dataset.PixelData)
    try:
        # pydicom's own RLE decoder says what is wrong with damaged data; pylibjpeg-rle 2.2 panics on it
        values = pixel_array(dataset, decoding_plugin="pydicom" if instance.transfer_syntax == _RLE else "")
        if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
            values = palette_colors(values, instance)
    except MemoryError:
        raise
    except damage() as error:
        reason = (" ".join(str(error).split()).split("plugins: ")[-1] or type(error).__name__)[:160]
        raise ReadError(
            f"{path.name}: the pixel data ({syntax_name(instance.transfer_syntax)}) cannot be decoded: it is "
            f"corrupt or truncated ({reason}); copy the file again."
        ) from error
    return values


def _in_order(instance: Instance) -> bytes:
    """Return the pixel data of an uncompressed file, bytes in the order of the pixels.

    OW are words of 16 bits: in big endian, pixels of 8 bits stand in them with neighbors exchanged, and the padding
    byte before the last pixel (DICOM PS3.5, 8.1.1 and A.3).
    """
    expected = _native_bytes(instance)
    if instance.transfer_syntax != _BIG_ENDIAN or instance.kind != "OW" or _allocated(instance) > 8:
        return _read(instance, expected)
    words = np.frombuffer(_read(instance, expected + expected % 2), np.uint16)
    return words.byteswap().tobytes()[:expected]


def _items(instance: Instance) -> Iterator[bytes]:
    """Give the items of encapsulated pixel data, headers included (DICOM PS3.5, A.4)."""
    size = instance.path.stat().st_size
    with instance.path.open("rb") as file:
        file.seek(instance.offset)
        while True:
            head = file.read(8)
            tag, length = head[:4], int.from_bytes(head[4:8], "little")
            if tag == b"\xfe\xff\xdd\xe0":
                return
            if tag != b"\xfe\xff\x00\xe0" or length > size - file.tell():
                raise ReadError(
                    f"{instance.path.name}: the compressed pixel data is truncated: expected a fragment of {length} "
                    f"bytes, got {size - file.tell()}; copy the file again."
                )
            yield head + file.read(length)


def _check_count(instance: Instance, fragments: Sequence[bytes]) -> None:
    """Refuse more pictures than the header says: decoders show the first ones. Headers of items take 8 bytes."""
    count = frame_count(instance)
    if instance.transfer_syntax == _RLE:
        found = len(fragments)  # a frame is one fragment (DICOM PS3.5, A.4.2)
    else:
        found = sum(fragment[8:].startswith(_STARTS) for fragment in fragments)
    if found > count:
        raise ReadError(
            f"{instance.path.name}: the pixel data contains {found} frames, but NumberOfFrames is {count}: the "
            "header is wrong; export the images again."
        )


def _check_ends(instance: Instance, data: bytes) -> None:
    """Refuse code streams without their end: decoders fill the missing part of a slice with nothing."""
    from pydicom.encaps import generate_frames

    count = frame_count(instance)
    try:
        frames = list(generate_frames(data, number_of_frames=count))
    except damage() as error:
        raise ReadError(f"{instance.path.name}: the compressed pixel data is corrupt ({error}).") from error
    if len(frames) != count:
        raise ReadError(f"{instance.path.name}: {len(frames)} frames of pixel data, expected {count}; it is truncated.")
    if not instance.transfer_syntax.startswith(_MARKED):
        return
    for n, frame in enumerate(frames):
        _check_code_stream(instance, frame)
        if not frame.rstrip(b"\0\xff").endswith(b"\xff\xd9"):  # some encoders fill up with FF
            where = f" of frame {n + 1}" if count > 1 else ""
            raise ReadError(
                f"{instance.path.name}: the JPEG data{where} is truncated: its end marker is missing; copy it again."
            )


def _check_code_stream(instance: Instance, frame: bytes) -> None:
    """Compare the size that a JPEG code stream announces with Rows and Columns: decoders allocate what it says."""
    size = code_stream_size(frame)
    rows, columns, samples = image_size(instance)
    if size is None or (size[:2] == (rows, columns) and size[2] == samples):
        return
    raise ReadError(
        f"{instance.path.name}: the JPEG data declares {size[0]} x {size[1]} pixels of {size[2]} samples, but the "
        f"header declares {rows} x {columns} of {samples}; the pixel data is corrupt."
    )


def code_stream_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and components of a JPEG, JPEG-LS or JPEG 2000 code stream; None where it is neither.

    The sizes stand in SOFn (ITU-T T.81 B.2.2, and T.87 C.2.2 for JPEG-LS) and in the image and tile size segment
    (T.800 A.5.1).
    """
    if frame[:4] == b"\xff\x4f\xff\x51" and len(frame) >= 42:
        right, bottom, left, top = (int.from_bytes(frame[n : n + 4], "big") for n in (8, 12, 16, 20))
        return bottom - top, right - left, int.from_bytes(frame[40:42], "big")
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = (int.from_bytes(frame[n : n + 2], "big") for n in (at + 5, at + 7))
            return rows, columns, frame[at + 9]
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return 0, 0, 0


def stored_bits(instance: Instance, allocated: int) -> tuple[int, int, bool]:
    """Return how many bits hold the value, how many lie below them, and whether it has a sign.

    Raises
    ------
    ReadError
        If the three attributes do not fit each other.
    """
    stored = int(number(instance.tags, "BitsStored", instance.path) or allocated)
    high = number(instance.tags, "HighBit", instance.path)
    if not 1 <= stored <= allocated:
        raise ReadError(f"{instance.path.name}: BitsStored is {stored} of {allocated} allocated; the file is damaged.")
    shift = 0 if high is None else int(high) + 1 - stored
    if shift < 0 or stored + shift > allocated:
        raise ReadError(f"{instance.path.name}: HighBit {int(high or 0)} does not match BitsStored {stored}.")
    return stored, shift, int(number(instance.tags, "PixelRepresentation", instance.path) or 0) == 1


def _masked(
    values: npt.NDArray[Any], instance: Instance, bits: tuple[int, int, bool] | None = None
) -> npt.NDArray[Any]:
    """Keep the bits that hold the value, and give them their sign.

    Old files keep overlays in the bits above (DICOM PS3.5, 8.1.1 of 2004). Decoders of JPEG give the value already.
    """
    allocated = _allocated(instance)
    if allocated == 1:
        return values.astype(np.uint8)
    stored, shift, signed = bits or stored_bits(instance, allocated)
    unsigned = values.view(values.dtype.str.replace("i", "u")) if values.dtype.kind == "i" else values
    is_coded = instance.transfer_syntax.startswith(_MARKED)
    width = unsigned.dtype.itemsize * 8
    if is_coded:
        if bits is None and (not signed or values.dtype.kind == "i"):
            return values
        shift = 0
    if stored < width or shift:
        unsigned = (unsigned >> shift) & unsigned.dtype.type((1 << stored) - 1)
    if not signed:
        return np.ascontiguousarray(unsigned)
    kind = np.dtype(f"i{unsigned.dtype.itemsize}")
    up = width - stored
    return (unsigned << up).astype(unsigned.dtype).view(kind) >> up
