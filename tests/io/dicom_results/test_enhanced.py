"""Derived series of enhanced files: classic slices that say what the functional groups said, in the same places."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import napari_radcnn as radcnn
from dciodvfy import errors_in
from dicom_factory import write_dicom_series, write_enhanced
from grids import ALL, oblique
from napari_radcnn.errors import WriteError
from napari_radcnn.io import check_source
from napari_radcnn.operations import resample_to
from napari_radcnn.phantom import world_field
from napari_radcnn.volume import Volume

MANIFEST = {"model": {"name": "nlm-denoise", "version": "1.2", "task": "denoising"}}
CLASSIC = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128"}
ORDER = np.array([2, 0, 1])


def restored(scan: Volume) -> Volume:
    return scan.with_array((scan.array * 0.5 + 0.123).astype(np.float32), provenance=MANIFEST)


def files(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def group(keyword: str, **values) -> tuple[str, list[Dataset]]:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return keyword, [item]


def add_groups(path: Path, *shared: tuple[str, list[Dataset]]) -> None:
    """Add shared functional groups to a file."""
    dataset = pydicom.dcmread(path)
    for keyword, items in shared:
        setattr(dataset.SharedFunctionalGroupsSequence[0], keyword, items)
    for n, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].FrameAcquisitionNumber = n + 4
        frame.FrameContentSequence[0].FrameAcquisitionDateTime = f"2024010210150{n}.25+0100"
    dataset.save_as(path)


def converted(folder: Path, modality: str, grid=None, **overrides) -> tuple[Path, list[pydicom.Dataset]]:
    """Return a legacy converted file, made by highdicom, and its classic sources in the order of k."""
    from highdicom import UID, legacy

    scan = world_field(oblique() if grid is None else grid)
    asked = {"BodyPartExamined": "HEAD", "PatientPosition": "HFS", "PositionReferenceIndicator": ""}
    paths = write_dicom_series(folder / "classic", scan, modality=modality, **{**asked, **overrides})
    headers = [pydicom.dcmread(path) for path in paths]
    name = {"CT": "CT", "MR": "MR", "PT": "PET"}[modality]
    made = getattr(legacy, f"LegacyConvertedEnhanced{name}Image")(headers[::-1], UID(), 5, UID(), 1)
    made.save_as(folder / "enhanced.dcm")
    shutil.rmtree(folder / "classic")
    return folder / "enhanced.dcm", headers


@pytest.mark.parametrize("name", ALL)
def test_it_lies_where_the_enhanced_file_lies(name: str, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "e.dcm", [world_field(ALL[name]())], ORDER)
    (scan,) = radcnn.read(tmp_path / "e.dcm")
    image = restored(scan)
    radcnn.write(image, tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(scan.geometry)
    step = float(files(tmp_path / "out")[0].RescaleSlope)
    assert np.abs(back.array - image.array).max() <= step / 2 + 1e-4


def test_what_the_functional_groups_say_stands_where_classic_files_have_it(tmp_path: Path) -> None:
    path = write_enhanced(
        tmp_path / "e.dcm",
        [world_field(oblique())],
        ORDER,
        EchoPulseSequence="GRADIENT",
        SegmentedKSpaceTraversal="PARTIAL",
        Spoiling="RF",
        MRAcquisitionType="3D",
        ResonantNucleus="1H",
        VolumetricProperties="VOLUME",
        PatientWeight="70",
    )
    add_groups(
        path,
        group("MRTimingAndRelatedParametersSequence", RepetitionTime="8.25", FlipAngle="12", RFEchoTrainLength=0),
        group("MREchoSequence", EffectiveEchoTime=3.123456789012345),
        group("MRImageFrameTypeSequence", FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
        group("FrameVOILUTSequence", WindowCenter="40", WindowWidth="400"),
        group("FrameAnatomySequence", FrameLaterality="L"),
    )
    enhanced = pydicom.dcmread(path)
    (scan,) = radcnn.read(path)
    radcnn.write(restored(scan), tmp_path / "out")
    made = files(tmp_path / "out")
    assert len({dataset.SOPInstanceUID for dataset in made}) == 3
    for k, dataset in enumerate(made):
        frame = int(np.flatnonzero(k == ORDER)[0])
        place = enhanced.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
        assert dataset.SOPClassUID == CLASSIC["MR"] == dataset.file_meta.MediaStorageSOPClassUID
        assert dataset.ImagePositionPatient == place.ImagePositionPatient
        assert (dataset.RepetitionTime, dataset.FlipAngle, dataset.EchoTrainLength) == (8.25, 12, 0)
        assert float(dataset.EchoTime) == pytest.approx(3.123456789012345)
        assert (dataset.ScanningSequence, list(dataset.SequenceVariant)) == ("GR", ["SK", "SP"])
        assert (dataset.MRAcquisitionType, dataset.ImagedNucleus, dataset.ImageLaterality) == ("3D", "1H", "L")
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
        assert (dataset.WindowCenter, dataset.WindowWidth, dataset.PatientWeight) == (40, 400, 70)
        assert dataset.AcquisitionNumber == frame + 4
        assert (dataset.AcquisitionDate, dataset.AcquisitionTime) == ("20240102", f"10150{frame}.25")
        (reference,) = dataset.SourceImageSequence
        assert reference.ReferencedSOPClassUID == enhanced.SOPClassUID != dataset.SOPClassUID
        assert reference.ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
        assert reference.ReferencedFrameNumber == frame + 1
        for keyword in ("NumberOfFrames", "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence"):
            assert keyword not in dataset
        assert "VolumetricProperties" not in dataset


@pytest.mark.parametrize("modality", CLASSIC)
def test_a_converted_series_becomes_what_it_was(modality: str, tmp_path: Path) -> None:
    more = {"MR": {"ScanningSequence": "SE", "SequenceVariant": "NONE", "EchoTime": "12.5"}, "PT": {"Units": "BQML"}}
    path, before = converted(tmp_path, modality, KVP="120", **more.get(modality, {}))
    (scan,) = radcnn.read(path)
    radcnn.write(restored(scan), tmp_path / "out")
    second = "PRIMARY" if modality == "PT" else "SECONDARY"
    for dataset, origin in zip(files(tmp_path / "out"), before, strict=True):
        assert dataset.SOPClassUID == origin.SOPClassUID == CLASSIC[modality]
        assert list(dataset.ImageType)[:2] == ["DERIVED", second]
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
            np.testing.assert_allclose(dataset[keyword].value, origin[keyword].value, atol=1e-6)
        for keyword in ("PatientPosition", "KVP", "AcquisitionDate", *more.get(modality, {})):
            assert dataset[keyword].value == origin[keyword].value, keyword
        assert dataset.AnatomicRegionSequence[0].CodeMeaning == "Head"  # highdicom's code for BodyPartExamined
        assert dataset.StudyInstanceUID == origin.StudyInstanceUID
        assert dataset.FrameOfReferenceUID == origin.FrameOfReferenceUID


def test_each_time_point_refers_to_its_own_frames(tmp_path: Path) -> None:
    field = world_field(oblique())
    order = np.array([5, 0, 4, 3, 1, 2])
    write_enhanced(tmp_path / "e.dcm", [field, field.with_array(field.array + 5)], order)
    for n, scan in enumerate(radcnn.read(tmp_path / "e.dcm")):
        target = tmp_path / f"out{n}"
        check_source(Volume, target, scan)
        radcnn.write(restored(scan), target)
        (back,) = radcnn.read(target)
        np.testing.assert_allclose(back.array, restored(scan).array, atol=1e-2)
        used = [int(dataset.SourceImageSequence[0].ReferencedFrameNumber) for dataset in files(target)]
        assert [int(order[frame - 1]) for frame in used] == [3 * n, 3 * n + 1, 3 * n + 2]


def test_a_finer_grid_is_written(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "e.dcm", [world_field(oblique())], ORDER)
    (scan,) = radcnn.read(tmp_path / "e.dcm")
    finer = resample_to(scan, scan.geometry.with_shape((6, 8, 10)))
    radcnn.write(replace(finer, metadata=replace(finer.metadata, provenance=MANIFEST)), tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(finer.geometry)
    np.testing.assert_allclose(back.array, finer.array, atol=1e-2)


def test_without_the_patient_each_slice_still_has_a_uid_of_its_own(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "e.dcm", [world_field(oblique())], ORDER, PatientName="SECRET", PatientID="S")
    (scan,) = radcnn.read(path)
    radcnn.write(scan, tmp_path / "out", deidentify=True)
    made = files(tmp_path / "out")
    assert len({dataset.SOPInstanceUID for dataset in made}) == 3
    assert not {dataset.StudyInstanceUID for dataset in made} & {pydicom.dcmread(path).StudyInstanceUID}
    assert all(b"SECRET" not in file.read_bytes() for file in (tmp_path / "out").iterdir())


def test_what_has_no_classic_object_is_refused_before_the_work(tmp_path: Path) -> None:
    pet = "1.2.840.10008.5.1.4.1.1.130"
    path = write_enhanced(tmp_path / "pet.dcm", [world_field(oblique())], ORDER, SOPClassUID=pet, Modality="PT")
    (scan,) = radcnn.read(path)
    for work in (lambda: check_source(Volume, tmp_path / "out", scan), lambda: radcnn.write(scan, tmp_path / "out")):
        with pytest.raises(WriteError, match=r"multi-frame .*, of the type 'Enhanced PET Image Storage'.*\.nii\.gz"):
            work()
    assert [found.name for found in tmp_path.iterdir()] == ["pet.dcm"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("kind", ["enhanced CT", "enhanced MR", "CT", "MR"])
def test_a_validator_finds_no_new_errors(kind: str, tmp_path: Path) -> None:
    if kind.startswith("enhanced"):
        modality = kind[-2:]
        uid = f"{CLASSIC[modality]}.1"
        path = write_enhanced(
            tmp_path / "e.dcm", [world_field(oblique())], ORDER, SOPClassUID=uid, Modality=modality, StudyID="1"
        )
        known: set[str] = set()
    else:
        path, _ = converted(tmp_path, kind)
        known = errors_in(path)
    (scan,) = radcnn.read(path)
    radcnn.write(restored(scan), tmp_path / "out")
    for file in (tmp_path / "out").iterdir():
        assert errors_in(file) <= known
