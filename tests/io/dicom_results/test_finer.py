"""Thin slices that were made out of thick ones, as a derived series and from the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.cli import main
from napari_radcnn.models.super_resolution.through_plane import ThroughPlane
from napari_radcnn.phantom import oblique_geometry, world_field


class Nothing:
    """Adds nothing to the spline."""

    backend, device, precision, agreement, measured_on = "torch", "cpu", "float32", 1.0, None

    def __call__(self, patch):
        return np.zeros((1, *patch.shape[1:]), np.float32)

    def close(self):
        pass


@pytest.fixture(autouse=True)
def spline_alone(monkeypatch):
    monkeypatch.setattr("napari_radcnn.inference.backends.choice.open_predictor", lambda *_, **__: (Nothing(), ()))
    monkeypatch.setattr("napari_radcnn.networks.shipped.ShippedNetwork.of", lambda *_: None)


@pytest.fixture
def scan(tmp_path):
    write_dicom_series(tmp_path / "scan", world_field(oblique_geometry((6, 9, 10))), modality="CT")
    return radcnn.read(tmp_path / "scan")[0]


@pytest.mark.parametrize(("axis", "factor"), [("k", 3.0), ("k", 2.5), ("i", 2.0)])
def test_a_finer_grid_is_written_in_its_true_place(scan, tmp_path, axis, factor):
    found = radcnn.super_resolve(scan, "ct-super-resolution", {"factor": factor, "axis": axis}, anyway=True)
    radcnn.write(found, tmp_path / "out")
    (back,) = radcnn.read(tmp_path / "out")
    assert back.geometry.is_close(found.geometry, 0.01)
    assert back.geometry.shape == found.geometry.shape
    step = float(np.ptp(found.array)) / 60000
    assert np.abs(back.array - found.array).max() <= step
    files = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").iterdir())]
    assert len(files) == found.geometry.shape[0]
    sources = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "scan").iterdir()}
    for dataset in files:
        assert float(dataset.SliceThickness) == pytest.approx(found.geometry.spacing[0], abs=1e-4)
        assert list(dataset.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert {item.ReferencedSOPInstanceUID for item in dataset.SourceImageSequence} <= sources
        assert "ct-super-resolution" in dataset.DerivationDescription


def test_the_command_line_writes_the_finer_grid_and_runs_it_again(scan, tmp_path, capsys):
    image = tmp_path / "scan.nii.gz"
    radcnn.write(replace(scan, metadata=replace(scan.metadata, name="thick")), image)
    out = tmp_path / "thin.nii.gz"
    assert main(["run", "ct-super-resolution", str(image), "-o", str(out), "--factor", "4", "--anyway"]) == 0
    (back,) = radcnn.read(out)
    assert back.geometry.is_close(ThroughPlane(6, 4.0).grid(scan.geometry, 0), 1e-3)
    manifest = json.loads((tmp_path / "thin.nii.gz.radcnn.json").read_text())
    assert manifest["options"] == {"factor": 4.0, "axis": "coarsest", "thickness_mm": 0.0}
    assert manifest["result"]["shape"] == [24, 9, 10]
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "thin.nii.gz.radcnn.json")]) == 0
    assert "identical" in capsys.readouterr().out


def test_the_command_line_says_what_is_wrong(scan, tmp_path, capsys):
    image = tmp_path / "scan.nii.gz"
    radcnn.write(scan, image)
    words = ["run", "ct-super-resolution", str(image), "-o", str(tmp_path / "thin.nii.gz")]
    assert main([*words, "--factor", "1.2"]) == 2
    assert "'factor' must be 0 or between 1.5 and 6" in capsys.readouterr().err
    assert main([*words, "--axis", "j"]) == 4
    assert "Set the factor" in capsys.readouterr().err
    assert not (tmp_path / "thin.nii.gz").exists()
