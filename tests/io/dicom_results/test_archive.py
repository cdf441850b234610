"""A scan out of a zipped export: what is made from it refers to the series in the archive, which is opened again."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.errors import WriteError
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Detection, Detections, Label, LabelMap
from napari_radcnn.volume import Volume

MANIFEST = {"model": {"name": "m", "version": "1", "task": "segmentation"}}


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    """A scan in an archive, beside another of the same study; its files are nowhere else."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_dicom_series(
        tmp_path / "scan", world_field(oblique()), modality="CT", study_uid="1.2.3", BodyPartExamined="HEAD"
    )
    write_dicom_series(tmp_path / "other", world_field(oblique()), modality="MR", study_uid="1.2.3", series_number=2)
    zipped(tmp_path / "export.zip", tmp_path / "scan", tmp_path / "other")
    found = {volume.modality: volume for volume in radcnn.read(tmp_path / "export.zip")}
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]
    return found["CT"]


def zipped(path: Path, *folders: Path) -> None:
    """Move folders into an archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for folder in folders:
            for file in folder.iterdir():
                out.write(file, f"DICOM/{folder.name}/{file.name}")
                file.unlink()
            folder.rmdir()


def labels_on(scan: Volume) -> LabelMap:
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[0, 1:3, 1:3], array[2, 0, -1] = 2, 5
    return LabelMap(
        array, scan.geometry, {2: Label("brain"), 5: Label("mass")}, provenance=MANIFEST, metadata=scan.metadata
    )


def test_labels_go_back_to_the_study_of_the_archive(scan: Volume, tmp_path: Path) -> None:
    labels = labels_on(scan)
    radcnn.write(labels, tmp_path / "x.sr.dcm")
    dataset = pydicom.dcmread(tmp_path / "x.seg.dcm")
    assert dataset.StudyInstanceUID == "1.2.3"
    (referenced,) = dataset.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == scan.metadata.series_uid
    assert len(referenced.ReferencedInstanceSequence) == scan.geometry.shape[0]
    findings = radcnn.read_report(tmp_path / "x.sr.dcm").findings
    assert [(finding.label, finding.segment) for finding in findings] == [("brain", 1), ("mass", 2)]
    assert findings[0].measurements[0].value == pytest.approx(labels.volume_ml(2) * 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.zip", "x.seg.dcm", "x.sr.dcm"]


def test_a_derived_series_lies_where_the_scan_in_the_archive_lies(scan: Volume, tmp_path: Path) -> None:
    image = scan.with_array((scan.array * 0.5 + 0.25).astype(np.float32), provenance=MANIFEST)
    radcnn.write(image, tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(scan.geometry)
    assert back.metadata.study_uid == "1.2.3"
    np.testing.assert_allclose(back.array, image.array, atol=1e-2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.zip", "out"]


def test_the_archive_may_be_given(scan: Volume, tmp_path: Path) -> None:
    found = Detections((Detection("mass", 0.5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),))
    radcnn.write(found, tmp_path / "a.sr.dcm", reference=scan)
    given = {"path": str(tmp_path / "export.zip"), "series_uid": scan.metadata.series_uid}
    radcnn.write(replace(found, provenance={**MANIFEST, "input": given}), tmp_path / "b.sr.dcm")
    for name in ("a.sr.dcm", "b.sr.dcm"):
        assert radcnn.read_report(tmp_path / name).detections.boxes == found.boxes


def test_a_segmentation_out_of_an_archive_is_written_on_its_series_there(tmp_path: Path, monkeypatch) -> None:
    write_dicom_series(tmp_path / "scan", world_field(oblique()), modality="CT")
    (scan,) = radcnn.read(tmp_path / "scan")
    radcnn.write(labels_on(scan), tmp_path / "labels.dcm").rename(tmp_path / "scan" / "labels.dcm")
    zipped(tmp_path / "export.zip", tmp_path / "scan")
    (labels,) = (volume for volume in radcnn.read(tmp_path / "export.zip") if volume.metadata.is_label)
    radcnn.write(labels, tmp_path / "again.seg.dcm")
    dataset = pydicom.dcmread(tmp_path / "again.seg.dcm")
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == scan.metadata.series_uid
    (back,) = radcnn.read(tmp_path / "again.seg.dcm")  # without the series: all its slices but empty ones
    np.testing.assert_array_equal(back.array, labels.array)


def test_another_archive_under_its_name_is_told(scan: Volume, tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "scan", world_field(oblique()), modality="CT")
    (tmp_path / "export.zip").unlink()
    zipped(tmp_path / "export.zip", tmp_path / "scan")
    with pytest.raises(WriteError, match=r"no longer in 'export\.zip'"):
        radcnn.write(labels_on(scan), tmp_path / "x.dcm")
    (tmp_path / "export.zip").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(WriteError, match=r"no longer in 'export\.zip'"):
        radcnn.write(labels_on(scan), tmp_path / "x.dcm")
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]
