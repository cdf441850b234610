"""`radcnn convert` with a reference, without the patient, and with uneven slices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dicom_factory import PATIENT_ID, write_dicom_series
from grids import axial, oblique
from napari_radcnn.cli import main
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import world_field
from napari_radcnn.volume import Volume, VolumeMetadata


@pytest.fixture
def scan(tmp_path: Path) -> Volume:
    """Return a scan that lies as a series in ``scan``."""
    volume = world_field(oblique())
    write_dicom_series(tmp_path / "scan", volume.with_array(volume.array.astype(np.int16)), modality="CT")
    return radcnn.read(tmp_path / "scan")[0]


def mask_on(geometry: Geometry, path: Path, dtype: str = "uint8") -> np.ndarray:
    """Write labels 0, 2 and 5 as NIfTI, which does not say what they are."""
    array = np.zeros(geometry.shape, dtype)
    array[0, 1:3, 1:3], array[1, 0, -1] = 2, 5
    radcnn.write(Volume(array, geometry, VolumeMetadata()), path)
    return array


def error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert len(lines) == 1, lines
    return lines[0]


# -- reference ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_labels_in_nifti_become_a_segmentation_on_their_series(scan: Volume, tmp_path: Path, dtype: str) -> None:
    array = mask_on(scan.geometry, tmp_path / "m.nii.gz", dtype)
    out, series = str(tmp_path / "m.seg.dcm"), str(tmp_path / "scan")
    assert main(["convert", str(tmp_path / "m.nii.gz"), out, "--reference", series]) == 0
    dataset = pydicom.dcmread(out)
    assert dataset.PatientID == PATIENT_ID
    assert dataset.StudyInstanceUID == scan.metadata.study_uid
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == scan.metadata.series_uid
    (back,) = [volume for volume in radcnn.read(out) if volume.metadata.is_label]
    found = back.array if back.array.shape == array.shape else back.array[: array.shape[0]]
    np.testing.assert_array_equal(found, array[: found.shape[0]])


def test_an_image_becomes_a_derived_series_of_the_reference(scan: Volume, tmp_path: Path) -> None:
    radcnn.write(scan, tmp_path / "s.nrrd")
    words = ["convert", str(tmp_path / "s.nrrd"), str(tmp_path / "out"), "--reference", str(tmp_path / "scan")]
    assert main(words) == 0
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(scan.geometry)
    np.testing.assert_array_equal(back.array, scan.array)
    assert back.metadata.study_uid == scan.metadata.study_uid


@pytest.mark.parametrize(
    ("source", "out", "reference", "told"),
    [
        ("mask", "m.seg.dcm", None, "needs the original DICOM series"),
        ("mask", "m.seg.dcm", "gone", "gone: no such file or folder"),
        ("mask", "m.seg.dcm", "empty", "is no longer in 'empty'"),
        ("mask", "m.nii", "scan", "a reference is only needed to write DICOM"),
        ("shifted", "m.seg.dcm", "scan", "the grid of the result differs"),
        ("image", "m.seg.dcm", "scan", "is for labels"),
        ("far", "out", "scan", "mm off from the DICOM series"),
    ],
)
def test_a_wrong_reference_is_one_clear_line(
    scan: Volume, tmp_path: Path, capsys, source: str, out: str, reference: str | None, told: str
) -> None:
    affine = scan.geometry.affine.copy()
    affine[0, 3] += 0.5
    far = affine.copy()
    far[0, 3] += 400
    mask_on(scan.geometry, tmp_path / "mask.nii.gz")
    mask_on(Geometry(scan.geometry.shape, affine), tmp_path / "shifted.nii.gz")
    mask_on(Geometry(scan.geometry.shape, far), tmp_path / "far.nii.gz")
    radcnn.write(scan.with_array(scan.array + 0.5), tmp_path / "image.nii.gz")
    (tmp_path / "empty").mkdir()
    words = ["convert", str(tmp_path / f"{source}.nii.gz"), str(tmp_path / out)]
    assert main([*words, *(["--reference", str(tmp_path / reference)] if reference else [])]) == 3
    assert told in error(capsys)
    assert not (tmp_path / out).exists()


# -- the patient --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out", "x.nii.gz"])
def test_a_scan_is_written_without_its_patient(scan: Volume, tmp_path: Path, capsys, name: str) -> None:
    assert main(["convert", str(tmp_path / "scan"), str(tmp_path / name), "--deidentify"]) == 0
    captured = capsys.readouterr()
    assert "face" in captured.err
    assert captured.out == f"written: {tmp_path / name}\n"
    (back,) = radcnn.read(tmp_path / name)
    np.testing.assert_array_equal(back.array, scan.array)
    assert back.metadata.study_uid != scan.metadata.study_uid
    for path in (tmp_path / name).glob("*"):
        assert pydicom.dcmread(path).PatientID == ""


def test_one_key_makes_the_calls_fit_together(scan: Volume, tmp_path: Path, capsys) -> None:
    (tmp_path / "key").write_bytes(b"sixteen bytes and some more")
    mask_on(scan.geometry, tmp_path / "m.nii.gz")
    series = ["--reference", str(tmp_path / "scan"), "--deidentify-key", str(tmp_path / "key")]
    assert main(["convert", str(tmp_path / "m.nii.gz"), str(tmp_path / "m.seg.dcm"), *series]) == 0
    assert main(["convert", str(tmp_path / "scan"), str(tmp_path / "out"), *series[2:]]) == 0
    images = [pydicom.dcmread(path) for path in (tmp_path / "out").iterdir()]
    (referenced,) = pydicom.dcmread(tmp_path / "m.seg.dcm").ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == images[0].SeriesInstanceUID != scan.metadata.series_uid
    capsys.readouterr()
    (tmp_path / "key").write_bytes(b"short")
    assert main(["convert", str(tmp_path / "scan"), str(tmp_path / "x.nii"), *series[2:]]) == 3
    assert "has 5 bytes" in error(capsys)
    assert main(["convert", str(tmp_path / "scan"), str(tmp_path / "x.nii"), "--deidentify-key", "gone"]) == 3
    assert "the key cannot be read" in error(capsys)


# -- uneven slices ------------------------------------------------------------------------------------------------


@pytest.fixture
def gap(tmp_path: Path) -> Path:
    """Return a series in which one of ten slices is missing."""
    whole = world_field(Geometry((10, 4, 5), axial().affine))
    paths = write_dicom_series(tmp_path / "gap", whole.with_array(whole.array.astype(np.int16)), modality="CT")
    paths[4].unlink()
    return tmp_path / "gap"


@pytest.mark.parametrize("command", ["info", "convert"])
def test_a_missing_slice_is_refused_unless_asked_for(gap: Path, tmp_path: Path, capsys, command: str) -> None:
    words = [command, str(gap), *([str(tmp_path / "x.nii.gz")] if command == "convert" else [])]
    assert main(words) == 3
    assert "spac" in error(capsys)
    assert main([*words, "--on-irregular", "resample"]) == 0
    captured = capsys.readouterr()
    assert "resampled" in (captured.out + captured.err).lower()


def test_a_missing_slice_splits_or_is_filled(gap: Path, tmp_path: Path, capsys) -> None:
    assert main(["info", str(gap), "--json", "--on-irregular", "split"]) == 0
    shapes = [volume["shape"][0] for volume in json.loads(capsys.readouterr().out)["volumes"]]
    assert sorted(shapes) == [4, 5]
    assert main(["convert", str(gap), str(tmp_path / "x.nii.gz"), "--on-irregular", "split", "--select", "1"]) == 0
    assert radcnn.read(tmp_path / "x.nii.gz")[0].array.shape[0] == shapes[0]
    assert main(["convert", str(gap), str(tmp_path / "y.nii.gz"), "--on-irregular", "resample"]) == 0
    (filled,) = radcnn.read(tmp_path / "y.nii.gz")
    assert filled.array.shape[0] == 10
    assert np.abs(filled.array - world_field(filled.geometry).array).max() <= 1.0  # whole numbers were stored
