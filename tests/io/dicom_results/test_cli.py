"""DICOM results from the command line: written by suffix, and refused before the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.cli import main
from napari_radcnn.phantom import head, world_field


def test_a_restored_series_goes_back_to_its_study(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "scan", head())
    words = ["run", "nlm-denoise", str(tmp_path / "scan"), "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert main(words) == 0
    (scan,), (restored,) = radcnn.read(tmp_path / "scan"), radcnn.read(tmp_path / "out")
    assert restored.geometry.is_close(scan.geometry)
    assert restored.metadata.study_uid == scan.metadata.study_uid
    assert restored.metadata.description.startswith("Derived: nlm-denoise")
    assert (tmp_path / "out.radcnn.json").is_file()
    assert np.corrcoef(restored.array.ravel(), scan.array.ravel())[0, 1] > 0.9
    assert main([*words, "--overwrite"]) == 0


def test_without_a_series_it_is_refused_before_the_run(tmp_path: Path, capsys, monkeypatch) -> None:
    from napari_radcnn import operations

    radcnn.write(world_field(oblique()), tmp_path / "scan.nii.gz")
    monkeypatch.setattr(operations, "run", lambda *args, **kwargs: pytest.fail("the model ran"))
    assert main(["run", "nlm-denoise", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out")]) == 3
    assert "needs the original DICOM series of the scan" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_convert_writes_a_segmentation_again(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "scan", world_field(oblique()), modality="CT")
    (scan,) = radcnn.read(tmp_path / "scan")
    array = np.zeros(scan.array.shape, np.uint8)
    array[1, 2, 1:4] = 1
    labels = radcnn.LabelMap(array, scan.geometry, {1: radcnn.Label("liver")}, metadata=scan.metadata)
    radcnn.write(labels, tmp_path / "a.seg.dcm")
    for name in ("b.nii.gz", "c.seg.dcm"):
        assert main(["convert", str(tmp_path / "a.seg.dcm"), str(tmp_path / name)]) == 0
        (back,) = radcnn.read(tmp_path / name)
        np.testing.assert_array_equal(back.array, array)


def test_a_warning_of_the_writer_is_one_line_of_ours(tmp_path: Path, capsys) -> None:
    grid = oblique()
    affine = grid.affine.copy()
    affine[:3, 0] += 0.3 * affine[:3, 1]  # slices that are shifted against each other, as with a tilted gantry
    write_dicom_series(tmp_path / "scan", world_field(radcnn.Geometry(grid.shape, affine)), modality="CT")
    (scan,) = radcnn.read(tmp_path / "scan")
    array = np.zeros(scan.array.shape, np.uint8)
    array[1, 2, 1:4] = 1
    radcnn.write(radcnn.LabelMap(array, scan.geometry, {1: radcnn.Label("liver")}), tmp_path / "a.nii.gz")
    words = ["convert", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.seg.dcm"), "--reference", str(tmp_path / "scan")]
    assert main(words) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if "resample the scan" in line]
    assert len(told) == 1
    assert told[0].startswith("radcnn: warning: ")
    assert not any("warnings.warn" in line or "WriteWarning" in line for line in lines)
