"""Segmentations on a flipped, cropped, shifted or finer grid of their series, and compressed in every way."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels import pack_bits
from pydicom.uid import JPEG2000Lossless, RLELossless

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import axial, oblique, sagittal
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Label, LabelMap

pytestmark = pytest.mark.filterwarnings("ignore::napari_radcnn.errors.WriteWarning")

GRIDS = {"axial": axial, "oblique": oblique, "sagittal": sagittal}
#: pydicom 3.0 does not know this name: each frame deflated on its own.
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


def written(folder: Path, grid: Geometry) -> tuple[LabelMap, pydicom.Dataset]:
    """Write a series and a segmentation beside it; return the labels and the segmentation's dataset."""
    asked = {"BodyPartExamined": "HEAD", "PatientPosition": "HFS", "KVP": "120", "PositionReferenceIndicator": ""}
    write_dicom_series(folder / "scan", world_field(grid), modality="CT", **asked)
    (scan,) = radcnn.read(folder / "scan")
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[0, 1:3, 1:3] = array[1, 2, 2:4] = 1
    array[1, 1, 1] = array[2, 2, 3] = 2
    model = {"name": "m", "version": "1", "task": "segmentation", "weights": []}
    labels = LabelMap(
        array, scan.geometry, {1: Label("brain"), 2: Label("tumor")}, "labels", {"model": model}, (), scan.metadata
    )
    radcnn.write(labels, folder / "seg.seg.dcm")
    return labels, pydicom.dcmread(folder / "seg.seg.dcm")


def masks(dataset: pydicom.Dataset) -> np.ndarray:
    return np.atleast_3d(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns).astype(np.uint8)


def regridded(dataset: pydicom.Dataset, rows: slice, columns: slice, moved: tuple[float, float] = (0.0, 0.0)) -> None:
    """Keep these rows and columns, which may run backwards, and move the frames by (row, column) pixels."""
    found = masks(dataset)[:, rows, columns]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    spacing = [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing]
    orientation = shared.PlaneOrientationSequence[0]
    cosines = np.array([float(v) for v in orientation.ImageOrientationPatient]).reshape(2, 3)
    first = [range(n)[part][0] for n, part in ((dataset.Rows, rows), (dataset.Columns, columns))]
    by = (first[0] + moved[0]) * spacing[0] * cosines[1] + (first[1] + moved[1]) * spacing[1] * cosines[0]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        plane = group.PlanePositionSequence[0]
        plane.ImagePositionPatient = [f"{v:.8f}" for v in np.array(plane.ImagePositionPatient, float) + by]
    signs = [-1 if part.step == -1 else 1 for part in (columns, rows)]
    orientation.ImageOrientationPatient = [f"{v:.10f}" for v in (cosines * np.array(signs)[:, None]).ravel()]
    dataset.Rows, dataset.Columns = found.shape[1:]
    dataset.PixelData = pack_bits(found.ravel())


ALL, BACK = slice(None), slice(None, None, -1)
SAME_VOXELS = {
    "columns flipped": (ALL, BACK),
    "rows flipped": (BACK, ALL),
    "turned by half": (BACK, BACK),
    "cropped": (slice(1, 4), slice(1, 4)),
    "cropped and flipped": (slice(3, 0, -1), slice(4, 0, -1)),
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SAME_VOXELS)
def test_flipped_and_cropped_come_to_the_voxels_of_the_series(name: str, grid: str, tmp_path: Path) -> None:
    labels, dataset = written(tmp_path, GRIDS[grid]())
    regridded(dataset, *SAME_VOXELS[name])
    dataset.save_as(tmp_path / "seg.seg.dcm")
    _, found = radcnn.read(tmp_path)
    assert found.geometry.is_close(labels.geometry)
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("moved", "word"),
    [((0.5, 0.0), "is shifted against it by 0.40 mm"), ((0.0, 0.5), "is shifted against it by 0.35 mm"),
     ((0.0, 2.0), "reaches beyond it"), ((-1.0, 0.0), "reaches beyond it")],
)  # fmt: skip
def test_another_grid_is_shown_in_its_place_with_the_true_reason(
    moved: tuple[float, float], word: str, tmp_path: Path
) -> None:
    labels, dataset = written(tmp_path, oblique())
    regridded(dataset, ALL, ALL, moved)
    dataset.save_as(tmp_path / "seg.seg.dcm")
    _, found = radcnn.read(tmp_path)
    assert any("the grid of the series beside it" in line and word in line for line in found.warnings)
    assert "not in the folder" not in " ".join(found.warnings)
    there = np.argwhere(found.array == 2)[0]
    back = labels.geometry.to_index(found.geometry.to_world(there))
    assert np.allclose(back, np.argwhere(labels.array == 2)[0] + np.array([0, *moved]), atol=1e-3)


