"""Real world values outside PET, and Philips's scale: applied where one linear mapping has a unit, else named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_factory import write_dicom_series, write_enhanced
from napari_radcnn.errors import ReadError
from napari_radcnn.io import read, write
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume

GRID = oblique_geometry((4, 9, 11))
STORED = (np.arange(np.prod(GRID.shape)).reshape(GRID.shape) * 7 % 4000).astype(np.uint16)


def mapping(slope: float | None, intercept: float | None, unit: str = "mm2/s", scheme: str = "UCUM") -> Dataset:
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, scheme, unit
    item.LUTLabel, item.MeasurementUnitsCodeSequence = "TYPED-BY-SOMEBODY", [code]
    item.add_new("RealWorldValueFirstValueMapped", "US", 0)
    item.add_new("RealWorldValueLastValueMapped", "US", 4095)
    if slope is not None:
        item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    return item


def table() -> Dataset:
    item = mapping(None, None)
    item.RealWorldValueLUTData = [float(v) for v in range(4096)]
    return item


def mapped(folder: Path, items: list[Dataset] | Any, modality: str = "MR", **tags: Any) -> Volume:
    given = {"RescaleSlope": None, "RescaleIntercept": None, "RealWorldValueMappingSequence": items}
    write_dicom_series(folder, Volume(STORED, GRID), modality=modality, **(given | tags))
    (volume,) = read(folder)
    assert volume.geometry.is_close(GRID)
    return volume


def said(volume: Volume, *words: str) -> bool:
    return any(all(word in line for word in words) for line in volume.warnings)


@pytest.mark.parametrize(
    ("slope", "intercept", "unit", "modality", "units"),
    [
        (1e-6, -1e-3, "mm2/s", "MR", "mm2/s"),
        (0.5, -1024.0, "rad", "MR", "rad"),
        (-2.0, 100.0, "ms", "OT", "ms"),
        (1.0, -1024.0, "[hnsf'U]", "CT", "HU"),
        (0.25, 0.0, "1", "MR", ""),
    ],
)
def test_one_linear_mapping_is_applied(
    tmp_path: Path, slope: float, intercept: float, unit: str, modality: str, units: str
) -> None:
    volume = mapped(tmp_path, [mapping(slope, intercept, unit)], modality)
    assert np.allclose(volume.array, STORED.astype(float) * slope + intercept, rtol=1e-6, atol=abs(slope) * 1e-3)
    assert volume.metadata.units == units
    assert not said(volume, "real world")


def test_it_holds_for_stored_values_and_says_that_it_replaces_the_rescale(tmp_path: Path) -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -10, "RescaleType": "US", "WindowCenter": 190, "WindowWidth": 80}
    volume = mapped(tmp_path, [mapping(0.125, 3.0)], PixelPaddingValue=8, **tags)
    assert np.allclose(volume.array, STORED * 0.125 + 3)
    assert said(volume, "real world values", "mm2/s", "not those of its rescale slope")
    assert volume.metadata.padding_value == 8 * 0.125 + 3
    # the window spans stored values 80 to 120
    assert (volume.metadata.window_center, volume.metadata.window_width) == (100 * 0.125 + 3, 40 * 0.125)


def test_every_slice_by_its_own_mapping(tmp_path: Path) -> None:
    volume = mapped(tmp_path, lambda k: [mapping(0.5 + k, -10.0 * k, "ms")])
    for k in range(4):
        assert np.allclose(volume.array[k], STORED[k] * (0.5 + k) - 10 * k)


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([mapping(0.5, 0.0, "mm2/s"), mapping(2.0, 0.0, "ms")], "several"),
        ([table()], "not linear"),
        ([mapping(0.5, 0.0, "112031", "DCM")], "UCUM"),
        ([mapping(0.0, 5.0)], "usable"),
    ],
    ids=["several", "table", "not a UCUM", "slope 0"],
)
@pytest.mark.parametrize("rescale", [(None, None), (3, -7)])
def test_others_are_named_and_not_applied(
    tmp_path: Path, items: list[Dataset], why: str, rescale: tuple[int | None, int | None]
) -> None:
    volume = mapped(tmp_path, items, RescaleSlope=rescale[0], RescaleIntercept=rescale[1])
    assert np.array_equal(volume.array, STORED.astype(int) * (rescale[0] or 1) + (rescale[1] or 0))
    assert volume.metadata.units == ""
    assert said(volume, "real world value mapping", "not applied", why)
    assert not said(volume, "TYPED-BY-SOMEBODY")


def test_voxels_outside_the_range_of_the_mapping_are_counted(tmp_path: Path) -> None:
    item = mapping(1e-3, 0.5)
    item.RealWorldValueLastValueMapped = 2000
    volume = mapped(tmp_path, [item])
    assert said(volume, f"{np.count_nonzero(STORED > 2000)} voxels", "extrapolated")


def test_missing_in_one_slice(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"IM0\d+\.dcm: .*mapping is missing"):
        mapped(tmp_path, lambda k: None if k == 2 else [mapping(0.5, 0.0)])


def test_other_unit_in_one_slice(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"different units \((mm2/s and ms|ms and mm2/s)\)"):
        mapped(tmp_path, lambda k: [mapping(0.5, 0.0, "ms" if k == 1 else "mm2/s")])


@pytest.mark.parametrize("where", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
@pytest.mark.parametrize("count", [1, 2])
def test_functional_groups(tmp_path: Path, where: str, count: int) -> None:
    from pydicom import dcmread

    path = write_enhanced(tmp_path / "e.dcm", [Volume(STORED.astype(np.int16), GRID)], np.array([2, 0, 3, 1]))
    dataset = dcmread(path)
    for group in dataset[where].value:
        group.RealWorldValueMappingSequence = [mapping(0.25, -3.0), mapping(4.0, 0.0, "ms")][:count]
    dataset.save_as(path)
    (volume,) = read(path)
    if count == 1:
        assert np.allclose(volume.array, STORED * 0.25 - 3)
        assert volume.metadata.units == "mm2/s"
    else:
        assert np.array_equal(volume.array, STORED)
        assert said(volume, "mm2/s, ms", "not applied")


def test_pet_keeps_its_own_units(tmp_path: Path) -> None:
    volume = mapped(
        tmp_path, [mapping(0.5, 0.0, "g/ml{SUVbw}")], "PT", RescaleSlope=2, RescaleIntercept=0, Units="BQML"
    )
    assert np.array_equal(volume.array, STORED * 2.0)
    assert volume.metadata.units == "Bq/ml"


def test_a_derived_series_has_the_same_values_and_unit(tmp_path: Path) -> None:
    volume = mapped(tmp_path / "scan", [mapping(1e-6, -1e-3)], RescaleSlope=2, RescaleIntercept=0, RescaleType="norm")
    write(volume, tmp_path / "derived")
    (again,) = read(tmp_path / "derived")
    assert np.allclose(again.array, STORED * 1e-6 - 1e-3, atol=1e-7)
    assert again.metadata.units == "mm2/s"


# -- Philips ----------------------------------------------------------------------------------------------------------


def philips(folder: Path, scale: float | None, items: list[Dataset] | None = None, syntax: str | None = None) -> Volume:
    """Write an MR scan of Philips's with rescale slope 2.5 and the given private scale slope."""
    from pydicom import dcmread

    given = {"transfer_syntax": syntax} if syntax else {}
    tags = {"Manufacturer": "Philips Medical Systems", "RescaleSlope": 2.5, "RescaleIntercept": -4}
    for path in write_dicom_series(
        folder, Volume(STORED, GRID), modality="MR", RealWorldValueMappingSequence=items, **tags, **given
    ):
        dataset = dcmread(path)
        if scale is not None:
            dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)
        dataset.save_as(path)
    (volume,) = read(folder)
    assert np.allclose(volume.array, STORED * 2.5 - 4)
    return volume


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
@pytest.mark.parametrize("scale", [0.0078125, 3.5])
def test_scale_slope_is_named_and_not_applied(tmp_path: Path, syntax: str, scale: float) -> None:
    volume = philips(tmp_path, scale, syntax=syntax)
    assert said(volume, "Philips", "Scale Slope", f"{scale:g}", "not applied")


def test_no_scale_slope(tmp_path: Path) -> None:
    assert not said(philips(tmp_path, None), "Philips")


def test_rescale_slope_stays_where_both_stand(tmp_path: Path) -> None:
    volume = philips(tmp_path, 0.0078125, [mapping(0.5, 1.0, "1")])
    assert said(volume, "Scale Slope")
    assert said(volume, "real world value mapping", "not applied")


def test_scale_slope_of_frames(tmp_path: Path) -> None:
    from pydicom import dcmread

    scan = Volume(STORED.astype(np.int16), GRID)
    path = write_enhanced(tmp_path / "e.dcm", [scan], np.array([2, 0, 3, 1]), Manufacturer="Philips")
    dataset = dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        item = Dataset()
        item.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.125)
        block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x0F, "SQ", [item])
    dataset.save_as(path)
    (volume,) = read(path)
    assert np.array_equal(volume.array, STORED)
    assert said(volume, "Scale Slope", "0.125")
