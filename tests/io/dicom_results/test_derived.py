"""A restored scan as a derived series: what validators do not see (a wrong ImageType, no references) is tested here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import ALL, axial, oblique
from napari_radcnn.errors import WriteError
from napari_radcnn.io.dicom_results.codes import code
from napari_radcnn.io.dicom_results.write import derived
from napari_radcnn.io.dicom_results.write.quantize import decimal
from napari_radcnn.operations import resample_to
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume

SHA256 = "cd" * 32
MANIFEST = {
    "model": {
        "name": "nlm-denoise",
        "version": "1.2",
        "task": "denoising",
        "weights": [{"file": "w.safetensors", "sha256": SHA256}],
    }
}


def source(folder: Path, grid=None, modality="CT", **overrides) -> Volume:
    write_dicom_series(folder, world_field(axial() if grid is None else grid), modality=modality, **overrides)
    (volume,) = radcnn.read(folder)
    return volume


def restored(scan: Volume) -> Volume:
    return scan.with_array((scan.array * 0.5 + 0.123).astype(np.float32), provenance=MANIFEST)


def files(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("name", ALL)
def test_a_derived_series_lies_where_the_scan_lies(name: str, tmp_path: Path) -> None:
    image = restored(source(tmp_path / "scan", ALL[name]()))
    assert radcnn.write(image, tmp_path / "out") == tmp_path / "out"
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(image.geometry)
    step = float(files(tmp_path / "out")[0].RescaleSlope)
    assert np.abs(back.array - image.array).max() <= step / 2 + 1e-4
    assert step <= np.ptp(image.array) / 60000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "scan"]


def test_what_a_derived_series_says(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan", oblique(), WindowCenter="40", WindowWidth="400", SmallestImagePixelValue=3)
    radcnn.write(restored(scan), tmp_path / "out")
    origins = {(*map(float, d.ImagePositionPatient),): d for d in files(tmp_path / "scan")}
    made = files(tmp_path / "out")
    assert len({dataset.SOPInstanceUID for dataset in made}) == len(made) == 3
    (series_uid,) = {dataset.SeriesInstanceUID for dataset in made}
    assert series_uid != scan.metadata.series_uid
    assert [dataset.InstanceNumber for dataset in made] == [1, 2, 3]
    for dataset in made:
        origin = origins[(*map(float, dataset.ImagePositionPatient),)]
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "SOPClassUID", "PixelSpacing"):
            assert dataset[keyword].value == origin[keyword].value
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID != origin.SOPInstanceUID
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        for word in ("nlm-denoise 1.2", SHA256, radcnn.__version__, "steps of", "not for diagnosis"):
            assert word in dataset.DerivationDescription
        assert dataset.DerivationCodeSequence[0].CodeValue == "113087"
        (reference,) = dataset.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == origin.SOPInstanceUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert dataset.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert dataset.SeriesDescription == "Derived: nlm-denoise 1.2"
        assert (dataset.SeriesNumber, origin.SeriesNumber) == (101, 1)
        assert dataset.SeriesDate != origin.SeriesDate == "20240102"
        assert dataset.AcquisitionDate == origin.AcquisitionDate
        assert dataset.BurnedInAnnotation == "NO"
        assert "SmallestImagePixelValue" not in dataset
        assert dataset.WindowCenter == 40  # in the units of the values, which are the same


def test_codes_are_those_that_are_meant() -> None:
    assert code("DCM", "Smoothing").value == "113087"
    assert code("DCM", "ProcessingEquipment").value == "109102"
    assert code("DCM", "SourceImageForImageProcessingOperation").value == "121322"


def test_lossy_compression_overlays_and_private_values(tmp_path: Path) -> None:
    scan = source(
        tmp_path / "scan", LossyImageCompression="01", LossyImageCompressionRatio="12", PixelPaddingValue=-2000
    )
    for path in (tmp_path / "scan").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.5)
        dataset.add_new(0x60000010, "US", 4)
        dataset.save_as(path)
    radcnn.write(restored(scan), tmp_path / "out")
    for dataset in files(tmp_path / "out"):
        assert (dataset.LossyImageCompression, dataset.LossyImageCompressionRatio) == ("01", 12)
        assert "PixelPaddingValue" not in dataset
        assert not any(element.tag.is_private or element.tag.group == 0x6000 for element in dataset)


def test_whole_numbers_stay_as_they_are(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan")
    whole = scan.with_array(np.arange(60, dtype=np.int16).reshape(3, 4, 5) - 7, provenance=MANIFEST)
    radcnn.write(whole, tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array, whole.array)


def test_pet_keeps_its_intercept_and_the_time_its_activity_is_corrected_to(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan", modality="PT")
    radcnn.write(restored(scan), tmp_path / "out")
    for dataset in files(tmp_path / "out"):
        assert dataset.RescaleIntercept == 0
        assert (dataset.SeriesDate, dataset.SeriesTime) == ("20240102", "101500")
        assert list(dataset.ImageType)[:2] == ["DERIVED", "PRIMARY"]


def test_voxels_without_a_value_are_told(tmp_path: Path) -> None:
    image = restored(source(tmp_path / "scan"))
    image.array[0, 0, 0] = np.nan
    radcnn.write(image, tmp_path / "out")
    assert "1 voxels without a value" in files(tmp_path / "out")[0].DerivationDescription
    (back,) = radcnn.read(tmp_path / "out")
    assert back.array[0, 0, 0] == pytest.approx(np.nanmin(image.array), abs=1e-3)


def test_a_constant_image_is_written(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan")
    radcnn.write(scan.with_array(np.full(scan.array.shape, 2.5, np.float32)), tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert np.unique(back.array).tolist() == [2.5]


@pytest.mark.parametrize("name", ["axial", "oblique", "left_handed"])
def test_a_finer_grid_refers_to_the_slices_it_was_made_from(name: str, tmp_path: Path) -> None:
    scan = source(tmp_path / "scan", ALL[name]())
    finer = resample_to(scan, scan.geometry.with_shape((6, 8, 10)))
    radcnn.write(replace(finer, metadata=replace(finer.metadata, provenance=MANIFEST)), tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(finer.geometry)
    np.testing.assert_allclose(back.array, finer.array, atol=1e-2)
    uids = {d.SOPInstanceUID for d in files(tmp_path / "scan")}
    for dataset in files(tmp_path / "out"):
        used = {item.ReferencedSOPInstanceUID for item in dataset.SourceImageSequence}
        assert used < uids or used == uids
        assert used
        assert float(dataset.SliceThickness) == pytest.approx(1.25)


def test_a_grid_that_runs_against_its_normal_is_written_in_the_order_of_readers(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan", oblique())
    flipped = replace(restored(scan), array=restored(scan).array[::-1])
    affine = scan.geometry.affine.copy()
    affine[:3, 3], affine[:3, 0] = scan.geometry.to_world((2, 0, 0)), -affine[:3, 0]
    radcnn.write(replace(flipped, geometry=type(scan.geometry)(scan.geometry.shape, affine)), tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(scan.geometry)
    np.testing.assert_allclose(back.array, restored(scan).array, atol=1e-2)


def test_a_scan_with_a_missing_slice_is_written_on_the_grid_it_was_resampled_to(tmp_path: Path) -> None:
    grid = oblique()
    grid = type(grid)((8, 4, 5), grid.affine)
    source(tmp_path / "scan", grid)
    places = {
        path: [float(v) for v in pydicom.dcmread(path).ImagePositionPatient] for path in (tmp_path / "scan").iterdir()
    }
    missing = next(path for path, place in places.items() if np.allclose(place, grid.to_world((3, 0, 0)), atol=1e-3))
    missing.unlink()
    (scan,) = radcnn.read(tmp_path / "scan", on_irregular="resample")
    radcnn.write(restored(scan), tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(grid)
    np.testing.assert_allclose(back.array, restored(scan).array, atol=1e-2)
    uids = {
        pydicom.dcmread(path).SOPInstanceUID: round(float(grid.to_index(places[path])[0]))
        for path in places
        if path.exists()
    }
    used = [{uids[item.ReferencedSOPInstanceUID] for item in d.SourceImageSequence} for d in files(tmp_path / "out")]
    assert used[3] == {2, 4}
    assert all(k in used[k] for k in (0, 1, 2, 4, 5, 6, 7))


# -- what is refused ------------------------------------------------------------------------------------------------


def test_only_a_folder_of_ours_is_replaced(tmp_path: Path) -> None:
    image = restored(source(tmp_path / "scan"))
    out = tmp_path / "out"
    radcnn.write(image, out)
    first = files(out)[0].SeriesInstanceUID
    with pytest.raises(WriteError, match="already exists"):
        radcnn.write(image, out)
    radcnn.write(image, out, overwrite=True)
    assert files(out)[0].SeriesInstanceUID != first
    (out / "letter.txt").write_text("mine")
    with pytest.raises(WriteError, match="contains files other than"):
        radcnn.write(image, out, overwrite=True)
    assert (out / "letter.txt").read_text() == "mine"
    with pytest.raises(WriteError, match="is the input 'scan'"):
        radcnn.write(image, tmp_path / "scan", overwrite=True)
    with pytest.raises(WriteError, match="does not exist"):
        radcnn.write(image, tmp_path / "nowhere" / "out")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WriteError, match="a file of that name exists"):
        radcnn.write(image, tmp_path / "file", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out", "scan"]


def test_a_series_that_reads_back_wrong_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    image = restored(source(tmp_path / "scan"))
    put = derived._Plan._put_pixels
    monkeypatch.setattr(derived._Plan, "_put_pixels", lambda self, dataset, k: put(self, dataset, 0))
    with pytest.raises(WriteError, match="its values differ from the intended"):
        radcnn.write(image, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]


def test_what_no_series_can_hold(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan")
    color = scan.with_array(np.zeros((*scan.array.shape, 3), np.uint8))
    with pytest.raises(WriteError, match="color"):
        radcnn.write(color, tmp_path / "out")
    labels = LabelMap(np.ones(scan.array.shape, np.uint8), scan.geometry, {1: Label("a")}, metadata=scan.metadata)
    with pytest.raises(WriteError, match="no suffix"):
        radcnn.write(labels, tmp_path / "out")
    with pytest.raises(WriteError, match="folder of DICOM files"):
        radcnn.write(scan, tmp_path / "out.dcm")


def test_an_image_of_no_value_at_all_is_written_as_zero(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan")
    radcnn.write(scan.with_array(np.full(scan.array.shape, np.nan, np.float32)), tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert not back.array.any()


@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1e6, 1e30])
def test_tiny_and_huge_values_keep_their_precision(scale: float, tmp_path: Path) -> None:
    scan = source(tmp_path / "scan")
    image = scan.with_array((scan.array * scale).astype(np.float32))
    radcnn.write(image, tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert np.abs(back.array - image.array).max() <= np.ptp(image.array) / 120_000


@pytest.mark.parametrize("value", [0.0, 1.0, -1 / 3, 12345.678901234567, 1e-30, -2.5e30, np.pi * 1e5])
def test_decimal_strings_fit_and_are_near(value: float) -> None:
    words = decimal(value)
    assert len(words) <= 16
    assert float(words) == pytest.approx(value, rel=1e-8)


def test_an_image_of_another_modality_is_not_written_into_the_series(tmp_path: Path) -> None:
    scan = source(tmp_path / "scan")
    made = restored(scan).with_metadata(modality="MR")
    with pytest.raises(WriteError, match="looks like MR cannot be written into a series of CT"):
        radcnn.write(made, tmp_path / "made")
    assert not (tmp_path / "made").exists()
