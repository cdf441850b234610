"""Byte order, palettes and colors of many bits: the values that the file means, and a word where 8 bits lose some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.volume import Volume

AFFINE = Geometry.from_parts((1, 7, 9), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25)).affine


def swapped(data: bytes) -> bytes:
    """Return bytes as they stand in big-endian words of 16 bits."""
    padded = data + b"\0" * (len(data) % 2)
    return b"".join(padded[n : n + 2][::-1] for n in range(0, len(padded), 2))


def write_one(folder: Path, values: np.ndarray, **tags: Any) -> Path:
    """Write frames of gray values, indices or colors of 8 or 16 bits into one file."""
    frames, rows, columns = values.shape[:3]
    one = Volume(values[:1], Geometry((1, rows, columns), AFFINE))
    given = {"NumberOfFrames": frames if frames > 1 else None, "PixelData": values.tobytes()} | tags
    (path,) = write_dicom_series(folder, one, modality="OT", **given)
    return path


def write_words(folder: Path, values: np.ndarray, kind: str = "OW", **tags: Any) -> Path:
    """Write pixels of 8 bits in big endian, as words or as bytes."""
    from pydicom import dcmread

    path = write_one(folder, values, transfer_syntax=ExplicitVRBigEndian, PixelData=b"\0" * values.size, **tags)
    dataset = dcmread(path)
    data = values.tobytes()
    dataset.add_new("PixelData", kind, swapped(data) if kind == "OW" else data + b"\0" * (len(data) % 2))
    dataset.save_as(path)
    return path


def said(volume: Volume, *words: str) -> bool:
    return any(all(word in line for word in words) for line in volume.warnings)


# -- bytes in big-endian words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["OW", "OB"])
@pytest.mark.parametrize("shape", [(1, 8, 6), (1, 7, 9), (3, 7, 9), (2, 5, 3), (1, 1, 1)])
def test_gray_bytes(tmp_path: Path, kind: str, shape: tuple[int, int, int]) -> None:
    values = (np.arange(np.prod(shape)) * 37 % 251 + 1).astype(np.uint8).reshape(shape)
    (volume,) = read(write_words(tmp_path, values, kind))
    assert np.array_equal(volume.array, values)


@pytest.mark.parametrize("kind", ["OW", "OB"])
def test_signed_bytes(tmp_path: Path, kind: str) -> None:
    values = (np.arange(63) * 4 - 120).astype(np.int8).reshape(1, 7, 9)
    (volume,) = read(write_words(tmp_path, values.view(np.uint8), kind, PixelRepresentation=1))
    assert np.array_equal(volume.array, values)


@pytest.mark.parametrize("kind", ["OW", "OB"])
@pytest.mark.parametrize("planar", [0, 1])
def test_color_bytes(tmp_path: Path, kind: str, planar: int) -> None:
    colors = (np.arange(189) * 5 % 253).astype(np.uint8).reshape(1, 7, 9, 3)
    stored = np.moveaxis(colors, -1, 1) if planar else colors
    path = write_words(tmp_path, colors, kind, PlanarConfiguration=planar)
    from pydicom import dcmread

    dataset = dcmread(path)
    data = np.ascontiguousarray(stored).tobytes()
    dataset.add_new("PixelData", kind, swapped(data) if kind == "OW" else data + b"\0")
    dataset.save_as(path)
    (volume,) = read(path)
    assert np.array_equal(volume.array, colors)


@pytest.mark.parametrize("kind", ["OW", "OB"])
def test_single_bits(tmp_path: Path, kind: str) -> None:
    bits = (np.arange(96) % 5 == 0).reshape(1, 8, 12)
    packed = np.packbits(bits.ravel(), bitorder="little")
    path = write_words(tmp_path, bits.astype(np.uint8), kind, BitsAllocated=1, BitsStored=1, HighBit=0)
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.add_new("PixelData", kind, swapped(packed.tobytes()) if kind == "OW" else packed.tobytes())
    dataset.save_as(path)
    (volume,) = read(path)
    assert np.array_equal(volume.array, bits)


@pytest.mark.parametrize("signed", [0, 1])
def test_wide_gray(tmp_path: Path, signed: int) -> None:
    values = (np.arange(63) * 1_000_003 - 20_000_000 * signed).astype("i4" if signed else "u4").reshape(1, 7, 9)
    tags = {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "PixelRepresentation": signed}
    data = values.astype(values.dtype.newbyteorder(">")).tobytes()
    one = np.zeros((1, 7, 9), np.int16)
    (volume,) = read(write_one(tmp_path, one, transfer_syntax=ExplicitVRBigEndian, **(tags | {"PixelData": data})))
    assert np.array_equal(volume.array, values)


# -- palettes --------------------------------------------------------------------------------------------------------


def palette(colors: np.ndarray, first: int = 0, depth: int = 16, order: str = "<", kind: str = "u2") -> dict[str, Any]:
    """Return the attributes of a palette with the colors, ``(n, 3)``."""
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "RescaleSlope": None}
    for n, name in enumerate(("Red", "Green", "Blue")):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(colors) % 65536, first, depth]
        data = colors[:, n].astype(order + kind).tobytes()
        data += b"\0" * (len(data) % 2)
        tags[f"{name}PaletteColorLookupTableData"] = swapped(data) if (order, kind) == (">", "u1") else data
    return tags


RAMP = np.stack([np.arange(64), 255 - np.arange(64), np.arange(64) * 3], -1)
INDEX = (np.arange(63) * 11 % 64).astype(np.uint8).reshape(1, 7, 9)


@pytest.mark.parametrize(
    ("syntax", "order"),
    [(ExplicitVRBigEndian, ">"), (ExplicitVRLittleEndian, "<"), (ImplicitVRLittleEndian, "<")],
    ids=["big", "little", "implicit"],
)
@pytest.mark.parametrize(
    ("colors", "depth", "kind"),
    [
        (RAMP << 8, 16, "u2"),
        (RAMP * 257, 16, "u2"),
        (RAMP, 8, "u1"),
        (RAMP, 8, "u2"),
    ],
    ids=["high byte", "both bytes", "bytes", "low byte"],
)
def test_palettes(tmp_path: Path, syntax: str, order: str, colors: np.ndarray, depth: int, kind: str) -> None:
    tags = palette(colors, depth=depth, order=order, kind=kind)
    (volume,) = read(write_one(tmp_path, INDEX, transfer_syntax=syntax, **tags))
    assert np.array_equal(volume.array, RAMP[INDEX])
    assert not said(volume, "palette")


def test_words_of_a_big_endian_palette_picture(tmp_path: Path) -> None:
    (volume,) = read(write_words(tmp_path, INDEX, **palette(RAMP << 8, order=">")))
    assert np.array_equal(volume.array, RAMP[INDEX])


def test_fine_colors_of_a_palette_lose_bits_and_that_is_said(tmp_path: Path) -> None:
    colors = RAMP * 256 + 100
    (volume,) = read(write_one(tmp_path, INDEX, **palette(colors)))
    assert np.array_equal(volume.array, RAMP[INDEX])
    assert said(volume, "palette", "16 bits in the file and 8 here")


def test_small_colors_of_a_wide_palette_are_not_black(tmp_path: Path) -> None:
    (volume,) = read(write_one(tmp_path, INDEX, **palette(RAMP)))
    assert np.array_equal(volume.array, RAMP[INDEX])
    assert said(volume, "palette", "at most 255 of 65535")


@pytest.mark.parametrize("first", [0, 500])
def test_values_outside_of_a_palette_have_its_first_or_last_color(tmp_path: Path, first: int) -> None:
    index = (np.arange(63) * 40).astype(np.uint16).reshape(1, 7, 9)
    (volume,) = read(write_one(tmp_path, index, **palette(RAMP, first, depth=8, kind="u1")))
    assert np.array_equal(volume.array, RAMP[np.clip(index.astype(int) - first, 0, 63)])


def test_palette_of_many_bytes(tmp_path: Path) -> None:
    index = (np.arange(63) * 16).astype(np.uint16).reshape(1, 7, 9)
    colors = np.arange(1000)[:, None] // np.array([4, 5, 7])
    (volume,) = read(write_one(tmp_path, index, **palette(colors, depth=8, kind="u1")))
    assert np.array_equal(volume.array, colors[np.minimum(index, 999)])


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, ExplicitVRLittleEndian])
def test_segments(tmp_path: Path, syntax: str) -> None:
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "RescaleSlope": None}
    for name, end in (("Red", 63), ("Green", 126), ("Blue", 0)):
        # one discrete color 0, then a linear ramp of 63 colors to `end` * 256
        words = np.array([0, 1, 0, 1, 63, end << 8], ">u2" if syntax == ExplicitVRBigEndian else "<u2")
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [64, 0, 16]
        tags[f"Segmented{name}PaletteColorLookupTableData"] = words.tobytes()
    (volume,) = read(write_one(tmp_path, INDEX, transfer_syntax=syntax, **tags))
    wanted = INDEX[..., None] * np.array([1, 2, 0])
    assert np.array_equal(volume.array, wanted)


def test_palette_without_data(tmp_path: Path) -> None:
    path = write_one(tmp_path, INDEX, **(palette(RAMP) | {"GreenPaletteColorLookupTableData": b"\0\0"}))
    with pytest.raises(ReadError, match=rf"{path.name}: the pixel data .*cannot be decoded"):
        read(path)


# -- colors of more than 8 bits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless])
@pytest.mark.parametrize("stored", [16, 12, 10])
def test_fine_colors_lose_bits_and_that_is_said(tmp_path: Path, syntax: str, stored: int) -> None:
    shape = (1, 64, 70, 3)
    colors = (np.arange(np.prod(shape)) * 2749 % (1 << stored)).astype(np.uint16).reshape(shape)
    tags = {"BitsStored": stored, "HighBit": stored - 1}
    (volume,) = read(write_one(tmp_path, colors, transfer_syntax=syntax, **tags))
    assert volume.array.dtype == np.uint8
    assert np.array_equal(volume.array, colors // (1 << (stored - 8)))
    assert said(volume, f"colors have {stored} bits", f"lower {stored - 8} bits")


def test_colors_of_8_bits_lose_nothing(tmp_path: Path) -> None:
    colors = (np.arange(189) % 256).astype(np.uint8).reshape(1, 7, 9, 3)
    (volume,) = read(write_one(tmp_path, colors))
    assert np.array_equal(volume.array, colors)
    assert not said(volume, "bits")


@pytest.mark.parametrize("kind", ["HSV", "CMYK", "YBR_PARTIAL_422", "YBR_RCT"])
def test_color_spaces_that_would_come_out_wrong(tmp_path: Path, kind: str) -> None:
    colors = np.zeros((1, 7, 9, 3), np.uint8)
    path = write_one(tmp_path, colors, PhotometricInterpretation=kind)
    with pytest.raises(ReadError, match=rf"{path.name}: the photometric interpretation '{kind}'"):
        read(path)


def test_wide_ybr(tmp_path: Path) -> None:
    path = write_one(tmp_path, np.zeros((1, 7, 9, 3), np.uint16), PhotometricInterpretation="YBR_FULL")
    with pytest.raises(ReadError, match=rf"{path.name}: YBR_FULL colors of 16 bits"):
        read(path)
