"""Siemens mosaics: every tile a slice in its place, or the whole a picture with a warning."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_factory import write_dicom_series
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.volume import Volume

#: Five slices: a mosaic of 3 x 3 tiles, four of them empty.
SHAPE = (5, 6, 8)


def csa_header(**tags: list[str]) -> bytes:
    """Return a header of the second kind ("SV10"), as nibabel documents it."""
    out = b"SV10\4\3\2\1" + struct.pack("<2I", len(tags), 77)
    for name, items in tags.items():
        out += struct.pack("<64si4s3i", name.encode(), len(items), b"FD\0\0", 4, len(items), 77)
        for item in items:
            data = item.encode() + b"\0"
            out += struct.pack("<4i", len(data), len(data), 77, len(data)) + data + bytes(-len(data) % 4)
    return out


def write_mosaic(path: Path, volume: Volume, *, count: bool = True, csa: bytes = b"", **overrides: object) -> Path:
    """Write the slices of a volume as tiles, with the position that such files carry."""
    n, rows, columns = volume.geometry.shape
    side = math.ceil(math.sqrt(n))
    picture = np.zeros((1, side * rows, side * columns), np.int16)
    for k, tile in enumerate(np.asarray(volume.array)):
        row, column = k // side * rows, k % side * columns
        picture[0, row : row + rows, column : column + columns] = tile
    affine = volume.geometry.affine.copy()
    affine[:3, 3] -= affine[:3, 1] * (side - 1) * rows / 2 + affine[:3, 2] * (side - 1) * columns / 2
    if np.linalg.det(affine[:3, :3]) > 0:  # the header holds row and column directions alone
        affine[:3, 0] *= -1
    given = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"],
        "SpacingBetweenSlices": volume.geometry.spacing[0],
        "SliceThickness": 1.25,
        **overrides,
    }
    (written,) = write_dicom_series(path, Volume(picture, Geometry(picture.shape, affine)), modality="MR", **given)  # type: ignore[arg-type]
    import pydicom

    dataset: Dataset = pydicom.dcmread(written)
    if count:
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", n)
    if csa:
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa)
    dataset.save_as(written)
    return written


def normal_csa(volume: Volume, n: int | None = None) -> bytes:
    step = volume.geometry.direction[:, 0]
    tags = {"SliceNormalVector": [f"{v:.8f}" for v in step]}
    if n:
        tags["NumberOfImagesInMosaic"] = [f"{n:8d}"]
    return csa_header(**tags)


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("in_csa", [False, True])
def test_tiles_are_slices(tmp_path: Path, is_descending: bool, syntax: str, in_csa: bool) -> None:
    geometry = oblique_geometry(SHAPE)
    if is_descending:
        affine = geometry.affine.copy()
        affine[:3, 0] *= -1
        geometry = Geometry(SHAPE, affine)
    field = world_field(geometry)
    field = field.with_array(np.round(field.array).astype(np.int16))
    path = write_mosaic(
        tmp_path, field, count=not in_csa, csa=normal_csa(field, 5 if in_csa else None), transfer_syntax=syntax
    )
    for source in (path, tmp_path):
        (volume,) = read(source)
        assert volume.array.shape == SHAPE
        assert np.abs(volume.array - world_field(volume.geometry).array).max() <= 0.51
        assert volume.warnings == ()


def test_time_series_of_mosaics(tmp_path: Path) -> None:
    field = world_field(oblique_geometry(SHAPE))
    field = field.with_array(np.round(field.array).astype(np.int16))
    study = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5"}
    for n in range(3):
        moved = field.with_array(field.array + np.int16(1000 * n))
        write_mosaic(tmp_path, moved, csa=normal_csa(field), AcquisitionNumber=n + 1, InstanceNumber=n + 1, **study)
        (tmp_path / "IM0001.dcm").rename(tmp_path / f"{9 - n}.dcm")
    volumes = read(tmp_path)
    assert len(volumes) == 3
    for n, volume in enumerate(volumes):
        assert np.abs(volume.array - world_field(volume.geometry).array - 1000 * n).max() <= 0.51


def test_direction_that_nothing_states_is_told(tmp_path: Path) -> None:
    field = world_field(oblique_geometry(SHAPE))
    field = field.with_array(np.round(field.array).astype(np.int16))
    (volume,) = read(write_mosaic(tmp_path, field))
    assert volume.array.shape == SHAPE
    assert any("may be reversed" in line for line in volume.warnings)


@pytest.mark.parametrize(
    ("count", "csa", "given"),
    [
        (False, b"", {}),
        (False, b"SV10\4\3\2\1" + b"\xff" * 40, {}),
        (False, csa_header(NumberOfImagesInMosaic=["300"]), {}),
        (True, csa_header(SliceNormalVector=["1.0", "0.0", "0.0"]), {}),
        (True, b"", {"SpacingBetweenSlices": None, "SliceThickness": None}),
        (True, b"", {"ImagePositionPatient": None}),
    ],
    ids=["no count", "damaged CSA", "impossible count", "impossible normal", "no spacing", "no position"],
)
def test_too_little_known_is_a_picture_with_a_warning(tmp_path: Path, count: bool, csa: bytes, given: dict) -> None:
    field = world_field(oblique_geometry(SHAPE))
    field = field.with_array(np.round(field.array).astype(np.int16))
    (volume,) = read(write_mosaic(tmp_path, field, count=count, csa=csa, **given))
    assert volume.array.shape == (1, 18, 24)
    assert any("mosaic" in line and "unknown" in line for line in volume.warnings)
