"""Slices of one series that contradict each other, and pixels that contradict their header."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_factory import write_dicom_series, write_enhanced
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import list_series, read
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume

GRID = oblique_geometry((5, 9, 11))
STORED = (np.arange(np.prod(GRID.shape)).reshape(GRID.shape) * 13 % 2000).astype(np.int16)
SCAN = Volume(STORED, GRID)
HEADER: dict[str, Any] = {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"}


def only(ks: tuple[int, ...], odd: Any, usual: Any) -> Callable[[int], Any]:
    return lambda k: odd if k in ks else usual


def refused(folder: Path, files: list[Path], *words: str) -> None:
    """Check that the series is refused, with the names of these files, both when it is read and when it is listed."""
    with pytest.raises(ReadError) as caught:
        read(folder)
    for text in (str(caught.value), str(list_series(folder)[0].problem)):
        for word in (*(path.name for path in files), *words):
            assert word in text


@pytest.mark.parametrize("ks", [(0,), (2,), (4,), (1, 3)])
@pytest.mark.parametrize(
    ("missing", "word"),
    [
        (("RescaleSlope", "RescaleIntercept"), "is missing, but RescaleSlope and RescaleIntercept in"),
        (("RescaleIntercept",), "is RescaleSlope, but RescaleSlope and RescaleIntercept in"),
        (("RescaleSlope",), "is RescaleIntercept, but RescaleSlope and RescaleIntercept in"),
    ],
    ids=["both", "intercept", "slope"],
)
def test_rescale_missing_in_some_slices(
    tmp_path: Path, ks: tuple[int, ...], missing: tuple[str, ...], word: str
) -> None:
    tags = {keyword: only(ks, None, HEADER[keyword]) for keyword in missing}
    paths = write_dicom_series(tmp_path, SCAN, modality="CT", **(HEADER | tags))
    refused(tmp_path, [paths[k] for k in ks], word, f"{5 - len(ks)} other slices")


def test_rescale_empty_in_one_slice(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, SCAN, modality="CT", **(HEADER | {"RescaleIntercept": only((3,), "", -1024)}))
    refused(tmp_path, [paths[3]], "RescaleIntercept")


def test_a_table_in_one_slice(tmp_path: Path) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 16])
    item.add_new("LUTData", "US", [0, 1, 2, 3])
    paths = write_dicom_series(tmp_path, SCAN, modality="CT", ModalityLUTSequence=only((1,), [item], None))
    refused(tmp_path, [paths[1]], "ModalityLUTSequence")


def test_rescale_missing_in_a_frame(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "e.dcm", [SCAN], np.array([3, 0, 4, 1, 2]))
    dataset = dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence
    dataset.save_as(path)
    with pytest.raises(ReadError, match=r"e\.dcm frame 3: the conversion of stored values to real ones"):
        read(path)


def test_rescale_missing_everywhere_and_values_of_its_own_are_no_contradiction(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "a", SCAN, modality="MR", RescaleSlope=None, RescaleIntercept=None)
    assert np.array_equal(read(tmp_path / "a")[0].array, STORED)
    write_dicom_series(tmp_path / "b", SCAN, modality="CT", RescaleIntercept=lambda k: -1000 - k)
    assert np.array_equal(read(tmp_path / "b")[0].array, STORED - 1000 - np.arange(5)[:, None, None])


@pytest.mark.parametrize(
    ("tag", "odd", "usual", "word"),
    [
        ("PhotometricInterpretation", "MONOCHROME1", "MONOCHROME2", "is MONOCHROME1, but MONOCHROME2 in 4"),
        ("PhotometricInterpretation", "MONOCHROME2", "MONOCHROME1", "is MONOCHROME2, but MONOCHROME1 in 4"),
        ("PhotometricInterpretation", None, "MONOCHROME2", "is missing, but MONOCHROME2 in 4"),
        ("RescaleType", "US", "HU", "unit of the values (Units or RescaleType) is missing, but HU in 4"),
        ("RescaleType", "OD", "HU", "unit of the values (Units or RescaleType) is OD, but HU in 4"),
    ],
)
def test_one_slice_is_something_else(tmp_path: Path, tag: str, odd: Any, usual: Any, word: str) -> None:
    paths = write_dicom_series(tmp_path, SCAN, modality="CT", **(HEADER | {tag: only((3,), odd, usual)}))
    refused(tmp_path, [paths[3]], word)


def test_one_slice_of_a_pet_scan_has_another_unit(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, SCAN, modality="PT", Units=only((2,), "CNTS", "BQML"))
    refused(tmp_path, [paths[2]], "CNTS, but BQML")


def test_one_slice_has_other_bits_allocated(tmp_path: Path) -> None:
    eight = (STORED[2] % 256).astype(np.uint8).tobytes() + b"\0"
    tags = {
        "BitsAllocated": only((2,), 8, 16),
        "BitsStored": only((2,), 8, 16),
        "HighBit": only((2,), 7, 15),
        "PixelData": lambda k: eight if k == 2 else STORED[k].tobytes(),
    }
    paths = write_dicom_series(tmp_path, SCAN, modality="CT", **(HEADER | tags))
    refused(tmp_path, [paths[2]], "BitsAllocated is 8, but 16")


def test_what_tells_volumes_apart_may_differ_between_them(tmp_path: Path) -> None:
    """Magnitude and phase at the same places, of which only one has a rescale."""
    uids = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "frame_of_reference_uid": "1.2.3.5"}
    for name, tags in (("M", {"RescaleSlope": None, "RescaleIntercept": None}), ("P", {"RescaleIntercept": -4096})):
        kind = ["ORIGINAL", "PRIMARY", name]
        write_dicom_series(tmp_path, SCAN, modality="MR", prefix=name, ImageType=kind, **uids, **tags)
    values = sorted(int(volume.array.min()) for volume in read(tmp_path))
    assert values == [int(STORED.min()) - 4096, int(STORED.min())]


def test_slices_without_positions(tmp_path: Path) -> None:
    nothing = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    tags = HEADER | {"RescaleIntercept": only((1,), None, -1024)} | nothing
    paths = write_dicom_series(tmp_path, SCAN, modality="CT", **tags)
    refused(tmp_path, [paths[1]], "RescaleIntercept")


# -- bits and sign ---------------------------------------------------------------------------------------------------

BITS = ("BitsStored", "HighBit", "PixelRepresentation")


def bits_of(odd: tuple[int, int, int], usual: tuple[int, int, int]) -> dict[str, Callable[[int], int]]:
    return {keyword: only((2,), odd[n], usual[n]) for n, keyword in enumerate(BITS)}


_DEPENDENT = [
    ((16, 15, 0), (16, 15, 1), -1000),  # negative values would become 64536
    ((16, 15, 1), (16, 15, 0), -1000),
    ((12, 11, 1), (12, 11, 0), 3000),  # 3000 of 12 bits is -1096 with a sign
    ((10, 9, 0), (16, 15, 0), 1000),  # cut to 10 bits
    ((12, 15, 0), (12, 11, 0), 0),  # divided by 16
]


@pytest.mark.parametrize(
    ("syntax", "odd", "usual", "lowest"),
    [
        *[(syntax, *case) for syntax in (ExplicitVRLittleEndian, ExplicitVRBigEndian) for case in _DEPENDENT],
        *[(RLELossless, *case) for case in _DEPENDENT[:3]],  # the encoder takes away what lies above BitsStored
    ],
)
def test_values_that_depend_on_the_bits(
    tmp_path: Path, syntax: str, odd: tuple[int, int, int], usual: tuple[int, int, int], lowest: int
) -> None:
    values = STORED % 1000 + np.int16(lowest)
    paths = write_dicom_series(
        tmp_path, Volume(values, GRID), modality="MR", transfer_syntax=syntax, **bits_of(odd, usual)
    )
    with pytest.raises(
        ReadError, match=rf"{paths[2].name}: the pixels have {odd[0]} (un)?signed bits.*their values depend on it"
    ):
        read(tmp_path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize(
    ("odd", "usual"), [((12, 11, 0), (16, 15, 0)), ((16, 15, 1), (16, 15, 0)), ((12, 11, 1), (16, 15, 1))]
)
def test_values_that_do_not(
    tmp_path: Path, syntax: str, odd: tuple[int, int, int], usual: tuple[int, int, int]
) -> None:
    paths = write_dicom_series(tmp_path, SCAN, modality="MR", transfer_syntax=syntax, **bits_of(odd, usual))
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, STORED)
    assert any(paths[2].name in line and "the same either way" in line for line in volume.warnings)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("lowest", [0, 33000])
def test_signs_of_compressed_slices(tmp_path: Path, syntax: str, lowest: int) -> None:
    grid = oblique_geometry((3, 64, 70))
    values = (np.arange(np.prod(grid.shape)).reshape(grid.shape) * 7 % 1000 + lowest).astype(np.uint16)
    paths = write_dicom_series(tmp_path, Volume(values, grid), modality="MR", transfer_syntax=syntax)
    dataset = dcmread(paths[1])
    dataset.PixelRepresentation = 1
    dataset.save_as(paths[1])
    if lowest:
        with pytest.raises(ReadError, match=rf"{paths[1].name}: .*their values depend on it"):
            read(tmp_path)
    else:
        assert np.array_equal(read(tmp_path)[0].array, values)


# -- pixels that are longer than their header says ---------------------------------------------------------------------

ONE = Geometry((1, 9, 11), GRID.affine)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"Columns": 10}, "9 x 10"),
        ({"Rows": 8}, "8 x 11"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "99 bytes, got 198"),
        ({"PixelData": bytes(198 * 3)}, "198 bytes, got 594"),
    ],
    ids=["column", "row", "bits", "frames"],
)
def test_header_that_says_too_little(tmp_path: Path, syntax: str, tags: dict[str, Any], word: str) -> None:
    (path,) = write_dicom_series(tmp_path, Volume(STORED[:1], ONE), transfer_syntax=syntax, **tags)
    with pytest.raises(ReadError, match=rf"{path.name}: the pixel data is longer than the header states.*{word}"):
        read(path)


def test_number_of_frames_that_is_too_small(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "e.dcm", [SCAN], np.arange(5), NumberOfFrames=4)
    with pytest.raises(ReadError, match=r"e\.dcm: the pixel data is longer than the header states: 4 frames"):
        read(path)


@pytest.mark.parametrize("excess", [2, 10, 16])
def test_few_bytes_behind_the_pixels_are_named(tmp_path: Path, excess: int) -> None:
    data = STORED[0].tobytes() + b"\7" * excess
    (path,) = write_dicom_series(tmp_path, Volume(STORED[:1], ONE), PixelData=data)
    (volume,) = read(path)
    assert np.array_equal(volume.array[0], STORED[0])
    assert any(f"{path.name}: {excess} bytes after the pixel data" in line for line in volume.warnings)


@pytest.mark.parametrize("excess", [22, 18, 100])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_zeros_behind_the_pixels_are_padding_unless_rows_are_longer_than_said(
    tmp_path: Path, excess: int, syntax: str
) -> None:
    picture = np.add.outer(np.arange(9) ** 2, 90 * np.arange(11)).astype(np.int16)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data = picture.astype(f"{order}i2").tobytes() + bytes(excess)
    scan = Volume(picture[None], ONE)
    (path,) = write_dicom_series(tmp_path, scan, transfer_syntax=syntax)
    dataset = dcmread(path)
    dataset.PixelData = data
    dataset.save_as(path)
    (volume,) = read(path)
    assert np.array_equal(volume.array[0], picture)
    assert any(f"{excess} bytes after the pixel data" in line for line in volume.warnings)
    # the same picture with a last column of zeros, which its header does not count
    wide = np.pad(picture, ((0, 0), (0, 1)))
    wide[-1, -9:] = 0
    dataset.PixelData = wide.astype(f"{order}i2").tobytes()
    dataset.save_as(path)
    with pytest.raises(ReadError, match="longer than the header states"):
        read(path)


def test_the_byte_that_makes_a_length_even_is_not(tmp_path: Path) -> None:
    odd = Volume((STORED[:1] % 256).astype(np.uint8), ONE)
    (path,) = write_dicom_series(tmp_path, odd)
    assert not any("bytes after" in line for line in read(path)[0].warnings)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize(("held", "stated"), [(3, 1), (2, None), (3, 2)])
def test_more_compressed_pictures_than_frames(tmp_path: Path, syntax: str, held: int, stated: int | None) -> None:
    grid = oblique_geometry((3, 64, 70))
    values = (np.arange(np.prod(grid.shape)).reshape(grid.shape) % 3001).astype(np.int16)
    paths = write_dicom_series(tmp_path / "slices", Volume(values, grid), transfer_syntax=syntax)
    streams = [next(generate_frames(dcmread(path).PixelData, number_of_frames=1)) for path in paths[:held]]
    dataset = dcmread(paths[0])
    if stated is not None:
        dataset.NumberOfFrames = stated
    dataset.PixelData = encapsulate(streams, has_bot=False)
    path = tmp_path / "many.dcm"
    dataset.save_as(path)
    with pytest.raises(ReadError, match=rf"many\.dcm: .*{held} (pictures|frames)"):
        read(path)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_picture_in_several_fragments(tmp_path: Path, syntax: str) -> None:
    grid = oblique_geometry((1, 64, 70))
    values = (np.arange(4480).reshape(grid.shape) % 3001).astype(np.int16)
    (path,) = write_dicom_series(tmp_path, Volume(values, grid), transfer_syntax=syntax)
    dataset = dcmread(path)
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([stream], fragments_per_frame=3)
    dataset.save_as(path)
    assert np.array_equal(read(path)[0].array, values)