def test_finer_and_turned_grids_say_so(tmp_path: Path) -> None:
    _, dataset = written(tmp_path, oblique())
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.4, 0.35]
    dataset.save_as(tmp_path / "seg.seg.dcm")
    _, found = radcnn.read(tmp_path)
    assert any("has pixels of 0.4 x 0.35 mm, not 0.8 x 0.7 mm" in line for line in found.warnings)
    assert found.geometry.spacing[1:] == pytest.approx((0.4, 0.35))


def test_without_the_series_that_is_said(tmp_path: Path) -> None:
    written(tmp_path / "both", oblique())
    (tmp_path / "both" / "seg.seg.dcm").rename(tmp_path / "seg.seg.dcm")
    away = tmp_path / "away"
    away.mkdir()
    (tmp_path / "seg.seg.dcm").rename(away / "seg.seg.dcm")
    (found,) = radcnn.read(away)
    assert any("is not in the folder" in line for line in found.warnings)


# -- compressed ---------------------------------------------------------------------------------------------------


def literal_runs(data: bytes) -> bytes:
    """Return one segment of run lengths (DICOM PS3.5, G.3) that has no runs."""
    parts = [data[n : n + 128] for n in range(0, len(data), 128)]
    segment = b"".join(bytes([len(part) - 1]) + part for part in parts)
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64
    return header.tobytes() + segment + b"\0" * (len(segment) % 2)


def deflated(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    out = engine.compress(data) + engine.flush()
    return out + b"\0" * (len(out) % 2)


def bits(mask: np.ndarray) -> bytes:
    return np.packbits(mask.ravel(), bitorder="little").tobytes()


def save_encapsulated(dataset: pydicom.Dataset, path: Path, frames: list[bytes], syntax: str) -> None:
    """Write frames, under a name of a syntax that pydicom need not know."""
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.add_new("PixelData", "OB", encapsulate(frames))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    old, new = JPEG2000Lossless.encode(), syntax.encode()
    path.write_bytes(path.read_bytes().replace(old, new + b"\0" * (len(old) - len(new)), 1))


ENCODERS = {
    "run lengths of bits": (lambda mask: literal_runs(bits(mask)), RLELossless),
    "run lengths of bytes": (lambda mask: literal_runs(mask.astype(np.uint8).tobytes()), RLELossless),
    "deflated frames": (lambda mask: deflated(bits(mask)), DEFLATED_FRAMES),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_compressed_bits_are_read(name: str, tmp_path: Path) -> None:
    labels, dataset = written(tmp_path, oblique())
    encode, syntax = ENCODERS[name]
    save_encapsulated(dataset, tmp_path / "seg.seg.dcm", [encode(mask) for mask in masks(dataset)], syntax)
    _, found = radcnn.read(tmp_path)
    np.testing.assert_array_equal(found.array, labels.array)


@pytest.mark.parametrize(
    ("syntax", "called"),
    [
        (RLELossless, r"RLE Lossless \(1\.2\.840\.10008\.1\.2\.5\)"),
        (DEFLATED_FRAMES, r"1\.2\.840\.10008\.1\.2\.8\.1"),
        ("1.2.840.10008.1.2.4.99", r"1\.2\.840\.10008\.1\.2\.4\.99"),
    ],
)
def test_what_cannot_be_decoded_names_its_compression(syntax: str, called: str, tmp_path: Path) -> None:
    _, dataset = written(tmp_path, oblique())
    save_encapsulated(dataset, tmp_path / "bad.seg.dcm", [b"\x07\x00nonsense" for _ in masks(dataset)], syntax)
    with pytest.raises(ReadError, match=rf"bad\.seg\.dcm: the pixels of the segmentation, compressed as {called}"):
        radcnn.read(tmp_path / "bad.seg.dcm")
