"""What the voxels of a DICOM file are worth: rescale, bits, signs, colors, transfer syntaxes, frames, SUV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_factory import htj2k_values, write_dicom_series, write_enhanced, write_htj2k
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.phantom import head, oblique_geometry, world_field
from napari_radcnn.volume import Volume

GRID = Geometry.from_parts((4, 9, 11), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda uid: uid.name.split()[0] + uid[-2:],
)
def test_transfer_syntaxes(tmp_path: Path, syntax: str) -> None:
    phantom = head(oblique_geometry((3, 64, 70)))
    signed = phantom.with_array(phantom.array - np.int16(500))
    write_dicom_series(tmp_path, signed, transfer_syntax=syntax)
    (volume,) = read(tmp_path)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, signed.array)
    assert volume.geometry.is_close(signed.geometry)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K], ids=["lossless", "rpcl", "any"])
def test_htj2k(tmp_path: Path, syntax: str) -> None:
    (volume,) = read(write_htj2k(tmp_path, syntax))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array[0], htj2k_values())


def test_slope_of_every_slice(tmp_path: Path) -> None:
    phantom = head(GRID)
    write_dicom_series(tmp_path, phantom, RescaleSlope=lambda k: 0.5 + k, RescaleIntercept=lambda k: -10 * k)
    (volume,) = read(tmp_path)
    assert volume.array.dtype == np.float32
    for k in range(4):
        assert np.allclose(volume.array[k], phantom.array[k] * (0.5 + k) - 10 * k)


@pytest.mark.parametrize(
    ("intercept", "dtype"), [(-1024, np.int16), (30000, np.uint16), (-40000, np.int32), (0.5, np.float32)]
)
def test_smallest_type_that_holds_the_values(tmp_path: Path, intercept: float, dtype: type) -> None:
    phantom = head(GRID)
    phantom = phantom.with_array(phantom.array.astype(np.uint16) + np.uint16(5000))
    write_dicom_series(tmp_path, phantom, modality="CT", RescaleIntercept=intercept)
    (volume,) = read(tmp_path)
    assert volume.array.dtype == dtype
    assert np.array_equal(volume.array, phantom.array.astype(float) + intercept)
    assert volume.metadata.units == "HU"


def test_slope_zero_is_told(tmp_path: Path) -> None:
    phantom = head(GRID)
    write_dicom_series(tmp_path, phantom, RescaleSlope=0)
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, phantom.array)
    assert any("RescaleSlope is 0" in line for line in volume.warnings)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_the_stored_ones_are_masked(tmp_path: Path, signed: bool) -> None:
    values = np.arange(GRID.shape[0] * 99).reshape(GRID.shape) * 10 % 4096
    wanted = np.where(values >= 2048, values - 4096, values) if signed else values
    dirty = (values | (values % 16 << 12)).astype(np.uint16)
    tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(signed)}
    write_dicom_series(tmp_path, Volume(dirty, GRID), modality="CT", **tags)
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, wanted)


def test_padding_is_rescaled_and_the_window_kept(tmp_path: Path) -> None:
    tags = {"PixelPaddingValue": 0, "RescaleIntercept": -1024, "WindowCenter": [40, 600], "WindowWidth": [400, 1600]}
    write_dicom_series(tmp_path, head(GRID), **tags)
    (volume,) = read(tmp_path)
    assert volume.metadata.padding_value == -1024
    assert volume.contrast_limits() == (-160, 240)


def test_monochrome1_keeps_values(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, head(GRID), PhotometricInterpretation="MONOCHROME1")
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, head(GRID).array)
    assert volume.metadata.is_inverted
    assert any("MONOCHROME1" in line for line in volume.warnings)


def _color() -> Volume:
    array = np.zeros((*GRID.shape, 3), np.uint8)
    array[..., 0], array[..., 1], array[..., 2] = 200, 100, 50
    array[0, 0, 1] = 255, 0, 0
    return Volume(array, GRID)


def test_color(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, _color(), modality="US")
    volumes = read(tmp_path)
    assert np.array_equal(volumes[0].array[0], _color().array[0])


def test_color_by_plane_and_ybr(tmp_path: Path) -> None:
    from pydicom.pixels import convert_color_space

    planes = _color().array[0].transpose(2, 0, 1).tobytes()
    (first, *_) = write_dicom_series(tmp_path, _color(), modality="US", PixelData=planes + b"\0", PlanarConfiguration=1)
    assert np.array_equal(read(first)[0].array[0], _color().array[0])
    ybr = convert_color_space(_color().array[0], "RGB", "YBR_FULL").tobytes() + b"\0"
    tags = {"PixelData": ybr, "PhotometricInterpretation": "YBR_FULL"}
    (first, *_) = write_dicom_series(tmp_path / "y", _color(), modality="US", **tags)
    assert np.abs(read(first)[0].array[0].astype(int) - _color().array[0]).max() <= 2


def test_palette(tmp_path: Path) -> None:
    index = Volume((np.arange(396).reshape(GRID.shape) % 3).astype(np.uint8), GRID)
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color, entries in (("Red", (0, 255, 10)), ("Green", (0, 0, 20)), ("Blue", (0, 0, 30))):
        tags[f"{color}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        tags[f"{color}PaletteColorLookupTableData"] = np.array(entries, "<u2").__lshift__(8).tobytes()
    (first, *_) = write_dicom_series(tmp_path, index, modality="US", **tags)
    (volume,) = read(first)
    assert volume.array[0, 0, 1].tolist() == [255, 0, 0]
    assert volume.array[0, 0, 2].tolist() == [10, 20, 30]


def test_ultrasound_loop_is_a_stack_of_unknown_spacing(tmp_path: Path) -> None:
    frames = _color().array.tobytes()
    nothing = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    one = Volume(_color().array[:1], Geometry((1, 9, 11), GRID.affine))
    (path,) = write_dicom_series(tmp_path, one, modality="US", NumberOfFrames=4, PixelData=frames, **nothing)
    (volume,) = read(path)
    assert volume.array.shape == (4, 9, 11, 3)
    assert np.array_equal(volume.array, _color().array)
    assert any("geometry is unknown" in line for line in volume.warnings)


# -- enhanced multi-frame ----------------------------------------------------------------------------------------


def test_enhanced_frames_are_sorted_rescaled_and_told_apart(tmp_path: Path) -> None:
    field = world_field(oblique_geometry((5, 9, 11)))
    times = [field.with_array(field.array + 1000 * n) for n in range(3)]
    order = np.random.default_rng(1).permutation(15)
    volumes = read(write_enhanced(tmp_path / "e.dcm", times, order, lambda k: 0.25 * (1 + k)))
    assert [v.name for v in volumes] == ["MR 5 · 1", "MR 5 · 2", "MR 5 · 3"]
    for n, volume in enumerate(volumes):
        assert volume.geometry.is_close(field.geometry)
        assert np.abs(volume.array - times[n].array).max() < 0.7


def test_enhanced_frame_missing_makes_a_gap(tmp_path: Path) -> None:
    from napari_radcnn.errors import ReadError

    field = world_field(oblique_geometry((5, 9, 11)))
    with pytest.raises(ReadError, match=r"gap between e\.dcm frame 2 and e\.dcm frame 3"):
        read(write_enhanced(tmp_path / "e.dcm", [field], np.array([0, 1, 3, 4])))


def test_enhanced_without_positions_is_refused(tmp_path: Path) -> None:
    from napari_radcnn.errors import ReadError

    field = world_field(oblique_geometry((5, 9, 11)))
    with pytest.raises(ReadError, match=r"e\.dcm: .*PerFrameFunctionalGroupsSequence"):
        read(write_enhanced(tmp_path / "e.dcm", [field], np.arange(5), PerFrameFunctionalGroupsSequence=None))


# -- SUV ------------------------------------------------------------------------------------------------------------


def pet(folder: Path, drug: dict[str, Any] | None = None, **tags: Any) -> Volume:
    """Write a PET scan of 10000 Bq/ml: 70 kg, 370 MBq of F-18 injected an hour before the scan; and read it."""
    given = {
        "RadionuclideTotalDose": "370000000",
        "RadionuclideHalfLife": "6586.2",
        "RadiopharmaceuticalStartTime": "091500",
    } | (drug or {})
    item = Dataset()
    for keyword, value in given.items():
        if value is not None:
            setattr(item, keyword, value)
    usual: dict[str, Any] = {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["ATTN", "DECY", "SCAT"],
        "PatientWeight": "70",
        "RadiopharmaceuticalInformationSequence": [item],
    }
    array = np.full(GRID.shape, 10000, np.int16)
    write_dicom_series(folder, Volume(array, GRID), modality="PT", **(usual | tags))
    (volume,) = read(folder)
    return volume


DECAYED = 370e6 * 2 ** (-3600 / 6586.2)
EVENING = {"SeriesTime": "003000", "AcquisitionTime": "003000"}


@pytest.mark.parametrize(
    ("drug", "tags", "dose"),
    [
        ({}, {}, DECAYED),
        ({}, {"DecayCorrection": "ADMIN"}, 370e6),
        ({"RadiopharmaceuticalStartDateTime": "20240102091500.00+0100"}, {}, DECAYED),
        # 08:15 at Greenwich is 09:15 where the scanner stands; and 09:15:30.5 is half a minute later
        (
            {"RadiopharmaceuticalStartDateTime": "20240102081500+0000"},
            {"TimezoneOffsetFromUTC": "+0100"},
            DECAYED,
        ),
        (
            {"RadiopharmaceuticalStartDateTime": "20240102031500-0500"},
            {"TimezoneOffsetFromUTC": "+0100"},
            DECAYED,
        ),
        (
            {"RadiopharmaceuticalStartTime": "091530.500000"},
            {"SeriesTime": "101600.25", "AcquisitionTime": "101600.250000"},
            370e6 * 2 ** (-3629.75 / 6586.2),
        ),
        ({"RadiopharmaceuticalStartTime": "233000"}, EVENING, DECAYED),
        ({}, {"SeriesTime": "235900"}, DECAYED),
    ],
    ids=[
        "start",
        "admin",
        "date and time",
        "zone",
        "zone over the ocean",
        "fractions",
        "over midnight",
        "series made later",
    ],
)
def test_suvbw(tmp_path: Path, drug: dict, tags: dict, dose: float) -> None:
    volume = pet(tmp_path, drug, **tags)
    assert volume.suvbw_factor == pytest.approx(70 * 1000 / dose, rel=1e-5)
    assert volume.metadata.units == "Bq/ml"


def test_suvbw_of_the_published_example(tmp_path: Path) -> None:
    # 10000 Bq/ml, 70 kg, 370 MBq F-18, 60 minutes: 2.763 g/ml, and 1.892 without decay
    assert 10000 * (pet(tmp_path / "a").suvbw_factor or 0) == pytest.approx(2.763, abs=2e-3)
    assert 10000 * (pet(tmp_path / "b", DecayCorrection="ADMIN").suvbw_factor or 0) == pytest.approx(1.892, abs=1e-3)


def test_suvbw_of_grams_per_milliliter(tmp_path: Path) -> None:
    assert pet(tmp_path, Units="GML").suvbw_factor == 1


@pytest.mark.parametrize(
    ("drug", "tags", "why"),
    [
        ({}, {"PatientWeight": None}, "weight"),
        ({}, {"PatientWeight": "0"}, "weight"),
        ({}, {"PatientWeight": "70000"}, "weight"),
        ({"RadionuclideTotalDose": "370"}, {}, "MBq"),
        ({"RadionuclideTotalDose": None}, {}, "dose"),
        ({"RadionuclideHalfLife": None}, {}, "half-life"),
        ({"RadiopharmaceuticalStartTime": None}, {}, "injection time"),
        ({"RadiopharmaceuticalStartTime": "111500"}, {}, "injection time"),
        ({}, {"Units": "CNTS"}, "CNTS"),
        ({}, {"Units": "PROPCNTS"}, "PROPCNTS"),
        ({}, {"DecayCorrection": "NONE"}, "decay"),
        ({}, {"CorrectedImage": ["ATTN"]}, "DECY"),
        ({}, {"RadiopharmaceuticalInformationSequence": None}, "Radiopharmaceutical"),
    ],
)
def test_no_suv_where_it_would_be_a_guess(tmp_path: Path, drug: dict, tags: dict, why: str) -> None:
    volume = pet(tmp_path, drug, **tags)
    assert volume.suvbw_factor is None
    assert any("SUV is not available" in line and why in line for line in volume.warnings)


def enhanced_pet(folder: Path, **tags: Any) -> Volume:
    """The same scan with the attributes of an enhanced PET; None leaves one out."""
    drug = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20240102091500"}
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "Bq/ml", "UCUM", "Becquerels/milliliter"
    given: dict[str, Any] = {
        "Units": None,
        "DecayCorrection": None,
        "CorrectedImage": None,
        "DecayCorrected": "YES",
        "AttenuationCorrected": "YES",
        "DecayCorrectionDateTime": "20240102101500",
        "MeasurementUnitsCodeSequence": [unit],
        "RealWorldValueSlope": 1.0,
        "RealWorldValueIntercept": 0.0,
    }
    return pet(folder, drug, **(given | tags))


def test_suvbw_of_enhanced_attributes(tmp_path: Path) -> None:
    volume = enhanced_pet(tmp_path)
    assert volume.suvbw_factor == pytest.approx(70 * 1000 / DECAYED, rel=1e-5)
    assert volume.metadata.units == "Bq/ml"


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"DecayCorrected": "NO"}, "DECY"),
        ({"AttenuationCorrected": None}, "ATTN"),
        ({"DecayCorrectionDateTime": None}, "decay correction"),
        ({"RealWorldValueSlope": 2.0}, "units"),
        ({"MeasurementUnitsCodeSequence": None}, "units"),
        ({"DecayCorrectionDateTime": "20240102081500"}, "injection time"),
    ],
)
def test_no_suv_of_enhanced_attributes_that_do_not_say_enough(tmp_path: Path, tags: dict, why: str) -> None:
    volume = enhanced_pet(tmp_path, **tags)
    assert volume.suvbw_factor is None
    assert any("SUV is not available" in line and why in line for line in volume.warnings)


# -- ultrasound -------------------------------------------------------------------------------------------------------


def region(**changes: Any) -> Dataset:
    item = Dataset()
    given = {
        "RegionSpatialFormat": 1,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.03,
        "PhysicalDeltaY": -0.05,
        "RegionLocationMinX0": 0,
        "RegionLocationMinY0": 0,
        "RegionLocationMaxX1": 10,
        "RegionLocationMaxY1": 8,
    } | changes
    for keyword, value in given.items():
        setattr(item, keyword, value)
    return item


def ultrasound(folder: Path, regions: list[Dataset]) -> Volume:
    tags = {"PixelSpacing": None, "ImagePositionPatient": None, "ImageOrientationPatient": None}
    picture = head(Geometry((1, 9, 11), GRID.affine))
    write_dicom_series(folder, picture, modality="US", SequenceOfUltrasoundRegions=regions, **tags)
    (volume,) = read(folder)
    return volume


def test_ultrasound_region_gives_the_spacing(tmp_path: Path) -> None:
    volume = ultrasound(tmp_path, [region()])
    assert volume.metadata.is_calibrated
    assert volume.geometry.spacing[1:] == pytest.approx((0.5, 0.3))
    assert any("ultrasound region" in line for line in volume.warnings)


@pytest.mark.parametrize(
    "regions",
    [
        [],
        [region(), region()],
        [region(RegionSpatialFormat=3)],
        [region(PhysicalUnitsXDirection=4)],
        [region(PhysicalDeltaY=0.0)],
        [region(PhysicalDeltaX=float("nan"))],
    ],
    ids=["none", "two", "Doppler", "seconds", "zero", "nan"],
)
def test_ultrasound_without_one_plain_region_is_uncalibrated(tmp_path: Path, regions: list[Dataset]) -> None:
    volume = ultrasound(tmp_path, regions)
    assert not volume.metadata.is_calibrated
    assert any("uncalibrated" in line for line in volume.warnings)
